/* bfloat16: the upper half of a float, rounded to nearest, ties to even; every NaN becomes 0x7FFF,
 * as on a GPU. */
#ifndef ASL_EMU_CUDA_BF16_H
#define ASL_EMU_CUDA_BF16_H

#include <stdint.h>
#include <string.h>

#include "emu_types.h"

static inline unsigned short asl_emu_bfloat16_bits(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return 0x7fff;
  return (unsigned short)((bits + 0x7fffu + (bits >> 16 & 1)) >> 16);
}

static inline float asl_emu_bfloat16_value(unsigned short half) {
  uint32_t bits = (uint32_t)half << 16;
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

struct alignas(2) __nv_bfloat16 {
  unsigned short __x;
  __nv_bfloat16() = default;
  __nv_bfloat16(float x) : __x(asl_emu_bfloat16_bits(x)) {}
  operator float() const { return asl_emu_bfloat16_value(__x); }
};

struct alignas(4) __nv_bfloat162 {
  __nv_bfloat16 x, y;
};

typedef __nv_bfloat16 nv_bfloat16;
typedef __nv_bfloat162 nv_bfloat162;

static inline __nv_bfloat16 __float2bfloat16(float x) { return __nv_bfloat16(x); }
static inline __nv_bfloat16 __float2bfloat16_rn(float x) { return __nv_bfloat16(x); }
static inline float __bfloat162float(__nv_bfloat16 x) { return asl_emu_bfloat16_value(x.__x); }
static inline unsigned short __bfloat16_as_ushort(__nv_bfloat16 x) { return x.__x; }

static inline __nv_bfloat16 __ushort_as_bfloat16(unsigned short bits) {
  __nv_bfloat16 x;
  x.__x = bits;
  return x;
}

static inline __nv_bfloat162 __halves2bfloat162(__nv_bfloat16 low, __nv_bfloat16 high) {
  __nv_bfloat162 pair;
  pair.x = low;
  pair.y = high;
  return pair;
}

static inline __nv_bfloat162 __floats2bfloat162_rn(float low, float high) {
  return __halves2bfloat162(__nv_bfloat16(low), __nv_bfloat16(high));
}

static inline __nv_bfloat162 __float2bfloat162_rn(float x) { return __floats2bfloat162_rn(x, x); }

static inline __nv_bfloat162 __float22bfloat162_rn(float2 pair) {
  return __floats2bfloat162_rn(pair.x, pair.y);
}

static inline float __low2float(__nv_bfloat162 pair) { return __bfloat162float(pair.x); }
static inline float __high2float(__nv_bfloat162 pair) { return __bfloat162float(pair.y); }
static inline __nv_bfloat16 __low2bfloat16(__nv_bfloat162 pair) { return pair.x; }
static inline __nv_bfloat16 __high2bfloat16(__nv_bfloat162 pair) { return pair.y; }

static inline float2 __bfloat1622float2(__nv_bfloat162 pair) {
  return make_float2(__low2float(pair), __high2float(pair));
}

#endif
