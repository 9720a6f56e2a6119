/* 1x1 convolutions: matrix products over blocks of pixels.
 *
 * A block's rows of x, normalised while they are copied, stay in the second-level cache for all
 * columns of y. The backward pass reads dy and x once: for a block of pixels it computes dz, from
 * it dx and the products of dweight, and the sums that the block before will need of dx. */
#include <string.h>

#include "cpu/conv.h"
#include "cpu/gemm.h"
#include "cpu/kernel.h"

enum {
  BLOCK = 96,             /* pixels at most: whole tiles of 6 rows */
  CACHE_FLOATS = 49152,   /* of a block: 192 KiB */
  CHUNKS = 16,            /* are wanted at least */
  SHARD_PIXELS = 192,     /* fewer are not worth a partial sum */
  PARTIAL_FLOATS = 1 << 20, /* 4 MiB of partial sums at most, unless few shards need more */
};

static int64_t up(int64_t n, int64_t multiple) { return ceil_div(n, multiple) * multiple; }

/* Row length of a copy: whole vectors, and no power of two, whose rows would meet in few sets of
 * the cache. */
static int64_t row_floats(int64_t channels) { return up(channels, GEMM_COLUMNS) + GEMM_COLUMNS; }

static int64_t block_pixels(int64_t pixels, int64_t channels) {
  int64_t fit = CACHE_FLOATS / channels, even = ceil_div(pixels, CHUNKS);
  return max_i64(12, up(min_i64(BLOCK, min_i64(fit, even)), GEMM_ROWS));
}

/* ---- forward --------------------------------------------------------------------------------- */
typedef struct forward_job {
  const asl_conv *g;
  const asl_source *x;
  const asl_ends *ends;
  float *packed, *y;
  int64_t block, splits; /* splits: of the columns */
  thread_scratch scratch; /* a block's rows of a pending x */
} forward_job;

int64_t pointwise_blocks(const asl_conv *g) {
  return ceil_div(g->wo, block_pixels(g->wo, g->c));
}

/* Few blocks of many columns are cut again. */
static int64_t splits_of(const asl_conv *g) {
  int64_t panels = ceil_div(g->o, GEMM_COLUMNS);
  return max_i64(1, min_i64(panels, CHUNKS / pointwise_blocks(g)));
}

static asl_product rows_of_x(const forward_job *k, const asl_window *rows) {
  asl_product p = {.a = k->x->data + rows->pixel * k->g->c, .a_stride = k->g->c};
  if (!k->x->pending) return p;
  float *scratch = thread_floats(&k->scratch);
  p.a = scratch;
  p.a_stride = row_floats(k->g->c);
  norm_source_rows(k->x, rows, scratch, p.a_stride, 0);
  return p;
}

static void forward_chunk(void *context, int64_t chunk) {
  const forward_job *k = context;
  const asl_conv *g = k->g;
  int64_t block = chunk / k->splits, first = block * k->block;
  share panels = share_of(ceil_div(g->o, GEMM_COLUMNS), k->splits, chunk % k->splits);
  int64_t column = panels.first * GEMM_COLUMNS, end = min_i64(panels.end * GEMM_COLUMNS, g->o);
  asl_window rows = {first, min_i64(k->block, g->wo - first), 0, g->c};
  asl_window done = {first, rows.pixels, column, end - column};
  asl_segment all = {0, 0, g->c};
  asl_product p = rows_of_x(k, &rows);
  p.packed = k->packed + column * g->c;
  p.k = g->c;
  p.n = end - column;
  p.segments = &all;
  p.count = 1;
  p.c = k->y + first * g->o + column;
  p.c_stride = g->o;
  p.bias = k->ends->bias ? k->ends->bias + column : NULL;
  p.norm = k->ends->norm;
  p.channel = column;
  gemm_rows(rows.pixels, &p);
  if (k->ends->finish) k->ends->finish(k->ends->context, block, &done);
}

asl_status pointwise_forward(const asl_conv *g, const asl_source *x, const float *weight, float *y,
                             const asl_ends *ends) {
  forward_job k = {.g = g, .x = x, .ends = ends, .y = y, .block = block_pixels(g->wo, g->c),
                   .splits = splits_of(g)};
  void *packed;
  ASL_TRY(take_scratch(gemm_packed_count(g->c, g->o) * (int64_t)sizeof(float), &packed));
  asl_status status = take_thread_scratch(x->pending ? k.block * row_floats(g->c) : 0, &k.scratch);
  if (status == ASL_OK) {
    k.packed = packed;
    gemm_pack(weight, 1, g->c, 0, g->c, g->c, g->o, k.packed);
    asl_parallel(pointwise_blocks(g) * k.splits, forward_chunk, &k);
    asl_pool_give(k.scratch.data);
  }
  asl_pool_give(packed);
  return status;
}

/* ---- backward -------------------------------------------------------------------------------- */
typedef struct backward_job {
  const asl_conv *g;
  const asl_source *x;
  const asl_gradient *dy;
  const asl_conv_grads *out;
  int64_t block, shards;
  float *packed;        /* weights for dx */
  float *partial;       /* (shard, rows, columns): of dweight */
  bool lanes_are_o;     /* columns are o, rows are c; else the other way round */
  int64_t rows, columns;
  double *sums;         /* (shard, 2, c) */
  int64_t dz_floats;
  thread_scratch scratch; /* a block's rows of dz and of x */
} backward_job;

typedef struct buffers { /* of a block of pixels */
  float *dz, *x;
  int64_t dz_row, x_row;
} buffers;

