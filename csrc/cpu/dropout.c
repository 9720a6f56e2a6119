/* Elementwise dropout: element i is kept where uniform(seed, counter, i) >= p. */
#include "cpu/kernel.h"
#include "cpu/norm.h"
#include "cpu/philox8.h"
#include "cpu/simd.h"

enum { NUMBERS = 32 }; /* of a call of the generator */

typedef struct job {
  const asl_source *x;
  float *y;
  int64_t count, channels, pixels; /* pixels: of a chunk, which begins at a multiple of NUMBERS */
  uint64_t seed, counter;
  float p, scale;
} job;

static v8 keep_or_zero(const job *j, v8 x, v8 uniform) {
  return v8_if_less(uniform, v8_set(j->p), v8_zero(), v8_mul(x, v8_set(j->scale)));
}

static void drop(const job *j, const float *x, int64_t first, int64_t end) {
  float uniform[NUMBERS];
  for (int64_t i = first; i < end; i += LANES, x += LANES) {
    int64_t k = i % NUMBERS, rest = end - i;
    if (k == 0)
      uniform_philox8(j->seed, ASL_PURPOSE_DROPOUT, j->counter, (uint64_t)i / 4, uniform);
    v8 y = keep_or_zero(j, v8_load_some(x, rest), v8_load(uniform + k));
    v8_store_some(j->y + i, y, rest);
  }
}

/* A pending x is normalised into y first. */
static void do_chunk(void *context, int64_t chunk) {
  const job *j = context;
  int64_t pixel = chunk * j->pixels, first = pixel * j->channels;
  int64_t end = min_i64(first + j->pixels * j->channels, j->count);
  if (j->x->pending) {
    asl_window w = {pixel, (end - first) / j->channels, 0, j->channels};
    norm_source_rows(j->x, &w, j->y + first, j->channels, j->channels);
  }
  drop(j, (j->x->pending ? j->y : j->x->data) + first, first, end);
}

/* Rows of a pending x are whole vectors. */
static asl_status read_x(asl_tensor *x, asl_source *out) {
  if (x->storage->pending && x->shape.size[x->shape.rank - 1] % LANES != 0) ASL_TRY(asl_settle(x));
  *out = norm_source(x);
  return ASL_OK;
}

ASL_KERNEL(dropout) {
  const asl_dropout_params *p = ASL_PARAMS(dropout, call);
  asl_tensor *x = call->in[0], *y = call->out[0];
  asl_source source;
  ASL_TRY(read_x(x, &source));
  if (!y->storage->data) ASL_TRY(asl_tensor_allocate(y));
  job j = {.x = &source, .y = asl_f32(y), .count = asl_tensor_count(x),
           .channels = source.pending ? source.norm.channels : 1, .seed = (uint64_t)p->seed,
           .counter = (uint64_t)p->counter, .p = (float)p->p, .scale = (float)(1.0 / (1.0 - p->p))};
  j.pixels = max_i64(1, CHUNK / j.channels / NUMBERS) * NUMBERS;
  asl_parallel(ceil_div(j.count, j.pixels * j.channels), do_chunk, &j);
  return ASL_OK;
}
