/* conv2d and its gradients: which of the kernels computes what. */
#include "cuda/conv_kernels.h"
#include "cuda/cudnn.h"

/* ---- shapes ---------------------------------------------------------------------------------------------- */
/* Kernels count pixels, and the elements of one picture, in ints. */
static bool too_large(const asl_tensor *t, int64_t padding) {
  const int64_t *size = t->shape.size;
  for (int k = 0; k < 4; k++)
    if (size[k] > INT32_MAX) return true;
  return 8 * (size[1] + 2 * padding) > INT32_MAX || 8 * (size[2] + 2 * padding) > INT32_MAX ||
         size[1] * size[2] > INT32_MAX || size[0] * (size[1] * size[2]) > INT32_MAX ||
         size[1] * size[2] * size[3] > INT32_MAX;
}

conv_shape conv_shape_of(const asl_tensor *x, const asl_tensor *weight, const asl_tensor *y, int64_t stride,
                         int64_t padding, int64_t dilation, int64_t groups) {
  int in[4], w[4], out[4];
  for (int k = 0; k < 4; k++) {
    in[k] = (int)min_i64(x->shape.size[k], INT32_MAX);
    w[k] = (int)min_i64(weight->shape.size[k], INT32_MAX);
    out[k] = (int)min_i64(y->shape.size[k], INT32_MAX);
  }
  conv_shape s = {in[0],  in[1],  in[2],       in[3],        w[0],          w[1],        w[2],
                  out[1], out[2], (int)stride, (int)padding, (int)dilation, (int)groups, 0};
  s.too_large = too_large(x, padding) || too_large(weight, 0) || too_large(y, 0);
  return s;
}

static asl_status check_size(const conv_shape *s) {
  if (!s->too_large) return ASL_OK;
  return asl_fail(ASL_ENOTSUP,
                  "x %dx%dx%dx%d with padding %d is too large for this device: padded sides must be less than 2^28, a "
                  "picture's elements and the pixels of all pictures, also of the result, less than 2^31",
                  s->n, s->h, s->w, s->c, s->padding);
}

static bool is_depthwise(const conv_shape *s) { return s->groups > 1 && s->groups == s->c && s->groups == s->o; }

bool conv_takes_pending(const conv_shape *s) { return is_depthwise(s); }

normalised normalised_of(const asl_tensor *x) {
  const asl_pending *p = asl_pending_of(x);
  normalised n = {};
  n.dtype = x->dtype;
  if (!p || x->storage->data) {
    n.x = asl_tensor_data(x);
    return n;
  }
  n.x = asl_tensor_data(p->z);
  n.mean = asl_f32(p->affine);
  n.scale = n.mean + p->affine->shape.size[1];
  n.beta = n.scale + p->affine->shape.size[1];
  n.relu = p->relu;
  return n;
}

/* ---- the products ---------------------------------------------------------------------------------------- */
static asl_status need_values(const conv_shape *s, normalised x) {
  if (!x.mean || conv_takes_pending(s)) return ASL_OK;
  return asl_fail(ASL_EINVAL, "this convolution takes no pending values: they must be settled");
}

static asl_status general_forward(const conv_shape *s, normalised x, const float *weight, void *z) {
  if (cudnn_takes(s, CUDNN_PASS_FORWARD, x.dtype)) return cudnn_forward(s, x.x, x.dtype, weight, z);
  return dense_forward(s, x.x, x.dtype, weight, z);
}

asl_status conv_forward(const conv_shape *s, normalised x, const float *weight, const float *bias, void *z) {
  ASL_TRY(check_size(s));
  ASL_TRY(need_values(s, x));
  if (s->n == 0) return ASL_OK;
  if (is_depthwise(s)) return depthwise_forward(s, x, weight, bias, z);
  if (first_takes(s)) return first_forward(s, x.x, x.dtype, weight, bias, z);
  ASL_TRY(general_forward(s, x, weight, z));
  return bias ? add_bias(output_pixels(s), s->o, bias, x.dtype, z) : ASL_OK;
}

static asl_status general_backward_data(const conv_shape *s, const float *weight, const void *dz, asl_dtype dtype,
                                        void *dx) {
  if (cudnn_takes(s, CUDNN_PASS_DATA, dtype)) return cudnn_backward_data(s, weight, dz, dtype, dx);
  return dense_backward_data(s, weight, dz, dtype, dx);
}

static asl_status general_backward_weight(const conv_shape *s, normalised x, const void *dz, float *dweight) {
  if (first_takes(s)) return first_backward_weight(s, x.x, x.dtype, dz, dweight);
  if (cudnn_takes(s, CUDNN_PASS_WEIGHT, x.dtype)) return cudnn_backward_weight(s, x.x, x.dtype, dz, dweight);
  return dense_backward_weight(s, x.x, x.dtype, dz, dweight);
}

asl_status conv_backward(const conv_shape *s, normalised x, const float *weight, const void *dz, void *dx,
                         float *dweight) {
  ASL_TRY(check_size(s));
  if (dweight) ASL_TRY(need_values(s, x));
  if (s->n == 0) {
    return dweight ? queue_set(dweight, 0, (size_t)weight_count(s) * sizeof(float)) : ASL_OK;
  }
  if (is_depthwise(s)) return depthwise_backward(s, x, weight, dz, dx, dweight);
  if (dx) ASL_TRY(general_backward_data(s, weight, dz, x.dtype, dx));
  return dweight ? general_backward_weight(s, x, dz, dweight) : ASL_OK;
}

asl_status conv_backward_data(const conv_shape *s, const float *weight, const void *dz, asl_dtype dtype, void *dx) {
  normalised none = {};
  none.dtype = dtype;
  return conv_backward(s, none, weight, dz, dx, nullptr);
}

asl_status conv_backward_weight(const conv_shape *s, normalised x, const void *dz, float *dweight) {
  return conv_backward(s, x, nullptr, dz, nullptr, dweight);
}

const char *conv_algorithms(void) { return cudnn_describe(); }

/* ---- kernels --------------------------------------------------------------------------------------------- */
asl_status k_conv2d(const asl_call *call) {
  const asl_conv2d_params *p = ASL_PARAMS(conv2d, call);
  const asl_tensor *x = call->in[0], *weight = call->in[1], *y = call->out[0];
  const conv_shape s = conv_shape_of(x, weight, y, p->stride, p->padding, p->dilation, p->groups);
  return conv_forward(&s, normalised_of(x), data_of<float>(weight), data_of<float>(call->in[2]), data_of<void>(y));
}

asl_status k_conv2d_backward(const asl_call *call) {
  const asl_conv2d_backward_params *p = ASL_PARAMS(conv2d_backward, call);
  const asl_tensor *x = call->in[0], *weight = call->in[1], *dy = call->in[2];
  const conv_shape s = conv_shape_of(x, weight, dy, p->stride, p->padding, p->dilation, p->groups);
  const void *dz = asl_tensor_data(dy);
  ASL_TRY(conv_backward(&s, normalised_of(x), data_of<float>(weight), dz, data_of<void>(call->out[0]),
                        data_of<float>(call->out[1])));
  if (!call->out[2]) return ASL_OK;
  return conv_backward_bias(output_pixels(&s), s.o, dz, dy->dtype, data_of<float>(call->out[2]));
}
