/* The geometry of convolutions: lines, the taps that exist for their pixels, spans and blocks. */
#include "cpu/conv.h"
#include "cpu/kernel.h"

asl_conv conv_of(const asl_tensor *x, const asl_tensor *weight, int64_t stride, int64_t padding,
                 int64_t dilation, int64_t groups) {
  const int64_t *xs = x->shape.size, *ws = weight->shape.size;
  asl_conv g = {.n = xs[0], .h = xs[1], .w = xs[2], .c = xs[3], .o = ws[0], .kh = ws[1],
                .kw = ws[2], .stride = stride, .padding = padding, .dilation = dilation,
                .groups = groups};
  g.ho = (g.h + 2 * padding - dilation * (g.kh - 1) - 1) / stride + 1;
  g.wo = (g.w + 2 * padding - dilation * (g.kw - 1) - 1) / stride + 1;
  if (g.kh == 1 && g.kw == 1 && stride == 1 && padding == 0) {
    g.w = g.wo = g.n * g.h * g.w;
    g.n = g.h = g.ho = 1;
  }
  return g;
}

/* ---- lines ----------------------------------------------------------------------------------- */
typedef struct line_tap {
  asl_tap tap;
  int64_t first, last; /* the line's pixels that it exists for */
} line_tap;

typedef struct line {
  int64_t count, target, target_step, source_step;
  int taps;
  line_tap tap[ASL_MAX_TAPS];
} line;

/* Without taps; a compound literal would clear the whole array. */
static void set_line(line *l, int64_t count, int64_t target, int64_t target_step,
                     int64_t source_step) {
  l->count = count;
  l->target = target;
  l->target_step = target_step;
  l->source_step = source_step;
  l->taps = 0;
}

static void add_tap(line *l, int64_t index, int64_t source, int64_t first, int64_t last) {
  l->tap[l->taps++] = (line_tap){{index, source}, first, last};
}

/* Row `row` of y: pixel t reads x at column t stride - padding + kx dilation. */
static void line_of_y(const asl_conv *g, int64_t row, int64_t first_tap, line *out) {
  int64_t picture = row / g->ho, top = row % g->ho * g->stride - g->padding;
  int64_t end = min_i64(first_tap + ASL_MAX_TAPS, g->kh * g->kw);
  set_line(out, g->wo, row * g->wo, 1, g->stride);
  for (int64_t i = first_tap, ky = i / g->kw; i < end; i = ++ky * g->kw) {
    int64_t y = top + ky * g->dilation, row_end = min_i64((ky + 1) * g->kw, end);
    if (y < 0 || y >= g->h) continue;
    for (; i < row_end; i++) {
      int64_t left = (i - ky * g->kw) * g->dilation - g->padding;
      add_tap(out, i, (picture * g->h + y) * g->w + left, ceil_div(-left, g->stride),
              ceil_div(g->w - left, g->stride));
    }
  }
}

/* Pixels phase, phase + stride, ... of a row of dx, index = row stride + phase: pixel t reads dy at
 * column (phase + t stride + padding - kx dilation) / stride for the taps that divide evenly. */
static void line_of_dx(const asl_conv *g, int64_t index, int64_t first_tap, line *out) {
  int64_t row = index / g->stride, phase = index % g->stride, picture = row / g->h;
  int64_t end = min_i64(first_tap + ASL_MAX_TAPS, g->kh * g->kw);
  set_line(out, ceil_div(g->w - phase, g->stride), row * g->w + phase, g->stride, 1);
  for (int64_t i = first_tap, ky = i / g->kw; i < end; i = ++ky * g->kw) {
    int64_t y = row % g->h + g->padding - ky * g->dilation;
    int64_t row_end = min_i64((ky + 1) * g->kw, end);
    if (y < 0 || y % g->stride != 0 || y / g->stride >= g->ho) continue;
    for (; i < row_end; i++) {
      int64_t x = phase + g->padding - (i - ky * g->kw) * g->dilation, left = x / g->stride;
      if (left * g->stride != x) continue;
      add_tap(out, i, (picture * g->ho + y / g->stride) * g->wo + left, -left, g->wo - left);
    }
  }
}

