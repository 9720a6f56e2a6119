/* sum, mean, max and sum_to: (outer, n, inner) -> (outer, inner), reducing the middle. Real numbers are accumulated in
 * double, whole ones in i64.
 *
 * Where there are few results, the middle is cut into pieces, as many as the shape alone says; their partial results
 * lie as (pieces, outer * inner) and are reduced once more. */
#include "cuda/strided.h"
extern "C" {
#include "ops/math/elementwise.h"
}

/* ---- what is reduced ------------------------------------------------------------------------------------ */
template <class T> struct accumulator { typedef double type; };
template <> struct accumulator<int32_t> { typedef int64_t type; };
template <> struct accumulator<int64_t> { typedef int64_t type; };

struct total {
  template <class A> static __device__ __forceinline__ A none() { return 0; }
  static __device__ __forceinline__ double join(double a, double b) { return a + b; }
  static __device__ __forceinline__ int64_t join(int64_t a, int64_t b) { return asl_add_i64(a, b); }
};
struct highest {
  template <class A> static __device__ __forceinline__ A none();
  static __device__ __forceinline__ double join(double a, double b) { return asl_maximum_f64(a, b); }
  static __device__ __forceinline__ int64_t join(int64_t a, int64_t b) { return asl_maximum_i64(a, b); }
};
template <> __device__ __forceinline__ double highest::none<double>() { return -HUGE_VAL; }
template <> __device__ __forceinline__ int64_t highest::none<int64_t>() { return INT64_MIN; }

typedef struct reduction {
  const void *x;
  void *y;
  int64_t outer, n, inner;
  int64_t pieces, piece; /* of the middle: how many, and how long; result q of piece k is y[k outer inner + q] */
  double divisor;        /* of real numbers */
  int64_t dtype;         /* of y */
} reduction;

__device__ __forceinline__ void store_result(const reduction &r, int64_t at, double value) {
  value /= r.divisor;
  if (r.dtype == ASL_F64) ((double *)r.y)[at] = value;
  else if (r.dtype == ASL_F32) ((float *)r.y)[at] = (float)value;
  else ((bf16 *)r.y)[at] = from_float<bf16>((float)value);
}
__device__ __forceinline__ void store_result(const reduction &r, int64_t at, int64_t value) {
  if (r.dtype == ASL_I64) ((int64_t *)r.y)[at] = value;
  else ((int32_t *)r.y)[at] = (int32_t)value;
}

/* ---- kernels -------------------------------------------------------------------------------------------- */
/* Short rows, inner = 1: `lanes` threads a row, a power of two up to 32. */
template <class T, class R> __global__ void rows_kernel(reduction r, int lanes) {
  typedef typename accumulator<T>::type A;
  const int lane = threadIdx.x % lanes, rows = blockDim.x / lanes;
  for (int64_t first = (int64_t)blockIdx.x * rows; first < r.outer; first += (int64_t)gridDim.x * rows) {
    int64_t row = first + threadIdx.x / lanes;
    A sum = R::template none<A>();
    if (row < r.outer) {
      const T *x = (const T *)r.x + row * r.n;
#pragma unroll 4
      for (int64_t i = lane; i < r.n; i += lanes) sum = R::join(sum, (A)load_number(x[i]));
    }
    for (int offset = lanes / 2; offset > 0; offset /= 2) sum = R::join(sum, __shfl_xor_sync(0xffffffffu, sum, offset));
    if (lane == 0 && row < r.outer) store_result(r, row, sum);
  }
}

/* The values of threads t, t + columns, t + 2 columns ... joined, on thread t < columns; `part` holds one a thread. */
template <class R, class A> __device__ __forceinline__ A join_columns(A value, A *part, int columns) {
  part[threadIdx.x] = value;
  __syncthreads();
  for (int half = BLOCK / 2; half >= columns; half /= 2) {
    if ((int)threadIdx.x < half) part[threadIdx.x] = R::join(part[threadIdx.x], part[threadIdx.x + half]);
    __syncthreads();
  }
  return part[threadIdx.x];
}

