/* cuBLAS's functions: handles, checks of arguments, products as work of a stream. */
#include <algorithm>
#include <stdint.h>

#include "cublas_v2.h"
#include "emu_gemm.h"
#include "emu_internal.h"

struct cublasContext {
  int device;
  cudaStream_t stream;
  cublasMath_t math;
};

/* ---- handles --------------------------------------------------------------------------------- */
cublasStatus_t cublasCreate(cublasHandle_t *handle) {
  if (!handle) return CUBLAS_STATUS_INVALID_VALUE;
  if (asl_emu_unsafe() != cudaSuccess) return CUBLAS_STATUS_ALLOC_FAILED;
  if (asl_emu_settings_get()->devices == 0) return CUBLAS_STATUS_NOT_INITIALIZED;
  *handle = new cublasContext{asl_emu_current_device(), nullptr, CUBLAS_DEFAULT_MATH};
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasDestroy(cublasHandle_t handle) {
  if (!handle) return CUBLAS_STATUS_NOT_INITIALIZED;
  delete handle;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasGetVersion(cublasHandle_t, int *version) {
  if (!version) return CUBLAS_STATUS_INVALID_VALUE;
  *version = CUBLAS_VERSION;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetStream(cublasHandle_t handle, cudaStream_t stream) {
  if (!handle) return CUBLAS_STATUS_NOT_INITIALIZED;
  handle->stream = stream;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasGetStream(cublasHandle_t handle, cudaStream_t *stream) {
  if (!handle) return CUBLAS_STATUS_NOT_INITIALIZED;
  *stream = handle->stream;
  return CUBLAS_STATUS_SUCCESS;
}

/* Nothing is kept in it, but it must be what cuBLAS could use. */
cublasStatus_t cublasSetWorkspace(cublasHandle_t handle, void *workspace, size_t bytes) {
  if (!handle) return CUBLAS_STATUS_NOT_INITIALIZED;
  bool good = asl_emu_on_device(workspace, bytes) && (uintptr_t)workspace % 256 == 0;
  return good ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_INVALID_VALUE;
}

cublasStatus_t cublasSetMathMode(cublasHandle_t handle, cublasMath_t mode) {
  if (!handle) return CUBLAS_STATUS_NOT_INITIALIZED;
  handle->math = mode;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasGetMathMode(cublasHandle_t handle, cublasMath_t *mode) {
  if (!handle) return CUBLAS_STATUS_NOT_INITIALIZED;
  *mode = handle->math;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetPointerMode(cublasHandle_t handle, cublasPointerMode_t mode) {
  if (!handle) return CUBLAS_STATUS_NOT_INITIALIZED;
  return mode == CUBLAS_POINTER_MODE_HOST ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_NOT_SUPPORTED;
}

cublasStatus_t cublasSetAtomicsMode(cublasHandle_t handle, cublasAtomicsMode_t mode) {
  if (!handle) return CUBLAS_STATUS_NOT_INITIALIZED;
  return mode == CUBLAS_ATOMICS_NOT_ALLOWED ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_NOT_SUPPORTED;
}

const char *cublasGetStatusName(cublasStatus_t status) {
  switch (status) {
  case CUBLAS_STATUS_SUCCESS: return "CUBLAS_STATUS_SUCCESS";
  case CUBLAS_STATUS_NOT_INITIALIZED: return "CUBLAS_STATUS_NOT_INITIALIZED";
  case CUBLAS_STATUS_ALLOC_FAILED: return "CUBLAS_STATUS_ALLOC_FAILED";
  case CUBLAS_STATUS_INVALID_VALUE: return "CUBLAS_STATUS_INVALID_VALUE";
  case CUBLAS_STATUS_ARCH_MISMATCH: return "CUBLAS_STATUS_ARCH_MISMATCH";
  case CUBLAS_STATUS_MAPPING_ERROR: return "CUBLAS_STATUS_MAPPING_ERROR";
  case CUBLAS_STATUS_EXECUTION_FAILED: return "CUBLAS_STATUS_EXECUTION_FAILED";
  case CUBLAS_STATUS_INTERNAL_ERROR: return "CUBLAS_STATUS_INTERNAL_ERROR";
  case CUBLAS_STATUS_NOT_SUPPORTED: return "CUBLAS_STATUS_NOT_SUPPORTED";
  case CUBLAS_STATUS_LICENSE_ERROR: return "CUBLAS_STATUS_LICENSE_ERROR";
  }
  return "unknown cuBLAS status";
}

const char *cublasGetStatusString(cublasStatus_t status) {
  switch (status) {
  case CUBLAS_STATUS_SUCCESS: return "success";
  case CUBLAS_STATUS_NOT_INITIALIZED: return "the library was not initialized";
  case CUBLAS_STATUS_ALLOC_FAILED: return "the resource allocation failed";
  case CUBLAS_STATUS_INVALID_VALUE:
    return "an unsupported value or parameter was passed to the function";
  case CUBLAS_STATUS_EXECUTION_FAILED: return "the function failed to launch on the GPU";
  case CUBLAS_STATUS_NOT_SUPPORTED: return "the functionality requested is not supported";
  default: return cublasGetStatusName(status);
  }
}

/* ---- products -------------------------------------------------------------------------------- */
static size_t size_of(bool is_bf16) { return is_bf16 ? 2 : 4; }

/* Whether a stored matrix of rows x columns, repeated, lies in memory of a device. */
static bool is_there(const void *data, int64_t rows, int64_t columns, int64_t ld, int64_t stride,
                     int64_t batch, bool is_bf16) {
  size_t size = size_of(is_bf16);
  int64_t one = (columns - 1) * ld + rows, last = (batch - 1) * stride;
  const char *first = (const char *)data + std::min<int64_t>(last, 0) * (int64_t)size;
  return asl_emu_on_device(first, (size_t)(std::abs(last) + one) * size);
}

static bool is_there(const asl_emu_operand *x, int64_t rows, int64_t columns, int64_t batch) {
  if (x->is_transposed) std::swap(rows, columns);
  return is_there(x->data, rows, columns, x->ld, x->stride, batch, x->is_bf16);
}

static cudaError_t run(const asl_emu_product *p) {
  bool there = is_there(p->c, p->m, p->n, p->c_ld, p->c_stride, p->batch, p->c_is_bf16);
  if (p->k > 0)
    there = there && is_there(&p->a, p->m, p->k, p->batch) && is_there(&p->b, p->k, p->n, p->batch);
  if (!there) return cudaErrorIllegalAddress;
  return asl_emu_gemm(p) ? cudaSuccess : cudaErrorMemoryAllocation;
}

static bool is_valid(cublasOperation_t op) { return op >= CUBLAS_OP_N && op <= CUBLAS_OP_C; }

static cublasStatus_t submit(cublasHandle_t handle, const asl_emu_product &p) {
  if (!handle) return CUBLAS_STATUS_NOT_INITIALIZED;
  bool good = p.m >= 0 && p.n >= 0 && p.k >= 0 && p.batch >= 0;
  good = good && p.a.ld >= std::max<int64_t>(1, p.a.is_transposed ? p.k : p.m);
  good = good && p.b.ld >= std::max<int64_t>(1, p.b.is_transposed ? p.n : p.k);
  good = good && p.c_ld >= std::max<int64_t>(1, p.m);
  if (!good) return CUBLAS_STATUS_INVALID_VALUE;
  if (p.m == 0 || p.n == 0 || p.batch == 0) return CUBLAS_STATUS_SUCCESS;
  cudaError_t error =
      asl_emu_submit(handle->stream, cudaGraphNodeTypeKernel, [p] { return run(&p); });
  return error == cudaSuccess ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_EXECUTION_FAILED;
}

cublasStatus_t cublasGemmStridedBatchedEx(
    cublasHandle_t handle, cublasOperation_t transa, cublasOperation_t transb, int m, int n, int k,
    const void *alpha, const void *A, cudaDataType Atype, int lda, long long strideA, const void *B,
    cudaDataType Btype, int ldb, long long strideB, const void *beta, void *C, cudaDataType Ctype,
    int ldc, long long strideC, int batchCount, cublasComputeType_t computeType, cublasGemmAlgo_t) {
  if (!is_valid(transa) || !is_valid(transb) || !alpha || !beta) return CUBLAS_STATUS_INVALID_VALUE;
  bool bf16 = Atype == CUDA_R_16BF, c_bf16 = Ctype == CUDA_R_16BF;
  bool known = Atype == Btype && (bf16 || Atype == CUDA_R_32F) &&
               (Ctype == CUDA_R_32F || (bf16 && c_bf16)) &&
               (computeType == CUBLAS_COMPUTE_32F || computeType == CUBLAS_COMPUTE_32F_PEDANTIC);
  if (!known) return CUBLAS_STATUS_NOT_SUPPORTED;
  asl_emu_product p = {};
  p.m = m, p.n = n, p.k = k, p.batch = batchCount;
  p.alpha = *(const float *)alpha, p.beta = *(const float *)beta;
  p.a = {A, lda, strideA, transa != CUBLAS_OP_N, bf16};
  p.b = {B, ldb, strideB, transb != CUBLAS_OP_N, bf16};
  p.c = C, p.c_ld = ldc, p.c_stride = strideC, p.c_is_bf16 = c_bf16;
  return submit(handle, p);
}

cublasStatus_t cublasGemmEx(cublasHandle_t handle, cublasOperation_t transa,
                            cublasOperation_t transb, int m, int n, int k, const void *alpha,
                            const void *A, cudaDataType Atype, int lda, const void *B,
                            cudaDataType Btype, int ldb, const void *beta, void *C,
                            cudaDataType Ctype, int ldc, cublasComputeType_t computeType,
                            cublasGemmAlgo_t algo) {
  return cublasGemmStridedBatchedEx(handle, transa, transb, m, n, k, alpha, A, Atype, lda, 0, B,
                                    Btype, ldb, 0, beta, C, Ctype, ldc, 0, 1, computeType, algo);
}

cublasStatus_t cublasSgemmStridedBatched(cublasHandle_t handle, cublasOperation_t transa,
                                         cublasOperation_t transb, int m, int n, int k,
                                         const float *alpha, const float *A, int lda,
                                         long long strideA, const float *B, int ldb,
                                         long long strideB, const float *beta, float *C, int ldc,
                                         long long strideC, int batchCount) {
  return cublasGemmStridedBatchedEx(handle, transa, transb, m, n, k, alpha, A, CUDA_R_32F, lda,
                                    strideA, B, CUDA_R_32F, ldb, strideB, beta, C, CUDA_R_32F, ldc,
                                    strideC, batchCount, CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT);
}

cublasStatus_t cublasSgemm(cublasHandle_t handle, cublasOperation_t transa,
                           cublasOperation_t transb, int m, int n, int k, const float *alpha,
                           const float *A, int lda, const float *B, int ldb, const float *beta,
                           float *C, int ldc) {
  return cublasSgemmStridedBatched(handle, transa, transb, m, n, k, alpha, A, lda, 0, B, ldb, 0,
                                   beta, C, ldc, 0, 1);
}
