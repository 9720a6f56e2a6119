/* Depthwise convolutions (groups = C = O): lanes are channels. */
#include "cpu/conv.h"
#include "cpu/kernel.h"
#include "cpu/simd.h"

/* ---- forward and data gradient --------------------------------------------------------------- */
/* Pixel by pixel, and for each the vectors of its channels in turn, so that memory is passed over
 * in order. */
typedef struct convolve_job {
  const float *source;
  const float *packed; /* weights (vector of channels, tap, lane) */
  float *target;
  int64_t channels, taps; /* of the kernel */
} convolve_job;

/* One vector of channels of one pixel; w: the vector's weights, w_at: where each tap's are. */
ALWAYS_INLINE void convolve_vector(int taps, bool accumulate, int lanes, const float *const x[],
                                   const float *w, const int64_t w_at[], float *y) {
  v8 sum = accumulate ? v8_load_some(y, lanes) : v8_zero();
  UNROLL for (int k = 0; k < taps; k++)
    sum = v8_fma(v8_load_some(x[k], lanes), v8_load(w + w_at[k]), sum);
  v8_store_some(y, sum, lanes);
}

/* A span's pixels for its taps first .. first + taps - 1; meant to be inlined with constant `taps`.
 * The 9 taps of a whole 3x3 kernel follow each other, which leaves registers for 9 pointers. */
ALWAYS_INLINE void convolve_taps(int taps, const convolve_job *job, const asl_span *span,
                                 int first) {
  const bool accumulate = span->accumulate || first > 0;
  const int64_t channels = job->channels, whole = channels / LANES * LANES;
  const int64_t row = job->taps * LANES, y_step = span->target_step * channels;
  const int64_t ahead = ceil_div(512, channels) * y_step; /* strided writes find no prefetcher */
  const float *x[9], *weights = job->packed;
  float *y = job->target + span->target * channels;
  int64_t w_at[9];
  UNROLL for (int k = 0; k < taps; k++) {
    x[k] = job->source + span->tap[first + k].source * channels;
    w_at[k] = taps == 9 ? k * LANES : span->tap[first + k].index * LANES;
  }
  if (taps == 9) weights += span->tap[first].index * LANES;
  for (int64_t i = 0; i < span->count; i++) {
    const float *w = weights;
    float *to = y + i * y_step;
    for (int64_t c = 0; c < whole; c += LANES, w += row, to += LANES) {
      if (taps < 9) __builtin_prefetch(to + ahead, 1);
      convolve_vector(taps, accumulate, LANES, x, w, w_at, to);
      UNROLL for (int k = 0; k < taps; k++) x[k] += LANES;
    }
    if (whole < channels)
      convolve_vector(taps, accumulate, (int)(channels - whole), x, w, w_at, to);
    UNROLL for (int k = 0; k < taps; k++) x[k] += span->source_step * channels - whole;
  }
}

/* The phases of a 3x3 kernel's data gradient at stride 2 have 4, 2, 2 and 1 taps. */
static void convolve_span(void *context, const asl_span *span) {
  const convolve_job job = *(const convolve_job *)context;
  if (span->taps == 0) convolve_taps(0, &job, span, 0);
  for (int k = 0, left = span->taps; left > 0; left = span->taps - k) {
    if (left >= 9 && span->tap[k + 8].index == span->tap[k].index + 8) {
      convolve_taps(9, &job, span, k);
      k += 9;
    } else if (left >= 4) {
      convolve_taps(4, &job, span, k);
      k += 4;
    } else if (left >= 2) {
      convolve_taps(2, &job, span, k);
      k += 2;
    } else {
      convolve_taps(1, &job, span, k);
      k += 1;
    }
  }
}

/* (channel, tap) to (vector of channels, tap, lane) */
static void pack(const asl_conv *g, const float *weight, float *packed) {
  int64_t taps = g->kh * g->kw;
  for (int64_t c = 0; c < ceil_div(g->c, LANES) * LANES; c++)
    for (int64_t k = 0; k < taps; k++)
      packed[(c / LANES * taps + k) * LANES + c % LANES] = c < g->c ? weight[c * taps + k] : 0.0f;
}

