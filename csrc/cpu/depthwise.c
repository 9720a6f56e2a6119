/* Depthwise convolutions (groups = C = O). Lanes are channels: for one vector of channels and a
 * strip of a span's pixels, the weights of up to 9 taps (or their gradients) stay in registers. */
#include "cpu/conv.h"
#include "cpu/kernel.h"
#include "cpu/simd.h"

/* Floats of a tap's row of weights: whole vectors. */
static int64_t padded(int64_t channels) { return ceil_div(channels, LANES) * LANES; }

/* ---- strips ---------------------------------------------------------------------------------- */
typedef struct strip {
  int64_t pixels, channels;
  int64_t x_at, x_step, y_at, y_step; /* the first pixel and the step to the next, in floats */
  const float *x[ASL_MAX_TAPS], *dy;
  float *w[ASL_MAX_TAPS], *y; /* w: weights, or sums of their gradient */
  bool accumulate;            /* add to y */
} strip;

/* Works on one vector of channels, from c on, for taps first .. first + taps - 1. */
typedef void (*strip_fn)(const strip *s, int taps, int first, int64_t c, int lanes);

ALWAYS_INLINE void for_vectors(strip *s, strip_fn fn, int taps, int first) {
  int64_t c = 0;
  for (; c + LANES <= s->channels; c += LANES) fn(s, taps, first, c, LANES);
  if (c < s->channels) fn(s, taps, first, c, (int)(s->channels - c));
  s->accumulate = true;
}

/* Calls of fn are inlined with constant `taps`. A 3x3 kernel has 9; the phases of its data gradient
 * at stride 2 have 4, 2, 2 and 1. */
ALWAYS_INLINE void for_taps(strip *s, strip_fn fn, int taps) {
  int first = 0;
  if (taps == 0) for_vectors(s, fn, 0, 0);
  for (; first + 9 <= taps; first += 9) for_vectors(s, fn, 9, first);
  for (; first + 4 <= taps; first += 4) for_vectors(s, fn, 4, first);
  for (; first + 2 <= taps; first += 2) for_vectors(s, fn, 2, first);
  for (; first < taps; first++) for_vectors(s, fn, 1, first);
}

/* Pixels that are passed over once per vector of channels, so that they stay in the cache. */
static int64_t strip_pixels(int64_t channels) {
  int64_t pixels = 2048 / channels;
  return pixels < 16 ? 16 : pixels > 64 ? 64 : pixels;
}

/* Cuts a span into strips; s->y or s->dy is set by the caller. */
ALWAYS_INLINE void for_strips(strip *s, const asl_span *span, const float *x, float *w,
                              int64_t channels, strip_fn fn) {
  const int64_t row = padded(channels), most = strip_pixels(channels);
  s->channels = channels;
  s->x_step = span->source_step * channels;
  s->y_step = span->target_step * channels;
  for (int i = 0; i < span->taps; i++) {
    s->x[i] = x + span->tap[i].source * channels;
    s->w[i] = w + span->tap[i].index * row;
  }
  for (int64_t t = 0; t < span->count; t += most) {
    s->pixels = min_i64(span->count - t, most);
    s->x_at = t * s->x_step;
    s->y_at = span->target * channels + t * s->y_step;
    s->accumulate = span->accumulate;
    for_taps(s, fn, span->taps);
  }
}

/* ---- forward and data gradient --------------------------------------------------------------- */
/* y = x w, or y + x w. */
ALWAYS_INLINE void convolve_strip(const strip *s, int taps, int first, int64_t c, int lanes) {
  const bool accumulate = s->accumulate;
  const float *x[9];
  float *y = s->y + s->y_at + c;
  v8 w[9];
  UNROLL for (int k = 0; k < taps; k++) {
    x[k] = s->x[first + k] + c;
    w[k] = v8_load(s->w[first + k] + c);
  }
  for (int64_t i = 0, at = s->x_at; i < s->pixels; i++, at += s->x_step, y += s->y_step) {
    v8 sum = accumulate ? v8_load_some(y, lanes) : v8_zero();
    UNROLL for (int k = 0; k < taps; k++)
      sum = v8_fma(v8_load_some(x[k] + at, lanes), w[k], sum);
    v8_store_some(y, sum, lanes);
  }
}

