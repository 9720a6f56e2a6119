/* Depthwise convolutions (groups = C = O): lanes are channels; a vector of channels of a few pixels
 * of a span is computed at a time, tap by tap. */
#include "base/parallel.h"
#include "base/pool.h"
#include "cpu/conv.h"
#include "cpu/simd.h"

#define ALWAYS_INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 9")

enum {
  PIXELS = 4,  /* of a tile */
  SHARDS = 64, /* of the weight gradient */
};

/* ---- forward and data gradient ------------------------------------------------------------------ */
typedef struct job {
  const float *source;
  const float *packed; /* weights (vector of channels, tap, lane); lanes without a channel are 0 */
  float *target;
  int64_t channels, taps; /* taps of the kernel */
} job;

static int64_t vectors_of(int64_t channels) { return (channels + LANES - 1) / LANES; }

/* What the tiles of a span share; steps are in floats. */
typedef struct strip {
  const float *x[ASL_MAX_TAPS];
  int64_t w[ASL_MAX_TAPS]; /* offsets in a vector's weights */
  int64_t x_step, y_step;
  bool accumulate;
} strip;

/* One vector of channels of `pixels` pixels; `at` is the first one's offset from s->x. */
ALWAYS_INLINE void tile(int pixels, int taps, int lanes, const strip *s, int64_t at,
                        const float *w, float *y) {
  v8 sum[PIXELS];
  UNROLL for (int i = 0; i < pixels; i++)
    sum[i] = s->accumulate ? v8_load_some(y + i * s->y_step, lanes) : v8_zero();
  UNROLL for (int k = 0; k < taps; k++) {
    const float *x = s->x[k] + at;
    v8 weight = v8_load(w + s->w[k]);
    UNROLL for (int i = 0; i < pixels; i++)
      sum[i] = v8_fma(v8_load_some(x + i * s->x_step, lanes), weight, sum[i]);
  }
  UNROLL for (int i = 0; i < pixels; i++) v8_store_some(y + i * s->y_step, sum[i], lanes);
}

ALWAYS_INLINE void tiles(int pixels, int taps, const job *k, const strip *s, int64_t t, float *y) {
  const int64_t channels = k->channels, at = t * s->x_step, row = k->taps * LANES;
  const float *w = k->packed;
  int64_t c = 0;
  y += t * s->y_step;
  for (; c + LANES <= channels; c += LANES, w += row)
    tile(pixels, taps, LANES, s, at + c, w, y + c);
  if (c < channels) tile(pixels, taps, (int)(channels - c), s, at + c, w, y + c);
}

ALWAYS_INLINE void convolve_taps(int taps, const job *k, const asl_span *span) {
  strip s = {.x_step = span->source_step * k->channels,
             .y_step = span->target_step * k->channels,
             .accumulate = span->accumulate};
  for (int i = 0; i < taps; i++) {
    s.x[i] = k->source + span->tap[i].source * k->channels;
    s.w[i] = span->tap[i].index * LANES;
  }
  float *y = k->target + span->target * k->channels;
  int64_t t = 0;
  for (; t + PIXELS <= span->count; t += PIXELS) tiles(PIXELS, taps, k, &s, t, y);
  for (; t < span->count; t++) tiles(1, taps, k, &s, t, y);
}

static void convolve_span(void *context, const asl_span *span) {
  const job k = *(const job *)context;
  switch (span->taps) { /* a 3x3 kernel: inside; and the phases of its data gradient, stride 2 */
    case 9: convolve_taps(9, &k, span); break;
    case 4: convolve_taps(4, &k, span); break;
    case 2: convolve_taps(2, &k, span); break;
    case 1: convolve_taps(1, &k, span); break;
    default: convolve_taps(span->taps, &k, span); break;
  }
}

/* (channel, tap) to (vector of channels, tap, lane) */
static void pack(const asl_conv *g, const float *weight, float *packed) {
  int64_t taps = g->kh * g->kw;
  for (int64_t c = 0; c < vectors_of(g->c) * LANES; c++)
    for (int64_t k = 0; k < taps; k++)
      packed[(c / LANES * taps + k) * LANES + c % LANES] = c < g->c ? weight[c * taps + k] : 0.0f;
}

static asl_status convolve(const asl_conv *g, bool to_dx, const float *source, const float *weight,
                           float *target, const asl_finish *finish) {
  int64_t taps = g->kh * g->kw;
  float *packed = asl_pool_take((size_t)(vectors_of(g->c) * LANES * taps) * sizeof(float));
  if (!packed) return asl_fail(ASL_ENOMEM, "no memory for the packed weights");
  pack(g, weight, packed);
  job k = {source, packed, target, g->c, taps};
  conv_walk(g, to_dx, convolve_span, &k, finish);
  asl_pool_give(packed);
  return ASL_OK;
}