static void add_dx(const backward_job *k, const buffers *b, const asl_window *w) {
  const asl_conv *g = k->g;
  asl_segment all = {0, 0, g->o};
  asl_product p = {.a = b->dz, .a_stride = b->dz_row, .packed = k->packed, .k = g->o, .n = g->c,
                   .segments = &all, .count = 1, .c = k->out->dx + w->pixel * g->c,
                   .c_stride = g->c};
  gemm_rows(w->pixels, &p);
}

static void add_dweight(const backward_job *k, const buffers *b, int64_t pixels, bool accumulate,
                        float *sum) {
  if (k->lanes_are_o)
    gemm_outer(pixels, b->x, b->x_row, k->rows, b->dz, b->dz_row, k->columns, sum, k->columns,
               accumulate);
  else
    gemm_outer(pixels, b->dz, b->dz_row, k->rows, b->x, b->x_row, k->columns, sum, k->columns,
               accumulate);
}

static void backward_shard(void *context, int64_t shard) {
  const backward_job *k = context;
  const asl_conv *g = k->g;
  share part = share_of(g->wo, k->shards, shard);
  buffers b = {.dz = thread_floats(&k->scratch), .dz_row = row_floats(g->o),
               .x_row = row_floats(g->c)};
  b.x = b.dz + k->dz_floats;
  double *sums = k->sums + shard * 2 * g->c;
  if (k->out->dx_sums) memset(sums, 0, 2 * (size_t)g->c * sizeof *sums);
  for (int64_t first = part.first; first < part.end; first += k->block) {
    asl_window dz = {first, min_i64(k->block, part.end - first), 0, g->o}, x = dz;
    x.count = g->c;
    norm_gradient_rows(k->dy, &dz, b.dz, b.dz_row, up(g->o, GEMM_COLUMNS));
    if (k->out->dweight || k->out->dx_sums)
      norm_source_rows(k->x, &x, b.x, b.x_row, up(g->c, GEMM_COLUMNS));
    if (k->out->dweight)
      add_dweight(k, &b, dz.pixels, first > part.first,
                  k->partial + shard * k->rows * k->columns);
    if (k->out->dx) add_dx(k, &b, &x);
    if (k->out->dx_sums) norm_sums_rows(k->x, &x, k->out->dx, b.x, b.x_row, sums);
  }
}

static void add_shards(void *context, int64_t row) {
  const backward_job *k = context;
  const float *from = k->partial + row * k->columns;
  int64_t c = k->g->c, shard = k->rows * k->columns;
  if (k->lanes_are_o)
    gemm_add_shards(from, k->shards, shard, k->g->o, k->out->dweight + row, c);
  else
    gemm_add_shards(from, k->shards, shard, c, k->out->dweight + row * c, 1);
}

static void combine(backward_job *k) {
  if (k->out->dweight) asl_parallel(k->rows, add_shards, k);
  if (!k->out->dx_sums) return;
  for (int64_t c = 0; c < 2 * k->g->c; c++) {
    double sum = 0;
    for (int64_t s = 0; s < k->shards; s++) sum += k->sums[s * 2 * k->g->c + c];
    k->out->dx_sums[c] = sum;
  }
}

/* Tiles are 6 rows by 16 lanes: how many products are computed, with the padding. */
static int64_t products(int64_t rows, int64_t columns) {
  return up(rows, GEMM_ROWS) * up(columns, GEMM_COLUMNS);
}

static void plan(backward_job *k) {
  int64_t c = k->g->c, o = k->g->o, pixels = k->g->wo;
  k->lanes_are_o = products(c, o) <= products(o, c);
  k->rows = k->lanes_are_o ? c : o;
  k->columns = up(k->lanes_are_o ? o : c, GEMM_COLUMNS);
  int64_t most = max_i64(CHUNKS / 2, PARTIAL_FLOATS / (k->rows * k->columns));
  int64_t shards = max_i64(pixels / SHARD_PIXELS, min_i64(4, pixels / (SHARD_PIXELS / 4)));
  k->shards = max_i64(1, min_i64(min_i64(shards, most), SHARES));
  k->block = block_pixels(pixels, c + o);
  k->dz_floats = k->block * row_floats(o);
}

asl_status pointwise_backward(const asl_conv *g, const asl_source *x, const float *weight,
                              const asl_gradient *dy, const asl_conv_grads *out) {
  backward_job k = {.g = g, .x = x, .dy = dy, .out = out};
  plan(&k);
  int64_t sums = out->dx_sums ? k.shards * 2 * g->c : 0;
  int64_t packed = out->dx ? gemm_packed_count(g->o, g->c) : 0;
  int64_t partial = out->dweight ? k.shards * k.rows * k.columns : 0;
  void *taken;
  ASL_TRY(take_scratch(sums * (int64_t)sizeof(double) + (packed + partial) * (int64_t)sizeof(float),
                       &taken));
  k.sums = taken;
  k.packed = (float *)(void *)(k.sums + sums);
  k.partial = k.packed + packed;
  asl_status status = take_thread_scratch(k.dz_floats + k.block * row_floats(g->c), &k.scratch);
  if (status == ASL_OK) {
    if (out->dx) gemm_pack(weight, g->c, 1, 0, g->o, g->o, g->c, k.packed);
    asl_parallel(k.shards, backward_shard, &k);
    combine(&k);
    asl_pool_give(k.scratch.data);
  }
  asl_pool_give(taken);
  return status;
}
