/* The runtime's functions: devices, memory, limits, streams, events. What CUDA does not promise is
 * left out under nvcc. */
#include "emu_test.h"

/* ---- errors and devices -----------------------------------------------------------------------
 */
TEST(errors_are_remembered_once) {
  OK(cudaGetLastError());
  GIVES(cudaErrorInvalidDevice, cudaSetDevice(99));
  GIVES(cudaErrorInvalidDevice, cudaPeekAtLastError());
  OK(cudaSetDevice(0));
  GIVES(cudaErrorInvalidDevice, cudaGetLastError());
  OK(cudaGetLastError());
  CHECK(strcmp(cudaGetErrorName(cudaErrorMemoryAllocation), "cudaErrorMemoryAllocation") == 0);
  CHECK(strcmp(cudaGetErrorString(cudaErrorMemoryAllocation), "out of memory") == 0);
  CHECK(strcmp(cudaGetErrorString((cudaError_t)12345), "unrecognized error code") == 0);
}

TEST(properties) {
  cudaDeviceProp p;
  int count, device = -1, value, driver, runtime;
  OK(cudaGetDeviceCount(&count));
  OK(cudaGetDevice(&device));
  OK(cudaGetDeviceProperties(&p, 0));
  OK(cudaDriverGetVersion(&driver));
  OK(cudaRuntimeGetVersion(&runtime));
  CHECK(count >= 1 && device == 0 && driver >= runtime && runtime == CUDART_VERSION);
  CHECK(p.warpSize == 32 && p.maxThreadsPerBlock == 1024 && p.maxGridSize[0] == 2147483647);
  CHECK(p.sharedMemPerBlock == 48 << 10 && p.sharedMemPerBlockOptin > p.sharedMemPerBlock);
  OK(cudaDeviceGetAttribute(&value, cudaDevAttrMultiProcessorCount, 0));
  CHECK(value == p.multiProcessorCount);
  OK(cudaDeviceGetAttribute(&value, cudaDevAttrMaxSharedMemoryPerBlockOptin, 0));
  CHECK(value == (int)p.sharedMemPerBlockOptin);
  OK(cudaDeviceGetAttribute(&value, cudaDevAttrComputeCapabilityMajor, 0));
  CHECK(value == p.major);
  GIVES(cudaErrorInvalidDevice, cudaGetDeviceProperties(&p, count));
#ifndef __CUDACC__
  CHECK(strcmp(p.name, "ASL emulator") == 0 && p.major == 9 && p.minor == 0);
  CHECK(p.totalGlobalMem == (size_t)8 << 30 && p.multiProcessorCount == 4);
#endif
}

/* ---- memory -----------------------------------------------------------------------------------
 */
TEST(copies_arrive) {
  unsigned char host[100], back[100];
  char *a, *b, *pinned;
  for (int i = 0; i < 100; i++) host[i] = (unsigned char)(3 * i);
  OK(cudaMalloc(&a, 100));
  OK(cudaMalloc(&b, 100));
  OK(cudaMallocHost(&pinned, 100));
  OK(cudaMemcpy(a, host, 100, cudaMemcpyHostToDevice));
  OK(cudaMemcpyAsync(b, a, 50, cudaMemcpyDeviceToDevice, 0));
  OK(cudaMemcpyAsync(b + 50, a + 50, 50, cudaMemcpyDefault, 0));
  OK(cudaMemsetAsync(b + 10, 7, 3, 0));
  OK(cudaMemcpyAsync(pinned, b, 100, cudaMemcpyDeviceToHost, 0));
  OK(cudaStreamSynchronize(0));
  memcpy(back, pinned, 100);
  for (int i = 0; i < 100; i++) CHECK(back[i] == (i >= 10 && i < 13 ? 7 : host[i]));
  OK(cudaMemcpy2DAsync(a, 10, b, 20, 3, 4, cudaMemcpyDeviceToDevice, 0));
  OK(cudaMemcpy(back, a, 100, cudaMemcpyDeviceToHost));
  for (int y = 0; y < 4; y++)
    for (int x = 0; x < 10; x++)
      CHECK(back[10 * y + x] == (x < 3 ? ((unsigned char *)pinned)[20 * y + x] : host[10 * y + x]));
  OK(cudaMemcpy(nullptr, nullptr, 0, cudaMemcpyHostToDevice));
  OK(cudaFree(a));
  OK(cudaFree(b));
  OK(cudaFree(nullptr));
  OK(cudaFreeHost(pinned));
}

