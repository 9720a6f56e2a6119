/* Adaptive average pooling at several resolutions in one pass, and its gradient. */
#include <string.h>

#include "cpu/kernel.h"
#include "ops/math/pool.h"

enum { MAX_LEVELS = 4, BLOCK = 32 };

typedef struct level {
  int64_t height, width; /* windows */
  float *data;           /* (N, height, width, C) */
} level;

typedef struct job {
  float *x; /* (N, h, w, C) */
  int64_t pictures, h, w, channels;
  int levels;
  level level[MAX_LEVELS];
  int64_t blocks; /* of at most BLOCK channels */
  /* per share: forward the sums of all windows, backward the gradients of one row's windows */
  double *scratch;
  int64_t shares, scratch_share;
} job;

static job job_of(const asl_tensor *x_shape, float *x, asl_tensor *const pooled[], int levels) {
  const int64_t *size = x_shape->shape.size;
  job j = {.x = x, .pictures = size[0], .h = size[1], .w = size[2], .channels = size[3],
           .levels = levels};
  for (int k = 0; k < levels; k++)
    j.level[k] = (level){pooled[k]->shape.size[1], pooled[k]->shape.size[2], asl_f32(pooled[k])};
  return j;
}

static int64_t size_of(asl_window window) { return window.end - window.first; }

/* ---- forward --------------------------------------------------------------------------------- */
/* Adds row y of the picture to the sums of its windows; x, sums: the first of `n` channels. */
static void add_row(const job *j, const level *l, int64_t y, const float *x, int64_t n,
                    double *sums) {
  asl_window rows = asl_pool_window(y, l->height, j->h); /* the windows that hold y */
  for (int64_t i = 0; i < l->width; i++) {
    asl_window columns = asl_pool_window(i, j->w, l->width);
    double sum[BLOCK] = {0};
    for (int64_t c = columns.first; c < columns.end; c++)
      for (int64_t k = 0; k < n; k++) sum[k] += x[c * j->channels + k];
    for (int64_t r = rows.first; r < rows.end; r++)
      for (int64_t k = 0; k < n; k++) sums[(r * l->width + i) * BLOCK + k] += sum[k];
  }
}

static void store_means(const job *j, const level *l, const double *sums, int64_t n, float *y) {
  for (int64_t r = 0; r < l->height; r++) {
    int64_t height = size_of(asl_pool_window(r, j->h, l->height));
    for (int64_t i = 0; i < l->width; i++) {
      double area = (double)(height * size_of(asl_pool_window(i, j->w, l->width)));
      for (int64_t k = 0; k < n; k++)
        y[(r * l->width + i) * j->channels + k] =
            (float)(sums[(r * l->width + i) * BLOCK + k] / area);
    }
  }
}

/* One block of channels of one picture. */
static void pool_block(const job *j, int64_t index, double *sums) {
  int64_t picture = index / j->blocks, first = index % j->blocks * BLOCK;
  int64_t n = min_i64(BLOCK, j->channels - first);
  memset(sums, 0, (size_t)j->scratch_share * sizeof *sums);
  for (int64_t y = 0; y < j->h; y++) {
    const float *x = j->x + (picture * j->h + y) * j->w * j->channels + first;
    double *of_level = sums;
    for (int k = 0; k < j->levels; k++) {
      add_row(j, &j->level[k], y, x, n, of_level);
      of_level += j->level[k].height * j->level[k].width * BLOCK;
    }
  }
  for (int k = 0; k < j->levels; k++) {
    const level *l = &j->level[k];
    int64_t windows = l->height * l->width;
    store_means(j, l, sums, n, l->data + picture * windows * j->channels + first);
    sums += windows * BLOCK;
  }
}

static void pool_share(void *context, int64_t i) {
  const job *j = context;
  share blocks = share_of(j->pictures * j->blocks, j->shares, i);
  for (int64_t b = blocks.first; b < blocks.end; b++)
    pool_block(j, b, j->scratch + i * j->scratch_share);
}

