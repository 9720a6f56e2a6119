/* A product that is rounded before anything is added to it. */
#ifndef ASL_OPS_MATH_PRODUCT_H
#define ASL_OPS_MATH_PRODUCT_H

#include "base/hd.h"

/* For sums of products whose bits all devices must share: a CUDA compiler would otherwise round
 * product and sum together. The host's compilers are told not to (-ffp-contract=off). */
ASL_HD double asl_product(double a, double b) {
#ifdef __CUDA_ARCH__
  return __dmul_rn(a, b);
#else
  return a * b;
#endif
}

#endif
