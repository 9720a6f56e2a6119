/* argmax(resize(logits)) without the full-size logits: the class map of a segmentation. */
#include <float.h>
#include <math.h>

#include "cpu/kernel.h"
#include "cpu/resample.h"
#include "cpu/simd.h"

enum { MAX_VECTORS = 256 / LANES };

typedef struct job {
  const float *logits;
  uint8_t *classes_of; /* the map */
  int64_t pictures, classes;
  asl_axis y, x;
  float *scratch; /* one blended row per share */
  int64_t shares, scratch_row;
  first_fault fault;
} job;

/* The first of the greatest of a pixel's finite logits. */
static uint8_t best_of(const float *p, const float *q, float weight, int vectors) {
  v8 z[MAX_VECTORS], max;
  const v8 u = v8_set(weight);
  max = z[0] = v8_lerp(v8_load(p), v8_load(q), u);
  for (int k = 1; k < vectors; k++) {
    z[k] = v8_lerp(v8_load(p + k * LANES), v8_load(q + k * LANES), u);
    max = v8_max(max, z[k]);
  }
  max = v8_set(v8_max_lane(max));
  for (int k = 0; k < vectors; k++) {
    unsigned mask = v8_equal_mask(z[k], max);
    if (mask) return (uint8_t)(k * LANES + __builtin_ctz(mask));
  }
  return 0;
}

static void do_row(const job *j, int64_t row, float *blended) {
  int64_t width = j->x.in * j->classes, n = row / j->y.out;
  asl_interp at = j->y.at[row % j->y.out];
  const float *above = j->logits + (n * j->y.in + at.index) * width;
  const float *below = j->y.in > 1 ? above + width : above;
  asl_lerp_row_padded(above, below, at.weight, j->x.in, j->classes, blended);
  int vectors = (int)((j->classes + LANES - 1) / LANES);
  for (int64_t x = 0; x < j->x.out; x++) {
    const float *p = blended + j->x.at[x].index * vectors * LANES;
    j->classes_of[row * j->x.out + x] = best_of(p, p + vectors * LANES, j->x.at[x].weight, vectors);
  }
}

static void do_share(void *context, int64_t i) {
  const job *j = context;
  share rows = share_of(j->pictures * j->y.out, j->shares, i);
  for (int64_t r = rows.first; r < rows.end; r++) do_row(j, r, j->scratch + i * j->scratch_row);
}

/* A class map cannot say NaN, so it is looked for in the logits. */
static void check_chunk(void *context, int64_t chunk) {
  job *j = context;
  int64_t count = j->pictures * j->y.in * j->x.in * j->classes;
  int64_t first = chunk * CHUNK, end = min_i64(first + CHUNK, count);
  int32_t bad = 0;
  for (int64_t i = first; i < end; i++) bad += !(fabsf(j->logits[i]) <= FLT_MAX);
  for (int64_t i = first; bad > 0 && i < end; i++) {
    if (fabsf(j->logits[i]) <= FLT_MAX) continue;
    note_fault(&j->fault, i);
    return;
  }
}

static asl_status check_logits(job *j) {
  asl_parallel(ceil_div(j->pictures * j->y.in * j->x.in * j->classes, CHUNK), check_chunk, j);
  int64_t bad = j->fault, pixel = bad / j->classes;
  if (bad == NO_FAULT) return ASL_OK;
  return asl_fail(ASL_EDATA, "logits are not finite: %g at picture %lld, row %lld, column %lld, "
                  "class %lld", (double)j->logits[bad],
                  (long long)(pixel / j->x.in / j->y.in + 1),
                  (long long)(pixel / j->x.in % j->y.in + 1), (long long)(pixel % j->x.in + 1),
                  (long long)(bad % j->classes));
}

static asl_status compute(job *j) {
  void *scratch;
  j->shares = min_i64(SHARES, j->pictures * j->y.out);
  j->scratch_row = asl_padded_row(j->x.in, j->classes);
  ASL_TRY(take_scratch(j->shares * j->scratch_row * (int64_t)sizeof(float), &scratch));
  j->scratch = scratch;
  asl_parallel(j->shares, do_share, j);
  asl_pool_give(scratch);
  return ASL_OK;
}

ASL_KERNEL(upsample_argmax) {
  const asl_tensor *logits = call->in[0], *y = call->out[0];
  const asl_upsample_argmax_params *p = ASL_PARAMS(upsample_argmax, call);
  const int64_t *in = logits->shape.size, *out = y->shape.size;
  job j = {.logits = asl_f32(logits), .classes_of = asl_u8(y), .pictures = in[0],
           .classes = in[3], .fault = NO_FAULT};
  asl_status status = asl_axis_new(in[1], out[1], p->align_corners, &j.y);
  if (status == ASL_OK) status = asl_axis_new(in[2], out[2], p->align_corners, &j.x);
  if (status == ASL_OK) status = check_logits(&j);
  if (status == ASL_OK) status = compute(&j);
  asl_axis_free(&j.y);
  asl_axis_free(&j.x);
  return status;
}