/* Long rows, inner = 1: a block a piece of a row; V elements together. */
template <class T, class R, int V> __global__ void piece_kernel(reduction r) {
  typedef typename accumulator<T>::type A;
  __shared__ A part[BLOCK];
  const int64_t row = blockIdx.x / r.pieces, k = blockIdx.x - row * r.pieces;
  const int64_t end = (k + 1) * r.piece < r.n ? (k + 1) * r.piece : r.n;
  const T *x = (const T *)r.x + row * r.n;
  A sum = R::template none<A>();
#pragma unroll 4
  for (int64_t i = k * r.piece + threadIdx.x * V; i < end; i += BLOCK * V) {
    vec<T, V> v = *reinterpret_cast<const vec<T, V> *>(x + i);
#pragma unroll
    for (int j = 0; j < V; j++) sum = R::join(sum, (A)load_number(v.v[j]));
  }
  sum = join_columns<R>(sum, part, 1);
  if (threadIdx.x == 0) store_result(r, k * r.outer + row, sum);
}

/* Columns: neighbouring threads have neighbouring results, `columns` a block; the other threads take other rows. */
template <class T, class R> __global__ void columns_kernel(reduction r, divider inner, int64_t blocks, int columns) {
  typedef typename accumulator<T>::type A;
  __shared__ A part[BLOCK];
  const int64_t k = blockIdx.x / blocks, results = r.outer * r.inner;
  const int64_t q = (blockIdx.x - k * blocks) * columns + threadIdx.x % columns;
  const int64_t end = (k + 1) * r.piece < r.n ? (k + 1) * r.piece : r.n;
  A sum = R::template none<A>();
  if (q < results) {
    int64_t outer = divide(inner, q);
    const T *x = (const T *)r.x + outer * r.n * r.inner + (q - outer * r.inner);
#pragma unroll 4
    for (int64_t i = k * r.piece + threadIdx.x / columns; i < end; i += BLOCK / columns)
      sum = R::join(sum, (A)load_number(x[i * r.inner]));
  }
  sum = join_columns<R>(sum, part, columns);
  if ((int)threadIdx.x < columns && q < results) store_result(r, k * results + q, sum);
}

/* ---- launching ------------------------------------------------------------------------------------------ */
enum { BLOCKS_WANTED = 8 * 132, LEAST_PIECE = 2048, SHORT = 256, MANY_ROWS = 2048, LONG = 8192 };

static int power_of_two(int64_t n, int most) {
  int p = 1;
  while (p < n && p < most) p *= 2;
  return p;
}

/* The middle in as many pieces as bring `blocks` blocks to those wanted, each of `least` rows or more. */
static void cut(reduction *r, int64_t blocks, int64_t least) {
  r->pieces = max_i64(1, min_i64(BLOCKS_WANTED / blocks, r->n / least));
  r->piece = ceil_div(ceil_div(r->n, r->pieces), least) * least;
  r->pieces = ceil_div(r->n, r->piece);
}

template <class T, class R> static asl_status launch_columns(const reduction &r, int columns) {
  int64_t blocks = ceil_div(r.outer * r.inner, columns);
  return launch(columns_kernel<T, R>, dim3((unsigned)(blocks * r.pieces)), dim3(BLOCK), 0, r, divider_of(r.inner),
                blocks, columns);
}

/* Columns a block: a warp's worth where there are so many side by side, more where the middle is short. */
static int columns_of(const reduction &r) {
  int side_by_side = power_of_two(r.inner, WARP);
  return (int)max_i64(side_by_side, BLOCK / power_of_two(r.n, BLOCK));
}

template <class T, class R> static asl_status launch_pieces(const reduction &r) {
  enum { V = 16 / sizeof(T) };
  dim3 grid((unsigned)(r.outer * r.pieces));
  if ((uintptr_t)r.x % 16 == 0 && r.n % V == 0) return launch(piece_kernel<T, R, V>, grid, dim3(BLOCK), 0, r);
  return launch(piece_kernel<T, R, 1>, grid, dim3(BLOCK), 0, r);
}

/* The pieces' results, `results` each, to y. */
template <class T, class R> static asl_status join_pieces(const reduction &r, const reduction &pieces) {
  typedef typename accumulator<T>::type A;
  reduction last = r;
  last.x = pieces.y;
  last.n = last.piece = pieces.pieces;
  last.inner = r.outer * r.inner;
  last.outer = last.pieces = 1;
  return launch_columns<A, R>(last, columns_of(last));
}

