/* Elementwise operations on operands that broadcast; f32, f64, bf16 (computed in f32), whole numbers where the CPU has
 * them. */
#include "cuda/strided.h"
extern "C" {
#include "ops/math/elementwise.h"
}

/* ---- one input ------------------------------------------------------------------------------------------ */
#define UNARY(name, f32, f64)                                                                      \
  __device__ __forceinline__ float name##_of(const constants &k, float x) { return (void)k, f32; } \
  __device__ __forceinline__ double name##_of(const constants &k, double x) { return (void)k, f64; } \
  template <class T> struct name##_op {                                                            \
    enum { INPUTS = 1 };                                                                           \
    typedef T Y, A;                                                                                \
    typedef none B, C;                                                                             \
    static __device__ __forceinline__ T at(const constants &k, int64_t, T x, none, none) {         \
      return store_number<T>(name##_of(k, load_number(x)));                                        \
    }                                                                                              \
  };

UNARY(affine, x *(float)k.scale + (float)k.shift, x *k.scale + k.shift)
UNARY(relu, asl_relu_f32(x), asl_relu_f64(x))
UNARY(exp, expf(x), exp(x))
UNARY(log, logf(x), log(x))
UNARY(sqrt, sqrtf(x), sqrt(x))
UNARY(abs, fabsf(x), fabs(x))
UNARY(sigmoid, 1.0f / (1.0f + expf(-x)), 1.0 / (1.0 + exp(-x)))
UNARY(sign, asl_sign_f32(x), asl_sign_f64(x))

/* ---- two inputs ----------------------------------------------------------------------------------------- */
#define BINARY_OP(name)                                                                            \
  template <class T> struct name##_op {                                                            \
    enum { INPUTS = 2 };                                                                           \
    typedef T Y, A, B;                                                                             \
    typedef none C;                                                                                \
    static __device__ __forceinline__ T at(const constants &, int64_t, T a, T b, none) {           \
      return store_number<T>(name##_of(load_number(a), load_number(b)));                           \
    }                                                                                              \
  };
#define BINARY_OF(name, T, expression)                                                             \
  __device__ __forceinline__ T name##_of(T a, T b) { return expression; }
#define ARITHMETIC(name, op)                                                                       \
  BINARY_OF(name, float, a op b)                                                                   \
  BINARY_OF(name, double, a op b)                                                                  \
  BINARY_OF(name, int32_t, asl_##name##_i32(a, b))                                                 \
  BINARY_OF(name, int64_t, asl_##name##_i64(a, b))                                                 \
  BINARY_OP(name)
#define CHOICE(name)                                                                               \
  BINARY_OF(name, float, asl_##name##_f32(a, b))                                                   \
  BINARY_OF(name, double, asl_##name##_f64(a, b))                                                  \
  BINARY_OF(name, int32_t, asl_##name##_i32(a, b))                                                 \
  BINARY_OF(name, int64_t, asl_##name##_i64(a, b))                                                 \
  BINARY_OP(name)
#define COMPARISON(name, op)                                                                       \
  template <class T> struct name##_op {                                                            \
    enum { INPUTS = 2 };                                                                           \
    typedef uint8_t Y;                                                                             \
    typedef T A, B;                                                                                \
    typedef none C;                                                                                \
    static __device__ __forceinline__ uint8_t at(const constants &, int64_t, T a, T b, none) {     \
      return load_number(a) op load_number(b);                                                     \
    }                                                                                              \
  };

ARITHMETIC(add, +)
ARITHMETIC(sub, -)
ARITHMETIC(mul, *)
CHOICE(maximum)
CHOICE(minimum)
BINARY_OF(div, float, a / b)
BINARY_OF(div, double, a / b)
BINARY_OP(div)
COMPARISON(equal, ==)
COMPARISON(greater, >)

/* ---- where ---------------------------------------------------------------------------------------------- */
/* Values only move: T has their size. */
template <class T> struct where_op {
  enum { INPUTS = 3 };
  typedef T Y, B, C;
  typedef uint8_t A;
  static __device__ __forceinline__ T at(const constants &, int64_t, uint8_t condition, T a, T b) {
    return condition ? a : b;
  }
};

/* ---- the ops -------------------------------------------------------------------------------------------- */
template <class F> static asl_status apply(const asl_call *call, constants k = {}) {
  return strided_map<F>(call->out[0]->shape, call->out[0], call->in, k);
}

template <template <class> class Op> static asl_status for_real(const asl_call *call, constants k = {}) {
  AS_REAL(call->in[0]->dtype, T, return apply<Op<T>>(call, k))
  return not_supported(call->in[0]->dtype);
}

template <template <class> class Op> static asl_status for_number(const asl_call *call) {
  AS_WHOLE(call->in[0]->dtype, T, return apply<Op<T>>(call))
  return for_real<Op>(call);
}

template <template <class> class Op> static asl_status for_any(const asl_call *call) {
  if (call->in[0]->dtype == ASL_U8) return apply<Op<uint8_t>>(call);
  return for_number<Op>(call);
}

asl_status k_add(const asl_call *call) { return for_number<add_op>(call); }
asl_status k_sub(const asl_call *call) { return for_number<sub_op>(call); }
asl_status k_mul(const asl_call *call) { return for_number<mul_op>(call); }
asl_status k_div(const asl_call *call) { return for_real<div_op>(call); }
asl_status k_maximum(const asl_call *call) { return for_number<maximum_op>(call); }
asl_status k_minimum(const asl_call *call) { return for_number<minimum_op>(call); }
asl_status k_equal(const asl_call *call) { return for_any<equal_op>(call); }
asl_status k_greater(const asl_call *call) { return for_any<greater_op>(call); }

asl_status k_where(const asl_call *call) {
  switch (asl_dtype_size(call->out[0]->dtype)) {
  case 1: return apply<where_op<uint8_t>>(call);
  case 2: return apply<where_op<uint16_t>>(call);
  case 4: return apply<where_op<uint32_t>>(call);
  default: return apply<where_op<uint64_t>>(call);
  }
}

asl_status k_affine(const asl_call *call) {
  const asl_affine_params *p = ASL_PARAMS(affine, call);
  constants k = {};
  k.scale = p->scale;
  k.shift = p->shift;
  return for_real<affine_op>(call, k);
}
asl_status k_relu(const asl_call *call) { return for_real<relu_op>(call); }
asl_status k_exp(const asl_call *call) { return for_real<exp_op>(call); }
asl_status k_log(const asl_call *call) { return for_real<log_op>(call); }
asl_status k_sqrt(const asl_call *call) { return for_real<sqrt_op>(call); }
asl_status k_abs(const asl_call *call) { return for_real<abs_op>(call); }
asl_status k_sigmoid(const asl_call *call) { return for_real<sigmoid_op>(call); }
asl_status k_sign(const asl_call *call) { return for_real<sign_op>(call); }
