/* Which instruction set the CPU kernels use; compiled without instruction-set flags. */
#ifndef ASL_CPU_BACKENDS_H
#define ASL_CPU_BACKENDS_H

#include <stdlib.h>
#include <string.h>

#include "ops/ops.h"

extern const asl_backend asl_cpu_backend_avx2, asl_cpu_backend_portable;

/* ASL_ISA=portable|avx2 forces one; otherwise avx2 where the machine has AVX2 and FMA. Both give
 * the same bits. */
static inline const asl_backend *asl_cpu_best_backend(void) {
  const char *forced = getenv("ASL_ISA");
  if (forced && strcmp(forced, "portable") == 0) return &asl_cpu_backend_portable;
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? &asl_cpu_backend_avx2
                                                                         : &asl_cpu_backend_portable;
}

#endif