typedef struct convolve_job {
  const float *source;
  float *packed; /* weights (tap, padded channel) */
  float *target;
  int64_t channels;
} convolve_job;

static void convolve_span(void *context, const asl_span *span) {
  const convolve_job *k = context;
  strip s; /* an initialiser would clear its arrays */
  s.y = k->target;
  for_strips(&s, span, k->source, k->packed, k->channels, convolve_strip);
}

static asl_status convolve(const asl_conv *g, bool to_dx, const float *source, const float *weight,
                           float *target, const asl_finish *finish) {
  int64_t taps = g->kh * g->kw, row = padded(g->c);
  void *packed;
  ASL_TRY(take_scratch(taps * row * (int64_t)sizeof(float), &packed));
  convolve_job job = {source, packed, target, g->c};
  for (int64_t c = 0; c < row; c++)
    for (int64_t k = 0; k < taps; k++)
      job.packed[k * row + c] = c < g->c ? weight[c * taps + k] : 0.0f;
  conv_walk(g, to_dx, convolve_span, &job, finish);
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

/* ---- weight gradient ------------------------------------------------------------------------- */
/* w += sum over the strip's pixels of x dy */
ALWAYS_INLINE void gradient_strip(const strip *s, int taps, int first, int64_t c, int lanes) {
  const float *x[9], *dy = s->dy + s->y_at + c;
  v8 w[9];
  UNROLL for (int k = 0; k < taps; k++) {
    x[k] = s->x[first + k] + c;
    w[k] = v8_load(s->w[first + k] + c);
  }
  for (int64_t i = 0, at = s->x_at; i < s->pixels; i++, at += s->x_step, dy += s->y_step) {
    v8 d = v8_load_some(dy, lanes);
    UNROLL for (int k = 0; k < taps; k++) w[k] = v8_fma(d, v8_load_some(x[k] + at, lanes), w[k]);
  }
  UNROLL for (int k = 0; k < taps; k++) v8_store(s->w[first + k] + c, w[k]);
}

/* Rows of y are cut into shards, by the problem's size only; a shard adds up its rows in order and
 * shards are added in order. */
typedef struct gradient_job {
  const asl_conv *g;
  const float *x;
  const float *dy;
  float *partial; /* (shard, tap, padded channel) */
  int64_t shards;
} gradient_job;

typedef struct shard {
  const gradient_job *job;
  float *sum;
} shard;

static void add_span(void *context, const asl_span *span) {
  const shard *h = context;
  strip s;
  s.dy = h->job->dy;
  for_strips(&s, span, h->job->x, h->sum, h->job->g->c, gradient_strip);
}

static void sum_shard(void *context, int64_t index) {
  const gradient_job *k = context;
  int64_t rows = k->g->n * k->g->ho, floats = k->g->kh * k->g->kw * padded(k->g->c);
  shard h = {k, k->partial + index * floats};
  memset(h.sum, 0, (size_t)floats * sizeof(float));
  share part = share_of(rows, k->shards, index);
  for (int64_t r = part.first; r < part.end; r++)
    conv_walk_row(k->g, r, 0, k->g->wo, add_span, &h);
}

asl_status depthwise_dweight(const asl_conv *g, const float *x, const float *dy, float *dweight) {
  int64_t taps = g->kh * g->kw, row = padded(g->c), rows = g->n * g->ho;
  gradient_job k = {.g = g, .x = x, .dy = dy,
                    .shards = min_i64(rows, SHARES)};
  void *partial;
  ASL_TRY(take_scratch(k.shards * taps * row * (int64_t)sizeof(float), &partial));
  k.partial = partial;
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
