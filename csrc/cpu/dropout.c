/* Elementwise dropout: element i is kept where uniform(seed, counter, i) >= p. */
#include "base/philox.h"
#include "cpu/kernel.h"

typedef struct job {
  const float *x;
  float *y;
  int64_t count;
  uint64_t seed, counter;
  float p, scale;
} job;

static void do_chunk(void *context, int64_t chunk) {
  const job *j = context;
  int64_t first = chunk * CHUNK, end = min_i64(first + CHUNK, j->count);
  for (int64_t i = first; i < end; i += 4) {
    asl_philox4 bits = asl_philox(j->seed, ASL_PURPOSE_DROPOUT, j->counter, (uint64_t)i / 4);
    for (int64_t k = 0; k < min_i64(4, end - i); k++)
      j->y[i + k] = asl_uniform(bits.v[k]) >= j->p ? j->x[i + k] * j->scale : 0.0f;
  }
}

ASL_KERNEL(dropout) {
  const asl_dropout_params *p = ASL_PARAMS(dropout, call);
  job j = {.x = asl_f32(call->in[0]), .y = asl_f32(call->out[0]),
           .count = asl_tensor_count(call->in[0]), .seed = (uint64_t)p->seed,
           .counter = (uint64_t)p->counter, .p = (float)p->p, .scale = (float)(1.0 / (1.0 - p->p))};
  asl_parallel(ceil_div(j.count, CHUNK), do_chunk, &j);
  return ASL_OK;
}
