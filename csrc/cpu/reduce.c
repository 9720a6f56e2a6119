/* sum, mean, max and sum_to: (outer, n, inner) -> (outer, inner), reducing the middle.
 *
 * The middle is cut into pieces of a fixed size, every piece gives a partial result, and these are
 * combined in order: the bits depend on the shape only. Real numbers are summed in double. */
#include <string.h>

#include "cpu/kernel.h"
#include "ops/math/elementwise.h"

enum { MIN_ROWS = 64, MAX_COLUMNS = 1024, RUN = 8 };

/* What a reduction does to one dtype; every accumulator is a double or an int64_t. */
typedef struct reducer {
  /* acc[c] = x[0][c] o x[1][c] o ..., rows `pitch` elements apart, rows >= 1 */
  void (*columns)(const void *x, int64_t rows, int64_t columns, int64_t pitch, void *acc);
  /* acc[0] = x[0] o x[1] o ..., n >= 1 */
  void (*run)(const void *x, int64_t n, void *acc);
  /* acc[c] = acc[c] o more[c] */
  void (*merge)(void *acc, const void *more, int64_t columns);
  /* y[c] = acc[c] / divisor */
  void (*store)(void *y, const void *acc, int64_t columns, double divisor);
} reducer;

/* COMBINE(A a, b) for accumulator type A; a run goes through RUN interleaved accumulators. */
#define REDUCER(name, T, A, COMBINE, STORED)                                                   \
  static inline __attribute__((always_inline)) void name##_columns_of(                         \
      const T *x, int64_t rows, int64_t columns, int64_t pitch, A *restrict acc) {             \
    for (int64_t c = 0; c < columns; c++) acc[c] = (A)x[c];                                    \
    for (int64_t r = 1; r < rows; r++)                                                         \
      for (int64_t c = 0; c < columns; c++) acc[c] = COMBINE(acc[c], (A)x[r * pitch + c]);     \
  }                                                                                            \
  static void name##_columns(const void *x, int64_t rows, int64_t columns, int64_t pitch,      \
                             void *acc) {                                                      \
    name##_columns_of(x, rows, columns, pitch, acc);                                           \
  }                                                                                            \
  static void name##_run(const void *x_, int64_t n, void *acc_) {                              \
    const T *x = x_;                                                                           \
    A lane[RUN], acc = (A)x[0];                                                                \
    int64_t i = n < RUN ? 1 : n - n % RUN;                                                     \
    if (n >= RUN) {                                                                            \
      name##_columns_of(x, n / RUN, RUN, RUN, lane);                                           \
      acc = lane[0];                                                                           \
      for (int k = 1; k < RUN; k++) acc = COMBINE(acc, lane[k]);                               \
    }                                                                                          \
    for (; i < n; i++) acc = COMBINE(acc, (A)x[i]);                                            \
    *(A *)acc_ = acc;                                                                          \
  }                                                                                            \
  static void name##_merge(void *acc_, const void *more_, int64_t columns) {                   \
    A *acc = acc_;                                                                             \
    const A *more = more_;                                                                     \
    for (int64_t c = 0; c < columns; c++) acc[c] = COMBINE(acc[c], more[c]);                   \
  }                                                                                            \
  static void name##_store(void *y_, const void *acc_, int64_t columns, double divisor) {      \
    T *y = y_;                                                                                 \
    const A *acc = acc_;                                                                       \
    (void)divisor;                                                                             \
    for (int64_t c = 0; c < columns; c++) y[c] = (T)(STORED);                                  \
  }                                                                                            \
  static const reducer name = {name##_columns, name##_run, name##_merge, name##_store};

#define PLUS(a, b) ((a) + (b))
REDUCER(total_f32, float, double, PLUS, acc[c] / divisor)
REDUCER(total_f64, double, double, PLUS, acc[c] / divisor)
REDUCER(total_i64, int64_t, int64_t, asl_add_i64, acc[c])
REDUCER(highest_f32, float, double, asl_maximum_f64, acc[c])
REDUCER(highest_f64, double, double, asl_maximum_f64, acc[c])
REDUCER(highest_i32, int32_t, int64_t, asl_maximum_i64, acc[c])
REDUCER(highest_i64, int64_t, int64_t, asl_maximum_i64, acc[c])

static const reducer *const sums[ASL_DTYPES] = {
    [ASL_F32] = &total_f32, [ASL_F64] = &total_f64, [ASL_I64] = &total_i64};
static const reducer *const maxima[ASL_DTYPES] = {
    [ASL_F32] = &highest_f32, [ASL_F64] = &highest_f64,
    [ASL_I32] = &highest_i32, [ASL_I64] = &highest_i64};

/* ---- one reduction --------------------------------------------------------------------------- */
typedef struct job {
  const reducer *with;
  const char *x;
  char *partial; /* (outer, pieces, inner) accumulators */
  int64_t element;
  int64_t outer, n, inner;
  int64_t pieces, blocks; /* of the middle; of the columns */
  int64_t units_per_chunk;
} job;

/* A unit is one block of columns in one piece of the middle. */
static void reduce_unit(const job *j, int64_t unit) {
  int64_t block = unit % j->blocks, piece = unit / j->blocks % j->pieces,
          outer = unit / j->blocks / j->pieces;
  share rows = share_of(j->n, j->pieces, piece), columns = share_of(j->inner, j->blocks, block);
  int64_t count = rows.end - rows.first;
  const char *x = j->x + ((outer * j->n + rows.first) * j->inner + columns.first) * j->element;
  char *acc = j->partial + ((outer * j->pieces + piece) * j->inner + columns.first) * 8;
  if (j->inner == 1) j->with->run(x, count, acc);
  else j->with->columns(x, count, columns.end - columns.first, j->inner, acc);
}

static void reduce_chunk(void *context, int64_t chunk) {
  const job *j = context;
  int64_t first = chunk * j->units_per_chunk;
  int64_t end = min_i64(first + j->units_per_chunk, j->outer * j->pieces * j->blocks);
  for (int64_t unit = first; unit < end; unit++) reduce_unit(j, unit);
}

typedef struct operand {
  asl_dtype dtype;
  void *data;
} operand;

/* y (outer, inner) = x (outer, n, inner) reduced over n, / divisor. x and y may differ in dtype
 * where their reducers have the same accumulator. */
static asl_status reduce(const reducer *const with[ASL_DTYPES], operand x, operand y,
                         int64_t outer, int64_t n, int64_t inner, double divisor) {
  int64_t element = (int64_t)asl_dtype_size(y.dtype);
  if (outer * inner == 0) return ASL_OK;
  if (n == 0) { /* sums only: the checks refuse the maximum of nothing */
    memset(y.data, 0, (size_t)(outer * inner * element));
    return ASL_OK;
  }
  job j = {.with = with[x.dtype], .x = x.data, .element = (int64_t)asl_dtype_size(x.dtype),
           .outer = outer, .n = n, .inner = inner};
  j.pieces = ceil_div(n, max_i64(MIN_ROWS, CHUNK / inner));
  j.blocks = ceil_div(inner, MAX_COLUMNS);
  j.units_per_chunk = max_i64(1, CHUNK / ceil_div(n * inner, j.pieces * j.blocks));
  void *scratch;
  ASL_TRY(take_scratch(outer * j.pieces * inner * 8, &scratch));
  j.partial = scratch;
  asl_parallel(ceil_div(outer * j.pieces * j.blocks, j.units_per_chunk), reduce_chunk, &j);
  if (j.pieces == 1) {
    with[y.dtype]->store(y.data, scratch, outer * inner, divisor);
    outer = 0;
  }
  for (int64_t o = 0; o < outer; o++) {
    char *first = j.partial + o * j.pieces * inner * 8;
    for (int64_t p = 1; p < j.pieces; p++) j.with->merge(first, first + p * inner * 8, inner);
    with[y.dtype]->store((char *)y.data + o * inner * element, first, inner, divisor);
  }
  asl_pool_give(scratch);
  return ASL_OK;
}

/* ---- the ops --------------------------------------------------------------------------------- */
static operand whole(const asl_tensor *t) { return (operand){t->dtype, asl_tensor_data(t)}; }

static asl_status reduce_dim(const asl_call *call, const reducer *const with[ASL_DTYPES],
                             int64_t dim, bool mean) {
  const asl_tensor *x = call->in[0];
  if (!with[x->dtype])
    return asl_fail(ASL_ENOTSUP, "not supported for %s", asl_dtype_name(x->dtype));
  int64_t outer = 1, n = 1, inner = 1;
  for (int d = 0; d < x->shape.rank; d++) {
    if (dim == 0 || d == dim - 1) n *= x->shape.size[d];
    else if (d < dim - 1) outer *= x->shape.size[d];
    else inner *= x->shape.size[d];
  }
  return reduce(with, whole(x), whole(call->out[0]), outer, n, inner, mean ? (double)n : 1.0);
}

ASL_KERNEL(sum) { return reduce_dim(call, sums, ASL_PARAMS(sum, call)->dim, false); }
ASL_KERNEL(mean) { return reduce_dim(call, sums, ASL_PARAMS(mean, call)->dim, true); }
ASL_KERNEL(max) { return reduce_dim(call, maxima, ASL_PARAMS(max, call)->dim, false); }

/* Dimensions of x in runs of equal treatment, size 1 left out: kept, reduced, kept, ... */
typedef struct axis {
  int64_t size;
  bool reduced;
} axis;

static int axes_of(const asl_shape x, const asl_shape like, axis axes[ASL_MAX_RANK]) {
  int n = 0;
  for (int d = 0; d < x.rank; d++) {
    int own = d - (x.rank - like.rank);
    bool reduced = x.size[d] != 1 && (own < 0 || like.size[own] == 1);
    if (x.size[d] == 1) continue;
    if (n > 0 && axes[n - 1].reduced == reduced) axes[n - 1].size *= x.size[d];
    else axes[n++] = (axis){x.size[d], reduced};
  }
  return n;
}

/* One run after the other, the last first, through f64 in between. */
ASL_KERNEL(sum_to) {
  const asl_tensor *x = call->in[0], *y = call->out[0];
  axis axes[ASL_MAX_RANK];
  int n = axes_of(x->shape, y->shape, axes), left = 0;
  for (int k = 0; k < n; k++) left += axes[k].reduced;
  if (left == 0) memcpy(asl_tensor_data(y), asl_tensor_data(x), (size_t)asl_tensor_bytes(x));
  operand from = whole(x);
  void *between = NULL; /* owns from.data after the first run */
  int64_t inner = 1;
  asl_status status = ASL_OK;
  for (int k = n - 1; left > 0 && status == ASL_OK; k--) {
    if (!axes[k].reduced) {
      inner *= axes[k].size;
      continue;
    }
    int64_t outer = 1;
    for (int i = 0; i < k; i++) outer *= axes[i].size;
    operand to = whole(y);
    if (--left > 0) {
      to.dtype = ASL_F64;
      status = take_scratch(outer * inner * 8, &to.data);
    }
    if (status == ASL_OK) status = reduce(sums, from, to, outer, axes[k].size, inner, 1.0);
    asl_pool_give(between);
    between = left > 0 ? to.data : NULL;
    from = to;
  }
  asl_pool_give(between);
  return status;
}
