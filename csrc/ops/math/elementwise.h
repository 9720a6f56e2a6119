/* Formulas of one element whose corner cases every backend must share. NaN goes through all; `|`
 * rather than `||` where a branch would keep a loop from using vectors. */
#ifndef ASL_OPS_MATH_ELEMENTWISE_H
#define ASL_OPS_MATH_ELEMENTWISE_H

#include <stdint.h>

#include "base/hd.h"

#define ASL_REAL_FORMULAS(T, suffix)                                              \
  ASL_HD T asl_maximum_##suffix(T a, T b) { return ((a > b) | (a != a)) ? a : b; }\
  ASL_HD T asl_minimum_##suffix(T a, T b) { return ((a < b) | (a != a)) ? a : b; }\
  ASL_HD T asl_relu_##suffix(T x) { return x <= 0 ? 0 : x; }                      \
  ASL_HD T asl_sign_##suffix(T x) { return x > 0 ? 1 : x < 0 ? -1 : x; }

/* Whole numbers wrap around. */
#define ASL_WHOLE_FORMULAS(T, U, suffix)                                          \
  ASL_HD T asl_add_##suffix(T a, T b) { return (T)((U)a + (U)b); }                \
  ASL_HD T asl_sub_##suffix(T a, T b) { return (T)((U)a - (U)b); }                \
  ASL_HD T asl_mul_##suffix(T a, T b) { return (T)((U)a * (U)b); }                \
  ASL_HD T asl_maximum_##suffix(T a, T b) { return a > b ? a : b; }               \
  ASL_HD T asl_minimum_##suffix(T a, T b) { return a < b ? a : b; }

ASL_REAL_FORMULAS(float, f32)
ASL_REAL_FORMULAS(double, f64)
ASL_WHOLE_FORMULAS(int32_t, uint32_t, i32)
ASL_WHOLE_FORMULAS(int64_t, uint64_t, i64)
#undef ASL_REAL_FORMULAS
#undef ASL_WHOLE_FORMULAS

#endif
