/* Moving whole rows of memory: gather_rows, scatter_rows, concat; any dtype. */
#include <string.h>

#include "cpu/kernel.h"
#include "ops/fault.h"

enum { CHUNK_BYTES = 1 << 17 };

/* Row r of `rows`, `width` bytes, from `from` to `to`. An index, where there is one, says which
 * row of its side is meant. */
typedef struct rows_job {
  char *to;
  const char *from;
  int64_t to_pitch, from_pitch, width, rows;
  const int64_t *to_index, *from_index;
  int64_t pieces; /* a long row is cut into pieces, a chunk has several short rows */
  int64_t rows_per_chunk;
} rows_job;

static void move_chunk(void *context, int64_t chunk) {
  const rows_job *j = context;
  int64_t first = chunk / j->pieces * j->rows_per_chunk, piece = chunk % j->pieces;
  int64_t end = min_i64(first + j->rows_per_chunk, j->rows);
  share bytes = share_of(j->width, j->pieces, piece);
  for (int64_t r = first; r < end; r++) {
    int64_t to = j->to_index ? j->to_index[r] : r, from = j->from_index ? j->from_index[r] : r;
    memcpy(j->to + to * j->to_pitch + bytes.first, j->from + from * j->from_pitch + bytes.first,
           (size_t)(bytes.end - bytes.first));
  }
}

static void move_rows(rows_job *j) {
  if (j->width == 0) return;
  j->pieces = ceil_div(j->width, CHUNK_BYTES);
  j->rows_per_chunk = max_i64(1, CHUNK_BYTES / j->width);
  asl_parallel(ceil_div(j->rows, j->rows_per_chunk) * j->pieces, move_chunk, j);
}

/* ---- gather and scatter ---------------------------------------------------------------------- */
static int64_t row_bytes(const asl_tensor *x) {
  int64_t bytes = (int64_t)asl_dtype_size(x->dtype);
  for (int d = 1; d < x->shape.rank; d++) bytes *= x->shape.size[d];
  return bytes;
}

ASL_KERNEL(gather_rows) {
  asl_tensor *x = call->in[0], *index = call->in[1];
  ASL_TRY(asl_fault_indices(x, index));
  int64_t width = row_bytes(x);
  rows_job j = {.to = asl_tensor_data(call->out[0]), .to_pitch = width,
                .from = asl_tensor_data(x), .from_pitch = width, .from_index = asl_i64(index),
                .width = width, .rows = index->shape.size[0]};
  move_rows(&j);
  return ASL_OK;
}

/* In order, one after the other: when an index occurs twice, its last row stays. */
ASL_KERNEL(scatter_rows) {
  asl_tensor *x = call->in[0], *index = call->in[1], *rows = call->in[2];
  ASL_TRY(asl_fault_indices(x, index));
  const char *first = asl_tensor_data(x), *given = asl_tensor_data(rows);
  if (given < first + asl_tensor_bytes(x) && first < given + asl_tensor_bytes(rows))
    return asl_fail(ASL_EINVAL, "rows are part of x itself: copy them first");
  int64_t width = row_bytes(x);
  rows_job j = {.to = asl_tensor_data(x), .to_pitch = width, .to_index = asl_i64(index),
                .from = asl_tensor_data(rows), .from_pitch = width, .width = width,
                .rows = index->shape.size[0], .pieces = 1, .rows_per_chunk = INT64_MAX};
  move_chunk(&j, 0);
  return ASL_OK;
}

/* ---- concat ---------------------------------------------------------------------------------- */
ASL_KERNEL(concat) {
  asl_tensor *y = call->out[0];
  int dim = (int)ASL_PARAMS(concat, call)->dim - 1;
  int64_t outer = 1, inner = (int64_t)asl_dtype_size(y->dtype);
  for (int d = 0; d < dim; d++) outer *= y->shape.size[d];
  for (int d = dim + 1; d < y->shape.rank; d++) inner *= y->shape.size[d];
  char *to = asl_tensor_data(y);
  for (int i = 0; i < asl_op_get(call->op)->n_in; i++) {
    const asl_tensor *x = call->in[i];
    if (!x) continue;
    int64_t width = x->shape.size[dim] * inner;
    rows_job j = {.to = to, .to_pitch = y->shape.size[dim] * inner,
                  .from = asl_tensor_data(x), .from_pitch = width, .width = width, .rows = outer};
    move_rows(&j);
    to += width;
  }
  return ASL_OK;
}