template <class T, class R> static asl_status reduce_as(reduction r) {
  bool rows = r.inner == 1;
  r.pieces = 1;
  r.piece = r.n;
  if (rows && (r.n <= SHORT || (r.n <= LONG && r.outer >= MANY_ROWS))) {
    int lanes = power_of_two(ceil_div(r.n, 4), WARP);
    return launch(rows_kernel<T, R>, grid_for(r.outer, BLOCK / lanes), dim3(BLOCK), 0, r, lanes);
  }
  reduction first = r;
  int columns = columns_of(r);
  if (rows) cut(&first, r.outer, LEAST_PIECE);
  else cut(&first, ceil_div(r.outer * r.inner, columns), 16 * BLOCK / columns);
  scratch partial;
  if (first.pieces > 1) {
    ASL_TRY(partial.take(first.pieces * r.outer * r.inner * 8));
    first.y = partial.data;
    first.divisor = 1;
    first.dtype = std::is_integral<T>::value ? ASL_I64 : ASL_F64;
  }
  asl_status status = rows ? launch_pieces<T, R>(first) : launch_columns<T, R>(first, columns);
  ASL_TRY(status);
  return first.pieces > 1 ? join_pieces<T, R>(r, first) : ASL_OK;
}

typedef struct operand {
  asl_dtype dtype;
  void *data;
} operand;

static reduction reduction_of(operand x, operand y, int64_t outer, int64_t n, int64_t inner) {
  reduction r = {};
  r.x = x.data;
  r.y = y.data;
  r.dtype = y.dtype;
  r.outer = outer;
  r.n = n;
  r.inner = inner;
  r.divisor = 1;
  return r;
}

static asl_status sum_of(operand x, reduction r) {
  if (r.outer * r.inner == 0) return ASL_OK;
  if (r.n == 0) return queue_set(r.y, 0, (size_t)(r.outer * r.inner) * asl_dtype_size((asl_dtype)r.dtype));
  AS_REAL(x.dtype, T, return reduce_as<T, total>(r))
  if (x.dtype == ASL_I64) return reduce_as<int64_t, total>(r);
  return not_supported(x.dtype);
}

static asl_status max_of(operand x, reduction r) {
  if (r.outer * r.inner == 0) return ASL_OK;
  AS_REAL(x.dtype, T, return reduce_as<T, highest>(r))
  AS_WHOLE(x.dtype, T, return reduce_as<T, highest>(r))
  return not_supported(x.dtype);
}

/* ---- the ops -------------------------------------------------------------------------------------------- */
static operand whole(const asl_tensor *t) { return {t->dtype, asl_tensor_data(t)}; }

static reduction along(const asl_call *call, int64_t dim) {
  const asl_tensor *x = call->in[0];
  int64_t outer = 1, n = 1, inner = 1;
  for (int d = 0; d < x->shape.rank; d++) {
    if (dim == 0 || d == dim - 1) n *= x->shape.size[d];
    else if (d < dim - 1) outer *= x->shape.size[d];
    else inner *= x->shape.size[d];
  }
  return reduction_of(whole(x), whole(call->out[0]), outer, n, inner);
}

asl_status k_sum(const asl_call *call) { return sum_of(whole(call->in[0]), along(call, ASL_PARAMS(sum, call)->dim)); }
asl_status k_max(const asl_call *call) { return max_of(whole(call->in[0]), along(call, ASL_PARAMS(max, call)->dim)); }
asl_status k_mean(const asl_call *call) {
  reduction r = along(call, ASL_PARAMS(mean, call)->dim);
  r.divisor = (double)r.n;
  return sum_of(whole(call->in[0]), r);
}

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
    else axes[n++] = {x.size[d], reduced};
  }
  return n;
}

/* One run after the other, the last first, through f64 in between. */
asl_status k_sum_to(const asl_call *call) {
  const asl_tensor *x = call->in[0], *y = call->out[0];
  axis axes[ASL_MAX_RANK];
  scratch between[ASL_MAX_RANK];
  int n = axes_of(x->shape, y->shape, axes), left = 0;
  for (int k = 0; k < n; k++) left += axes[k].reduced;
  if (asl_tensor_count(y) == 0) return ASL_OK;
  if (left == 0) return queue_copy(asl_tensor_data(y), asl_tensor_data(x), (size_t)asl_tensor_bytes(x));
  operand from = whole(x);
  int64_t inner = 1;
  for (int k = n - 1; left > 0; k--) {
    if (!axes[k].reduced) {
      inner *= axes[k].size;
      continue;
    }
    int64_t outer = 1;
    for (int i = 0; i < k; i++) outer *= axes[i].size;
    operand to = whole(y);
    if (--left > 0) {
      ASL_TRY(between[k].take(outer * inner * 8));
      to = {ASL_F64, between[k].data};
    }
    ASL_TRY(sum_of(from, reduction_of(from, to, outer, axes[k].size, inner)));
    from = to;
  }
  return ASL_OK;
}
