/* softmax and log_softmax over the last dimension. Rows of up to 256 are read once and kept in registers. */
#include "cuda/softmax.h"

typedef struct softmax_job {
  const void *x;
  void *y;
  int64_t rows, n, log;
} softmax_job;

__device__ __forceinline__ float softmax_value(const softmax_job &j, softmax_row row, float log_sum, float x) {
  return j.log ? (x - row.max) - log_sum : expf(x - row.max) / row.sum;
}

template <class T> __global__ void short_rows_kernel(softmax_job j, int lanes) {
  const int lane = threadIdx.x % lanes, rows = blockDim.x / lanes;
  for (int64_t first = (int64_t)blockIdx.x * rows; first < j.rows; first += (int64_t)gridDim.x * rows) {
    int64_t at = first + threadIdx.x / lanes;
    int n = at < j.rows ? (int)j.n : 0;
    float v[KEPT];
    softmax_load((const T *)j.x + at * j.n, n, lane, lanes, v);
    softmax_row row = softmax_of(v, 1, lanes);
    float log_sum = logf(row.sum);
    T *y = (T *)j.y + at * j.n;
#pragma unroll
    for (int k = 0; k < KEPT; k++)
      if (lane + k * lanes < n) y[lane + k * lanes] = from_float<T>(softmax_value(j, row, log_sum, v[k]));
  }
}

/* The maximum over all threads of a block, on all of them; `shared` holds a value a warp. */
__device__ __forceinline__ float block_max(float x, float *shared) {
  x = lanes_max(x, WARP);
  __syncthreads(); /* what was read from `shared` before */
  if (threadIdx.x % WARP == 0) shared[threadIdx.x / WARP] = x;
  __syncthreads();
  for (int w = 0; w < BLOCK / WARP; w++) x = fmaxf(x, shared[w]);
  return x;
}

/* A block a row. */
template <class T> __global__ void long_rows_kernel(softmax_job j) {
  __shared__ float shared[WARP + 1];
  for (int64_t at = blockIdx.x; at < j.rows; at += gridDim.x) {
    const T *x = (const T *)j.x + at * j.n;
    T *y = (T *)j.y + at * j.n;
    softmax_row row = {-HUGE_VALF, 0};
    for (int64_t i = threadIdx.x; i < j.n; i += BLOCK) row.max = fmaxf(row.max, to_float(x[i]));
    row.max = block_max(row.max, shared);
    for (int64_t i = threadIdx.x; i < j.n; i += BLOCK) row.sum += expf(to_float(x[i]) - row.max);
    row.sum = block_sum(row.sum, shared);
    float log_sum = logf(row.sum);
    for (int64_t i = threadIdx.x; i < j.n; i += BLOCK)
      y[i] = from_float<T>(softmax_value(j, row, log_sum, to_float(x[i])));
  }
}

template <class T> static asl_status softmax_rows(const softmax_job &j) {
  if (j.n > MOST_KEPT) return launch(long_rows_kernel<T>, grid_for(j.rows, 1), dim3(BLOCK), 0, j);
  int lanes = softmax_lanes(j.n);
  return launch(short_rows_kernel<T>, grid_for(j.rows, BLOCK / lanes), dim3(BLOCK), 0, j, lanes);
}

static asl_status run(const asl_call *call, bool log) {
  const asl_tensor *x = call->in[0];
  softmax_job j = {};
  j.x = asl_tensor_data(x);
  j.y = asl_tensor_data(call->out[0]);
  j.n = x->shape.size[x->shape.rank - 1];
  j.log = log;
  if (asl_tensor_count(x) == 0) return ASL_OK;
  j.rows = asl_tensor_count(x) / j.n;
  AS_ACTIVATION(x->dtype, T, return softmax_rows<T>(j));
}

asl_status k_softmax(const asl_call *call) { return run(call, false); }
asl_status k_log_softmax(const asl_call *call) { return run(call, true); }
