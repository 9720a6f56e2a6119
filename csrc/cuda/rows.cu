/* Moving whole rows of memory: gather_rows, scatter_rows, concat; any dtype. A thread moves a unit, the largest power
 * of two of bytes, at most 16, that all rows are made of. */
#include "cuda/divider.h"

typedef vec<uint32_t, 4> unit16;

/* The host's switch over units: `bits` is all addresses and widths or'ed together. */
#define AS_UNIT(bits, U, ...)                                                                      \
  do {                                                                                             \
    if ((bits) % 16 == 0) { typedef unit16 U; __VA_ARGS__; }                                       \
    if ((bits) % 8 == 0) { typedef uint64_t U; __VA_ARGS__; }                                      \
    if ((bits) % 4 == 0) { typedef uint32_t U; __VA_ARGS__; }                                      \
    if ((bits) % 2 == 0) { typedef uint16_t U; __VA_ARGS__; }                                      \
    typedef uint8_t U;                                                                             \
    __VA_ARGS__;                                                                                   \
  } while (0)

static int64_t row_bytes(const asl_tensor *x) {
  int64_t bytes = (int64_t)asl_dtype_size(x->dtype);
  for (int d = 1; d < x->shape.rank; d++) bytes *= x->shape.size[d];
  return bytes;
}

/* ---- gather and scatter ------------------------------------------------------------------------------------ */
/* Rows of a table x, named by an index, and the same rows one after the other. */
typedef struct row_move {
  char *to;
  const char *from;
  const int64_t *index;
  int64_t count, table; /* rows to move; rows of x */
  uint8_t *take;        /* scatter: rows that are to be written */
  asl_fault *fault;
} row_move;

/* Rows outside the table become zeros. */
template <class U> __global__ void gather_kernel(row_move m, divider width) {
  const U *from = reinterpret_cast<const U *>(m.from);
  U *to = reinterpret_cast<U *>(m.to);
  GRID_LOOP(u, m.count * width.size) {
    int64_t row = divide(width, u), column = u - row * width.size, source = m.index[row];
    bool inside = source >= 0 && source < m.table;
    if (!inside && column == 0) note_fault(m.fault, FAULT_INDEX, row, 0);
    U x = {};
    if (inside) x = from[source * width.size + column];
    to[u] = x;
  }
}

template <class U> static asl_status gather(row_move m, int64_t bytes) {
  divider width = divider_of(bytes / (int64_t)sizeof(U));
  return launch(gather_kernel<U>, grid_for(m.count * width.size), dim3(BLOCK), 0, m, width);
}

asl_status k_gather_rows(const asl_call *call) {
  const asl_tensor *x = call->in[0], *index = call->in[1], *y = call->out[0];
  row_move m = {};
  m.to = (char *)asl_tensor_data(y);
  m.from = (const char *)asl_tensor_data(x);
  m.index = asl_i64(index);
  m.count = index->shape.size[0];
  m.table = x->shape.size[0];
  if (asl_tensor_count(y) == 0) return ASL_OK;
  m.fault = fault_slot(call, m.table);
  int64_t bytes = row_bytes(x);
  AS_UNIT((uintptr_t)m.to | (uintptr_t)m.from | (uintptr_t)bytes, U, return gather<U>(m, bytes));
}

/* A warp a row: it is written unless a later one has the same place, or it has none. */
__global__ void take_kernel(row_move m) {
  int lane = threadIdx.x % WARP;
  int64_t row = ((int64_t)blockIdx.x * blockDim.x + threadIdx.x) / WARP;
  if (row >= m.count) return;
  int64_t place = m.index[row];
  bool inside = place >= 0 && place < m.table, again = false;
  for (int64_t next = row + 1; next < m.count && !again; next += WARP)
    again = __any_sync(0xffffffffu, next + lane < m.count && m.index[next + lane] == place);
  if (lane > 0) return;
  m.take[row] = inside && !again;
  if (!inside) note_fault(m.fault, FAULT_INDEX, row, 0);
}

