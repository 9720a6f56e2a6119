/* Elementwise kernels over operands that broadcast against one shape: y[i] = f(a[i], b[i], c[i]).
 *
 * f is a struct F:
 *   INPUTS            how many of a, b, c there are
 *   Y, A, B, C        the operands' types; `none` for inputs that are not there
 *   static __device__ Y at(const constants &k, int64_t i, A a, B b, C c)    i: the row-major position
 *
 * Where the innermost dimension of every operand lies together, or repeats one value, a thread moves 16 bytes of the
 * widest operand at once. */
#ifndef ASL_CUDA_STRIDED_H
#define ASL_CUDA_STRIDED_H

#include "cuda/cuda.h"
#include "cuda/divider.h"
extern "C" {
#include "tensor/walk.h"
}

/* What kernels know besides their operands. */
typedef struct constants {
  double scale, shift;
  asl_fault *fault;
} constants;

typedef uint8_t none;

typedef struct strided {
  int64_t count, groups; /* elements, and groups of V neighbours that a thread takes */
  int64_t rank;
  divider size[ASL_MAX_RANK]; /* innermost first, in groups */
  int64_t step[ASL_MAX_RANK][WALK_OPERANDS]; /* bytes; of dimension 0: from element to element */
  char *base[WALK_OPERANDS];
} strided;

/* Groups of `vector` elements, where the operands (element[k] bytes each) allow it; otherwise false. */
bool strided_init(strided *s, const asl_walk *walk, const int64_t element[], int vector);

template <int V> __device__ __forceinline__ void strided_at(const strided &s, int64_t group, char *at[WALK_OPERANDS]) {
#pragma unroll
  for (int k = 0; k < WALK_OPERANDS; k++) at[k] = s.base[k];
#pragma unroll
  for (int d = 0; d < ASL_MAX_RANK; d++) {
    if (d >= s.rank) break;
    int64_t rest = d + 1 < s.rank ? divide(s.size[d], group) : 0, index = group - rest * s.size[d].size;
    if (d == 0) index *= V;
#pragma unroll
    for (int k = 0; k < WALK_OPERANDS; k++) at[k] += index * s.step[d][k];
    group = rest;
  }
}

/* V elements, `step` bytes apart: together, or all the same one. */
template <int V, class T> __device__ __forceinline__ void strided_read(const char *from, int64_t step, T to[V]) {
  if (V == 1 || step == 0) {
#pragma unroll
    for (int i = 0; i < V; i++) to[i] = *reinterpret_cast<const T *>(from);
  } else {
    vec<T, V> x = *reinterpret_cast<const vec<T, V> *>(from);
#pragma unroll
    for (int i = 0; i < V; i++) to[i] = x.v[i];
  }
}

template <class F, int V>
__device__ __forceinline__ void strided_group(const strided &s, const constants &k, char *const at[], int64_t first) {
  typename F::A a[V] = {};
  typename F::B b[V] = {};
  typename F::C c[V] = {};
  vec<typename F::Y, V> y;
  strided_read<V>(at[1], s.step[0][1], a);
  if (F::INPUTS > 1) strided_read<V>(at[2], s.step[0][2], b);
  if (F::INPUTS > 2) strided_read<V>(at[3], s.step[0][3], c);
#pragma unroll
  for (int i = 0; i < V; i++) y.v[i] = F::at(k, first + i, a[i], b[i], c[i]);
  *reinterpret_cast<vec<typename F::Y, V> *>(at[0]) = y;
}

/* The last elements of a single row, which are fewer than a group. */
template <class F>
__device__ __forceinline__ void strided_rest(const strided &s, const constants &k, char *at[], int64_t first) {
  for (; first < s.count; first++) {
    strided_group<F, 1>(s, k, at, first);
    for (int o = 0; o < WALK_OPERANDS; o++) at[o] += s.step[0][o];
  }
}