static asl_status convolve(const asl_conv *g, bool to_dx, const float *source, const float *weight,
                           float *target, const asl_finish *finish) {
  int64_t taps = g->kh * g->kw;
  void *packed;
  ASL_TRY(take_scratch(ceil_div(g->c, LANES) * LANES * taps * (int64_t)sizeof(float), &packed));
  pack(g, weight, packed);
  convolve_job job = {source, packed, target, g->c, taps};
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
/* A vector of channels of a strip of pixels at a time: the sums of up to 9 taps stay in registers,
 * and the strip, which is passed over once per vector, in the cache. */
typedef struct strip {
  int64_t pixels, channels, x_step; /* x_step in floats */
  const float *x[ASL_MAX_TAPS], *dy;
  float *sum[ASL_MAX_TAPS];
} strip;

static int64_t strip_pixels(int64_t channels) {
  return max_i64(16, min_i64(2048 / channels, 64));
}

/* Floats of a tap's row of sums: whole vectors. */
static int64_t padded(int64_t channels) { return ceil_div(channels, LANES) * LANES; }

ALWAYS_INLINE void add_vector(int taps, int lanes, const strip *s, int first, int64_t c) {
  const float *x[9], *dy = s->dy + c;
  v8 sum[9];
  UNROLL for (int k = 0; k < taps; k++) {
    x[k] = s->x[first + k] + c;
    sum[k] = v8_load(s->sum[first + k] + c);
  }
  for (int64_t i = 0, at = 0; i < s->pixels; i++, at += s->x_step, dy += s->channels) {
    v8 d = v8_load_some(dy, lanes);
    UNROLL for (int k = 0; k < taps; k++)
      sum[k] = v8_fma(d, v8_load_some(x[k] + at, lanes), sum[k]);
  }
  UNROLL for (int k = 0; k < taps; k++) v8_store(s->sum[first + k] + c, sum[k]);
}

ALWAYS_INLINE void add_taps(int taps, const strip *s, int first) {
  int64_t c = 0;
  for (; c + LANES <= s->channels; c += LANES) add_vector(taps, LANES, s, first, c);
  if (c < s->channels) add_vector(taps, (int)(s->channels - c), s, first, c);
}

static void add_strip(const strip *s, int taps) {
  int k = 0;
  for (; k + 9 <= taps; k += 9) add_taps(9, s, k);
  for (; k + 3 <= taps; k += 3) add_taps(3, s, k);
  for (; k < taps; k++) add_taps(1, s, k);
}

/* Rows of y are cut into shards, by the problem's size only; a shard adds up its rows in order and
 * shards are added in order. */
typedef struct gradient_job {
  const asl_conv *g;
  const float *x, *dy;
  float *partial; /* (shard, tap, padded channel) */
  int64_t shards;
} gradient_job;

typedef struct shard {
  const gradient_job *job;
  float *sum;
} shard;

static void add_span(void *context, const asl_span *span) {
  const shard *h = context;
  const int64_t channels = h->job->g->c, most = strip_pixels(channels);
  strip s; /* an initialiser would clear its arrays */
  s.channels = channels;
  s.x_step = span->source_step * channels;
  for (int64_t t = 0; t < span->count; t += most) {
    s.pixels = min_i64(span->count - t, most);
    s.dy = h->job->dy + (span->target + t) * channels;
    for (int k = 0; k < span->taps; k++) {
      s.x[k] = h->job->x + span->tap[k].source * channels + t * s.x_step;
      s.sum[k] = h->sum + span->tap[k].index * padded(channels);
    }
    add_strip(&s, span->taps);
  }
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
  gradient_job k = {.g = g, .x = x, .dy = dy, .shards = min_i64(rows, SHARES)};
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
  asl_pool_give(partial);
  return ASL_OK;
}
