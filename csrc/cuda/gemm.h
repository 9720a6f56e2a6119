/* Matrix products by cuBLAS (on the emulator: its own), in row-major order, f32 sums, no TF32 unless asked for. */
#ifndef ASL_CUDA_GEMM_H
#define ASL_CUDA_GEMM_H

#include "cuda/cuda.h"

/* A matrix in memory: element (r, c) at data[r * stride + c]; transposed: the product takes its transpose. */
typedef struct matrix {
  const void *data;
  int64_t stride;
  asl_dtype dtype; /* ASL_F32 or ASL_BF16 */
  bool transposed;
} matrix;

/* c (m, n) = a (m, k) b (k, n) + beta c, sizes as after transposition. a and b have one dtype; c f32 or the same.
 * beta: 0 or 1. Same bits for the same sizes on the same device. */
asl_status gemm(int64_t m, int64_t n, int64_t k, matrix a, matrix b, float beta, void *c, int64_t c_stride,
                asl_dtype c_dtype);

/* Makes cuBLAS ready for the stream of the queue, its workspace included, so that nothing is allocated later. */
asl_status gemm_open(void);

#endif
