/* Matrix products of cuBLAS's shapes, computed in f32 in an order that depends on k alone: products
 * are added by fma within chunks of ASL_EMU_CHUNK along k, chunks in order to slabs of
 * ASL_EMU_SLAB, slabs in order to the whole. */
#ifndef ASL_EMU_GEMM_H
#define ASL_EMU_GEMM_H

#include <stdint.h>

enum { ASL_EMU_CHUNK = 256, ASL_EMU_SLAB = 64 * ASL_EMU_CHUNK };

/* A matrix, or its transpose, stored by columns: element (i, j) of the stored one at i + j ld. */
struct asl_emu_operand {
  const void *data;
  int64_t ld, stride; /* stride: from one product of a batch to the next */
  bool is_transposed, is_bf16;
};

/* C (m x n) = alpha A (m x k) B (k x n) + beta C, `batch` times; k may be 0, m, n and batch not. */
struct asl_emu_product {
  int64_t m, n, k, batch;
  float alpha, beta;
  asl_emu_operand a, b;
  void *c;
  int64_t c_ld, c_stride;
  bool c_is_bf16;
};

#pragma GCC visibility push(hidden)
/* false: there is no memory for the sums of slabs. */
bool asl_emu_gemm(const asl_emu_product *product);
#pragma GCC visibility pop

#endif