template <class F, int V> __global__ void strided_kernel(strided s, constants k) {
  GRID_LOOP(group, s.groups) {
    char *at[WALK_OPERANDS];
    strided_at<V>(s, group, at);
    if constexpr (V == 1) strided_group<F, 1>(s, k, at, group);
    else if ((group + 1) * V <= s.count) strided_group<F, V>(s, k, at, group * V);
    else strided_rest<F>(s, k, at, group * V);
  }
}

/* The types worth the second, vector kernel. */
template <class T> struct is_common { enum { YES = 0 }; };
template <> struct is_common<float> { enum { YES = 1 }; };
template <> struct is_common<bf16> { enum { YES = 1 }; };
template <> struct is_common<uint8_t> { enum { YES = 1 }; };
template <class F> struct strided_width {
  enum {
    Y = sizeof(typename F::Y), A = sizeof(typename F::A), B = sizeof(typename F::B), C = sizeof(typename F::C),
    AB = (int)A > (int)B ? (int)A : (int)B, CY = (int)C > (int)Y ? (int)C : (int)Y,
    COMMON = is_common<typename F::Y>::YES && is_common<typename F::A>::YES && is_common<typename F::B>::YES &&
             is_common<typename F::C>::YES,
    V = COMMON ? 16 / ((int)AB > (int)CY ? (int)AB : (int)CY) : 1
  };
};

/* y = f(inputs), all of `shape` or broadcast to it; y may be one of the inputs, element for element. */
template <class F>
static inline asl_status strided_map(asl_shape shape, asl_tensor *y, asl_tensor *const inputs[], constants k) {
  enum { V = strided_width<F>::V };
  asl_tensor *operand[WALK_OPERANDS] = {y};
  int64_t element[WALK_OPERANDS] = {(int64_t)sizeof(typename F::Y), (int64_t)sizeof(typename F::A),
                                    (int64_t)sizeof(typename F::B), (int64_t)sizeof(typename F::C)};
  asl_walk walk;
  strided s = {};
  for (int i = 0; i < F::INPUTS; i++) operand[1 + i] = inputs[i];
  asl_walk_init(&walk, shape, 1 + F::INPUTS, operand);
  if (walk.count == 0) return ASL_OK;
  if constexpr (V > 1) {
    if (strided_init(&s, &walk, element, V))
      return launch(strided_kernel<F, V>, grid_for(s.groups), dim3(BLOCK), 0, s, k);
  }
  (void)strided_init(&s, &walk, element, 1);
  return launch(strided_kernel<F, 1>, grid_for(s.groups), dim3(BLOCK), 0, s, k);
}

/* ---- types --------------------------------------------------------------------------------------------- */
/* What a dtype is computed in: bf16 in f32, the others as they are. */
template <class T> struct computed { typedef T type; };
template <> struct computed<bf16> { typedef float type; };

template <class T> __device__ __forceinline__ typename computed<T>::type load_number(T x) { return x; }
template <> __device__ __forceinline__ float load_number<bf16>(bf16 x) { return to_float(x); }
template <class T> __device__ __forceinline__ T store_number(typename computed<T>::type x) { return x; }
template <> __device__ __forceinline__ bf16 store_number<bf16>(float x) { return from_float<bf16>(x); }

/* The host's switches over types: AS_REAL(dtype, T, return f<T>(...)). */
#define AS_REAL(dtype_, T, ...)                                                                    \
  switch (dtype_) {                                                                                \
  case ASL_F32: { typedef float T; __VA_ARGS__; }                                                  \
  case ASL_F64: { typedef double T; __VA_ARGS__; }                                                 \
  case ASL_BF16: { typedef bf16 T; __VA_ARGS__; }                                                  \
  default: break;                                                                                  \
  }
#define AS_WHOLE(dtype_, T, ...)                                                                   \
  switch (dtype_) {                                                                                \
  case ASL_I32: { typedef int32_t T; __VA_ARGS__; }                                                \
  case ASL_I64: { typedef int64_t T; __VA_ARGS__; }                                                \
  default: break;                                                                                  \
  }

static inline asl_status not_supported(asl_dtype dtype) {
  return asl_fail(ASL_ENOTSUP, "not supported for %s", asl_dtype_name(dtype));
}

#endif
