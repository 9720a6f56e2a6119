/* conv2d and its gradients: which of the kernels computes what. */
#include "cpu/conv.h"

#include "cpu/kernel.h"

static bool is_depthwise(const asl_conv *g) {
  return g->groups > 1 && g->groups == g->c && g->groups == g->o;
}

/* conv_of() made the picture one row. */
static bool is_pointwise(const asl_conv *g) {
  return g->kh == 1 && g->kw == 1 && g->stride == 1 && g->padding == 0 && g->groups == 1;
}

bool conv_takes_pending(const asl_conv *g) { return is_pointwise(g) || is_depthwise(g); }

bool conv_reads_once(const asl_conv *g) { return is_pointwise(g); }

int64_t conv_blocks(const asl_conv *g) {
  if (is_pointwise(g)) return pointwise_blocks(g);
  return is_depthwise(g) ? depthwise_blocks(g) : dense_blocks(g);
}

asl_status conv_forward(const asl_conv *g, const asl_source *x, const float *weight, float *y,
                        const asl_ends *ends) {
  if (is_pointwise(g)) return pointwise_forward(g, x, weight, y, ends);
  if (is_depthwise(g)) return depthwise_forward(g, x, weight, y, ends);
  return dense_forward(g, x->data, weight, y, ends);
}

/* The data gradient reads every dz several times, so it is computed beforehand. */
static asl_status dense_backward(const asl_conv *g, const asl_source *x, const float *weight,
                                 const asl_gradient *dy, const asl_conv_grads *out) {
  asl_gradient plain = {.dy = dy->dy, .channels = g->o};
  int64_t pixels = g->n * g->ho * g->wo;
  void *dz = NULL;
  if (!out->dx) return out->dweight ? dense_dweight(g, x->data, dy, out->dweight) : ASL_OK;
  if (dy->norm) {
    ASL_TRY(take_scratch(pixels * g->o * (int64_t)sizeof(float), &dz));
    norm_gradient_all(dy, pixels, dz);
    plain.dy = dz;
  }
  asl_status status = dense_dx(g, weight, plain.dy, out->dx);
  if (status == ASL_OK && out->dweight) status = dense_dweight(g, x->data, &plain, out->dweight);
  if (status == ASL_OK && out->dx_sums) status = norm_sums_all(x, out->dx, out->dx_sums);
  asl_pool_give(dz);
  return status;
}

asl_status conv_backward(const asl_conv *g, const asl_source *x, const float *weight,
                         const asl_gradient *dy, const asl_conv_grads *out) {
  if (is_pointwise(g)) return pointwise_backward(g, x, weight, dy, out);
  if (is_depthwise(g)) return depthwise_backward(g, x, weight, dy, out);
  return dense_backward(g, x, weight, dy, out);
}

/* ---- kernels --------------------------------------------------------------------------------- */
static float *data_of(const asl_tensor *t) { return t ? asl_f32(t) : NULL; }

ASL_KERNEL(conv2d) {
  const asl_conv2d_params *p = ASL_PARAMS(conv2d, call);
  asl_conv g = conv_of(call->in[0], call->in[1], p->stride, p->padding, p->dilation, p->groups);
  asl_source x = norm_source(call->in[0]);
  asl_ends ends = {.bias = data_of(call->in[2])};
  return conv_forward(&g, &x, asl_f32(call->in[1]), asl_f32(call->out[0]), &ends);
}

ASL_KERNEL(conv2d_backward) {
  const asl_conv2d_backward_params *p = ASL_PARAMS(conv2d_backward, call);
  asl_conv g = conv_of(call->in[0], call->in[1], p->stride, p->padding, p->dilation, p->groups);
  asl_source x = norm_source(call->in[0]);
  asl_gradient dy = {.dy = asl_f32(call->in[2]), .channels = g.o};
  asl_conv_grads grads = {.dx = data_of(call->out[0]), .dweight = data_of(call->out[1])};
  ASL_TRY(conv_backward(&g, &x, asl_f32(call->in[1]), &dy, &grads));
  if (!call->out[2]) return ASL_OK;
  return norm_column_sums(dy.dy, g.n * g.ho * g.wo, g.o, asl_f32(call->out[2]));
}
