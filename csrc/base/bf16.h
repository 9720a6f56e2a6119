/* bf16: the upper 16 bits of an f32. */
#ifndef ASL_BASE_BF16_H
#define ASL_BASE_BF16_H

#include <stdint.h>
#include <string.h>

#include "base/hd.h"

ASL_HD float asl_bf16_to_f32(uint16_t x) {
  uint32_t bits = (uint32_t)x << 16;
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

/* To nearest, ties to even; a NaN stays a NaN (as __float2bfloat16_rn: 0x7fff). */
ASL_HD uint16_t asl_bf16_from_f32(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return 0x7fff;
  return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1)) >> 16);
}

#endif
