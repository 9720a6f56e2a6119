/* (M,K) x (K,N) */
#include "cpu/gemm.h"
#include "cpu/kernel.h"

enum { BLOCK = 48 }; /* rows per chunk */

typedef struct job {
  const float *a, *packed;
  float *y;
  int64_t m, k, n;
} job;

static void multiply_block(void *context, int64_t block) {
  const job *j = context;
  int64_t first = block * BLOCK, rows = min_i64(j->m - first, BLOCK);
  asl_segment all = {0, 0, j->k};
  asl_product p = {.a = j->a + first * j->k, .a_stride = j->k, .packed = j->packed, .k = j->k,
                   .n = j->n, .segments = &all, .count = 1, .c = j->y + first * j->n,
                   .c_stride = j->n};
  gemm_rows(rows, &p);
}

ASL_KERNEL(matmul) {
  const asl_tensor *a = call->in[0], *b = call->in[1];
  job j = {.a = asl_f32(a), .y = asl_f32(call->out[0]), .m = a->shape.size[0],
           .k = a->shape.size[1], .n = b->shape.size[1]};
  void *packed;
  ASL_TRY(take_scratch(gemm_packed_count(j.k, j.n) * (int64_t)sizeof(float), &packed));
  gemm_pack(asl_f32(b), j.n, 1, 0, j.k, j.k, j.n, packed);
  j.packed = packed;
  asl_parallel(ceil_div(j.m, BLOCK), multiply_block, &j);
  asl_pool_give(packed);
  return ASL_OK;
}
