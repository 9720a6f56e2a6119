/* The fused block: z = conv2d(x, weight) + bias, y = act(batch_norm(z) + residual).
 *
 * With a gradient, z is stored and y left pending: the next block normalises z as it loads it. Only a residual
 * makes y be written, in one pass. Without a gradient z lies where y will and is normalised in place, except
 * where running statistics and nothing behind them make the block one convolution: their scale and shift go
 * into its weights and bias. */
#include "cuda/conv.h"
#include "cuda/norm.h"
#include "cuda/norm_gradient.h"

/* A pending x is taken as it is where the kernel can, else computed. */
static asl_status read_x(const conv_shape *s, asl_tensor *x, normalised *out) {
  if (!conv_takes_pending(s)) ASL_TRY(asl_settle(x));
  *out = normalised_of(x);
  return ASL_OK;
}

/* ---- forward ----------------------------------------------------------------------------------------- */
struct fold_job {
  const float *weight, *bias, *mean, *var, *gamma, *beta;
  float *folded_weight, *folded_bias;
  int64_t row; /* weights of an output */
  double eps;
  __device__ void operator()(int64_t i) const {
    const int64_t o = i / row;
    const float scale = gamma[o] * (float)(1.0 / sqrt((double)var[o] + eps));
    folded_weight[i] = weight[i] * scale;
    if (i == o * row) folded_bias[o] = fmaf((bias ? bias[o] : 0.0f) - mean[o], scale, beta[o]);
  }
};

static asl_status run_folded(const asl_call *call, const conv_shape *shape, normalised x) {
  asl_tensor *const *in = call->in;
  const int64_t count = asl_tensor_count(in[1]);
  scratch folded;
  ASL_TRY(folded.take((count + shape->o) * (int64_t)sizeof(float)));
  float *weight = folded.as<float>();
  fold_job job = {data_of<float>(in[1]), data_of<float>(in[2]), data_of<float>(in[5]), data_of<float>(in[6]),
                  data_of<float>(in[3]), data_of<float>(in[4]), weight, weight + count, count / shape->o,
                  ASL_PARAMS(conv_bn_act, call)->eps};
  ASL_TRY(map(count, job));
  return conv_forward(shape, x, weight, weight + count, asl_tensor_data(call->out[0]));
}

/* Statistics of z = out[1], or of what lies in y's place; y, or what it is made from. */
static asl_status run_normalised(const asl_call *call, int64_t pixels, int64_t channels, asl_tensor *affine) {
  const asl_conv_bn_act_params *p = ASL_PARAMS(conv_bn_act, call);
  asl_tensor *const *in = call->in, *const *out = call->out, *z = out[1] ? out[1] : out[0];
  const norm_statistics s = {pixels, channels, data_of<float>(in[3]), data_of<float>(in[4]),
                             data_of<float>(in[5]), data_of<float>(in[6]), p->eps, p->momentum,
                             data_of<float>(out[2]), data_of<float>(out[3]), data_of<float>(affine)};
  norm_terms n;
  scratch own;
  ASL_TRY(norm_take(&s, p->training != 0, asl_tensor_data(z), z->dtype, &own, &n));
  if (affine) return asl_tensor_set_pending(out[0], z, affine, p->relu != 0);
  n.relu = p->relu != 0;
  return norm_apply(&n, pixels, channels, z->dtype, asl_tensor_data(z), data_of<void>(in[7]),
                    asl_tensor_data(out[0]));
}

asl_status k_conv_bn_act(const asl_call *call) {
  const asl_conv_bn_act_params *p = ASL_PARAMS(conv_bn_act, call);
  asl_tensor *const *in = call->in, *const *out = call->out;
  const conv_shape shape = conv_shape_of(in[0], in[1], out[0], p->stride, p->padding, p->dilation, p->groups);
  const int64_t channels = asl_tensor_count(in[3]), pixels = asl_tensor_count(out[0]) / channels;
  normalised x;
  if (p->training) ASL_TRY(norm_check_training(pixels, channels));
  ASL_TRY(read_x(&shape, in[0], &x));
  if (!out[1] && !p->training && !p->relu && !in[7]) return run_folded(call, &shape, x);

  asl_tensor *affine = NULL;
  if (out[1] && in[7]) ASL_TRY(asl_tensor_allocate(out[0]));
  ASL_TRY(conv_forward(&shape, x, data_of<float>(in[1]), data_of<float>(in[2]),
                       asl_tensor_data(out[1] ? out[1] : out[0])));
  if (out[1] && !in[7]) {
    const asl_shape rows = {2, {3, channels}};
    ASL_TRY(asl_tensor_new(ASL_F32, rows, ASL_THIS_DEVICE, &affine));
  }
  asl_status status = run_normalised(call, pixels, channels, affine);
  asl_tensor_release(affine);
  return status;
}

/* ---- backward ---------------------------------------------------------------------------------------- */
static asl_status run_conv_backward(const asl_call *call, const conv_shape *shape, const void *dz) {
  asl_tensor *const *in = call->in, *const *out = call->out;
  normalised x = normalised_of(in[0]);
  if (out[1]) ASL_TRY(read_x(shape, in[0], &x));
  ASL_TRY(conv_backward(shape, x, data_of<float>(in[1]), dz, data_of<void>(out[0]), data_of<float>(out[1])));
  return out[6] ? norm_sums(asl_pending_of(in[0]), asl_tensor_data(out[0]), data_of<double>(out[6])) : ASL_OK;
}

asl_status k_conv_bn_act_backward(const asl_call *call) {
  const asl_conv_bn_act_backward_params *p = ASL_PARAMS(conv_bn_act_backward, call);
  asl_tensor *const *in = call->in, *const *out = call->out;
  const conv_shape shape = conv_shape_of(in[0], in[1], in[5], p->stride, p->padding, p->dilation, p->groups);
  const bool has_dz = out[0] || out[1];
  scratch dz;
  norm_gradient g = {};
  if (has_dz) ASL_TRY(dz.take(asl_tensor_bytes(in[5])));
  g.channels = asl_tensor_count(in[2]);
  g.pixels = asl_tensor_count(in[5]) / g.channels;
  g.dtype = in[5]->dtype;
  g.z = asl_tensor_data(in[5]);
  g.residual = data_of<void>(in[4]);
  g.dy = asl_tensor_data(in[8]);
  g.terms = norm_terms{data_of<float>(in[6]), data_of<float>(in[2]), data_of<float>(in[3]), data_of<float>(in[7]),
                       nullptr, 0, p->relu != 0};
  g.dy_sums = data_of<double>(in[9]);
  g.training = p->training != 0;
  g.dbias = data_of<float>(out[2]);
  g.dgamma = data_of<float>(out[3]);
  g.dbeta = data_of<float>(out[4]);
  g.dresidual = data_of<void>(out[5]);
  g.dz = dz.data;
  ASL_TRY(norm_backward(&g));
  return has_dz ? run_conv_backward(call, &shape, dz.data) : ASL_OK;
}
