/* Which instruction set the CPU kernels use; compiled without instruction-set flags. */
#ifndef ASL_CPU_BACKENDS_H
#define ASL_CPU_BACKENDS_H

#include <stdlib.h>
#include <string.h>

#include "ops/ops.h"

extern const asl_backend asl_cpu_backend_avx2, asl_cpu_backend_portable;

/* The best one the machine has, or the one that ASL_ISA (avx2, portable) asks for; both give the same
 * bits. NULL when ASL_ISA asks for one that is unknown or that this machine lacks. */
static inline const asl_backend *asl_cpu_best_backend(void) {
  const char *wanted = getenv("ASL_ISA");
  bool has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (!wanted) return has_avx2 ? &asl_cpu_backend_avx2 : &asl_cpu_backend_portable;
  if (has_avx2 && strcmp(wanted, "avx2") == 0) return &asl_cpu_backend_avx2;
  return strcmp(wanted, "portable") == 0 ? &asl_cpu_backend_portable : NULL;
}

#endif
