#include "cuda/gemm.h"

#include <string.h>

#include "cuda/cublas.h"

static cublas_table cublas;
static cublasHandle_t handle;

static asl_status cublas_status(cublasStatus_t status, const char *what) {
  if (status == CUBLAS_STATUS_SUCCESS) return ASL_OK;
  return asl_fail(ASL_EDEVICE, "%.*s: %s", (int)strcspn(what, "("), what, cublas.p_cublasGetStatusString(status));
}
#define CUBLAS_TRY(call) ASL_TRY(cublas_status((cublas.p_##call), #call))

enum { WORKSPACE = 32 << 20 }; /* bytes; what cuBLAS recommends for Hopper */

asl_status gemm_open(void) {
  void *workspace;
  ASL_TRY(cublas_open(&cublas));
  CUBLAS_TRY(cublasCreate(&handle));
  CUBLAS_TRY(cublasSetStream(handle, queue_stream()));
  CUDA_TRY(cudaMalloc(&workspace, WORKSPACE));
  CUBLAS_TRY(cublasSetWorkspace(handle, workspace, WORKSPACE));
  CUBLAS_TRY(cublasSetMathMode(handle, CUBLAS_DEFAULT_MATH)); /* f32 without TF32 */
  return ASL_OK;
}

typedef struct gemm_args {
  int64_t m, n, k, a_stride, b_stride, c_stride;
  const void *a, *b;
  void *c;
  int64_t a_transposed, b_transposed, dtype, c_dtype;
  double beta;
} gemm_args;

static cudaDataType type_of(int64_t dtype) { return dtype == ASL_BF16 ? CUDA_R_16BF : CUDA_R_32F; }

/* cuBLAS counts columns first: C = A B by rows is C' = B' A' by columns. */
static asl_status issue(const void *args) {
  const gemm_args *g = (const gemm_args *)args;
  float one = 1, beta = (float)g->beta;
  cudaDataType type = type_of(g->dtype);
  CUBLAS_TRY(cublasGemmEx(handle, g->b_transposed ? CUBLAS_OP_T : CUBLAS_OP_N,
                          g->a_transposed ? CUBLAS_OP_T : CUBLAS_OP_N, (int)g->n, (int)g->m, (int)g->k, &one, g->b,
                          type, (int)g->b_stride, g->a, type, (int)g->a_stride, &beta, g->c, type_of(g->c_dtype),
                          (int)g->c_stride, CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT));
  return ASL_OK;
}

asl_status gemm(int64_t m, int64_t n, int64_t k, matrix a, matrix b, float beta, void *c, int64_t c_stride,
                asl_dtype c_dtype) {
  if (m == 0 || n == 0) return ASL_OK;
  if (m > INT32_MAX || n > INT32_MAX || k > INT32_MAX)
    return asl_fail(ASL_ENOTSUP, "a matrix product of %lld x %lld x %lld is larger than cuBLAS takes",
                    (long long)m, (long long)n, (long long)k);
  gemm_args args = {m, n, k, a.stride, b.stride, c_stride, a.data, b.data, c, a.transposed, b.transposed,
                    a.dtype, c_dtype, beta};
  return queue_call(issue, &args, sizeof args);
}
