/* What the device can do at best: the two roofs of the roofline model, measured. */
#include "cuda/engine.h"

enum { COPY_BYTES = 256 << 20, FMA_ROUNDS = 4096, CHAINS = 8, REPEATS = 5 };

__global__ void copy_kernel(const float4 *from, float4 *to, int64_t n) { GRID_LOOP(i, n) to[i] = from[i]; }

/* Independent chains keep the pipes full; the result is stored so that the work is not removed. */
__global__ void fma_kernel(float *out, float factor) {
  float x[CHAINS];
#pragma unroll
  for (int c = 0; c < CHAINS; c++) x[c] = (float)(threadIdx.x + c);
  for (int round = 0; round < FMA_ROUNDS; round++)
#pragma unroll
    for (int c = 0; c < CHAINS; c++) x[c] = fmaf(x[c], factor, 1.0f);
  float sum = 0;
#pragma unroll
  for (int c = 0; c < CHAINS; c++) sum += x[c];
  out[(int64_t)blockIdx.x * blockDim.x + threadIdx.x] = sum;
}

static int multiprocessors(void) {
  int device = 0, count = 1;
  (void)cudaGetDevice(&device);
  (void)cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, device);
  return count;
}

static asl_status launch_copy(void *data) {
  float4 *from = (float4 *)data, *to = from + COPY_BYTES / 2 / sizeof(float4);
  return launch(copy_kernel, grid_for(COPY_BYTES / 2 / (int64_t)sizeof(float4)), dim3(BLOCK), 0, from, to,
                (int64_t)(COPY_BYTES / 2 / sizeof(float4)));
}

static asl_status launch_fma(void *data) {
  return launch(fma_kernel, dim3((unsigned)multiprocessors() * 8), dim3(BLOCK), 0, (float *)data, 0.999f);
}

/* The best of some runs, in seconds. */
static asl_status best_of(asl_status (*work)(void *data), void *data, double *seconds) {
  cudaEvent_t start, stop;
  CUDA_TRY(cudaEventCreate(&start));
  CUDA_TRY(cudaEventCreate(&stop));
  *seconds = 1e30;
  for (int i = 0; i < REPEATS + 1; i++) {
    float ms = 0;
    CUDA_TRY(cudaEventRecord(start, queue_stream()));
    ASL_TRY(work(data));
    CUDA_TRY(cudaEventRecord(stop, queue_stream()));
    ASL_TRY(engine_wait());
    CUDA_TRY(cudaEventElapsedTime(&ms, start, stop));
    if (i > 0 && ms * 1e-3 < *seconds) *seconds = ms * 1e-3;
  }
  (void)cudaEventDestroy(start);
  (void)cudaEventDestroy(stop);
  return ASL_OK;
}

asl_status engine_measure_peaks(asl_peaks *peaks) {
  scratch memory;
  double copy, fma;
  ASL_TRY(memory.take(COPY_BYTES));
  ASL_TRY(queue_flush());
  ASL_TRY(queue_set(memory.data, 0, COPY_BYTES));
  ASL_TRY(best_of(launch_copy, memory.data, &copy));
  ASL_TRY(best_of(launch_fma, memory.data, &fma));
  peaks->bytes = COPY_BYTES / copy;
  peaks->macs = (double)multiprocessors() * 8 * BLOCK * FMA_ROUNDS * CHAINS / fma;
  return ASL_OK;
}
