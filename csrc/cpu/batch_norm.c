/* batch_norm and its gradient: norm.h over whole tensors. */
#include "cpu/kernel.h"
#include "cpu/norm.h"

enum { BLOCK = 96 }; /* pixels per block of statistics */

typedef struct moments_job {
  asl_moments moments;
  const float *x;
  int64_t pixels;
} moments_job;

static void moments_block(void *context, int64_t block) {
  moments_job *k = context;
  int64_t first = block * BLOCK;
  asl_window w = {first, min_i64(k->pixels - first, BLOCK), 0, k->moments.channels};
  norm_moments_of(&k->moments, block, k->x, &w);
}

static asl_status batch_statistics(const asl_call *call, asl_norm *n) {
  const asl_batch_norm_params *p = ASL_PARAMS(batch_norm, call);
  moments_job k = {.x = asl_f32(call->in[0]), .pixels = n->pixels};
  ASL_TRY(norm_moments_new(ceil_div(n->pixels, BLOCK), n->channels, n->pixels, &k.moments));
  asl_parallel(k.moments.blocks, moments_block, &k);
  norm_batch(n, &k.moments, p->eps, p->momentum, asl_f32(call->in[3]), asl_f32(call->in[4]));
  asl_pool_give(k.moments.record);
  return ASL_OK;
}

ASL_KERNEL(batch_norm) {
  const asl_batch_norm_params *p = ASL_PARAMS(batch_norm, call);
  const asl_tensor *x = call->in[0], *gamma = call->in[1];
  asl_norm n;
  ASL_TRY(norm_new(&n, asl_tensor_count(x) / asl_tensor_count(gamma), gamma, call->in[2],
                   call->out[1], call->out[2], p->relu != 0));
  asl_status status = ASL_OK;
  if (p->training) status = batch_statistics(call, &n);
  else norm_running(&n, asl_f32(call->in[3]), asl_f32(call->in[4]), p->eps);
  if (status == ASL_OK) norm_apply_all(&n, asl_f32(x), NULL, asl_f32(call->out[0]));
  norm_free(&n);
  return status;
}

ASL_KERNEL(batch_norm_backward) {
  const asl_batch_norm_backward_params *p = ASL_PARAMS(batch_norm_backward, call);
  const asl_tensor *x = call->in[0], *gamma = call->in[1];
  asl_norm n;
  ASL_TRY(norm_new(&n, asl_tensor_count(x) / asl_tensor_count(gamma), gamma, call->in[2],
                   call->in[3], call->in[4], p->relu != 0));
  norm_scale(&n);
  asl_norm_grad grad = {.z = asl_f32(x), .dy = asl_f32(call->in[5]), .training = p->training != 0,
                        .dgamma = asl_f32(call->out[1]), .dbeta = asl_f32(call->out[2])};
  asl_gradient gradient;
  asl_status status = norm_gradient_new(&n, &grad, &gradient);
  if (status == ASL_OK) {
    if (call->out[0]) norm_gradient_all(&gradient, n.pixels, asl_f32(call->out[0]));
    norm_gradient_free(&gradient);
  }
  norm_free(&n);
  return status;
}
