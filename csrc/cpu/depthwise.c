/* Depthwise convolutions (groups = C = O): lanes are channels.
 *
 * A chunk is a band of rows of a picture and a group of channels. It passes over its rows once and
 * keeps the few that the kernel reaches in rings of rows in the cache: rows of x, normalised while
 * they are copied, and in the backward pass rows of dz, computed while they are copied. Rings have
 * columns of zeros on both sides, so that no pixel is special. The backward pass computes from them
 * dx, dweight, and the sums that the block before will need of dx. */
#include "cpu/conv.h"
#include "cpu/kernel.h"
#include "cpu/simd.h"

enum {
  GROUP = 64,          /* channels at most */
  RING_FLOATS = 57344, /* 224 KiB of rings, when 16 channels need no more */
  CHUNKS = 16,         /* are wanted at least ... */
  BAND_ROWS = 8,       /* ... of at least so many rows, as neighbours share rows */
  BAND_PIXELS = 4096,  /* at most, because sums within a band are in float */
  TAPS = 9,            /* whose weights stay in registers */
};

/* ---- rings ----------------------------------------------------------------------------------- */
typedef struct ring {
  int64_t rows, width, left; /* pixels of a row; zeros before pixel 0 */
  int64_t lanes;             /* floats of a pixel */
  float *data;
} ring;

static int64_t ring_floats(const ring *r) { return r->rows * r->width * r->lanes; }

/* Pixel 0 of a row >= 0 of the picture. */
static float *ring_row(const ring *r, int64_t row) {
  return r->data + (row % r->rows * r->width + r->left) * r->lanes;
}

static void clear_sides(const ring *r, int64_t pixels) {
  int64_t right = (r->width - r->left - pixels) * r->lanes;
  for (int64_t row = 0; row < r->rows; row++) {
    float *p = ring_row(r, row);
    memset(p - r->left * r->lanes, 0, (size_t)(r->left * r->lanes) * sizeof *p);
    memset(p + pixels * r->lanes, 0, (size_t)right * sizeof *p);
  }
}

/* ---- plans ----------------------------------------------------------------------------------- */
typedef struct plan {
  int64_t groups, lanes; /* of channels; lanes: per group, padded to whole vectors */
  int64_t bands, rows;   /* of a picture; rows that are shared among its bands */
  ring x, dz;
} plan;

static void plan_rings(const asl_conv *g, bool backward, plan *p) {
  int64_t reach_y = (g->kh - 1) * g->dilation, reach_x = (g->kw - 1) * g->dilation;
  int64_t right = max_i64(g->w, (g->wo - 1) * g->stride - g->padding + reach_x + 1);
  p->x = (ring){.rows = reach_y + 1, .width = g->padding + right, .left = g->padding};
  if (!backward) return;
  p->dz.rows = reach_y / g->stride + 2;
  p->dz.left = ceil_div(reach_x, g->stride);
  p->dz.width = p->dz.left + max_i64(g->wo, (g->w - 1 + g->padding) / g->stride + 1);
}

static plan plan_of(const asl_conv *g, bool backward) {
  plan p = {.groups = 1};
  plan_rings(g, backward, &p);
  int64_t pixels = p.x.rows * p.x.width + p.dz.rows * p.dz.width;
  int64_t most = max_i64(16, min_i64(GROUP, RING_FLOATS / pixels / 16 * 16));
  p.groups = ceil_div(g->c, most);
  p.lanes = ceil_div(ceil_div(g->c, p.groups), LANES) * LANES;
  p.groups = ceil_div(g->c, p.lanes);
  p.x.lanes = p.dz.lanes = p.lanes;
  p.rows = backward ? g->h : g->ho;
  int64_t wanted = max_i64(ceil_div(CHUNKS, g->n * p.groups),
                           ceil_div(p.rows * (backward ? g->w : g->wo), BAND_PIXELS));
  p.bands = max_i64(1, min_i64(wanted, p.rows / BAND_ROWS));
  return p;
}

typedef struct part { /* a chunk */
  int64_t picture, first, count; /* channels */
  int64_t band;                  /* over all pictures */
  share rows;
} part;