TEST(pointers_are_known) {
  char *device, *pinned, *mapped;
  cudaPointerAttributes at;
  OK(cudaMalloc(&device, 100));
  OK(cudaHostAlloc(&pinned, 100, cudaHostAllocMapped));
  OK(cudaHostGetDevicePointer(&mapped, pinned, 0));
  OK(cudaMemset(device, 1, 100));
  OK(cudaPointerGetAttributes(&at, device + 99));
  CHECK(at.type == cudaMemoryTypeDevice && at.device == 0 && at.devicePointer == device + 99);
  OK(cudaPointerGetAttributes(&at, pinned));
  CHECK(at.type == cudaMemoryTypeHost && at.hostPointer == pinned);
  OK(cudaPointerGetAttributes(&at, &at));
  CHECK(at.type == cudaMemoryTypeUnregistered);
  OK(cudaFree(device));
  OK(cudaFreeHost(pinned));
}

#ifndef __CUDACC__
TEST(fresh_memory_holds_no_numbers) {
  for (size_t bytes : {1u, 100u, 5000u}) {
    unsigned char *p, *h;
    OK(cudaMalloc(&p, bytes));
    OK(cudaMallocHost(&h, bytes));
    for (size_t i = 0; i < bytes; i++) CHECK(p[i] == 0xff && h[i] == 0xff);
    CHECK((uintptr_t)p % 256 == 0);
    OK(cudaFree(p));
    OK(cudaFreeHost(h));
  }
}

TEST(wrong_pointers_are_refused) {
  char host[200], *p, *q, *pinned;
  OK(cudaMalloc(&p, 100));
  OK(cudaMalloc(&q, 100));
  OK(cudaMallocHost(&pinned, 100));
  GIVES(cudaErrorInvalidValue, cudaFree(p + 1));
  GIVES(cudaErrorInvalidValue, cudaFree(host));
  GIVES(cudaErrorInvalidValue, cudaFree(pinned));
  GIVES(cudaErrorInvalidValue, cudaFreeHost(p));
  GIVES(cudaErrorInvalidValue, cudaMemcpy(p, host, 101, cudaMemcpyHostToDevice));
  GIVES(cudaErrorInvalidValue, cudaMemcpy(p + 1, host, 100, cudaMemcpyHostToDevice));
  GIVES(cudaErrorInvalidValue, cudaMemcpy(p - 1, host, 2, cudaMemcpyHostToDevice));
  GIVES(cudaErrorInvalidValue, cudaMemcpy(host, host + 100, 10, cudaMemcpyHostToDevice));
  GIVES(cudaErrorInvalidValue, cudaMemcpy(p, q, 10, cudaMemcpyHostToDevice));
  GIVES(cudaErrorInvalidValue, cudaMemcpy(host, pinned, 10, cudaMemcpyDeviceToHost));
  GIVES(cudaErrorInvalidValue, cudaMemcpy(p, host, 10, cudaMemcpyDeviceToDevice));
  GIVES(cudaErrorInvalidValue, cudaMemcpy(p, nullptr, 10, cudaMemcpyHostToDevice));
  GIVES(cudaErrorInvalidMemcpyDirection, cudaMemcpy(p, q, 10, (cudaMemcpyKind)7));
  GIVES(cudaErrorInvalidValue,
        cudaMemcpy2DAsync(p, 10, q, 10, 10, 11, cudaMemcpyDeviceToDevice, 0));
  GIVES(cudaErrorInvalidValue, cudaMemcpy2DAsync(p, 10, q, 9, 10, 2, cudaMemcpyDeviceToDevice, 0));
  GIVES(cudaErrorInvalidValue, cudaMemset(p, 0, 101));
  GIVES(cudaErrorInvalidValue, cudaMemset(host, 0, 1));
  GIVES(cudaErrorInvalidValue, cudaHostGetDevicePointer(&q, host, 0));
  OK(cudaMemcpy(p, q, 100, cudaMemcpyDefault));
  OK(cudaMemcpy(host, host + 100, 100, cudaMemcpyHostToHost));
  OK(cudaFree(p));
  GIVES(cudaErrorInvalidValue, cudaFree(p));
  GIVES(cudaErrorInvalidValue, cudaMemset(p, 0, 1));
  OK(cudaFreeHost(pinned));
}

