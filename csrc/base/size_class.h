/* Sizes of cached blocks: rounded up to one of eight steps per power of two, so that at most 12.5 % is wasted and
 * blocks of a training step's shapes meet again in the same class. */
#ifndef ASL_BASE_SIZE_CLASS_H
#define ASL_BASE_SIZE_CLASS_H

#include <stddef.h>

enum { ASL_MIN_BLOCK_LOG2 = 9, ASL_SIZE_CLASSES = 8 * (48 - ASL_MIN_BLOCK_LOG2) };

/* The rounded size of at most 2^47 bytes, and its class. */
static inline size_t asl_size_class(size_t bytes, int *size_class) {
  size_t base = (size_t)1 << ASL_MIN_BLOCK_LOG2;
  *size_class = 0;
  if (bytes <= base) return base;
  int log2 = 63 - __builtin_clzll((unsigned long long)(bytes - 1));
  size_t low = (size_t)1 << log2, step = low / 8;
  size_t k = (bytes - low + step - 1) / step; /* 1..8 */
  *size_class = (log2 - ASL_MIN_BLOCK_LOG2) * 8 + (int)k;
  return low + k * step;
}

/* The size of a class. */
static inline size_t asl_class_size(int size_class) {
  if (size_class == 0) return (size_t)1 << ASL_MIN_BLOCK_LOG2;
  size_t low = (size_t)1 << (ASL_MIN_BLOCK_LOG2 + (size_class - 1) / 8);
  return low + (size_t)((size_class - 1) % 8 + 1) * (low / 8);
}

#endif