static part part_of(const asl_conv *g, const plan *p, int64_t chunk) {
  part a = {.first = chunk % p->groups * p->lanes, .band = chunk / p->groups};
  a.picture = a.band / p->bands;
  a.count = min_i64(p->lanes, g->c - a.first);
  a.rows = share_of(p->rows, p->bands, a.band % p->bands);
  return a;
}

static asl_window x_row(const asl_conv *g, const part *a, int64_t row) {
  return (asl_window){(a->picture * g->h + row) * g->w, g->w, a->first, a->count};
}
static asl_window y_row(const asl_conv *g, const part *a, int64_t row) {
  return (asl_window){(a->picture * g->ho + row) * g->wo, g->wo, a->first, a->count};
}

/* Weights as (group, tap, lane). */
static void pack(const asl_conv *g, const plan *p, const float *weight, float *packed) {
  int64_t taps = g->kh * g->kw;
  memset(packed, 0, (size_t)(p->groups * taps * p->lanes) * sizeof *packed);
  for (int64_t c = 0; c < g->c; c++)
    for (int64_t k = 0; k < taps; k++)
      packed[(c / p->lanes * taps + k) * p->lanes + c % p->lanes] = weight[c * taps + k];
}

/* ---- a row of sums over taps ----------------------------------------------------------------- */
/* target[i] = start + sum over taps of source[i] weight for pixels i; start is what the target
 * holds (accumulate), a bias or 0. The same for y and, with other taps, for dx. */
typedef struct line {
  const float *source[TAPS], *weight[TAPS]; /* pixel 0 */
  int64_t source_step;                      /* floats between pixels */
  const float *bias;                        /* padded, or NULL */
  bool accumulate;
  int64_t pixels, channels;
  float *target;
  int64_t target_step;
} line;

ALWAYS_INLINE void add_vector(int taps, bool accumulate, int64_t lanes, const line *l, int64_t c) {
  const float *x[TAPS];
  v8 w[TAPS], start = l->bias ? v8_load(l->bias + c) : v8_zero();
  UNROLL for (int k = 0; k < taps; k++) {
    x[k] = l->source[k] + c;
    w[k] = v8_load(l->weight[k] + c);
  }
  float *to = l->target + c;
  const int64_t step = l->source_step, to_step = l->target_step, pixels = l->pixels;
  for (int64_t i = 0; i < pixels; i++, to += to_step) {
    v8 sum = accumulate ? v8_load_some(to, lanes) : start;
    UNROLL for (int k = 0; k < taps; k++) {
      sum = v8_fma(v8_load(x[k]), w[k], sum);
      x[k] += step;
    }
    v8_store_some(to, sum, lanes);
  }
}

ALWAYS_INLINE void add_taps(int taps, bool accumulate, const line *l) {
  int64_t c = 0;
  for (; c + LANES <= l->channels; c += LANES) add_vector(taps, accumulate, LANES, l, c);
  if (c < l->channels) add_vector(taps, accumulate, l->channels - c, l, c);
}

/* The phases of a 3x3 kernel's data gradient at stride 2 have 4, 2, 2 and 1 taps. */
#define CASE(n)                                     \
  case n:                                           \
    if (l->accumulate) add_taps(n, true, l);        \
    else add_taps(n, false, l);                     \
    break;
static void add_line(int taps, const line *l) {
  switch (taps) { CASE(0) CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6) CASE(7) CASE(8) CASE(9) }
}

/* Taps of a line in groups of up to 9; write_group() closes it. */
typedef struct line_writer {
  line l;
  int taps;
} line_writer;

static void write_group(line_writer *w) {
  add_line(w->taps, &w->l);
  w->l.accumulate = true;
  w->taps = 0;
}

static void write_tap(line_writer *w, const float *source, const float *weight) {
  if (w->taps == TAPS) write_group(w);
  w->l.source[w->taps] = source;
  w->l.weight[w->taps++] = weight;
}

/* ---- forward --------------------------------------------------------------------------------- */
typedef struct forward_job {
  const asl_conv *g;
  const asl_source *x;
  const asl_ends *ends;
  plan plan;
  float *packed, *bias, *y; /* bias: (group, lane) or NULL */
  thread_scratch scratch;
} forward_job;

int64_t depthwise_blocks(const asl_conv *g) { return g->n * g->ho; }