/* ---- spans ----------------------------------------------------------------------------------- */
/* The longest run of pixels from `first` on for which the same taps exist. */
static void next_span(const line *l, int64_t first, int64_t last, asl_span *span) {
  int64_t end = last;
  span->taps = 0;
  for (int i = 0; i < l->taps; i++) {
    const line_tap *t = &l->tap[i];
    if (first < t->first) {
      end = min_i64(end, t->first);
    } else if (first < t->last) {
      end = min_i64(end, t->last);
      span->tap[span->taps++] = (asl_tap){t->tap.index, t->tap.source + first * l->source_step};
    }
  }
  span->count = end - first;
  span->target = l->target + first * l->target_step;
  span->target_step = l->target_step;
  span->source_step = l->source_step;
}

typedef void (*line_fn)(const asl_conv *g, int64_t index, int64_t first_tap, line *out);

static void walk_line(const asl_conv *g, line_fn make, int64_t index, int64_t first, int64_t last,
                      asl_span_fn fn, void *context) {
  for (int64_t tap = 0; tap < g->kh * g->kw; tap += ASL_MAX_TAPS) {
    line l;
    make(g, index, tap, &l);
    asl_span span;
    span.accumulate = tap > 0;
    span.last = tap + ASL_MAX_TAPS >= g->kh * g->kw;
    for (int64_t t = first; t < min_i64(last, l.count); t += span.count) {
      next_span(&l, t, min_i64(last, l.count), &span);
      fn(context, &span);
    }
  }
}

void conv_walk_row(const asl_conv *g, int64_t row, int64_t first, int64_t last, asl_span_fn fn,
                   void *context) {
  walk_line(g, line_of_y, row, first, last, fn, context);
}

/* ---- blocks ---------------------------------------------------------------------------------- */
/* Pixels per block: at most 128 KiB of the target, so that it stays in the second-level cache until
 * `ends`; whole tiles of the matrix product, which have 6 rows. */
static int64_t block_pixels(int64_t channels) {
  int64_t pixels = 32768 / channels / 12 * 12;
  return pixels < 12 ? 12 : pixels > 96 ? 96 : pixels;
}

int64_t dense_blocks(const asl_conv *g) {
  return g->n * g->ho * ceil_div(g->wo, block_pixels(g->o));
}

typedef struct walk {
  const asl_conv *g;
  asl_span_fn fn;
  void *context;
  const asl_ends *ends;
  line_fn make;
  int64_t phases, block, blocks_per_line; /* the phases of a block follow each other */
} walk;

static void walk_block(void *context, int64_t chunk) {
  const walk *k = context;
  int64_t phase = chunk % k->phases, block = chunk / k->phases;
  int64_t row = block / k->blocks_per_line, first = block % k->blocks_per_line * k->block;
  walk_line(k->g, k->make, row * k->phases + phase, first, first + k->block, k->fn, k->context);
  if (!k->ends || !k->ends->finish) return;
  asl_window w = {row * k->g->wo + first, min_i64(k->block, k->g->wo - first), 0, k->g->o};
  k->ends->finish(k->ends->context, block, &w);
}

void conv_walk(const asl_conv *g, bool to_dx, asl_span_fn fn, void *context,
               const asl_ends *ends) {
  walk k = {.g = g, .fn = fn, .context = context, .ends = ends, .make = line_of_y,
            .phases = 1, .block = block_pixels(to_dx ? g->c : g->o)};
  int64_t rows = g->n * g->ho, pixels = g->wo;
  if (to_dx) {
    k.make = line_of_dx;
    k.phases = g->stride;
    rows = g->n * g->h;
    pixels = ceil_div(g->w, g->stride);
  }
  k.blocks_per_line = ceil_div(pixels, k.block);
  asl_parallel(rows * k.blocks_per_line * k.phases, walk_block, &k);
}
