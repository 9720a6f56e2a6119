/* Weight gradient of convolutions whose groups have several channels:
 *   dweight[o][(tap, c)] = sum over output pixels of dy[pixel][o] x[source of (pixel, tap)][c].
 * Pixels are cut into shards, by the problem's size only; a shard adds up its pixels in order, and
 * shards are added in order. Within a shard a few rows of x's patches and of dy are copied to small
 * buffers, because their own row lengths are often powers of two, whose cache lines would evict
 * each other. */
#include "cpu/conv.h"
#include "cpu/gemm.h"
#include "cpu/kernel.h"
#include "cpu/simd.h"

enum {
  ROWS = 96,          /* pixels copied at a time */
  INNER = 256,        /* columns (tap, c) of a chunk; a multiple of 16 */
  PATCH = INNER + 16, /* row length of the copy: no power of two */
  SIDE = 48,          /* output channels copied at a time */
  SHARD_PIXELS = 512, /* fewer are not worth a partial sum */
  PARTIAL_FLOATS = 1 << 21, /* 8 MiB of partial sums at most, unless one shard needs more */
};

typedef struct job {
  const asl_conv *g;
  const float *x, *dy;
  float *partial, *dweight;
  int64_t shards, pixels, inner, blocks, c, o; /* blocks: of inner; c, o: per group */
  /* partial is (shard, group, rows, stride); its columns, the lanes of the product, are inner or,
   * where that wastes fewer lanes, o. */
  bool lanes_are_o;
  int64_t rows, columns, stride;
} job;

static int64_t padded(int64_t columns) {
  return ceil_div(columns, GEMM_COLUMNS) * GEMM_COLUMNS;
}

/* ---- copies ---------------------------------------------------------------------------------- */
static inline void copy_floats(float *to, const float *from, int64_t n) {
  if (n < LANES) {
    for (int64_t i = 0; i < n; i++) to[i] = from[i];
    return;
  }
  for (int64_t i = 0; i < n - LANES; i += LANES) v8_store(to + i, v8_load(from + i));
  v8_store(to + n - LANES, v8_load(from + n - LANES)); /* overlaps the one before */
}

typedef struct patches {
  const job *job;
  int64_t group, first, last; /* columns wanted */
  int64_t pixel;              /* the first row's output pixel */
  float *rows;
} patches;

/* Copies columns [first, last) of the span's patches. */
static void copy_span(void *context, const asl_span *span) {
  const patches *p = context;
  const asl_conv *g = p->job->g;
  float *rows = p->rows + (span->target - p->pixel) * PATCH;
  int64_t step = span->source_step * g->c;
  for (int i = 0, next; i < span->taps; i = next) {
    int64_t column = span->tap[i].index * p->job->c, end = column + p->job->c;
    for (next = i + 1; next < span->taps && g->groups == 1; next++, end += g->c)
      if (span->tap[next].source != span->tap[next - 1].source + 1 ||
          span->tap[next].index != span->tap[next - 1].index + 1)
        break;
    int64_t from = max_i64(column, p->first), to = min_i64(end, p->last);
    if (from >= to) continue;
    const float *x = p->job->x + span->tap[i].source * g->c + p->group * p->job->c + from - column;
    for (int64_t t = 0; t < span->count; t++)
      copy_floats(rows + t * PATCH + from - p->first, x + t * step, to - from);
  }
}

/* For taps that do not exist, and behind the last column. */
static void zero_rows(patches *p) {
  for (int64_t t = 0; t < ROWS; t++)
    memset(p->rows + t * PATCH, 0, (size_t)padded(p->last - p->first) * sizeof(float));
}

static void copy_patches(patches *p, int64_t count) {
  const asl_conv *g = p->job->g;
  if (g->padding > 0) zero_rows(p);
  for (int64_t pixel = p->pixel, end = p->pixel + count; pixel < end;) {
    int64_t row = pixel / g->wo, first = pixel % g->wo;
    int64_t last = min_i64(first + end - pixel, g->wo);
    conv_walk_row(g, row, first, last, copy_span, p);
    pixel += last - first;
  }
}

/* Channels [first, first + n) of dy's pixels, padded to whole panels if they are the lanes: in
 * place where the rows are short and whole, else copied to `copy`. */
static const float *side_of(const patches *p, int64_t count, int64_t first, int64_t n, float *copy,
                            int64_t *stride) {
  const job *k = p->job;
  const float *dy = k->dy + p->pixel * k->g->o + p->group * k->o + first;
  *stride = k->g->o;
  if (k->g->o <= SIDE && (n == padded(n) || !k->lanes_are_o)) return dy;
  *stride = SIDE;
  for (int64_t t = 0; t < count; t++, dy += k->g->o) {
    copy_floats(copy + t * SIDE, dy, n);
    for (int64_t o = n; o < padded(n); o++) copy[t * SIDE + o] = 0;
  }
  return copy;
}