asl_status depthwise_forward(const asl_conv *g, const float *x, const float *weight, float *y,
                             const asl_finish *finish) {
  return convolve(g, false, x, weight, y, finish);
}

asl_status depthwise_dx(const asl_conv *g, const float *weight, const float *dy, float *dx) {
  return convolve(g, true, dy, weight, dx, NULL);
}

/* ---- weight gradient ---------------------------------------------------------------------------- */
/* Rows of y are cut into shards, by the problem's size only; a shard adds up its rows in order and
 * shards are added in order. */
typedef struct weight_job {
  const asl_conv *g;
  const float *x, *dy;
  float *partial; /* (shard, tap, padded channel) */
  int64_t shards;
} weight_job;

typedef struct weight_strip {
  const float *x[ASL_MAX_TAPS];
  float *sum[ASL_MAX_TAPS];
  const float *dy;
  int64_t x_step, channels;
} weight_strip;

/* Adds pixels t .. t + pixels - 1 to the sums of up to 9 taps. */
ALWAYS_INLINE void weight_tile(int64_t pixels, int first, int taps, int lanes,
                               const weight_strip *s, int64_t t, int64_t c) {
  const float *dy = s->dy + t * s->channels + c;
  int64_t x = t * s->x_step + c;
  v8 sum[9];
  UNROLL for (int k = 0; k < taps; k++) sum[k] = v8_load(s->sum[first + k] + c);
  for (int64_t i = 0; i < pixels; i++, dy += s->channels, x += s->x_step) {
    v8 d = v8_load_some(dy, lanes);
    UNROLL for (int k = 0; k < taps; k++)
      sum[k] = v8_fma(d, v8_load_some(s->x[first + k] + x, lanes), sum[k]);
  }
  UNROLL for (int k = 0; k < taps; k++) v8_store(s->sum[first + k] + c, sum[k]);
}

ALWAYS_INLINE void weight_tiles(int64_t pixels, int first, int taps, const weight_strip *s,
                                int64_t t) {
  int64_t c = 0;
  for (; c + LANES <= s->channels; c += LANES) weight_tile(pixels, first, taps, LANES, s, t, c);
  if (c < s->channels)
    weight_tile(pixels, first, taps, (int)(s->channels - c), s, t, c);
}

typedef struct shard {
  const weight_job *job;
  float *sum;
} shard;

static void add_span(void *context, const asl_span *span) {
  enum { RUN = 16 }; /* pixels for which the sums stay in registers, and x in the cache */
  const shard *h = context;
  const weight_job *k = h->job;
  weight_strip s = {.dy = k->dy + span->target * k->g->c,
                    .x_step = span->source_step * k->g->c,
                    .channels = k->g->c};
  for (int i = 0; i < span->taps; i++) {
    s.x[i] = k->x + span->tap[i].source * k->g->c;
    s.sum[i] = h->sum + span->tap[i].index * vectors_of(k->g->c) * LANES;
  }
  for (int64_t t = 0; t < span->count; t += RUN) {
    int64_t pixels = span->count - t < RUN ? span->count - t : RUN;
    int tap = 0;
    for (; tap + 9 <= span->taps; tap += 9) weight_tiles(pixels, tap, 9, &s, t);
    for (; tap + 3 <= span->taps; tap += 3) weight_tiles(pixels, tap, 3, &s, t);
    for (; tap < span->taps; tap++) weight_tiles(pixels, tap, 1, &s, t);
  }
}

static void sum_shard(void *context, int64_t index) {
  const weight_job *k = context;
  int64_t rows = k->g->n * k->g->ho, floats = k->g->kh * k->g->kw * vectors_of(k->g->c) * LANES;
  shard h = {k, k->partial + index * floats};
  memset(h.sum, 0, (size_t)floats * sizeof(float));
  for (int64_t r = rows * index / k->shards; r < rows * (index + 1) / k->shards; r++)
    conv_walk_row(k->g, r, 0, k->g->wo, add_span, &h);
}

asl_status depthwise_dweight(const asl_conv *g, const float *x, const float *dy, float *dweight) {
  int64_t taps = g->kh * g->kw, row = vectors_of(g->c) * LANES, rows = g->n * g->ho;
  weight_job k = {.g = g, .x = x, .dy = dy, .shards = rows < SHARDS ? rows : SHARDS};
  k.partial = asl_pool_take((size_t)(k.shards * taps * row) * sizeof(float));
  if (!k.partial) return asl_fail(ASL_ENOMEM, "no memory for the weight gradient's partial sums");
  asl_parallel(k.shards, sum_shard, &k);
  for (int64_t c = 0; c < g->c; c++) {
    for (int64_t t = 0; t < taps; t++) {
      double sum = 0;
      for (int64_t s = 0; s < k.shards; s++) sum += (double)k.partial[(s * taps + t) * row + c];
      dweight[c * taps + t] = (float)sum;
    }
  }
  asl_pool_give(k.partial);
  return ASL_OK;
}
