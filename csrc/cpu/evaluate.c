/* Counting over class maps: confusion, count_valid; and argmax. */
#include <string.h>

#include "cpu/kernel.h"
#include "cpu/labels.h"

/* ---- confusion ------------------------------------------------------------------------------- */
typedef struct confusion_job {
  const uint8_t *prediction, *labels;
  int64_t count, classes, shares;
  int64_t *counts; /* per share: (classes, classes) */
  first_fault fault;
} confusion_job;

static void confusion_share(void *context, int64_t i) {
  confusion_job *j = context;
  share range = share_of(j->count, j->shares, i);
  int64_t *counts = j->counts + i * j->classes * j->classes;
  memset(counts, 0, (size_t)(j->classes * j->classes) * sizeof *counts);
  int64_t fault = asl_confusion_add(j->prediction + range.first, j->labels + range.first,
                                    range.end - range.first, j->classes, counts);
  if (fault != NO_FAULT) note_fault(&j->fault, range.first + fault);
}

ASL_KERNEL(confusion) {
  const asl_tensor *prediction = call->in[0], *labels = call->in[1];
  int64_t classes = ASL_PARAMS(confusion, call)->classes, cells = classes * classes;
  int64_t *y = asl_i64(call->out[0]);
  confusion_job j = {.prediction = asl_u8(prediction), .labels = asl_u8(labels),
                     .count = asl_tensor_count(labels), .classes = classes, .fault = NO_FAULT};
  void *scratch;
  j.shares = min_i64(SHARES, ceil_div(j.count, CHUNK));
  ASL_TRY(take_scratch(j.shares * cells * (int64_t)sizeof *y, &scratch));
  j.counts = scratch;
  asl_parallel(j.shares, confusion_share, &j);
  asl_confusion_sum(j.counts, j.shares, classes, y);
  asl_pool_give(scratch);
  if (j.fault == NO_FAULT) return ASL_OK;
  bool label_at_fault = j.labels[j.fault] >= classes;
  return asl_label_fail(label_at_fault ? "label" : "prediction",
                        label_at_fault ? labels : prediction, j.fault, classes);
}

/* ---- count_valid ----------------------------------------------------------------------------- */
typedef struct count_job {
  const uint8_t *labels;
  int64_t count, ignore;
  _Atomic int64_t valid; /* whole numbers: the order does not matter */
} count_job;

static void count_chunk(void *context, int64_t chunk) {
  count_job *j = context;
  int64_t first = chunk * CHUNK, end = min_i64(first + CHUNK, j->count);
  int32_t valid = 0;
  for (int64_t i = first; i < end; i++) valid += j->labels[i] != j->ignore;
  atomic_fetch_add(&j->valid, valid);
}

ASL_KERNEL(count_valid) {
  const asl_tensor *labels = call->in[0];
  count_job j = {.labels = asl_u8(labels), .count = asl_tensor_count(labels),
                 .ignore = ASL_PARAMS(count_valid, call)->ignore};
  asl_parallel(ceil_div(j.count, CHUNK), count_chunk, &j);
  *asl_i64(call->out[0]) = j.valid;
  return ASL_OK;
}

/* ---- argmax ---------------------------------------------------------------------------------- */
typedef struct argmax_job {
  const void *x;
  asl_dtype dtype;
  int32_t *y;
  int64_t rows, n, rows_per_chunk;
  first_fault fault;
} argmax_job;

/* The first of the greatest, or -1 when there is NaN among them. */
#define ARGMAX(T)                                              \
  static int32_t argmax_##T(const T *x, int64_t n) {           \
    int64_t best = 0;                                          \
    bool nan = false;                                          \
    for (int64_t i = 0; i < n; i++) {                          \
      if (x[i] > x[best]) best = i;                            \
      nan |= x[i] != x[i];                                     \
    }                                                          \
    return nan ? -1 : (int32_t)best;                           \
  }
ARGMAX(float)
ARGMAX(double)

static void argmax_chunk(void *context, int64_t chunk) {
  argmax_job *j = context;
  int64_t first = chunk * j->rows_per_chunk, end = min_i64(first + j->rows_per_chunk, j->rows);
  for (int64_t r = first; r < end; r++) {
    j->y[r] = j->dtype == ASL_F32 ? argmax_float((const float *)j->x + r * j->n, j->n)
                                  : argmax_double((const double *)j->x + r * j->n, j->n);
    if (j->y[r] < 0) note_fault(&j->fault, r);
  }
}

ASL_KERNEL(argmax) {
  const asl_tensor *x = call->in[0];
  argmax_job j = {.x = asl_tensor_data(x), .dtype = x->dtype, .n = x->shape.size[x->shape.rank - 1],
                  .y = asl_tensor_data(call->out[0]), .rows = asl_tensor_count(call->out[0]),
                  .fault = NO_FAULT};
  if (j.dtype != ASL_F32 && j.dtype != ASL_F64)
    return asl_fail(ASL_ENOTSUP, "not supported for %s", asl_dtype_name(j.dtype));
  j.rows_per_chunk = max_i64(1, CHUNK / j.n);
  asl_parallel(ceil_div(j.rows, j.rows_per_chunk), argmax_chunk, &j);
  if (j.fault == NO_FAULT) return ASL_OK;
  return asl_fail(ASL_EDATA, "NaN in row %lld of %lld has no maximum", (long long)j.fault + 1,
                  (long long)j.rows);
}
