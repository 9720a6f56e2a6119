/* conv2d and its gradients: which of the kernels computes what. */
#include "cpu/conv.h"

#include "cpu/norm.h"

static bool is_depthwise(const asl_conv *g) {
  return g->groups > 1 && g->groups == g->c && g->groups == g->o;
}

asl_status conv_forward(const asl_conv *g, const float *x, const float *weight, float *y,
                        const asl_finish *finish) {
  return (is_depthwise(g) ? depthwise_forward : dense_forward)(g, x, weight, y, finish);
}

asl_status conv_dx(const asl_conv *g, const float *weight, const float *dy, float *dx) {
  return (is_depthwise(g) ? depthwise_dx : dense_dx)(g, weight, dy, dx);
}

asl_status conv_dweight(const asl_conv *g, const float *x, const float *dy, float *dweight) {
  return (is_depthwise(g) ? depthwise_dweight : dense_dweight)(g, x, dy, dweight);
}

/* ---- kernels --------------------------------------------------------------------------------- */
typedef struct bias_job {
  float *y;
  const float *bias;
  int64_t channels;
} bias_job;

static void finish_bias(void *context, int64_t block, int64_t first, int64_t count) {
  const bias_job *k = context;
  (void)block;
  norm_add_bias(k->y + first * k->channels, k->bias, count, k->channels);
}

ASL_KERNEL(conv2d) {
  const asl_conv2d_params *p = ASL_PARAMS(conv2d, call);
  asl_conv g = conv_of(call->in[0], call->in[1], p->stride, p->padding, p->dilation, p->groups);
  bias_job bias = {asl_f32(call->out[0]), call->in[2] ? asl_f32(call->in[2]) : NULL, g.o};
  asl_finish finish = {finish_bias, &bias};
  return conv_forward(&g, asl_f32(call->in[0]), asl_f32(call->in[1]), bias.y,
                      bias.bias ? &finish : NULL);
}

ASL_KERNEL(conv2d_backward) {
  const asl_conv2d_backward_params *p = ASL_PARAMS(conv2d_backward, call);
  asl_conv g = conv_of(call->in[0], call->in[1], p->stride, p->padding, p->dilation, p->groups);
  const float *x = asl_f32(call->in[0]), *weight = asl_f32(call->in[1]), *dy = asl_f32(call->in[2]);
  if (call->out[0]) ASL_TRY(conv_dx(&g, weight, dy, asl_f32(call->out[0])));
  if (call->out[1]) ASL_TRY(conv_dweight(&g, x, dy, asl_f32(call->out[1])));
  if (call->out[2]) ASL_TRY(norm_column_sums(dy, g.n * g.ho * g.wo, g.o, asl_f32(call->out[2])));
  return ASL_OK;
}
