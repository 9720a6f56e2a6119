/* Writing into an existing tensor: fill, copy, accumulate. */
#include "cuda/assign.h"

#include "cuda/strided.h"
extern "C" {
#include "ops/math/elementwise.h"
#include "ops/math/encode.h"
}

/* ---- fill ------------------------------------------------------------------------------------------------ */
enum { SPAN = 16 }; /* bytes that a thread writes at once */

struct fill_span {
  char *x;
  int64_t bytes;
  uint64_t pattern; /* eight bytes of elements */
  __device__ __forceinline__ void operator()(int64_t i) const {
    int64_t first = i * SPAN;
    if (first + SPAN <= bytes && (uintptr_t)x % SPAN == 0) {
      *reinterpret_cast<vec<uint64_t, 2> *>(x + first) = {{pattern, pattern}};
      return;
    }
    for (int b = 0; b < SPAN && first + b < bytes; b++) x[first + b] = (char)(pattern >> b % 8 * 8);
  }
};

static uint64_t repeated(uint64_t element, size_t size) {
  uint64_t pattern = 0;
  for (size_t b = 0; b < 8; b += size) pattern |= element << 8 * b;
  return pattern;
}

asl_status k_fill(const asl_call *call) {
  asl_tensor *x = call->in[0];
  size_t size = asl_dtype_size(x->dtype);
  uint64_t element = asl_encode(x->dtype, ASL_PARAMS(fill, call)->value);
  if (size < 8) element &= ((uint64_t)1 << 8 * size) - 1;
  fill_span f = {};
  f.x = (char *)asl_tensor_data(x);
  f.bytes = asl_tensor_bytes(x);
  f.pattern = repeated(element, size);
  int first = (int)(f.pattern & 0xff);
  if (f.bytes == 0) return ASL_OK;
  if (f.pattern == repeated((uint64_t)first, 1)) return queue_set(f.x, first, (size_t)f.bytes);
  return map(ceil_div(f.bytes, SPAN), f);
}

/* ---- copy ------------------------------------------------------------------------------------------------ */
asl_status k_copy(const asl_call *call) {
  asl_tensor *x = call->in[0], *source = call->in[1], *apart;
  if (x->storage != source->storage) return move_elements(x, source);
  /* They may overlap: all is read before anything is written. */
  ASL_TRY(asl_tensor_new(source->dtype, source->shape, ASL_THIS_DEVICE, &apart));
  asl_status status = move_elements(apart, source);
  if (status == ASL_OK) status = move_elements(x, apart);
  asl_tensor_release(apart);
  return status;
}

/* ---- accumulate ------------------------------------------------------------------------------------------ */
__device__ __forceinline__ float accumulated(const constants &k, float x, float y) { return x + (float)k.scale * y; }
__device__ __forceinline__ double accumulated(const constants &k, double x, double y) { return x + k.scale * y; }
__device__ __forceinline__ int64_t accumulated(const constants &k, int64_t x, int64_t y) {
  return asl_add_i64(x, asl_mul_i64((int64_t)k.scale, y));
}
template <class T> struct accumulate_op {
  enum { INPUTS = 2 };
  typedef T Y, A, B;
  typedef none C;
  static __device__ __forceinline__ T at(const constants &k, int64_t, T x, T y, none) {
    return store_number<T>(accumulated(k, load_number(x), load_number(y)));
  }
};

asl_status k_accumulate(const asl_call *call) {
  asl_tensor *x = call->in[0];
  constants k = {};
  k.scale = ASL_PARAMS(accumulate, call)->scale;
  AS_REAL(x->dtype, T, return strided_map<accumulate_op<T>>(x->shape, x, call->in, k))
  return strided_map<accumulate_op<int64_t>>(x->shape, x, call->in, k);
}
