/* Elementwise dropout: element i is kept where uniform(seed, counter, i) >= p. */
#include "base/philox.h"
#include "cpu/kernel.h"
#include "cpu/simd.h"

enum { QUADS = 64 }; /* calls of the generator at a time, four numbers each: a loop for vectors */

typedef struct job {
  const float *x;
  float *y;
  int64_t count;
  uint64_t seed, counter;
  float p, scale;
} job;

/* The uniform numbers of elements 4 first .. 4 (first + QUADS) - 1. */
static void draw(const job *j, uint64_t first, float uniform[4 * QUADS]) {
  const uint64_t seed = j->seed, counter = j->counter;
  for (int q = 0; q < QUADS; q++) {
    asl_philox4 bits = asl_philox(seed, ASL_PURPOSE_DROPOUT, counter, first + (uint64_t)q);
    uniform[4 * q] = asl_uniform(bits.v[0]);
    uniform[4 * q + 1] = asl_uniform(bits.v[1]);
    uniform[4 * q + 2] = asl_uniform(bits.v[2]);
    uniform[4 * q + 3] = asl_uniform(bits.v[3]);
  }
}

static v8 keep_or_zero(const job *j, v8 x, v8 uniform) {
  return v8_if_less(uniform, v8_set(j->p), v8_zero(), v8_mul(x, v8_set(j->scale)));
}

static void do_chunk(void *context, int64_t chunk) {
  const job *j = context;
  float uniform[4 * QUADS];
  int64_t first = chunk * CHUNK, end = min_i64(first + CHUNK, j->count);
  for (int64_t i = first; i < end; i += LANES) {
    int64_t k = (i - first) % (4 * QUADS);
    if (k == 0) draw(j, (uint64_t)i / 4, uniform);
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
