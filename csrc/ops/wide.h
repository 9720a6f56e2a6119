/* Loops over pixels in two versions: for the instructions that the build is for, and for AVX2 where
 * the CPU's kernels use it. They compute in integers, so that both give the same bits. Vectors are
 * those of gcc and clang; they stay inside a body, as passing them depends on the instructions. */
#ifndef ASL_OPS_WIDE_H
#define ASL_OPS_WIDE_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "ops/ops.h"

typedef uint8_t asl_u8x16 __attribute__((vector_size(16)));
typedef uint16_t asl_u16x8 __attribute__((vector_size(16)));
typedef uint16_t asl_u16x16 __attribute__((vector_size(32)));
typedef int32_t asl_i32x8 __attribute__((vector_size(32)));
typedef uint32_t asl_u32x4 __attribute__((vector_size(16)));

/* ASL_WIDE(name, parameters, arguments) defines the static function `name` from the function
 * name_body that ASL_BODY stands before; both return nothing. */
#define ASL_BODY static inline __attribute__((always_inline)) void

#if defined(__x86_64__)
static inline bool asl_has_avx2(void) {
  const asl_backend *cpu = asl_backend_of(ASL_CPU);
  return cpu && strcmp(cpu->name, "avx2") == 0;
}
#define ASL_WIDE(name, parameters, arguments)                                                      \
  static void name##_plain parameters { name##_body arguments; }                                   \
  __attribute__((target("avx2"))) static void name##_avx2 parameters { name##_body arguments; }    \
  static void name parameters {                                                                    \
    if (asl_has_avx2()) name##_avx2 arguments;                                                     \
    else name##_plain arguments;                                                                   \
  }
#else
#define ASL_WIDE(name, parameters, arguments)                                                      \
  static void name parameters { name##_body arguments; }
#endif

/* Sixteen bytes as numbers. */
ASL_BODY asl_widen_body(const asl_u8x16 *from, asl_i32x8 to[2]) {
  asl_u16x16 all = __builtin_convertvector(*from, asl_u16x16);
  asl_u16x8 low = __builtin_shufflevector(all, all, 0, 1, 2, 3, 4, 5, 6, 7);
  asl_u16x8 high = __builtin_shufflevector(all, all, 8, 9, 10, 11, 12, 13, 14, 15);
  to[0] = __builtin_convertvector(low, asl_i32x8);
  to[1] = __builtin_convertvector(high, asl_i32x8);
}

/* The inverse, of numbers that are bytes. */
ASL_BODY asl_narrow_body(const asl_i32x8 from[2], asl_u8x16 *to) {
  asl_u16x8 low = __builtin_convertvector(from[0], asl_u16x8);
  asl_u16x8 high = __builtin_convertvector(from[1], asl_u16x8);
  asl_u16x16 all =
      __builtin_shufflevector(low, high, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  *to = __builtin_convertvector(all, asl_u8x16);
}

/* Four bytes in memory as numbers. */
ASL_BODY asl_load4_body(const uint8_t *from, asl_u32x4 *to) {
  const asl_u8x16 zero = {0};
  uint32_t four;
  memcpy(&four, from, sizeof four);
  asl_u8x16 bytes = (asl_u8x16)(asl_u32x4){four};
  *to = (asl_u32x4)__builtin_shufflevector(bytes, zero, 0, 16, 16, 16, 1, 16, 16, 16, 2, 16, 16, 16,
                                           3, 16, 16, 16);
}

/* The inverse, of numbers that are bytes. */
ASL_BODY asl_store4_body(const asl_u32x4 *from, uint8_t *to) {
  asl_u8x16 bytes = (asl_u8x16)*from;
  asl_u32x4 packed = (asl_u32x4)__builtin_shufflevector(bytes, bytes, 0, 4, 8, 12, 0, 4, 8, 12, 0,
                                                        4, 8, 12, 0, 4, 8, 12);
  uint32_t four = packed[0];
  memcpy(to, &four, sizeof four);
}

#endif
