/* Division of indices by a number the host knows, as a multiplication (Granlund & Montgomery, PLDI 1994). Indices from
 * 2^31 on are divided plainly. */
#ifndef ASL_CUDA_DIVIDER_H
#define ASL_CUDA_DIVIDER_H

#include "cuda/cuda.h"

typedef struct divider {
  int64_t size; /* >= 1 */
  uint32_t magic, shift;
} divider;

static inline divider divider_of(int64_t size) {
  divider d = {};
  d.size = size;
  if (size >> 31) return d;
  while (((int64_t)1 << d.shift) < size) d.shift++;
  d.magic = (uint32_t)((((uint64_t)1 << 32) * (((uint64_t)1 << d.shift) - (uint64_t)size)) / (uint64_t)size + 1);
  return d;
}

/* n / d.size, 0 <= n */
__device__ __forceinline__ int64_t divide(const divider &d, int64_t n) {
  if ((uint64_t)(n | d.size) >> 31) return n / d.size;
  return (__umulhi((uint32_t)n, d.magic) + (uint32_t)n) >> d.shift;
}

#endif
