/* Windows of adaptive average pooling. */
#ifndef ASL_OPS_MATH_POOL_H
#define ASL_OPS_MATH_POOL_H

#include <stdint.h>

#include "base/hd.h"

typedef struct asl_window {
  int64_t first, end; /* first <= position < end */
} asl_window;

/* Window i of b over n positions: floor(i n/b) .. ceil((i+1) n/b); windows overlap when b does not
 * divide n. The relation is its own dual: the windows that hold position p are
 * asl_pool_window(p, b, n), with the numbers of windows and positions exchanged. */
ASL_HD asl_window asl_pool_window(int64_t i, int64_t n, int64_t b) {
  asl_window window = {i * n / b, ((i + 1) * n + b - 1) / b};
  return window;
}

#endif