/* Run with ASL_EMU_MEMORY=1000000 ASL_EMU_DEVICES=2. */
TEST(memory_ends) {
  size_t left, all;
  char *p, *q, *other;
  OK(cudaMemGetInfo(&left, &all));
  CHECK(left == 1000000 && all == 1000000);
  OK(cudaMalloc(&p, 600000));
  GIVES(cudaErrorMemoryAllocation, cudaMalloc(&q, 400001));
  CHECK(q == nullptr);
  GIVES(cudaErrorMemoryAllocation, cudaGetLastError());
  GIVES(cudaErrorMemoryAllocation, cudaMalloc(&q, SIZE_MAX));
  OK(cudaMalloc(&q, 400000));
  OK(cudaMemGetInfo(&left, &all));
  CHECK(left == 0);
  OK(cudaSetDevice(1));
  OK(cudaMalloc(&other, 1000000));
  OK(cudaMemcpyPeerAsync(other, 1, p, 0, 1000, 0));
  GIVES(cudaErrorInvalidValue, cudaMemcpyPeerAsync(other, 0, p, 1, 1000, 0));
  OK(cudaSetDevice(0));
  OK(cudaFree(p));
  OK(cudaMalloc(&p, 600000));
  OK(cudaFree(p));
  OK(cudaFree(q));
  OK(cudaFree(other));
  OK(cudaMemGetInfo(&left, &all));
  CHECK(left == 1000000);
}

/* Run with ASL_EMU_DEVICES=3. */
TEST(several_devices) {
  int count, can;
  cudaStream_t stream;
  cudaEvent_t event;
  OK(cudaGetDeviceCount(&count));
  CHECK(count == 3);
  GIVES(cudaErrorInvalidDevice, cudaSetDevice(3));
  OK(cudaDeviceCanAccessPeer(&can, 0, 2));
  OK(cudaSetDevice(2));
  OK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  OK(cudaSetDevice(1));
  OK(cudaEventCreate(&event));
  GIVES(cudaErrorInvalidResourceHandle, cudaEventRecord(event, stream));
  GIVES(cudaErrorInvalidResourceHandle, cudaLaunchHostFunc(
                                            stream, [](void *) {}, nullptr));
  OK(cudaSetDevice(2));
  OK(cudaLaunchHostFunc(
      stream, [](void *) {}, nullptr));
  OK(cudaStreamDestroy(stream));
  OK(cudaEventDestroy(event));
}

/* Run with ASL_EMU_DEVICES=0. */
TEST(no_device) {
  int count = 7;
  GIVES(cudaErrorNoDevice, cudaGetDeviceCount(&count));
  CHECK(count == 0);
  GIVES(cudaErrorInvalidDevice, cudaSetDevice(0));
}
#endif

/* ---- launches ---------------------------------------------------------------------------------
 */
/* The last number that was put into shared memory. */
static __global__ void fill_shared(int *out, int count) {
  DYNAMIC_SHARED(int, room);
  for (int i = threadIdx.x; i < count; i += blockDim.x) room[i] = i;
  __syncthreads();
  if (threadIdx.x + threadIdx.z + blockIdx.x + blockIdx.y == 0)
    *out = count > 0 ? room[count - 1] : -1;
}

static __global__ void touch(int *count) { atomicAdd(count, 1); }

TEST(launches_have_limits) {
  array<int> out(1);
  auto go = [&](dim3 grid, dim3 block, size_t shared) {
    return launch(fill_shared, grid, block, shared, 0, out.device, (int)(shared / 4));
  };
  OK(go(dim3(1), dim3(1024), 0));
  OK(go(dim3(1), dim3(16, 1, 64), 0));
  OK(go(dim3(1, 65535, 1), dim3(1), 0));
  for (dim3 block : {dim3(1025), dim3(33, 32), dim3(1, 1, 65), dim3(0), dim3(1, 0, 1)})
    GIVES(cudaErrorInvalidConfiguration, go(dim3(1), block, 0));
  for (dim3 grid : {dim3(0), dim3(1, 65536), dim3(1, 1, 65536), dim3(1, 0), dim3(0x80000000u)})
    GIVES(cudaErrorInvalidConfiguration, go(grid, dim3(1), 0));
  OK(go(dim3(2), dim3(100), 48 << 10));
  out.down();
  CHECK(out.host[0] == (48 << 10) / 4 - 1);
  GIVES(cudaErrorInvalidValue, go(dim3(1), dim3(1), (48 << 10) + 4));
  (void)cudaGetLastError();
}

