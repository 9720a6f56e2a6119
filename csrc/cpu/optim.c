/* One optimiser step over all weights; the formulas are in ops/math/optim.h. */
#include "cpu/kernel.h"
#include "ops/math/optim.h"

typedef struct job {
  float *weight, *state1, *state2; /* velocity; or first and second moment */
  const float *gradient;
  int64_t count;
  asl_sgd sgd;
  asl_adam adam;
} job;

static void sgd_chunk(void *context, int64_t chunk) {
  const job *j = context;
  const asl_sgd p = j->sgd;
  float *restrict w = j->weight, *restrict v = j->state1;
  const float *restrict g = j->gradient;
  for (int64_t i = chunk * CHUNK, end = min_i64(i + CHUNK, j->count); i < end; i++)
    asl_sgd_update(&p, &w[i], g[i], &v[i]);
}

static void adam_chunk(void *context, int64_t chunk) {
  const job *j = context;
  const asl_adam p = j->adam;
  float *restrict w = j->weight, *restrict m = j->state1, *restrict v = j->state2;
  const float *restrict g = j->gradient;
  for (int64_t i = chunk * CHUNK, end = min_i64(i + CHUNK, j->count); i < end; i++)
    asl_adam_update(&p, &w[i], g[i], &m[i], &v[i]);
}

static bool stopped_by(const asl_tensor *guard) { return guard && !isfinite(*asl_f32(guard)); }

ASL_KERNEL(sgd_step) {
  const asl_sgd_step_params *p = ASL_PARAMS(sgd_step, call);
  if (stopped_by(call->in[3])) return ASL_OK;
  job j = {.weight = asl_f32(call->in[0]), .gradient = asl_f32(call->in[1]),
           .state1 = asl_f32(call->in[2]), .count = asl_tensor_count(call->in[0]),
           .sgd = {(float)p->lr, (float)p->momentum, (float)p->decay, p->nesterov != 0,
                   p->first != 0}};
  asl_parallel(ceil_div(j.count, CHUNK), sgd_chunk, &j);
  return ASL_OK;
}

ASL_KERNEL(adam_step) {
  const asl_adam_step_params *p = ASL_PARAMS(adam_step, call);
  if (p->step < 1)
    return asl_fail(ASL_EINVAL, "step counts from 1, it is %lld", (long long)p->step);
  if (stopped_by(call->in[4])) return ASL_OK;
  job j = {.weight = asl_f32(call->in[0]), .gradient = asl_f32(call->in[1]),
           .state1 = asl_f32(call->in[2]), .state2 = asl_f32(call->in[3]),
           .count = asl_tensor_count(call->in[0]),
           .adam = asl_adam_constants(p->lr, p->beta1, p->beta2, p->eps, p->decay,
                                      p->decoupled != 0, p->step)};
  asl_parallel(ceil_div(j.count, CHUNK), adam_chunk, &j);
  return ASL_OK;
}
