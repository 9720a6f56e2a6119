/* The fused block: z = conv2d(x, weight) + bias, y = act(batch_norm(z) + residual).
 *
 * With a gradient, z is stored, its statistics are taken per block of pixels while the block is in
 * the cache, and y is left pending: the next block normalises z as it loads it. Without one and
 * with running statistics, batch norm is done in the registers that hold z. */
#include <string.h>

#include "cpu/conv.h"
#include "cpu/kernel.h"
#include "cpu/norm.h"

static float *data_of(const asl_tensor *t) { return t ? asl_f32(t) : NULL; }

/* A pending x is taken as it is where the kernel can, else computed. */
static asl_status read_x(const asl_conv *g, asl_tensor *x, asl_source *out) {
  if (!conv_takes_pending(g)) ASL_TRY(asl_settle(x));
  *out = norm_source(x);
  return ASL_OK;
}

/* ---- y --------------------------------------------------------------------------------------- */
/* Leaves y pending: made from z with a copy of what it is normalised with. */
static asl_status leave_pending(asl_tensor *y, asl_tensor *z, const asl_norm *n) {
  asl_tensor *affine;
  asl_shape shape = {2, {3, n->channels}};
  size_t row = (size_t)n->channels * sizeof(float);
  ASL_TRY(asl_tensor_new(ASL_F32, shape, y->storage->device, &affine));
  float *to = asl_f32(affine);
  memcpy(to, n->mean, row);
  memcpy(to + n->channels, n->scale, row);
  memcpy(to + 2 * n->channels, n->beta, row);
  asl_status status = asl_tensor_set_pending(y, z, affine, n->relu);
  asl_tensor_release(affine);
  return status;
}

/* y of a stored z. */
static asl_status make_y(const asl_call *call, const asl_norm *n, const float *z) {
  asl_tensor *y = call->out[0];
  if (call->out[1] && !call->in[7]) return leave_pending(y, call->out[1], n);
  if (call->out[1]) ASL_TRY(asl_tensor_allocate(y));
  norm_apply_all(n, z, data_of(call->in[7]), asl_f32(y));
  return ASL_OK;
}

/* ---- batch statistics ------------------------------------------------------------------------ */
typedef struct moments_job {
  asl_moments moments;
  const float *z;
} moments_job;

static void take_moments(void *context, int64_t block, const asl_window *w) {
  moments_job *k = context;
  norm_moments_of(&k->moments, block, k->z, w);
}

static asl_status run_training(const asl_call *call, const asl_conv *g, const asl_source *x,
                               asl_norm *n, float *z) {
  const asl_conv_bn_act_params *p = ASL_PARAMS(conv_bn_act, call);
  moments_job k = {.z = z};
  ASL_TRY(norm_moments_new(conv_blocks(g), g->o, n->pixels, &k.moments));
  asl_ends ends = {.bias = data_of(call->in[2]), .finish = take_moments, .context = &k};
  asl_status status = conv_forward(g, x, asl_f32(call->in[1]), z, &ends);
  if (status == ASL_OK)
    norm_batch(n, &k.moments, p->eps, p->momentum, asl_f32(call->in[5]), asl_f32(call->in[6]));
  asl_pool_give(k.moments.record);
  return status == ASL_OK ? make_y(call, n, z) : status;
}

/* ---- running statistics ---------------------------------------------------------------------- */
static asl_status run_frozen(const asl_call *call, const asl_conv *g, const asl_source *x,
                             const asl_norm *n, float *z) {
  asl_ends ends = {.bias = data_of(call->in[2])};
  ASL_TRY(conv_forward(g, x, asl_f32(call->in[1]), z, &ends));
  return make_y(call, n, z);
}

typedef struct residual_job {
  const float *residual;
  float *y;
  int64_t channels;
  bool relu;
} residual_job;

static void add_residual(void *context, int64_t block, const asl_window *w) {
  const residual_job *k = context;
  (void)block;
  for (int64_t i = 0; i < w->pixels; i++) {
    int64_t at = (w->pixel + i) * k->channels + w->first;
    for (int64_t c = 0; c < w->count; c++, at++) {
      float y = k->y[at] + k->residual[at];
      k->y[at] = k->relu && y <= 0 ? 0.0f : y; /* NaN stays NaN */
    }
  }
}