template <class U> __global__ void scatter_kernel(row_move m, divider width) {
  const U *from = reinterpret_cast<const U *>(m.from);
  U *to = reinterpret_cast<U *>(m.to);
  GRID_LOOP(u, m.count * width.size) {
    int64_t row = divide(width, u);
    if (m.take[row]) to[m.index[row] * width.size + u - row * width.size] = from[u];
  }
}

template <class U> static asl_status scatter(row_move m, int64_t bytes) {
  divider width = divider_of(bytes / (int64_t)sizeof(U));
  return launch(scatter_kernel<U>, grid_for(m.count * width.size), dim3(BLOCK), 0, m, width);
}

asl_status k_scatter_rows(const asl_call *call) {
  const asl_tensor *x = call->in[0], *index = call->in[1], *rows = call->in[2];
  const char *first = (const char *)asl_tensor_data(x), *given = (const char *)asl_tensor_data(rows);
  if (given < first + asl_tensor_bytes(x) && first < given + asl_tensor_bytes(rows))
    return asl_fail(ASL_EINVAL, "rows are part of x itself: copy them first");
  row_move m = {};
  m.to = (char *)asl_tensor_data(x);
  m.from = given;
  m.index = asl_i64(index);
  m.count = index->shape.size[0];
  m.table = x->shape.size[0];
  if (asl_tensor_count(rows) == 0) return ASL_OK;
  scratch take;
  ASL_TRY(take.take(m.count));
  m.take = take.as<uint8_t>();
  m.fault = fault_slot(call, m.table);
  ASL_TRY(launch(take_kernel, dim3((unsigned)ceil_div(m.count, BLOCK / WARP)), dim3(BLOCK), 0, m));
  int64_t bytes = row_bytes(x);
  AS_UNIT((uintptr_t)m.to | (uintptr_t)m.from | (uintptr_t)bytes, U, return scatter<U>(m, bytes));
}

/* ---- concat -------------------------------------------------------------------------------------------------- */
enum { PARTS = 6 };

typedef struct parts {
  char *to;
  int64_t rows, count;
  const char *from[PARTS];
  int64_t first[PARTS + 1]; /* where in a row of y a part begins; bytes, in the kernel units */
} parts;

template <class U> __global__ void concat_kernel(parts p, divider width) {
  GRID_LOOP(u, p.rows * width.size) {
    int64_t row = divide(width, u), column = u - row * width.size;
    int64_t first = 0, own = p.first[1];
    const char *from = p.from[0];
#pragma unroll
    for (int k = 1; k < PARTS; k++) {
      if (k >= p.count || column < p.first[k]) continue;
      first = p.first[k];
      own = p.first[k + 1] - first;
      from = p.from[k];
    }
    reinterpret_cast<U *>(p.to)[u] = reinterpret_cast<const U *>(from)[row * own + column - first];
  }
}

template <class U> static asl_status concat(parts p) {
  for (int k = 0; k <= p.count; k++) p.first[k] /= (int64_t)sizeof(U);
  divider width = divider_of(p.first[p.count]);
  return launch(concat_kernel<U>, grid_for(p.rows * width.size), dim3(BLOCK), 0, p, width);
}

asl_status k_concat(const asl_call *call) {
  const asl_tensor *y = call->out[0];
  int dim = (int)ASL_PARAMS(concat, call)->dim - 1;
  int64_t inner = (int64_t)asl_dtype_size(y->dtype);
  parts p = {};
  p.to = (char *)asl_tensor_data(y);
  p.rows = 1;
  for (int d = 0; d < dim; d++) p.rows *= y->shape.size[d];
  for (int d = dim + 1; d < y->shape.rank; d++) inner *= y->shape.size[d];
  uintptr_t bits = (uintptr_t)p.to;
  for (int i = 0; i < PARTS; i++) {
    if (!call->in[i] || call->in[i]->shape.size[dim] == 0) continue;
    p.from[p.count] = (const char *)asl_tensor_data(call->in[i]);
    p.first[p.count + 1] = p.first[p.count] + call->in[i]->shape.size[dim] * inner;
    bits |= (uintptr_t)p.from[p.count] | (uintptr_t)p.first[p.count + 1];
    p.count++;
  }
  if (p.rows * p.first[p.count] == 0) return ASL_OK;
  AS_UNIT(bits, U, return concat<U>(p));
}
