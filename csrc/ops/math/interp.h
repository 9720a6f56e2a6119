/* Bilinear resampling along one axis: where a target position lies between two source positions.
 * Exact integer arithmetic, so that every device agrees on the position. */
#ifndef ASL_OPS_MATH_INTERP_H
#define ASL_OPS_MATH_INTERP_H

#include <math.h>
#include <stdint.h>

#include "base/hd.h"

/* source = index + weight. index <= in - 2 (0 when in = 1), so index + 1 is valid when in > 1. */
typedef struct asl_interp {
  int32_t index;
  float weight; /* of index + 1, in [0, 1] */
} asl_interp;

/* align_corners: source = target (in-1)/(out-1), 0 where in or out is 1;
 * otherwise (target + 1/2) in/out - 1/2, clamped to [0, in-1]. */
ASL_HD asl_interp asl_interp_at(int64_t target, int64_t in, int64_t out, int align_corners) {
  asl_interp at = {0, 0.0f};
  if (in == 1 || (align_corners && out == 1)) return at;
  int64_t denominator = align_corners ? out - 1 : 2 * out;
  int64_t numerator = align_corners ? target * (in - 1) : (2 * target + 1) * in - out;
  if (numerator < 0) numerator = 0;
  if (numerator > (in - 1) * denominator) numerator = (in - 1) * denominator;
  int64_t index = numerator / denominator;
  if (index > in - 2) index = in - 2;
  at.index = (int32_t)index;
  at.weight = (float)(numerator - index * denominator) / (float)denominator;
  return at;
}

/* a + t (b - a), exact at t = 0 and t = 1 for finite a and b. */
ASL_HD float asl_lerp(float a, float b, float t) { return fmaf(b, t, a * (1.0f - t)); }

#endif