static void load_x(const asl_conv *g, const asl_source *x, const part *a, const ring *r,
                   int64_t *next, int64_t end) {
  for (; *next < min_i64(end, g->h); (*next)++) {
    asl_window w = x_row(g, a, *next);
    norm_source_rows(x, &w, ring_row(r, *next), r->lanes, r->lanes);
  }
}

static void write_y(const forward_job *k, const part *a, const ring *x, int64_t row) {
  const asl_conv *g = k->g;
  const float *weight = k->packed + a->first * g->kh * g->kw;
  asl_window w = y_row(g, a, row);
  line_writer out = {.taps = 0};
  out.l.bias = k->bias ? k->bias + a->first : NULL;
  out.l.source_step = g->stride * x->lanes;
  out.l.pixels = g->wo;
  out.l.channels = a->count;
  out.l.target = k->y + w.pixel * g->c + a->first;
  out.l.target_step = g->c;
  for (int64_t ky = 0; ky < g->kh; ky++) {
    int64_t from = row * g->stride - g->padding + ky * g->dilation;
    if (from < 0 || from >= g->h) continue;
    for (int64_t kx = 0; kx < g->kw; kx++)
      write_tap(&out, ring_row(x, from) + (kx * g->dilation - g->padding) * x->lanes,
                weight + (ky * g->kw + kx) * x->lanes);
  }
  write_group(&out);
  if (k->ends->norm) norm_apply(k->ends->norm, k->y, NULL, k->y, &w);
  if (k->ends->finish) k->ends->finish(k->ends->context, a->picture * g->ho + row, &w);
}

static void forward_chunk(void *context, int64_t chunk) {
  const forward_job *k = context;
  const asl_conv *g = k->g;
  part a = part_of(g, &k->plan, chunk);
  ring x = k->plan.x;
  x.data = thread_floats(&k->scratch);
  clear_sides(&x, g->w);
  int64_t next = max_i64(0, a.rows.first * g->stride - g->padding);
  for (int64_t row = a.rows.first; row < a.rows.end; row++) {
    int64_t top = row * g->stride - g->padding;
    next = max_i64(next, top); /* a stride beyond the kernel leaves rows out */
    load_x(g, k->x, &a, &x, &next, top + x.rows);
    write_y(k, &a, &x, row);
  }
}

asl_status depthwise_forward(const asl_conv *g, const asl_source *x, const float *weight, float *y,
                             const asl_ends *ends) {
  forward_job k = {.g = g, .x = x, .ends = ends, .plan = plan_of(g, false), .y = y};
  const plan *p = &k.plan;
  int64_t lanes = p->groups * p->lanes, weights = lanes * g->kh * g->kw;
  void *taken;
  ASL_TRY(take_scratch((weights + lanes) * (int64_t)sizeof(float), &taken));
  k.packed = taken;
  k.bias = ends->bias ? k.packed + weights : NULL;
  pack(g, p, weight, k.packed);
  for (int64_t c = 0; k.bias && c < lanes; c++) k.bias[c] = c < g->c ? ends->bias[c] : 0.0f;
  asl_status status = take_thread_scratch(ring_floats(&p->x), &k.scratch);
  if (status == ASL_OK) {
    asl_parallel(g->n * p->bands * p->groups, forward_chunk, &k);
    asl_pool_give(k.scratch.data);
  }
  asl_pool_give(taken);
  return status;
}

/* ---- backward -------------------------------------------------------------------------------- */
typedef struct backward_job {
  const asl_conv *g;
  const asl_source *x;
  const asl_gradient *dy;
  const asl_conv_grads *out;
  plan plan;
  float *packed, *partial; /* partial: of dweight, (band, group, tap, lane) */
  double *sums;            /* (band, group, 2, lane) */
  thread_scratch scratch;
} backward_job;

typedef struct state { /* of a chunk */
  const backward_job *job;
  part part;
  ring x, dz;
  int64_t next_x, next_dz; /* rows that are not loaded yet */
  float *dweight;
} state;