TEST(more_shared_memory_is_asked_for) {
  array<int> out(1);
  cudaFuncAttributes attributes;
  int most, blocks;
  know(fill_shared);
  OK(cudaDeviceGetAttribute(&most, cudaDevAttrMaxSharedMemoryPerBlockOptin, 0));
  CHECK(most >= 64 << 10);
  OK(cudaFuncSetAttribute(fill_shared, cudaFuncAttributeMaxDynamicSharedMemorySize, most));
  OK(launch(fill_shared, dim3(3), dim3(64), (size_t)most, 0, out.device, most / 4));
  out.down();
  CHECK(out.host[0] == most / 4 - 1);
  GIVES(cudaErrorInvalidValue,
        cudaFuncSetAttribute(fill_shared, cudaFuncAttributeMaxDynamicSharedMemorySize, most + 1));
  OK(cudaFuncGetAttributes(&attributes, fill_shared));
  CHECK(attributes.maxDynamicSharedSizeBytes == most && attributes.maxThreadsPerBlock <= 1024);
  OK(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, fill_shared, 256, (size_t)most));
  CHECK(blocks == 1);
  OK(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, fill_shared, 256, 0));
  CHECK(blocks >= 4);
}

#ifndef __CUDACC__
static __global__ void never_launched(int) {}

static __global__ void read_dynamic(unsigned *out, int count) {
  DYNAMIC_SHARED(unsigned, room);
  for (int i = threadIdx.x; i < count; i += blockDim.x) {
    if (room[i] != ~0u) atomicAdd(out, 1u);
    room[i] = 0;
  }
}

TEST(dynamic_shared_memory_starts_as_garbage) {
  array<unsigned> out(1);
  OK(launch(read_dynamic, dim3(50), dim3(32), 4000, 0, out.device, 1000));
  out.down();
  CHECK(out.host[0] == 0);
}

TEST(unknown_kernels_are_refused) {
  int one = 1, blocks;
  void *args[] = {&one};
  GIVES(cudaErrorInvalidDeviceFunction,
        cudaLaunchKernel((const void *)never_launched, dim3(1), dim3(1), args, 0, 0));
  GIVES(cudaErrorInvalidDeviceFunction, cudaLaunchKernel(nullptr, dim3(1), dim3(1), args, 0, 0));
  GIVES(cudaErrorInvalidDeviceFunction,
        cudaFuncSetAttribute(never_launched, cudaFuncAttributeMaxDynamicSharedMemorySize, 0));
  GIVES(cudaErrorInvalidDeviceFunction,
        cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, never_launched, 32, 0));
}
#endif

TEST(launches_on_streams) {
  cudaStream_t stream, second;
  cudaEvent_t start, stop, plain;
  float ms = -1;
  int least, greatest;
  array<int> count(1);
  OK(cudaDeviceGetStreamPriorityRange(&least, &greatest));
  OK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  OK(cudaStreamCreateWithPriority(&second, cudaStreamNonBlocking, greatest));
  OK(cudaEventCreate(&start));
  OK(cudaEventCreate(&stop));
  OK(cudaEventCreateWithFlags(&plain, cudaEventDisableTiming));
  OK(cudaEventQuery(plain));
  OK(cudaEventRecord(start, stream));
  OK(launch(touch, dim3(4), dim3(8), 0, stream, count.device));
  OK(cudaEventRecord(plain, stream));
  OK(cudaStreamWaitEvent(second, plain, 0));
  OK(launch(touch, dim3(4), dim3(8), 0, second, count.device));
  OK(cudaStreamSynchronize(second));
  OK(cudaStreamQuery(second));
  OK(cudaEventRecord(stop, stream));
  OK(cudaEventSynchronize(stop));
  OK(cudaEventElapsedTime(&ms, start, stop));
  CHECK(ms >= 0);
  GIVES(cudaErrorInvalidResourceHandle, cudaEventElapsedTime(&ms, start, plain));
  count.down();
  CHECK(count.host[0] == 64);
  OK(cudaEventDestroy(start));
  OK(cudaEventDestroy(stop));
  OK(cudaEventDestroy(plain));
  OK(cudaStreamDestroy(stream));
#ifndef __CUDACC__
  GIVES(cudaErrorInvalidResourceHandle, cudaStreamSynchronize(stream));
  GIVES(cudaErrorInvalidResourceHandle, cudaEventQuery(start));
  GIVES(cudaErrorInvalidResourceHandle, launch(touch, dim3(1), dim3(1), 0, stream, count.device));
#endif
  OK(cudaStreamDestroy(second));
}
