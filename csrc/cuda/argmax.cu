/* argmax over the last dimension: the first of the greatest. A row with NaN has none: a fault. */
#include "cuda/strided.h"

typedef struct argmax_job {
  const void *x;
  int32_t *y;
  int64_t rows, n;
  asl_fault *fault;
} argmax_job;

enum { NOTHING_YET = -1, NAN_SEEN = -2 };

template <class A> struct candidate {
  A value;
  int index; /* or one of the above */
  __device__ __forceinline__ void join(A other, int other_index) {
    if (index == NAN_SEEN || other_index == NOTHING_YET) return;
    bool better = index == NOTHING_YET || other_index == NAN_SEEN || other > value ||
                  (other == value && other_index < index);
    if (!better) return;
    value = other;
    index = other_index;
  }
};

/* `lanes` threads a row, a power of two up to 32. */
template <class T> __global__ void argmax_kernel(argmax_job j, int lanes) {
  typedef typename computed<T>::type A;
  const int lane = threadIdx.x % lanes, rows = blockDim.x / lanes;
  for (int64_t first = (int64_t)blockIdx.x * rows; first < j.rows; first += (int64_t)gridDim.x * rows) {
    int64_t row = first + threadIdx.x / lanes;
    candidate<A> best = {0, NOTHING_YET};
    for (int64_t i = lane; row < j.rows && i < j.n; i += lanes) {
      A x = load_number(((const T *)j.x)[row * j.n + i]);
      best.join(x, x != x ? (int)NAN_SEEN : (int)i);
    }
    for (int offset = lanes / 2; offset > 0; offset /= 2) {
      A other = __shfl_xor_sync(0xffffffffu, best.value, offset);
      best.join(other, __shfl_xor_sync(0xffffffffu, best.index, offset));
    }
    if (lane > 0 || row >= j.rows) continue;
    j.y[row] = best.index == NAN_SEEN ? 0 : best.index;
    if (best.index == NAN_SEEN) note_fault(j.fault, FAULT_NAN, row, 0);
  }
}

template <class T> static asl_status argmax(const argmax_job &j) {
  int lanes = 1;
  while (lanes < WARP && lanes * 4 < j.n) lanes *= 2;
  return launch(argmax_kernel<T>, grid_for(j.rows, BLOCK / lanes), dim3(BLOCK), 0, j, lanes);
}

asl_status k_argmax(const asl_call *call) {
  const asl_tensor *x = call->in[0];
  argmax_job j = {};
  j.x = asl_tensor_data(x);
  j.y = data_of<int32_t>(call->out[0]);
  j.rows = asl_tensor_count(call->out[0]);
  j.n = x->shape.size[x->shape.rank - 1];
  if (j.rows == 0) return ASL_OK;
  j.fault = fault_slot(call, j.rows);
  AS_REAL(x->dtype, T, return argmax<T>(j))
  return not_supported(x->dtype);
}
