/* The fused block: z = conv2d(x, weight) + bias, y = act(batch_norm(z) + residual).
 *
 * What follows the convolution is done per block of pixels while the block is in the cache:
 * training takes the block's statistics, otherwise y is computed at once. Where z is not wanted it
 * lives in y's memory. */
#include "cpu/conv.h"
#include "cpu/kernel.h"
#include "cpu/norm.h"

static float *data_of(const asl_tensor *t) { return t ? asl_f32(t) : NULL; }

/* ---- forward --------------------------------------------------------------------------------- */
typedef struct block_job {
  const asl_norm *norm;
  const float *bias, *residual;
  float *z, *y;
  asl_moments moments;
} block_job;

static float *biased_block(const block_job *k, int64_t first, int64_t count) {
  float *z = k->z + first * k->norm->channels;
  if (k->bias) norm_add_bias(z, k->bias, count, k->norm->channels);
  return z;
}

static void take_moments(void *context, int64_t block, int64_t first, int64_t count) {
  block_job *k = context;
  norm_moments_of(&k->moments, block, biased_block(k, first, count), count);
}

static void finish_y(void *context, int64_t block, int64_t first, int64_t count) {
  const block_job *k = context;
  int64_t at = first * k->norm->channels;
  (void)block;
  norm_apply(k->norm, biased_block(k, first, count), k->residual ? k->residual + at : NULL,
             k->y + at, count);
}

static asl_status run_training(const asl_call *call, const asl_conv *g, asl_norm *n,
                               block_job *k) {
  const asl_conv_bn_act_params *p = ASL_PARAMS(conv_bn_act, call);
  ASL_TRY(norm_moments_new(conv_blocks(g), g->o, n->pixels, &k->moments));
  asl_finish finish = {take_moments, k};
  asl_status status = conv_forward(g, asl_f32(call->in[0]), asl_f32(call->in[1]), k->z, &finish);
  if (status == ASL_OK) {
    norm_batch(n, &k->moments, p->eps, p->momentum, asl_f32(call->in[5]), asl_f32(call->in[6]));
    norm_apply_all(n, k->z, k->residual, k->y);
  }
  asl_pool_give(k->moments.record);
  return status;
}

static asl_status run_frozen(const asl_call *call, const asl_conv *g, asl_norm *n, block_job *k) {
  norm_running(n, asl_f32(call->in[5]), asl_f32(call->in[6]), ASL_PARAMS(conv_bn_act, call)->eps);
  asl_finish finish = {finish_y, k};
  return conv_forward(g, asl_f32(call->in[0]), asl_f32(call->in[1]), k->z, &finish);
}

ASL_KERNEL(conv_bn_act) {
  const asl_conv_bn_act_params *p = ASL_PARAMS(conv_bn_act, call);
  asl_tensor *const *in = call->in, *const *out = call->out;
  asl_conv g = conv_of(in[0], in[1], p->stride, p->padding, p->dilation, p->groups);
  asl_norm n;
  ASL_TRY(norm_new(&n, g.n * g.ho * g.wo, in[3], in[4], out[2], out[3], p->relu != 0));
  block_job k = {.norm = &n, .bias = data_of(in[2]), .residual = data_of(in[7]),
                 .y = asl_f32(out[0]), .z = asl_f32(out[1] ? out[1] : out[0])};
  asl_status status = (p->training ? run_training : run_frozen)(call, &g, &n, &k);
  norm_free(&n);
  return status;
}

/* ---- backward -------------------------------------------------------------------------------- */
/* The bias shifts z and its mean alike: under batch statistics its gradient is exactly 0. */
static void bias_gradient(const asl_norm *n, bool training, const float *dbeta, float *dbias) {
  for (int64_t c = 0; c < n->channels; c++) dbias[c] = training ? 0.0f : n->scale[c] * dbeta[c];
}

static asl_status run_backward(const asl_call *call, const asl_conv *g, const asl_norm *n,
                               float *dz, float *dbeta) {
  asl_tensor *const *in = call->in, *const *out = call->out;
  asl_norm_grad grad = {.z = asl_f32(in[5]), .residual = data_of(in[4]), .dy = asl_f32(in[8]),
                        .training = ASL_PARAMS(conv_bn_act_backward, call)->training != 0,
                        .dz = dz, .dgamma = data_of(out[3]), .dbeta = dbeta,
                        .dresidual = data_of(out[5])};
  ASL_TRY(norm_backward(n, &grad));
  if (out[0]) ASL_TRY(conv_dx(g, asl_f32(in[1]), dz, asl_f32(out[0])));
  if (out[1]) ASL_TRY(conv_dweight(g, asl_f32(in[0]), dz, asl_f32(out[1])));
  if (out[2]) bias_gradient(n, grad.training, dbeta, asl_f32(out[2]));
  return ASL_OK;
}

ASL_KERNEL(conv_bn_act_backward) {
  const asl_conv_bn_act_backward_params *p = ASL_PARAMS(conv_bn_act_backward, call);
  asl_tensor *const *in = call->in, *const *out = call->out;
  asl_conv g = conv_of(in[0], in[1], p->stride, p->padding, p->dilation, p->groups);
  asl_norm n;
  ASL_TRY(norm_new(&n, g.n * g.ho * g.wo, in[2], in[3], in[6], in[7], p->relu != 0));
  norm_scale(&n);
  int64_t dz_floats = out[0] || out[1] ? n.pixels * n.channels : 0;
  void *taken;
  asl_status status = take_scratch((dz_floats + n.channels) * (int64_t)sizeof(float), &taken);
  if (status == ASL_OK) {
    float *dz = taken, *dbeta = out[4] ? asl_f32(out[4]) : out[2] ? dz + dz_floats : NULL;
    status = run_backward(call, &g, &n, dz_floats ? dz : NULL, dbeta);
    asl_pool_give(taken);
  }
  norm_free(&n);
  return status;
}
