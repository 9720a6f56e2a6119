/* cuBLAS, found at run time (library.h); on the emulator its own. */
#ifndef ASL_CUDA_CUBLAS_H
#define ASL_CUDA_CUBLAS_H

#include <cublas_v2.h>

#include "cuda/library.h"

/* X(function): all that are used. cublasGemmEx stands apart, because C++ has two of that name. */
#define CUBLAS_FUNCTIONS(X)                                                                        \
  X(cublasCreate) X(cublasSetStream) X(cublasSetWorkspace) X(cublasSetMathMode) X(cublasGetVersion)  \
  X(cublasGetStatusString)

typedef cublasStatus_t (*cublas_gemm_ex)(cublasHandle_t, cublasOperation_t, cublasOperation_t, int m, int n, int k,
                                         const void *alpha, const void *a, cudaDataType, int lda, const void *b,
                                         cudaDataType, int ldb, const void *beta, void *c, cudaDataType, int ldc,
                                         cublasComputeType_t, cublasGemmAlgo_t);

#define X(function) decltype(&function) p_##function;
typedef struct cublas_table {
  CUBLAS_FUNCTIONS(X)
  cublas_gemm_ex p_cublasGemmEx;
} cublas_table;
#undef X

#define CUBLAS_TEXT2(x) #x
#define CUBLAS_TEXT(x) CUBLAS_TEXT2(x)

/* The names are macros for versioned symbols (cublasCreate_v2): stringified after expansion. */
static inline asl_status cublas_open(cublas_table *table) {
#ifdef ASL_EMULATED
#define X(function) table->p_##function = function;
  CUBLAS_FUNCTIONS(X)
#undef X
  table->p_cublasGemmEx = cublasGemmEx;
#else
  void *library;
  ASL_TRY(library_open("libcublas.so." CUBLAS_TEXT(CUBLAS_VER_MAJOR), &library));
#define X(function) ASL_TRY(library_function(library, CUBLAS_TEXT(function), &table->p_##function));
  CUBLAS_FUNCTIONS(X)
#undef X
  ASL_TRY(library_function(library, "cublasGemmEx", &table->p_cublasGemmEx));
#endif
  return ASL_OK;
}

#endif