/* ---- partial sums ---------------------------------------------------------------------------- */
static void add_pixels(const patches *p, int64_t count, bool accumulate, float *sum) {
  const job *k = p->job;
  float copy[ROWS * SIDE];
  int64_t inner = p->last - p->first, stride;
  for (int64_t o = 0; o < k->o; o += SIDE) {
    int64_t n = min_i64(k->o - o, SIDE);
    const float *side = side_of(p, count, o, n, copy, &stride);
    if (k->lanes_are_o)
      gemm_outer(count, p->rows, PATCH, inner, side, stride, padded(n),
                 sum + p->first * k->stride + o, k->stride, accumulate);
    else
      gemm_outer(count, side, stride, n, p->rows, PATCH, padded(inner),
                 sum + o * k->stride + p->first, k->stride, accumulate);
  }
}

static void sum_shard(void *context, int64_t chunk) {
  const job *k = context;
  int64_t block = chunk % k->blocks, group = chunk / k->blocks % k->g->groups;
  int64_t shard = chunk / k->blocks / k->g->groups;
  share part = share_of(k->pixels, k->shards, shard);
  float rows[ROWS * PATCH];
  patches p = {.job = k, .group = group, .first = block * INNER, .rows = rows};
  p.last = min_i64(k->inner, p.first + INNER);
  float *sum = k->partial + (shard * k->g->groups + group) * k->rows * k->stride;
  zero_rows(&p);
  int64_t count;
  for (p.pixel = part.first; p.pixel < part.end; p.pixel += count) {
    count = min_i64(part.end - p.pixel, ROWS);
    copy_patches(&p, count);
    add_pixels(&p, count, p.pixel > part.first, sum);
  }
}

/* One row of one group: the shards' partial sums added in order. */
static void add_shards(void *context, int64_t chunk) {
  const job *k = context;
  int64_t group = chunk / k->rows, row = chunk % k->rows;
  int64_t shard_floats = k->g->groups * k->rows * k->stride;
  const float *from = k->partial + chunk * k->stride;
  float *to = k->dweight + group * k->o * k->inner + (k->lanes_are_o ? row : row * k->inner);
  int64_t step = k->lanes_are_o ? k->inner : 1;
  for (int64_t i = 0; i < k->columns; i += LANES) {
    v8 sum = v8_load(from + i);
    for (int64_t s = 1; s < k->shards; s++) sum = v8_add(sum, v8_load(from + s * shard_floats + i));
    float lane[LANES];
    v8_store(lane, sum);
    for (int64_t j = 0; j < LANES && i + j < k->columns; j++) to[(i + j) * step] = lane[j];
  }
}

static int64_t shards_of(int64_t pixels, int64_t floats) {
  int64_t shards = min_i64(pixels / SHARD_PIXELS, PARTIAL_FLOATS / floats);
  return max_i64(1, min_i64(shards, SHARES));
}

/* Tiles are 6 rows by 16 lanes: how many products are computed, with the padding. */
static int64_t products(int64_t rows, int64_t columns) {
  return ceil_div(rows, GEMM_ROWS) * GEMM_ROWS * padded(columns);
}

asl_status dense_dweight(const asl_conv *g, const float *x, const float *dy, float *dweight) {
  job k = {.g = g, .x = x, .dy = dy, .dweight = dweight, .pixels = g->n * g->ho * g->wo,
           .c = g->c / g->groups, .o = g->o / g->groups};
  k.inner = g->kh * g->kw * k.c;
  k.blocks = ceil_div(k.inner, INNER);
  k.lanes_are_o = products(k.inner, k.o) < products(k.o, k.inner);
  k.rows = k.lanes_are_o ? k.inner : k.o;
  k.columns = k.lanes_are_o ? k.o : k.inner;
  k.stride = padded(k.columns);
  int64_t floats = g->groups * k.rows * k.stride;
  k.shards = shards_of(k.pixels, floats);
  void *partial;
  ASL_TRY(take_scratch(k.shards * floats * (int64_t)sizeof(float), &partial));
  k.partial = partial;
  asl_parallel(k.shards * g->groups * k.blocks, sum_shard, &k);
  asl_parallel(g->groups * k.rows, add_shards, &k);
  asl_pool_give(partial);
  return ASL_OK;
}
