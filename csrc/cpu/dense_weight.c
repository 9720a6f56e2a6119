/* Weight gradient of convolutions whose groups have several channels:
 *   dweight[o][(tap, c)] = sum over output pixels of dy[pixel][o] x[source of (pixel, tap)][c].
 * Pixels are cut into shards, at most 64 and by the problem's size only; a shard adds up its
 * pixels in order, and shards are added in order. Within a shard a few rows of x's patches and of
 * dy are copied to small buffers, because their own row lengths are often powers of two, whose
 * cache lines would evict each other. */
#include "base/parallel.h"
#include "base/pool.h"
#include "cpu/conv.h"
#include "cpu/gemm.h"
#include "cpu/simd.h"

enum {
  ROWS = 96,          /* pixels copied at a time */
  INNER = 256,        /* columns (tap, c) of a chunk; a multiple of 16 */
  PATCH = INNER + 16, /* row length of the copy: no power of two */
  SIDE = 48,          /* output channels copied at a time */
  SHARDS = 64,
  SHARD_PIXELS = 256, /* fewer are not worth a partial sum */
  PARTIAL_FLOATS = 1 << 21,
};

typedef struct job {
  const asl_conv *g;
  const float *x, *dy;
  float *partial, *dweight; /* partial: (shard, group, o, inner_padded) */
  int64_t shards, pixels, inner, inner_padded, inner_blocks, c, o; /* c, o: per group */
} job;

static int64_t padded(int64_t columns) {
  return (columns + GEMM_COLUMNS - 1) / GEMM_COLUMNS * GEMM_COLUMNS;
}

/* ---- copies ------------------------------------------------------------------------------------- */
static inline void copy_floats(float *to, const float *from, int64_t n) {
  for (; n >= LANES; n -= LANES, to += LANES, from += LANES) v8_store(to, v8_load(from));
  for (int64_t i = 0; i < n; i++) to[i] = from[i];
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
    int64_t from = column > p->first ? column : p->first, to = end < p->last ? end : p->last;
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
    int64_t last = first + end - pixel < g->wo ? first + end - pixel : g->wo;
    conv_walk_row(g, row, first, last, copy_span, p);
    pixel += last - first;
  }
}

/* ---- partial sums ------------------------------------------------------------------------------- */
static void add_rows(const job *k, const patches *p, int64_t count, float *sum) {
  float side[ROWS * SIDE];
  int64_t columns = padded(p->last - p->first);
  for (int64_t o = 0; o < k->o; o += SIDE) {
    int64_t width = k->o - o < SIDE ? k->o - o : SIDE;
    const float *dy = k->dy + p->pixel * k->g->o + p->group * k->o + o;
    for (int64_t t = 0; t < count; t++) copy_floats(side + t * SIDE, dy + t * k->g->o, width);
    gemm_add_outer(count, side, SIDE, width, p->rows, PATCH, columns,
                   sum + o * k->inner_padded + p->first, k->inner_padded);
  }
}

static void sum_shard(void *context, int64_t chunk) {
  const job *k = context;
  int64_t block = chunk % k->inner_blocks, group = chunk / k->inner_blocks % k->g->groups;
  int64_t shard = chunk / k->inner_blocks / k->g->groups;
  int64_t end = k->pixels * (shard + 1) / k->shards;
  float rows[ROWS * PATCH];
  patches p = {.job = k, .group = group, .first = block * INNER, .rows = rows};
  p.last = k->inner < p.first + INNER ? k->inner : p.first + INNER;
  float *sum = k->partial + (shard * k->g->groups + group) * k->o * k->inner_padded;
  for (int64_t o = 0; o < k->o; o++)
    memset(sum + o * k->inner_padded + p.first, 0, (size_t)padded(p.last - p.first) * sizeof *sum);
  zero_rows(&p);
  int64_t count;
  for (p.pixel = k->pixels * shard / k->shards; p.pixel < end; p.pixel += count) {
    count = end - p.pixel < ROWS ? end - p.pixel : ROWS;
    copy_patches(&p, count);
    add_rows(k, &p, count, sum);
  }
}

/* One output channel: the shards' partial sums added in order. */
static void add_shards(void *context, int64_t channel) {
  const job *k = context;
  int64_t shard_floats = k->g->o * k->inner_padded;
  const float *from = k->partial + channel * k->inner_padded;
  float *to = k->dweight + channel * k->inner;
  for (int64_t i = 0; i < k->inner; i += LANES) {
    v8 sum = v8_load(from + i);
    for (int64_t s = 1; s < k->shards; s++) sum = v8_add(sum, v8_load(from + s * shard_floats + i));
    v8_store_some(to + i, sum, k->inner - i);
  }
}

static int64_t shards_of(int64_t pixels, int64_t floats) {
  int64_t shards = pixels / SHARD_PIXELS;
  if (shards > SHARDS) shards = SHARDS;
  if (shards > PARTIAL_FLOATS / floats) shards = PARTIAL_FLOATS / floats;
  return shards < 1 ? 1 : shards;
}

asl_status dense_dweight(const asl_conv *g, const float *x, const float *dy, float *dweight) {
  job k = {.g = g, .x = x, .dy = dy, .dweight = dweight, .pixels = g->n * g->ho * g->wo,
           .c = g->c / g->groups, .o = g->o / g->groups};
  k.inner = g->kh * g->kw * k.c;
  k.inner_padded = padded(k.inner);
  k.inner_blocks = (k.inner + INNER - 1) / INNER;
  k.shards = shards_of(k.pixels, g->o * k.inner_padded);
  k.partial = asl_pool_take((size_t)(k.shards * g->o * k.inner_padded) * sizeof(float));
  if (!k.partial) return asl_fail(ASL_ENOMEM, "no memory for the weight gradient's partial sums");
  asl_parallel(k.shards * g->groups * k.inner_blocks, sum_shard, &k);
  asl_parallel(g->o, add_shards, &k);
  asl_pool_give(k.partial);
  return ASL_OK;
}
