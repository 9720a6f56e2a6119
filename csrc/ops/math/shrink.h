/* One axis of making a picture smaller without aliasing: the triangle filter, stretched over the
 * pixels that fall together, in integers; what Pillow's resize(..., BILINEAR) computes. `to` <=
 * `from`, both at most 2^14. */
#ifndef ASL_OPS_MATH_SHRINK_H
#define ASL_OPS_MATH_SHRINK_H

#include <math.h>
#include <stdint.h>

#include "ops/math/product.h"

/* Of the weights' fractions: 255 * 2^22 and the weights' own rounding fit 31 bits. */
enum { ASL_SHRINK_BITS = 22, ASL_SHRINK_HALF = 1 << (ASL_SHRINK_BITS - 1) };

/* The most weights of a position; `to` positions have at most 5 `from` together. */
ASL_HD int asl_shrink_taps(int from, int to) { return 2 * ((from + to - 1) / to) + 1; }

/* How far pixel i contributes to a position whose filter has this centre, before the weights are
 * made to sum to 1. */
ASL_HD double asl_shrink_share(int i, double centre, double scale) {
  double share = 1 - asl_product(fabs(i - centre + 0.5), 1 / scale);
  return share > 0 ? share : 0;
}

/* The weights of pixels *first, *first + 1, ... at position `at`; returns how many. Their sum is
 * 2^22 up to rounding. */
ASL_HD int asl_shrink_weigh(int at, int from, int to, int *weights, int *first) {
  double scale = (double)from / to, centre = asl_product(at + 0.5, scale), sum = 0;
  int begin = (int)(centre - scale + 0.5), end = (int)(centre + scale + 0.5);
  if (begin < 0) begin = 0;
  if (end > from) end = from;
  for (int i = begin; i < end; i++) sum += asl_shrink_share(i, centre, scale);
  for (int i = begin; i < end; i++)
    weights[i - begin] =
        (int)(0.5 + asl_product(asl_shrink_share(i, centre, scale) / sum, 1 << ASL_SHRINK_BITS));
  *first = begin;
  return end - begin;
}

/* ASL_SHRINK_HALF and the weighted pixels, summed, as a byte. */
ASL_HD uint8_t asl_shrink_round(int sum) {
  int value = sum >> ASL_SHRINK_BITS;
  return (uint8_t)(value > 255 ? 255 : value);
}

#endif