/* Sums over a row's pixels of dz times x, a few taps at a time. */
ALWAYS_INLINE void weigh_vector(int taps, const float *const source[], int64_t source_step,
                                const float *dz, int64_t lanes, int64_t pixels, float *sums,
                                int64_t c) {
  const float *x[TAPS];
  v8 sum[TAPS];
  UNROLL for (int k = 0; k < taps; k++) {
    x[k] = source[k] + c;
    sum[k] = v8_load(sums + k * lanes + c);
  }
  dz += c;
  for (int64_t i = 0; i < pixels; i++, dz += lanes) {
    v8 d = v8_load(dz);
    UNROLL for (int k = 0; k < taps; k++) {
      sum[k] = v8_fma(d, v8_load(x[k]), sum[k]);
      x[k] += source_step;
    }
  }
  UNROLL for (int k = 0; k < taps; k++) v8_store(sums + k * lanes + c, sum[k]);
}

static void weigh_taps(const state *s, int64_t row, int taps, const float *const source[],
                       float *sums) {
  const asl_conv *g = s->job->g;
  const float *dz = ring_row(&s->dz, row);
  int64_t step = g->stride * s->x.lanes, lanes = s->x.lanes;
  for (int64_t c = 0; c < lanes; c += LANES) {
    if (taps == 9) {
      weigh_vector(9, source, step, dz, lanes, g->wo, sums, c);
      continue;
    }
    int k = 0;
    for (; k + 3 <= taps; k += 3)
      weigh_vector(3, source + k, step, dz, lanes, g->wo, sums + k * lanes, c);
    for (; k < taps; k++)
      weigh_vector(1, source + k, step, dz, lanes, g->wo, sums + k * lanes, c);
  }
}

/* Row `row` of dz times the rows of x under it. */
static void add_dweight(const state *s, int64_t row) {
  const asl_conv *g = s->job->g;
  int64_t first = 0, taps = 0;
  const float *source[TAPS];
  for (int64_t k = 0; k < g->kh * g->kw; k++) {
    int64_t from = row * g->stride - g->padding + k / g->kw * g->dilation;
    bool there = from >= 0 && from < g->h;
    if (there) {
      if (taps == 0) first = k;
      source[taps++] =
          ring_row(&s->x, from) + (k % g->kw * g->dilation - g->padding) * s->x.lanes;
    }
    if (taps > 0 && (!there || taps == TAPS || k + 1 == g->kh * g->kw)) {
      weigh_taps(s, row, (int)taps, source, s->dweight + first * s->x.lanes);
      taps = 0;
    }
  }
}

/* Loads row next_dz of dz; if no band before did, it takes part in dweight. */
static void load_dz(state *s) {
  const backward_job *k = s->job;
  const asl_conv *g = k->g;
  int64_t row = s->next_dz++, top = row * g->stride - g->padding;
  asl_window w = y_row(g, &s->part, row);
  norm_gradient_rows(k->dy, &w, ring_row(&s->dz, row), s->dz.lanes, s->dz.lanes);
  if (!k->out->dweight || (top < s->part.rows.first && s->part.rows.first > 0)) return;
  s->next_x = max_i64(s->next_x, top);
  load_x(g, k->x, &s->part, &s->x, &s->next_x, top + s->x.rows);
  add_dweight(s, row);
}

static void write_dx(const state *s, int64_t row, int64_t phase) {
  const backward_job *k = s->job;
  const asl_conv *g = k->g;
  const float *weight = k->packed + s->part.first * g->kh * g->kw;
  asl_window w = x_row(g, &s->part, row);
  line_writer out = {.taps = 0};
  out.l.source_step = s->dz.lanes;
  out.l.pixels = ceil_div(g->w - phase, g->stride);
  out.l.channels = s->part.count;
  out.l.target = k->out->dx + (w.pixel + phase) * g->c + s->part.first;
  out.l.target_step = g->stride * g->c;
  for (int64_t ky = 0; ky < g->kh; ky++) {
    int64_t y = row + g->padding - ky * g->dilation;
    if (y < 0 || y % g->stride != 0 || y / g->stride >= g->ho) continue;
    for (int64_t kx = 0; kx < g->kw; kx++) {
      int64_t x = phase + g->padding - kx * g->dilation, left = x / g->stride;
      if (left * g->stride == x)
        write_tap(&out, ring_row(&s->dz, y / g->stride) + left * s->dz.lanes,
                  weight + (ky * g->kw + kx) * s->dz.lanes);
    }
  }
  write_group(&out);
}

