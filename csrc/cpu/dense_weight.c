/* Weight gradient of convolutions whose groups have several channels:
 *   dweight[o][(tap, c)] = sum over output pixels of dz[pixel][o] x[source of (pixel, tap)][c].
 * Lanes are output channels. Pixels are cut into shards of rows, by the problem's size only; a
 * shard adds up its pixels in order, and shards are added in order. x is read in place; dz is
 * computed into a small buffer, a piece of a row at a time. */
#include <string.h>

#include "cpu/conv.h"
#include "cpu/gemm.h"
#include "cpu/kernel.h"

enum {
  PIXELS = 96,        /* of dz at a time */
  SIDE = 48,          /* output channels at a time; a multiple of 16, and no power of two */
  SHARD_PIXELS = 512, /* fewer are not worth a partial sum */
  PARTIAL_FLOATS = 1 << 21, /* 8 MiB of partial sums at most, unless one shard needs more */
};

typedef struct job {
  const asl_conv *g;
  const float *x;
  const asl_gradient *dy;
  float *partial; /* (shard, group, inner, stride) */
  float *dweight;
  int64_t shards, inner, c, o; /* inner: (tap, c) of a group; c, o: per group */
  int64_t sides, stride;       /* of o: how many SIDEs; padded */
} job;

static int64_t padded(int64_t columns) {
  return ceil_div(columns, GEMM_COLUMNS) * GEMM_COLUMNS;
}

/* ---- partial sums ---------------------------------------------------------------------------- */
typedef struct piece { /* of a row of y: dz of some of its pixels */
  const job *job;
  int64_t group, first, count; /* output channels, within the group */
  int64_t pixel;
  float dz[PIXELS * SIDE];
  float *sum; /* (inner, stride) */
} piece;

/* Taps whose channels follow each other in x are one matrix product. */
static void add_span(void *context, const asl_span *span) {
  const piece *p = context;
  const job *k = p->job;
  const float *dz = p->dz + (span->target - p->pixel) * SIDE;
  for (int i = 0, next; i < span->taps; i = next) {
    int64_t row = span->tap[i].index * k->c, rows = k->c;
    for (next = i + 1; next < span->taps && k->g->groups == 1; next++, rows += k->c)
      if (span->tap[next].source != span->tap[next - 1].source + 1 ||
          span->tap[next].index != span->tap[next - 1].index + 1)
        break;
    const float *x = k->x + span->tap[i].source * k->g->c + p->group * k->c;
    gemm_outer(span->count, x, span->source_step * k->g->c, rows, dz, SIDE, padded(p->count),
               p->sum + row * k->stride + p->first, k->stride, true);
  }
}

static void sum_shard(void *context, int64_t chunk) {
  const job *k = context;
  const asl_conv *g = k->g;
  int64_t side = chunk % k->sides, shard = chunk / k->sides / g->groups;
  share rows = share_of(g->n * g->ho, k->shards, shard);
  piece p; /* an initialiser would clear its array */
  p.job = k;
  p.group = chunk / k->sides % g->groups;
  p.first = side * SIDE;
  p.count = min_i64(k->o - p.first, SIDE);
  p.sum = k->partial + (shard * g->groups + p.group) * k->inner * k->stride;
  for (int64_t i = 0; i < k->inner; i++)
    memset(p.sum + i * k->stride + p.first, 0, (size_t)padded(p.count) * sizeof(float));
  for (int64_t row = rows.first; row < rows.end; row++) {
    for (int64_t first = 0; first < g->wo; first += PIXELS) {
      int64_t last = min_i64(first + PIXELS, g->wo);
      p.pixel = row * g->wo + first;
      asl_window w = {p.pixel, last - first, p.group * k->o + p.first, p.count};
      norm_gradient_rows(k->dy, &w, p.dz, SIDE, padded(p.count));
      conv_walk_row(g, row, first, last, add_span, &p);
    }
  }
}

/* One row (tap, c) of one group: the shards' partial sums added in order. */
static void add_shards(void *context, int64_t chunk) {
  const job *k = context;
  int64_t group = chunk / k->inner, row = chunk % k->inner;
  int64_t shard_floats = k->g->groups * k->inner * k->stride;
  float *to = k->dweight + group * k->o * k->inner + row;
  gemm_add_shards(k->partial + chunk * k->stride, k->shards, shard_floats, k->o, to, k->inner);
}

static int64_t shards_of(const asl_conv *g, int64_t floats) {
  int64_t shards = min_i64(g->n * g->ho * g->wo / SHARD_PIXELS, PARTIAL_FLOATS / floats);
  return max_i64(1, min_i64(min_i64(shards, g->n * g->ho), SHARES));
}

asl_status dense_dweight(const asl_conv *g, const float *x, const asl_gradient *dy,
                         float *dweight) {
  job k = {.g = g, .x = x, .dy = dy, .dweight = dweight, .c = g->c / g->groups,
           .o = g->o / g->groups};
  k.inner = g->kh * g->kw * k.c;
  k.sides = ceil_div(k.o, SIDE);
  k.stride = padded(k.o);
  int64_t floats = g->groups * k.inner * k.stride;
  k.shards = shards_of(g, floats);
  void *partial;
  ASL_TRY(take_scratch(k.shards * floats * (int64_t)sizeof(float), &partial));
  k.partial = partial;
  asl_parallel(k.shards * g->groups * k.sides, sum_shard, &k);
  asl_parallel(g->groups * k.inner, add_shards, &k);
  asl_pool_give(partial);
  return ASL_OK;
}