/* Batch norm follows in the registers that hold the products. */
static asl_status run_folded(const asl_call *call, const asl_conv *g, const asl_source *x,
                             const asl_norm *n) {
  const float *residual = data_of(call->in[7]);
  float *y = asl_f32(call->out[0]);
  residual_job k = {residual, y, g->o, n->relu};
  asl_norm before = *n;
  before.relu = n->relu && !residual;
  asl_ends ends = {.bias = data_of(call->in[2]), .norm = &before,
                   .finish = residual ? add_residual : NULL, .context = &k};
  return conv_forward(g, x, asl_f32(call->in[1]), y, &ends);
}

ASL_KERNEL(conv_bn_act) {
  const asl_conv_bn_act_params *p = ASL_PARAMS(conv_bn_act, call);
  asl_tensor *const *in = call->in, *const *out = call->out;
  asl_conv g = conv_of(in[0], in[1], p->stride, p->padding, p->dilation, p->groups);
  asl_source x;
  asl_norm n;
  ASL_TRY(read_x(&g, in[0], &x));
  ASL_TRY(norm_new(&n, g.n * g.ho * g.wo, in[3], in[4], out[2], out[3], p->relu != 0));
  float *z = asl_f32(out[1] ? out[1] : out[0]); /* where it is not wanted it lives in y's memory */
  asl_status status;
  if (p->training) {
    status = run_training(call, &g, &x, &n, z);
  } else {
    norm_running(&n, asl_f32(in[5]), asl_f32(in[6]), p->eps);
    status = out[1] ? run_frozen(call, &g, &x, &n, z) : run_folded(call, &g, &x, &n);
  }
  norm_free(&n);
  return status;
}

/* ---- backward -------------------------------------------------------------------------------- */
/* The bias shifts z and its mean alike: under batch statistics its gradient is exactly 0. */
static void bias_gradient(const asl_norm *n, bool training, const float *dbeta, float *dbias) {
  for (int64_t c = 0; c < n->channels; c++) dbias[c] = training ? 0.0f : n->scale[c] * dbeta[c];
}

static asl_status run_backward(const asl_call *call, const asl_conv *g, const asl_norm *n,
                               float *dbeta) {
  asl_tensor *const *in = call->in, *const *out = call->out;
  bool training = ASL_PARAMS(conv_bn_act_backward, call)->training != 0;
  asl_norm_grad grad = {.z = asl_f32(in[5]), .residual = data_of(in[4]), .dy = asl_f32(in[8]),
                        .dy_sums = in[9] ? asl_tensor_data(in[9]) : NULL, .training = training,
                        .dgamma = data_of(out[3]), .dbeta = dbeta};
  asl_conv_grads grads = {.dx = data_of(out[0]), .dweight = data_of(out[1]),
                          .dx_sums = out[6] ? asl_tensor_data(out[6]) : NULL};
  asl_source x;
  asl_gradient dy;
  ASL_TRY(read_x(g, in[0], &x));
  ASL_TRY(norm_gradient_new(n, &grad, &dy));
  dy.dresidual = data_of(out[5]);
  if (dy.dresidual && !conv_reads_once(g)) {
    norm_gradient_all(&dy, n->pixels, NULL);
    dy.dresidual = NULL;
  }
  asl_status status = conv_backward(g, &x, asl_f32(in[1]), &dy, &grads);
  norm_gradient_free(&dy);
  if (status == ASL_OK && out[2]) bias_gradient(n, training, dbeta, asl_f32(out[2]));
  return status;
}

ASL_KERNEL(conv_bn_act_backward) {
  const asl_conv_bn_act_backward_params *p = ASL_PARAMS(conv_bn_act_backward, call);
  asl_tensor *const *in = call->in, *const *out = call->out;
  asl_conv g = conv_of(in[0], in[1], p->stride, p->padding, p->dilation, p->groups);
  asl_norm n;
  ASL_TRY(norm_new(&n, g.n * g.ho * g.wo, in[2], in[3], in[6], in[7], p->relu != 0));
  norm_scale(&n);
  void *dbeta = NULL; /* also needed for dbias */
  asl_status status = take_scratch(n.channels * (int64_t)sizeof(float), &dbeta);
  if (status == ASL_OK)
    status = run_backward(call, &g, &n, out[4] ? asl_f32(out[4]) : out[2] ? dbeta : NULL);
  asl_pool_give(dbeta);
  norm_free(&n);
  return status;
}
