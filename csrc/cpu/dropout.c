/* Elementwise dropout: element i is kept where uniform(seed, counter, i) >= p. */
#include "cpu/kernel.h"
#include "cpu/philox8.h"
#include "cpu/simd.h"

enum { NUMBERS = 32 }; /* of a call of the generator */

typedef struct job {
  const float *x;
  float *y;
  int64_t count;
  uint64_t seed, counter;
  float p, scale;
} job;

static v8 keep_or_zero(const job *j, v8 x, v8 uniform) {
  return v8_if_less(uniform, v8_set(j->p), v8_zero(), v8_mul(x, v8_set(j->scale)));
}

static void do_chunk(void *context, int64_t chunk) {
  const job *j = context;
  float uniform[NUMBERS];
  int64_t first = chunk * CHUNK, end = min_i64(first + CHUNK, j->count);
  for (int64_t i = first; i < end; i += LANES) {
    int64_t k = i % NUMBERS;
    if (k == 0)
      uniform_philox8(j->seed, ASL_PURPOSE_DROPOUT, j->counter, (uint64_t)i / 4, uniform);
    v8 u = v8_load(uniform + k);
    int rest = (int)min_i64(LANES, end - i);
    if (rest == LANES) v8_store(j->y + i, keep_or_zero(j, v8_load(j->x + i), u));
    else v8_store_n(j->y + i, keep_or_zero(j, v8_load_n(j->x + i, rest), u), rest);
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
