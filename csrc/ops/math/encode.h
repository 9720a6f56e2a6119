/* A number as the bytes of one element of a tensor. */
#ifndef ASL_OPS_MATH_ENCODE_H
#define ASL_OPS_MATH_ENCODE_H

#include <string.h>

#include "base/bf16.h"
#include "tensor/tensor.h"

/* `value`, which the dtype can hold (whole numbers: exactly), as its element: the first bytes of the result. */
static inline uint64_t asl_encode(asl_dtype dtype, double value) {
  uint64_t bytes = 0;
  float f = (float)value;
  if (dtype == ASL_F32) memcpy(&bytes, &f, sizeof f);
  else if (dtype == ASL_F64) memcpy(&bytes, &value, sizeof value);
  else if (dtype == ASL_BF16) bytes = asl_bf16_from_f32(f);
  else { /* little endian: the low bytes are the narrower number */
    int64_t whole = (int64_t)value;
    memcpy(&bytes, &whole, sizeof whole);
  }
  return bytes;
}

#endif
