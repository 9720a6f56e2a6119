/* bfloat16, cuBLAS and NCCL. */
#include "emu_test.h"

#include <cublas_v2.h>
#include <cuda_bf16.h>
#include <math.h>
#include <nccl.h>

/* ---- bfloat16 ----------------------------------------------------------------------------------
 */
static float float_of(uint32_t bits) {
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

/* By exact arithmetic in double: the nearer neighbour, of two equally near the even one. What would
 * be 2^128 is infinite. */
static uint16_t rounded(uint32_t bits) {
  uint32_t below = bits >> 16;
  if ((bits & 0x7fffffffu) > 0x7f800000u) return 0x7fff;
  if ((below & 0x7fff) == 0x7f80) return (uint16_t)below;
  double x = fabs((double)float_of(bits));
  double low = fabs((double)float_of(below << 16)),
         high = fabs((double)float_of((below + 1) << 16));
  if ((below & 0x7fff) == 0x7f7f) high = ldexp(1.0, 128);
  bool up = x - low > high - x || (x - low == high - x && (below & 1));
  return (uint16_t)(below + up);
}

TEST(bf16_rounds_to_nearest_even) {
  const uint32_t rests[] = {0, 1, 0x1234, 0x7fff, 0x8000, 0x8001, 0xedcb, 0xffff};
  for (uint32_t high = 0; high < 65536; high++) {
    for (uint32_t rest : rests) {
      uint32_t bits = high << 16 | rest;
      float x = float_of(bits);
      uint16_t expected = rounded(bits);
      CHECK(__bfloat16_as_ushort(__float2bfloat16(x)) == expected);
      CHECK(__bfloat16_as_ushort(__float2bfloat16_rn(x)) == expected);
      __nv_bfloat162 pair = __floats2bfloat162_rn(x, 1.0f);
      CHECK(__bfloat16_as_ushort(pair.x) == expected && __bfloat16_as_ushort(pair.y) == 0x3f80);
    }
    uint32_t back;
    float value = __bfloat162float(__ushort_as_bfloat16((unsigned short)high));
    memcpy(&back, &value, sizeof back);
    CHECK(back == high << 16);
  }
}

static __global__ void halve(const __nv_bfloat162 *in, float2 *out) {
  __nv_bfloat162 pair = in[threadIdx.x];
  float2 both = __bfloat1622float2(pair);
  out[threadIdx.x] = make_float2(both.x + __low2float(pair), both.y - __high2float(pair));
}

TEST(bf16_on_a_device) {
  array<__nv_bfloat162> in(32);
  array<float2> out(32);
  for (int i = 0; i < 32; i++) in.host[(size_t)i] = __floats2bfloat162_rn((float)i, 0.5f);
  in.up();
  OK(launch(halve, dim3(1), dim3(32), 0, 0, in.device, out.device));
  out.down();
  for (size_t i = 0; i < 32; i++) CHECK(out.host[i].x == 2.0f * (float)i && out.host[i].y == 0);
  static_assert(sizeof(__nv_bfloat16) == 2 && alignof(__nv_bfloat162) == 4, "");
}

/* ---- cuBLAS
 * -------------------------------------------------------------------------------------- */
#define BLAS(call) CHECK((call) == CUBLAS_STATUS_SUCCESS)

struct product {
  int m, n, k, batch;
  bool a_turned, b_turned, bf16, c_bf16;
  float alpha, beta;
  int spare; /* rows between columns, beyond those that are needed */
};

/* A matrix of small multiples of 1/8, so that they are the same in bf16. */
struct matrix {
  int rows, columns, ld;
  long long stride;
  std::vector<float> values;
  matrix(int r, int c, int batch, int spare, uint32_t seed) : rows(r), columns(c), ld(r + spare) {
    stride = (long long)ld * c + spare;
    values.resize((size_t)stride * (size_t)batch + 1);
    for (size_t i = 0; i < values.size(); i++)
      values[i] = (float)(scramble((uint32_t)i * 977u + seed) % 33) / 8 - 2;
  }
  float at(int b, int i, int j, bool turned) const {
    if (turned) {
      int t = i;
      i = j, j = t;
    }
    return values[(size_t)(b * stride + i + (long long)j * ld)];
  }
};

struct on_device {
  void *data;
  bool bf16;
  on_device(const std::vector<float> &values, bool b) : bf16(b) {
    std::vector<__nv_bfloat16> halves;
    for (float x : values) halves.push_back(__float2bfloat16(x));
    size_t bytes = values.size() * (bf16 ? 2 : 4);
    OK(cudaMalloc(&data, bytes));
    OK(cudaMemcpy(data, bf16 ? (const void *)halves.data() : values.data(), bytes,
                  cudaMemcpyHostToDevice));
  }
  ~on_device() { OK(cudaFree(data)); }
  std::vector<float> read(size_t count) const {
    std::vector<float> values(count);
    std::vector<__nv_bfloat16> halves(count);
    void *to = bf16 ? (void *)halves.data() : values.data();
    OK(cudaMemcpy(to, data, count * (bf16 ? 2 : 4), cudaMemcpyDeviceToHost));
    for (size_t i = 0; bf16 && i < count; i++) values[i] = __bfloat162float(halves[i]);
    return values;
  }
};

static cudaDataType type_of(bool bf16) { return bf16 ? CUDA_R_16BF : CUDA_R_32F; }

/* Against three loops in double; what is not part of C stays as it was. */
static void check_product(cublasHandle_t handle, const product &p) {
  matrix a(p.a_turned ? p.k : p.m, p.a_turned ? p.m : p.k, p.batch, p.spare, 1);
  matrix b(p.b_turned ? p.n : p.k, p.b_turned ? p.k : p.n, p.batch, p.spare, 2);
  matrix c(p.m, p.n, p.batch, p.spare, 3);
  on_device da(a.values, p.bf16), db(b.values, p.bf16), dc(c.values, p.c_bf16);
  BLAS(cublasGemmStridedBatchedEx(
      handle, p.a_turned ? CUBLAS_OP_T : CUBLAS_OP_N, p.b_turned ? CUBLAS_OP_T : CUBLAS_OP_N, p.m,
      p.n, p.k, &p.alpha, da.data, type_of(p.bf16), a.ld, a.stride, db.data, type_of(p.bf16), b.ld,
      b.stride, &p.beta, dc.data, type_of(p.c_bf16), c.ld, c.stride, p.batch, CUBLAS_COMPUTE_32F,
      CUBLAS_GEMM_DEFAULT));
  OK(cudaStreamSynchronize(0));
  std::vector<float> got = dc.read(c.values.size());
  std::vector<bool> seen(got.size());
  for (int batch = 0; batch < p.batch; batch++) {
    for (int j = 0; j < p.n; j++) {
      for (int i = 0; i < p.m; i++) {
        size_t at = (size_t)(batch * c.stride + i + (long long)j * c.ld);
        double sum = 0, size = 0;
        for (int k = 0; k < p.k; k++) {
          double part = (double)a.at(batch, i, k, p.a_turned) * b.at(batch, k, j, p.b_turned);
          sum += part, size += fabs(part);
        }
        double old = p.beta == 0 ? 0 : (double)p.beta * c.values[at];
        double expected = p.alpha * sum + old, scale = fabs(p.alpha) * size + fabs(old);
        double bound = 1e-6 * scale + (p.c_bf16 ? fabs(expected) / 256 : 0);
        CHECK(fabs(got[at] - expected) <= bound);
        seen[at] = true;
      }
    }
  }
  for (size_t i = 0; i < got.size(); i++) CHECK(seen[i] || got[i] == c.values[i]);
}

TEST(products_of_all_shapes) {
  cublasHandle_t handle;
  BLAS(cublasCreate(&handle));
  const int shapes[][4] = {{1, 1, 1, 1},    {1, 7, 3, 1},     {16, 6, 8, 1},     {17, 7, 9, 2},
                           {33, 100, 1, 1}, {96, 97, 40, 1},  {97, 5, 257, 3},   {130, 200, 31, 1},
                           {5, 3, 600, 1},  {3, 2, 16384, 1}, {2, 19, 16385, 1}, {7, 5, 40000, 2}};
  for (const int *s : shapes) {
    for (int way = 0; way < 4; way++) {
      for (int types = 0; types < 3; types++) {
        product p = {s[0],
                     s[1],
                     s[2],
                     s[3],
                     (way & 1) != 0,
                     (way & 2) != 0,
                     types > 0,
                     types == 2,
                     way == 1 ? 0.5f : 1.0f,
                     way == 2 ? -0.75f : 0.0f,
                     types == way ? 0 : 3};
        check_product(handle, p);
      }
    }
  }
  BLAS(cublasDestroy(handle));
}

TEST(products_without_anything_to_add) {
  cublasHandle_t handle;
  BLAS(cublasCreate(&handle));
  check_product(handle, {5, 4, 0, 2, false, false, false, false, 1.0f, 0.5f, 1});
  check_product(handle, {5, 4, 0, 2, false, false, true, true, 1.0f, 0.0f, 1});
  BLAS(cublasDestroy(handle));
}

/* C holds NaN, which beta = 0 must not pass on; a stored NaN of A must go on. */
TEST(products_and_nan) {
  cublasHandle_t handle;
  float one = 1, zero = 0, c[6];
  array<float> a(4, 1.0f), b(6, 1.0f), out(6, NAN);
  a.host[1] = NAN; /* row 1, column 0 */
  a.up();
  BLAS(cublasCreate(&handle));
  BLAS(cublasSgemm(handle, CUBLAS_OP_N, CUBLAS_OP_N, 2, 3, 2, &one, a.device, 2, b.device, 2, &zero,
                   out.device, 2));
  OK(cudaMemcpy(c, out.device, sizeof c, cudaMemcpyDeviceToHost));
  for (int i = 0; i < 6; i++) CHECK(i % 2 ? isnan(c[i]) : c[i] == 2);
  BLAS(cublasDestroy(handle));
}

/* Prints the bits' sum: the same for any number of threads. Numbers whose sum depends on the order.
 */
TEST(product_bits) {
  const int m = 61, n = 45, k = 50000;
  cublasHandle_t handle;
  float one = 1, zero = 0;
  array<float> a((size_t)m * k), b((size_t)n * k), c((size_t)m * n);
  for (size_t i = 0; i < a.host.size(); i++) a.host[i] = (float)scramble((uint32_t)i) / 4e9f - 0.5f;
  for (size_t i = 0; i < b.host.size(); i++)
    b.host[i] = (float)scramble(~(uint32_t)i) / 4e9f - 0.5f;
  a.up(), b.up();
  BLAS(cublasCreate(&handle));
  BLAS(cublasSgemm(handle, CUBLAS_OP_N, CUBLAS_OP_T, m, n, k, &one, a.device, m, b.device, n, &zero,
                   c.device, m));
  c.down();
  uint32_t sum = 0, bits;
  for (float x : c.host) memcpy(&bits, &x, 4), sum = scramble(sum + bits);
  printf("%08x\n", sum);
  BLAS(cublasDestroy(handle));
}

TEST(products_are_captured) {
  cublasHandle_t handle;
  cudaStream_t stream;
  cudaGraph_t graph;
  cudaGraphExec_t exec;
  float alpha = 2, zero = 0;
  array<float> a(4, 1.0f), b(4, 3.0f), c(4);
  char *workspace;
  OK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  OK(cudaMalloc(&workspace, 4 << 20));
  BLAS(cublasCreate(&handle));
  BLAS(cublasSetStream(handle, stream));
  BLAS(cublasSetWorkspace(handle, workspace, 4 << 20));
  BLAS(cublasSetMathMode(handle, CUBLAS_DEFAULT_MATH));
  OK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
  BLAS(cublasSgemm(handle, CUBLAS_OP_N, CUBLAS_OP_N, 2, 2, 2, &alpha, a.device, 2, b.device, 2,
                   &zero, c.device, 2));
  OK(cudaStreamEndCapture(stream, &graph));
  alpha = 100; /* was read */
  c.down();
  CHECK(c.host[0] == 0);
  OK(cudaGraphInstantiate(&exec, graph, 0));
  OK(cudaGraphDestroy(graph));
  OK(cudaGraphLaunch(exec, stream));
  OK(cudaStreamSynchronize(stream));
  c.down();
  for (float x : c.host) CHECK(x == 12);
  OK(cudaGraphExecDestroy(exec));
  BLAS(cublasDestroy(handle));
  OK(cudaStreamDestroy(stream));
  OK(cudaFree(workspace));
}

TEST(products_are_checked) {
  cublasHandle_t handle;
  int version;
  float one = 1, zero = 0;
  array<float> x(64);
  BLAS(cublasCreate(&handle));
  BLAS(cublasGetVersion(handle, &version));
  CHECK(version / 10000 >= 12);
  auto go = [&](int m, int n, int k, int lda, int ldb, int ldc, cudaDataType c) {
    return cublasGemmEx(handle, CUBLAS_OP_N, CUBLAS_OP_T, m, n, k, &one, x.device, CUDA_R_32F, lda,
                        x.device, CUDA_R_32F, ldb, &zero, x.device + 32, c, ldc, CUBLAS_COMPUTE_32F,
                        CUBLAS_GEMM_DEFAULT);
  };
  BLAS(go(4, 5, 3, 4, 5, 4, CUDA_R_32F));
  BLAS(go(0, 5, 3, 4, 5, 4, CUDA_R_32F));
  CHECK(go(-1, 5, 3, 4, 5, 4, CUDA_R_32F) == CUBLAS_STATUS_INVALID_VALUE);
  CHECK(go(4, 5, 3, 3, 5, 4, CUDA_R_32F) == CUBLAS_STATUS_INVALID_VALUE);
  CHECK(go(4, 5, 3, 4, 4, 4, CUDA_R_32F) == CUBLAS_STATUS_INVALID_VALUE);
  CHECK(go(4, 5, 3, 4, 5, 3, CUDA_R_32F) == CUBLAS_STATUS_INVALID_VALUE);
  CHECK(go(4, 5, 3, 4, 5, 4, CUDA_R_16BF) == CUBLAS_STATUS_NOT_SUPPORTED);
#ifndef __CUDACC__
  CHECK(go(8, 5, 3, 8, 5, 8, CUDA_R_32F) == CUBLAS_STATUS_EXECUTION_FAILED); /* C is too short */
  CHECK(cublasSetWorkspace(handle, &version, 4) == CUBLAS_STATUS_INVALID_VALUE);
  CHECK(strcmp(cublasGetStatusName(CUBLAS_STATUS_NOT_SUPPORTED), "CUBLAS_STATUS_NOT_SUPPORTED") ==
        0);
#endif
  BLAS(cublasDestroy(handle));
}

/* ---- NCCL
 * ---------------------------------------------------------------------------------------- */
#define NCCL(call) CHECK((call) == ncclSuccess)

TEST(one_rank_alone) {
  ncclUniqueId id;
  ncclComm_t comm;
  int version, ranks;
  array<float> x(10), y(10), z(10);
  for (size_t i = 0; i < 10; i++) x.host[i] = (float)i;
  x.up();
  NCCL(ncclGetVersion(&version));
  NCCL(ncclGetUniqueId(&id));
  NCCL(ncclCommInitRank(&comm, 1, id, 0));
  NCCL(ncclCommCount(comm, &ranks));
  CHECK(version / 1000 >= 2 && ranks == 1);
  NCCL(ncclGroupStart());
  NCCL(ncclAllGather(x.device, y.device, 10, ncclFloat, comm, 0));
  NCCL(ncclBroadcast(x.device, z.device, 5, ncclFloat, 0, comm, 0));
  NCCL(ncclGroupEnd());
  OK(cudaStreamSynchronize(0));
  y.down(), z.down();
  for (size_t i = 0; i < 10; i++)
    CHECK(y.host[i] == (float)i && z.host[i] == (i < 5 ? (float)i : 0));
  CHECK(ncclBroadcast(x.device, z.device, 5, ncclFloat, 1, comm, 0) == ncclInvalidArgument);
  CHECK(strlen(ncclGetErrorString(ncclInvalidUsage)) > 0);
  NCCL(ncclCommDestroy(comm));
}

#ifndef __CUDACC__
/* As rank 1 of 2: the other's bytes are one more than ours. */
static int gather(const void *mine, void *all, size_t bytes) {
  for (size_t i = 0; i < bytes; i++) {
    ((char *)all)[i] = (char)(((const char *)mine)[i] + 1);
    ((char *)all)[bytes + i] = ((const char *)mine)[i];
  }
  return 0;
}
static int broadcasts;
static int broadcast(void *data, size_t bytes, int root) {
  broadcasts++;
  if (root == 0) memset(data, 9, bytes);
  return bytes == 3 ? -1 : 0;
}

TEST(ranks_meet_through_hooks) {
  ncclUniqueId id;
  ncclComm_t comm;
  array<char> mine(4, 5), all(8);
  NCCL(ncclGetUniqueId(&id));
  CHECK(ncclCommInitRank(&comm, 2, id, 1) == ncclInvalidUsage);
  asl_emu_all_gather = gather, asl_emu_broadcast = broadcast;
  CHECK(ncclCommInitRank(&comm, 2, id, 2) == ncclInvalidArgument);
  NCCL(ncclCommInitRank(&comm, 2, id, 1));
  NCCL(ncclAllGather(mine.device, all.device, 4, ncclUint8, comm, 0));
  all.down();
  for (size_t i = 0; i < 8; i++) CHECK(all.host[i] == (i < 4 ? 6 : 5));
  NCCL(ncclBroadcast(mine.device, mine.device, 1, ncclFloat, 0, comm, 0));
  mine.down();
  CHECK(mine.host[3] == 9);
  NCCL(ncclBroadcast(mine.device, all.device, 2, ncclUint8, 1, comm, 0));
  all.down();
  CHECK(all.host[1] == 9 && all.host[2] == 6 && broadcasts == 2);
  CHECK(ncclBroadcast(mine.device, all.device, 3, ncclUint8, 0, comm, 0) == ncclRemoteError);
  CHECK(ncclAllGather(mine.device, all.device, 5, ncclUint8, comm, 0) == ncclUnhandledCudaError);
  NCCL(ncclCommDestroy(comm));
}
#endif
