#include "cuda/labels.h"

enum { SPAN = 16 };

/* n is a multiple of V, labels are aligned to it. */
template <int V> __global__ void count_kernel(const uint8_t *labels, int64_t n, int64_t ignore, int64_t *count) {
  __shared__ int shared[WARP + 1];
  int found = 0;
  GRID_LOOP(i, n / V) {
    vec<uint8_t, V> x = *reinterpret_cast<const vec<uint8_t, V> *>(labels + i * V);
#pragma unroll
    for (int k = 0; k < V; k++) found += x.v[k] != ignore;
  }
  found = block_sum(found, shared);
  if (threadIdx.x == 0 && found > 0) atomicAdd((unsigned long long *)count, (unsigned long long)found);
}

asl_status labels_count(const uint8_t *labels, int64_t n, int64_t ignore, int64_t *count) {
  enum { MOST_BLOCKS = 4 * 132 };
  ASL_TRY(queue_set(count, 0, sizeof *count));
  if (n == 0) return ASL_OK;
  if ((uintptr_t)labels % SPAN == 0 && n % SPAN == 0) {
    dim3 grid((unsigned)min_i64(MOST_BLOCKS, ceil_div(n, SPAN * BLOCK)));
    return launch(count_kernel<SPAN>, grid, dim3(BLOCK), 0, labels, n, ignore, count);
  }
  dim3 grid((unsigned)min_i64(MOST_BLOCKS, ceil_div(n, BLOCK)));
  return launch(count_kernel<1>, grid, dim3(BLOCK), 0, labels, n, ignore, count);
}

asl_status k_count_valid(const asl_call *call) {
  const asl_tensor *labels = call->in[0];
  return labels_count(asl_u8(labels), asl_tensor_count(labels), ASL_PARAMS(count_valid, call)->ignore,
                      asl_i64(call->out[0]));
}
