/* Conversion between dtypes, also the way to make a tensor contiguous. A value either fits its new dtype or is a fault;
 * real numbers become whole ones by rounding to nearest, ties to even; bf16 is made from f32. */
#include "cuda/assign.h"
#include "cuda/strided.h"

/* What a whole dtype holds: low <= value < end. */
template <class T> struct whole_range;
template <> struct whole_range<uint8_t> {
  static __device__ __forceinline__ double low() { return 0; }
  static __device__ __forceinline__ double end() { return 256; }
};
template <> struct whole_range<int32_t> {
  static __device__ __forceinline__ double low() { return -0x1p31; }
  static __device__ __forceinline__ double end() { return 0x1p31; }
};
template <> struct whole_range<int64_t> {
  static __device__ __forceinline__ double low() { return -0x1p63; }
  static __device__ __forceinline__ double end() { return 0x1p63; }
};

/* False where it does not fit, NaN included; *y is then 0. */
template <class Y, class X> __device__ __forceinline__ bool real_to_whole(X x, Y *y) {
  X v = sizeof(X) == 4 ? (X)rintf((float)x) : (X)rint((double)x);
  bool fits = v >= (X)whole_range<Y>::low() && v < (X)whole_range<Y>::end();
  *y = fits ? (Y)v : (Y)0;
  return fits;
}
template <class Y> __device__ __forceinline__ bool convert(float x, Y *y) { return real_to_whole<Y, float>(x, y); }
template <class Y> __device__ __forceinline__ bool convert(double x, Y *y) { return real_to_whole<Y, double>(x, y); }
template <class Y> __device__ __forceinline__ bool convert(int64_t x, Y *y) {
  *y = (Y)x;
  bool fits = (int64_t)*y == x;
  if (!fits) *y = 0;
  return fits;
}
template <class Y> __device__ __forceinline__ bool convert(int32_t x, Y *y) { return convert<Y>((int64_t)x, y); }
template <class Y> __device__ __forceinline__ bool convert(uint8_t x, Y *y) { return *y = (Y)x, true; }

#define TO_REAL(X)                                                                                 \
  template <> __device__ __forceinline__ bool convert<float>(X x, float *y) { return *y = (float)x, true; } \
  template <> __device__ __forceinline__ bool convert<double>(X x, double *y) { return *y = (double)x, true; } \
  template <> __device__ __forceinline__ bool convert<bf16>(X x, bf16 *y) {                        \
    return *y = from_float<bf16>((float)x), true;                                                  \
  }
TO_REAL(float)
TO_REAL(double)
TO_REAL(uint8_t)
TO_REAL(int32_t)
TO_REAL(int64_t)

template <class Y_, class X> struct cast_op {
  enum { INPUTS = 1 };
  typedef Y_ Y;
  typedef X A;
  typedef none B, C;
  static __device__ __forceinline__ Y at(const constants &k, int64_t i, X x, none, none) {
    Y y;
    if (!convert<Y>(load_number(x), &y)) note_fault(k.fault, FAULT_CAST, i, 0);
    return y;
  }
};

/* The same bytes, at other places. */
template <class T> struct move_op {
  enum { INPUTS = 1 };
  typedef T Y, A;
  typedef none B, C;
  static __device__ __forceinline__ T at(const constants &, int64_t, T x, none, none) { return x; }
};

asl_status move_elements(asl_tensor *y, asl_tensor *x) {
  asl_tensor *const in[] = {x};
  if (asl_tensor_count(y) == 0) return ASL_OK;
  if (asl_tensor_contiguous(x) && asl_tensor_contiguous(y) && asl_shape_equal(x->shape, y->shape))
    return queue_copy(asl_tensor_data(y), asl_tensor_data(x), (size_t)asl_tensor_bytes(x));
  switch (asl_dtype_size(x->dtype)) {
  case 1: return strided_map<move_op<uint8_t>>(y->shape, y, in, {});
  case 2: return strided_map<move_op<uint16_t>>(y->shape, y, in, {});
  case 4: return strided_map<move_op<uint32_t>>(y->shape, y, in, {});
  default: return strided_map<move_op<uint64_t>>(y->shape, y, in, {});
  }
}

template <class Y> static asl_status cast_to(const asl_call *call, constants k) {
  asl_tensor *x = call->in[0], *y = call->out[0];
  if (x->dtype == ASL_U8) return strided_map<cast_op<Y, uint8_t>>(y->shape, y, call->in, k);
  AS_REAL(x->dtype, X, return strided_map<cast_op<Y, X>>(y->shape, y, call->in, k))
  AS_WHOLE(x->dtype, X, return strided_map<cast_op<Y, X>>(y->shape, y, call->in, k))
  return not_supported(x->dtype);
}

static bool is_real(asl_dtype dtype) { return dtype == ASL_F32 || dtype == ASL_F64 || dtype == ASL_BF16; }

asl_status k_cast(const asl_call *call) {
  const asl_tensor *y = call->out[0];
  constants k = {};
  if (y->dtype == call->in[0]->dtype) return move_elements(call->out[0], call->in[0]);
  if (!is_real(y->dtype)) k.fault = fault_slot(call, 0);
  if (y->dtype == ASL_U8) return cast_to<uint8_t>(call, k);
  AS_REAL(y->dtype, Y, return cast_to<Y>(call, k))
  AS_WHOLE(y->dtype, Y, return cast_to<Y>(call, k))
  return not_supported(y->dtype);
}