static void add_sums(state *s, int64_t row, double *sums) {
  const backward_job *k = s->job;
  asl_window w = x_row(k->g, &s->part, row);
  s->next_x = max_i64(s->next_x, row + 1 - s->x.rows);
  load_x(k->g, k->x, &s->part, &s->x, &s->next_x, row + 1);
  norm_sums_rows(k->x, &w, k->out->dx, ring_row(&s->x, row), s->x.lanes, sums);
}

static void backward_chunk(void *context, int64_t chunk) {
  const backward_job *k = context;
  const asl_conv *g = k->g;
  const plan *p = &k->plan;
  int64_t taps = g->kh * g->kw;
  state s = {.job = k, .part = part_of(g, p, chunk), .x = p->x, .dz = p->dz,
             .dweight = k->partial + chunk * taps * p->lanes};
  double *sums = k->sums + chunk * 2 * p->lanes;
  s.x.data = thread_floats(&k->scratch);
  s.dz.data = s.x.data + ring_floats(&p->x);
  clear_sides(&s.x, g->w);
  clear_sides(&s.dz, g->wo);
  if (k->out->dweight) memset(s.dweight, 0, (size_t)(taps * p->lanes) * sizeof(float));
  if (k->out->dx_sums) memset(sums, 0, 2 * (size_t)p->lanes * sizeof *sums);
  int64_t lowest = s.part.rows.first + g->padding - (g->kh - 1) * g->dilation;
  s.next_dz = min_i64(g->ho, max_i64(0, ceil_div(lowest, g->stride)));
  for (int64_t row = s.part.rows.first; row < s.part.rows.end; row++) {
    while (s.next_dz < g->ho && s.next_dz * g->stride <= row + g->padding) load_dz(&s);
    if (!k->out->dx) continue;
    for (int64_t phase = 0; phase < min_i64(g->stride, g->w); phase++) write_dx(&s, row, phase);
    if (k->out->dx_sums) add_sums(&s, row, sums);
  }
}

static void combine(const backward_job *k) {
  const asl_conv *g = k->g;
  const plan *p = &k->plan;
  int64_t taps = g->kh * g->kw, bands = g->n * p->bands;
  for (int64_t c = 0; c < g->c; c++) {
    int64_t group = c / p->lanes, lane = c % p->lanes;
    for (int64_t t = 0; k->out->dweight && t < taps; t++) {
      double sum = 0;
      for (int64_t b = 0; b < bands; b++)
        sum += (double)k->partial[((b * p->groups + group) * taps + t) * p->lanes + lane];
      k->out->dweight[c * taps + t] = (float)sum;
    }
    for (int64_t i = 0; k->out->dx_sums && i < 2; i++) {
      double sum = 0;
      for (int64_t b = 0; b < bands; b++) {
        int64_t count = min_i64(p->lanes, g->c - group * p->lanes);
        sum += k->sums[(b * p->groups + group) * 2 * p->lanes + i * count + lane];
      }
      k->out->dx_sums[i * g->c + c] = sum;
    }
  }
}

asl_status depthwise_backward(const asl_conv *g, const asl_source *x, const float *weight,
                              const asl_gradient *dy, const asl_conv_grads *out) {
  backward_job k = {.g = g, .x = x, .dy = dy, .out = out, .plan = plan_of(g, true)};
  const plan *p = &k.plan;
  int64_t chunks = g->n * p->bands * p->groups, taps = g->kh * g->kw;
  int64_t sums = out->dx_sums ? chunks * 2 * p->lanes : 0;
  int64_t weights = p->groups * taps * p->lanes;
  int64_t partial = out->dweight ? chunks * taps * p->lanes : 0;
  void *taken;
  ASL_TRY(take_scratch(sums * (int64_t)sizeof(double) + (weights + partial) * (int64_t)sizeof(float),
                       &taken));
  k.sums = taken;
  k.packed = (float *)(void *)(k.sums + sums);
  k.partial = k.packed + weights;
  pack(g, p, weight, k.packed);
  asl_status status = take_thread_scratch(ring_floats(&p->x) + ring_floats(&p->dz), &k.scratch);
  if (status == ASL_OK) {
    asl_parallel(chunks, backward_chunk, &k);
    combine(&k);
    asl_pool_give(k.scratch.data);
  }
  asl_pool_give(taken);
  return status;
}
