/* f16: IEEE 754 binary16. */
#ifndef ASL_BASE_F16_H
#define ASL_BASE_F16_H

#include <stdint.h>
#include <string.h>

/* Exact: every f16 is an f32. */
static inline float asl_f16_to_f32(uint16_t x) {
  uint32_t sign = (uint32_t)(x & 0x8000) << 16, exponent = x >> 10 & 31, fraction = x & 0x3FF;
  if (exponent == 0) return (sign ? -0x1p-24f : 0x1p-24f) * (float)fraction;
  uint32_t bits = sign | (exponent == 31 ? 0x7F800000u : (exponent + 112) << 23) | fraction << 13;
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

#endif