static asl_status run(job *j, int64_t items, int64_t scratch_share, asl_chunk_fn fn) {
  void *scratch;
  j->shares = min_i64(SHARES, items);
  j->scratch_share = scratch_share;
  ASL_TRY(take_scratch(j->shares * scratch_share * (int64_t)sizeof(double), &scratch));
  j->scratch = scratch;
  asl_parallel(j->shares, fn, j);
  asl_pool_give(scratch);
  return ASL_OK;
}

static asl_status pool(const asl_call *call, int levels) {
  job j = job_of(call->in[0], asl_f32(call->in[0]), call->out, levels);
  j.blocks = ceil_div(j.channels, BLOCK);
  int64_t windows = 0;
  for (int k = 0; k < levels; k++) windows += j.level[k].height * j.level[k].width;
  return run(&j, j.pictures * j.blocks, windows * BLOCK, pool_share);
}

ASL_KERNEL(adaptive_avg_pool) { return pool(call, 1); }
ASL_KERNEL(pyramid_pool) { return pool(call, 4); }

/* ---- backward -------------------------------------------------------------------------------- */
/* columns[i] = sum over the windows (r, i) that hold row y of dy / area */
static void sum_windows(const job *j, const level *l, int64_t picture, int64_t y, double *columns) {
  asl_window rows = asl_pool_window(y, l->height, j->h);
  memset(columns, 0, (size_t)(l->width * j->channels) * sizeof *columns);
  for (int64_t r = rows.first; r < rows.end; r++) {
    int64_t height = size_of(asl_pool_window(r, j->h, l->height));
    const float *dy = l->data + (picture * l->height + r) * l->width * j->channels;
    for (int64_t i = 0; i < l->width; i++) {
      double area = (double)(height * size_of(asl_pool_window(i, j->w, l->width)));
      for (int64_t c = 0; c < j->channels; c++)
        columns[i * j->channels + c] += dy[i * j->channels + c] / area;
    }
  }
}

static void spread_row(const job *j, int64_t row, double *columns) {
  double *dx = columns; /* one pixel */
  columns += j->channels;
  double *of_level = columns;
  for (int k = 0; k < j->levels; k++) {
    sum_windows(j, &j->level[k], row / j->h, row % j->h, of_level);
    of_level += j->level[k].width * j->channels;
  }
  for (int64_t x = 0; x < j->w; x++) {
    memset(dx, 0, (size_t)j->channels * sizeof *dx);
    of_level = columns;
    for (int k = 0; k < j->levels; k++) {
      asl_window holding = asl_pool_window(x, j->level[k].width, j->w);
      for (int64_t i = holding.first; i < holding.end; i++)
        for (int64_t c = 0; c < j->channels; c++) dx[c] += of_level[i * j->channels + c];
      of_level += j->level[k].width * j->channels;
    }
    float *to = j->x + (row * j->w + x) * j->channels;
    for (int64_t c = 0; c < j->channels; c++) to[c] = (float)dx[c];
  }
}

static void spread_share(void *context, int64_t i) {
  const job *j = context;
  share rows = share_of(j->pictures * j->h, j->shares, i);
  for (int64_t r = rows.first; r < rows.end; r++)
    spread_row(j, r, j->scratch + i * j->scratch_share);
}

static asl_status spread(const asl_call *call, int levels) {
  job j = job_of(call->out[0], asl_f32(call->out[0]), call->in + 1, levels);
  int64_t columns = 1; /* the pixel */
  for (int k = 0; k < levels; k++) columns += j.level[k].width;
  return run(&j, j.pictures * j.h, columns * j.channels, spread_share);
}

ASL_KERNEL(adaptive_avg_pool_backward) { return spread(call, 1); }
ASL_KERNEL(pyramid_pool_backward) { return spread(call, 4); }
