/* Bilinear resize, its gradient, and resize_concat. */
#include <string.h>

#include "cpu/kernel.h"
#include "cpu/resample.h"

typedef struct job {
  const float *from;
  float *to;
  int64_t pictures, channels;
  int64_t pitch; /* floats from one pixel of `to` to the next */
  asl_axis y, x;
  float *scratch; /* one blended row per share */
  int64_t shares, scratch_row;
} job;

static asl_status make_axes(job *j, asl_shape in, asl_shape out, bool align_corners) {
  ASL_TRY(asl_axis_new(in.size[1], out.size[1], align_corners, &j->y));
  return asl_axis_new(in.size[2], out.size[2], align_corners, &j->x);
}

/* Runs fn over shares of `rows` rows with a scratch row of `width` floats each. */
static asl_status run_rows(job *j, int64_t rows, int64_t width, asl_chunk_fn fn) {
  j->shares = min_i64(SHARES, rows);
  j->scratch_row = ceil_div(width, 16) * 16;
  void *scratch = NULL;
  asl_status status =
      take_scratch(j->shares * j->scratch_row * (int64_t)sizeof(float), &scratch);
  j->scratch = scratch;
  if (status == ASL_OK) asl_parallel(j->shares, fn, j);
  asl_pool_give(scratch);
  return status;
}

static void free_axes(job *j) {
  asl_axis_free(&j->y);
  asl_axis_free(&j->x);
}

/* ---- forward --------------------------------------------------------------------------------- */
static void resize_row(const job *j, int64_t row, float *blended) {
  int64_t width = j->x.in * j->channels, n = row / j->y.out;
  asl_interp at = j->y.at[row % j->y.out];
  const float *a = j->from + (n * j->y.in + at.index) * width;
  asl_lerp_row(a, j->y.in > 1 ? a + width : a, at.weight, width, blended);
  for (int64_t x = 0; x < j->x.out; x++) {
    const float *p = blended + j->x.at[x].index * j->channels;
    const float *q = j->x.in > 1 ? p + j->channels : p;
    asl_lerp_row(p, q, j->x.at[x].weight, j->channels, j->to + (row * j->x.out + x) * j->pitch);
  }
}

static void resize_share(void *context, int64_t i) {
  const job *j = context;
  share rows = share_of(j->pictures * j->y.out, j->shares, i);
  for (int64_t r = rows.first; r < rows.end; r++)
    resize_row(j, r, j->scratch + i * j->scratch_row);
}

/* Resizes x into channels of y that start at `to`. */
static asl_status resize_into(const asl_tensor *x, asl_shape y, float *to, bool align_corners) {
  job j = {.from = asl_f32(x), .to = to, .pictures = x->shape.size[0],
           .channels = x->shape.size[3], .pitch = y.size[3]};
  asl_status status = make_axes(&j, x->shape, y, align_corners);
  if (status == ASL_OK)
    status = run_rows(&j, j.pictures * j.y.out, j.x.in * j.channels, resize_share);
  free_axes(&j);
  return status;
}

ASL_KERNEL(resize) {
  asl_tensor *y = call->out[0];
  return resize_into(call->in[0], y->shape, asl_f32(y), ASL_PARAMS(resize, call)->align_corners);
}

static void copy_share(void *context, int64_t i) {
  const job *j = context;
  share pixels = share_of(j->pictures * j->y.out * j->x.out, j->shares, i);
  for (int64_t k = pixels.first; k < pixels.end; k++)
    memcpy(j->to + k * j->pitch, j->from + k * j->channels, (size_t)j->channels * sizeof(float));
}

ASL_KERNEL(resize_concat) {
  asl_tensor *x = call->in[0], *y = call->out[0];
  job j = {.from = asl_f32(x), .to = asl_f32(y), .pictures = x->shape.size[0],
           .channels = x->shape.size[3], .pitch = y->shape.size[3], .shares = SHARES,
           .y = {.out = y->shape.size[1]}, .x = {.out = y->shape.size[2]}};
  asl_parallel(j.shares, copy_share, &j);
  int64_t channel = j.channels;
  for (int k = 1; k < asl_op_get(call->op)->n_in; k++) {
    const asl_tensor *t = call->in[k];
    if (!t) continue;
    ASL_TRY(resize_into(t, y->shape, asl_f32(y) + channel, true));
    channel += t->shape.size[3];
  }
  return ASL_OK;
}

/* ---- backward -------------------------------------------------------------------------------- */
/* The weight of source position i for a target of axis `a` that lies in band i - 1 or i. */
static float weight_of(const asl_axis *a, int64_t target, int64_t i) {
  asl_interp at = a->at[target];
  return at.index == i ? 1.0f - at.weight : at.weight;
}

/* The targets that source position i has a part in: first <= target < end. */
static share targets_of(const asl_axis *a, int64_t i) {
  return (share){a->start[i > 0 ? i - 1 : 0], a->start[i + 1]};
}

static void add_scaled(float *y, const float *x, float scale, int64_t n) {
  for (int64_t i = 0; i < n; i++) y[i] = fmaf(scale, x[i], y[i]);
}

/* One row of dx gathers the rows of dy it had a part in, then within the sum pixel by pixel. */
static void gather_row(const job *j, int64_t row, float *gathered) {
  int64_t width = j->x.out * j->channels, n = row / j->y.in, i = row % j->y.in;
  share targets = targets_of(&j->y, i);
  memset(gathered, 0, (size_t)width * sizeof *gathered);
  for (int64_t t = targets.first; t < targets.end; t++)
    add_scaled(gathered, j->from + (n * j->y.out + t) * width, weight_of(&j->y, t, i), width);
  for (int64_t x = 0; x < j->x.in; x++) {
    float *dx = j->to + (row * j->x.in + x) * j->channels;
    targets = targets_of(&j->x, x);
    memset(dx, 0, (size_t)j->channels * sizeof *dx);
    for (int64_t t = targets.first; t < targets.end; t++)
      add_scaled(dx, gathered + t * j->channels, weight_of(&j->x, t, x), j->channels);
  }
}

static void gather_share(void *context, int64_t i) {
  const job *j = context;
  share rows = share_of(j->pictures * j->y.in, j->shares, i);
  for (int64_t r = rows.first; r < rows.end; r++)
    gather_row(j, r, j->scratch + i * j->scratch_row);
}

ASL_KERNEL(resize_backward) {
  const asl_tensor *dy = call->in[1], *dx = call->out[0];
  job j = {.from = asl_f32(dy), .to = asl_f32(dx), .pictures = dx->shape.size[0],
           .channels = dx->shape.size[3]};
  asl_status status =
      make_axes(&j, dx->shape, dy->shape, ASL_PARAMS(resize_backward, call)->align_corners);
  if (status == ASL_OK)
    status = run_rows(&j, j.pictures * j.y.in, j.x.out * j.channels, gather_share);
  free_axes(&j);
  return status;
}
