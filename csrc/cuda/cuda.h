/* What the CUDA kernels share: launching, types, loops, reductions, faults.
 *
 * The sources compile twice: by nvcc for the device "cuda", and by a C++ compiler, with the headers of
 * emu/ in place of CUDA's, for the device "emu" (ASL_EMULATED), on which they are tested without a GPU.
 *
 * Rules of all kernels: the same bits on every run: no float atomics, reductions in an order that depends
 * on the problem only; formulas of single elements come from ops/math; everything is launched through
 * launch() (queue.h), whose result is checked. */
#ifndef ASL_CUDA_CUDA_H
#define ASL_CUDA_CUDA_H

#include <cuda_bf16.h>
#include <cuda_runtime.h>
#include <stdint.h>

extern "C" {
#include "ops/ops.h"
}
#include "cuda/queue.h"

#ifdef ASL_EMULATED
#define ASL_THIS_DEVICE ASL_EMU
#define ASL_DYNAMIC_SHARED(type, name) type *name = (type *)asl_emu_dynamic_shared()
#else
#define ASL_THIS_DEVICE ASL_CUDA
#define ASL_DYNAMIC_SHARED(type, name)                                                             \
  extern __shared__ __align__(16) unsigned char asl_dynamic_shared[];                              \
  type *name = reinterpret_cast<type *>(asl_dynamic_shared)
#endif

/* Kernels of the table of operations. */
#define ASL_VIEW_OP(name, flags, inputs, outputs, params)
#define ASL_OP(name, flags, inputs, outputs, params)                                               \
  asl_status k_##name(const asl_call *call);
#include "ops/ops.def"
#undef ASL_OP

typedef __nv_bfloat16 bf16;

enum { WARP = 32, BLOCK = 256 };

static inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
static inline int64_t min_i64(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t max_i64(int64_t a, int64_t b) { return a > b ? a : b; }

/* Activations are f32 or bf16; arithmetic is f32. */
__device__ __forceinline__ float to_float(float x) { return x; }
__device__ __forceinline__ float to_float(bf16 x) { return __bfloat162float(x); }
template <class T> __device__ __forceinline__ T from_float(float x);
template <> __device__ __forceinline__ float from_float<float>(float x) { return x; }
template <> __device__ __forceinline__ bf16 from_float<bf16>(float x) { return __float2bfloat16_rn(x); }

/* V neighbouring values, loaded and stored in one access (16 bytes or less); p is aligned to it. */
template <class T, int V> struct alignas(sizeof(T) * V) vec {
  T v[V];
};
template <int V, class T> __device__ __forceinline__ void load_floats(const T *p, float out[V]) {
  vec<T, V> x = *reinterpret_cast<const vec<T, V> *>(p);
#pragma unroll
  for (int i = 0; i < V; i++) out[i] = to_float(x.v[i]);
}
template <int V, class T> __device__ __forceinline__ void store_floats(T *p, const float in[V]) {
  vec<T, V> x;
#pragma unroll
  for (int i = 0; i < V; i++) x.v[i] = from_float<T>(in[i]);
  *reinterpret_cast<vec<T, V> *>(p) = x;
}

/* The host side's switch over the two types of activations: AS_ACTIVATION(t->dtype, T, return f<T>(...)); */
#define AS_ACTIVATION(dtype_, T, ...)                                                              \
  do {                                                                                             \
    if ((dtype_) == ASL_BF16) {                                                                    \
      typedef bf16 T;                                                                              \
      __VA_ARGS__;                                                                                 \
    } else {                                                                                       \
      typedef float T;                                                                             \
      __VA_ARGS__;                                                                                 \
    }                                                                                              \
  } while (0)

template <class T> static inline T *data_of(const asl_tensor *t) { return t ? (T *)asl_tensor_data(t) : nullptr; }

/* ---- loops over elements ---------------------------------------------------------------------------- */
#define GRID_LOOP(i, n)                                                                            \
  for (int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; i < (n);                        \
       i += (int64_t)gridDim.x * blockDim.x)

/* Blocks for n elements, one each thread and more in turn when there are very many. */
static inline dim3 grid_for(int64_t n, int block = BLOCK) {
  return dim3((unsigned)max_i64(1, min_i64(ceil_div(n, block), 132 * 32)));
}

template <class F> __global__ void map_kernel(int64_t n, F f) { GRID_LOOP(i, n) f(i); }

/* f(i) for i in 0..n-1, in any order; F is a struct with `__device__ void operator()(int64_t) const`. */
template <class F> static inline asl_status map(int64_t n, F f) {
  return n == 0 ? ASL_OK : launch(map_kernel<F>, grid_for(n), dim3(BLOCK), 0, n, f);
}

/* ---- reductions, in a fixed order ------------------------------------------------------------------ */
/* The sum over the lanes of a warp, on all of them. All 32 lanes take part. */
template <class T> __device__ __forceinline__ T warp_sum(T x) {
#pragma unroll
  for (int offset = WARP / 2; offset > 0; offset /= 2) x += __shfl_xor_sync(0xffffffffu, x, offset);
  return x;
}
template <class T> __device__ __forceinline__ T warp_max(T x) {
#pragma unroll
  for (int offset = WARP / 2; offset > 0; offset /= 2) {
    T y = __shfl_xor_sync(0xffffffffu, x, offset);
    x = y > x || y != y ? y : x;
  }
  return x;
}

/* The sum over all threads of a block (a multiple of 32, at most 1024), on all of them. `shared` holds 33 values;
 * may be called again with the same. */
template <class T> __device__ __forceinline__ T block_sum(T x, T *shared) {
  int lane = threadIdx.x % WARP, warp = threadIdx.x / WARP, warps = blockDim.x / WARP;
  x = warp_sum(x);
  __syncthreads(); /* what was read from `shared` before */
  if (lane == 0) shared[warp] = x;
  __syncthreads();
  if (warp == 0) {
    T sum = warp_sum(lane < warps ? shared[lane] : T(0));
    if (lane == 0) shared[WARP] = sum;
  }
  __syncthreads();
  return shared[WARP];
}

/* ---- faults in data ---------------------------------------------------------------------------------- */
/* A kernel cannot fail, but it can note what was wrong: the lowest position of the first kernel that found
 * something. It becomes the error of the next call that waits for the device (engine.h). */
enum fault_kind { FAULT_LABEL = 1, FAULT_PREDICTION = 2, FAULT_INDEX = 3, FAULT_CAST = 4,
                  FAULT_LOGIT = 5 /* value: the upper half of its bits */, FAULT_NAN = 6 };
typedef unsigned long long asl_fault;

__device__ __forceinline__ void note_fault(asl_fault *fault, enum fault_kind kind, int64_t position, int value) {
  atomicMin(fault, (asl_fault)position << 24 | (asl_fault)(value & 0xffff) << 8 | (asl_fault)kind);
}

/* Where this call's kernels note faults. `call` and `limit` (classes, rows) are for the message. One call, one slot. */
asl_fault *fault_slot(const asl_call *call, int64_t limit);

/* ---- scratch ------------------------------------------------------------------------------------------- */
/* Device memory for the length of a call; work is ordered, so it may be given back while kernels still use it. */
struct scratch {
  void *data = nullptr;
  ~scratch() { asl_device_give(ASL_THIS_DEVICE, data); }
  asl_status take(int64_t bytes) { return asl_device_take(ASL_THIS_DEVICE, (size_t)bytes, "scratch", &data); }
  template <class T> T *as() const { return (T *)data; }
};

#endif
