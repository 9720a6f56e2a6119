/* The row of a softmax, taken by a few neighbouring lanes of a warp: shared by softmax, log_softmax and cross_entropy.
 * All lanes of the warp call these functions, also where a row has no elements for them. */
#ifndef ASL_CUDA_SOFTMAX_H
#define ASL_CUDA_SOFTMAX_H

#include "cuda/cuda.h"

enum { KEPT = 8, MOST_KEPT = WARP * KEPT }; /* values of a row that a lane has in registers; of all lanes */

typedef struct softmax_row {
  float max, sum; /* of the logits; of e^(scale (logit - max)). NaN in the logits: sum is NaN */
} softmax_row;

/* Lanes for rows of n: a power of two, at most a warp. */
static inline int softmax_lanes(int64_t n) {
  int lanes = 1;
  while (lanes < WARP && lanes * KEPT < n) lanes *= 2;
  return lanes;
}

__device__ __forceinline__ float lanes_sum(float x, int lanes) {
  for (int offset = lanes / 2; offset > 0; offset /= 2) x += __shfl_xor_sync(0xffffffffu, x, offset);
  return x;
}
__device__ __forceinline__ float lanes_max(float x, int lanes) {
  for (int offset = lanes / 2; offset > 0; offset /= 2) x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, offset));
  return x;
}

/* v[k] = x[lane + k lanes], -infinity from n <= MOST_KEPT on. */
template <class T>
__device__ __forceinline__ void softmax_load(const T *x, int n, int lane, int lanes, float v[KEPT]) {
#pragma unroll
  for (int k = 0; k < KEPT; k++) {
    int i = lane + k * lanes;
    v[k] = i < n ? to_float(x[i]) : -HUGE_VALF;
  }
}

/* scale > 0 */
__device__ __forceinline__ softmax_row softmax_of(const float v[KEPT], float scale, int lanes) {
  softmax_row row = {v[0], 0};
#pragma unroll
  for (int k = 1; k < KEPT; k++) row.max = fmaxf(row.max, v[k]);
  row.max = lanes_max(row.max, lanes);
#pragma unroll
  for (int k = 0; k < KEPT; k++) row.sum += expf(scale * (v[k] - row.max));
  row.sum = lanes_sum(row.sum, lanes);
  return row;
}

#endif
