/* What ends the program, each with its message: emu_spec.lua compares it. And a missing barrier,
 * which does not, but is seen in one of the two orders. */
#ifndef __CUDACC__
#include "emu_test.h"

static void run(void (*kernel)(int *), unsigned threads, size_t shared = 0) {
  array<int> out(4096);
  OK(launch(kernel, dim3(2), dim3(threads), shared, 0, out.device));
}

static __global__ void two_barriers(int *) {
  if (threadIdx.x < 40) __syncthreads();
  else __syncthreads();
}
TEST(fault_two_barriers) { run(two_barriers, 64); }

static __global__ void return_before(int *) {
  if (threadIdx.x == 63) return;
  __syncthreads();
}
TEST(fault_return_before_barrier) { run(return_before, 64); }

static __global__ void barrier_or_shuffle(int *out) {
  if (threadIdx.x < 32) __syncthreads();
  else out[threadIdx.x] = __shfl_xor_sync(0xffffffffu, 1, 1);
}
TEST(fault_barrier_or_shuffle) { run(barrier_or_shuffle, 64); }

static __global__ void lanes_missing(int *out) {
  if (threadIdx.x % 32 < 20) out[threadIdx.x] = (int)__ballot_sync(0xffffffffu, 1);
  else __syncwarp(0xfff00000u);
  __syncthreads();
}
TEST(fault_lanes_missing) { run(lanes_missing, 32); }

static __global__ void mixed(int *out) {
  if (threadIdx.x % 2) out[threadIdx.x] = __shfl_xor_sync(0xffffffffu, 1, 1);
  else out[threadIdx.x] = __any_sync(0xffffffffu, 1);
}
TEST(fault_mixed_operations) { run(mixed, 32); }

static __global__ void not_in_mask(int *out) { out[threadIdx.x] = __shfl_sync(0x0000ffffu, 1, 0); }
TEST(fault_not_in_mask) { run(not_in_mask, 32); }

static __global__ void stop(int *) {
  if (threadIdx.x == 7 && blockIdx.x == 1) __trap();
}
TEST(fault_trap) { run(stop, 32); }

template <class T> static __global__ void __launch_bounds__(64) beyond(T *) {
  DYNAMIC_SHARED(char, room);
  room[400 + threadIdx.x] = 1;
}
TEST(fault_beyond_shared) { run(beyond<int>, 1, 400); }

static __global__ void write_at(char *p, int at) { p[at] = 1; }

TEST(fault_written_after_the_end) {
  char *p;
  OK(cudaMalloc(&p, 1001));
  OK(launch(write_at, dim3(1), dim3(1), 0, 0, p, 1001));
  OK(cudaFree(p));
}

TEST(fault_written_before_the_start) {
  char *p;
  OK(cudaMalloc(&p, 1001));
  OK(launch(write_at, dim3(1), dim3(1), 0, 0, p, -3));
  OK(cudaFree(p));
}

TEST(fault_found_at_exit) {
  char *p, *q;
  OK(cudaMalloc(&p, 1001));
  OK(cudaMallocHost(&q, 16));
  OK(launch(write_at, dim3(1), dim3(1), 0, 0, p, 1256));
  q[16] = 0;
  printf("%d\n", asl_emu_check());
  fflush(stdout);
}

TEST(fault_copy_over_itself) {
  char *p;
  OK(cudaMalloc(&p, 1000));
  (void)cudaMemcpy(p, p + 10, 11, cudaMemcpyDeviceToDevice);
}

TEST(fault_setting) { OK(cudaSetDevice(0)); } /* run with ASL_EMU_DEVICES=two */

/* Reads its neighbour's value, without a barrier between. */
static __global__ void no_barrier(int *out) {
  __shared__ int v[64];
  v[threadIdx.x] = (int)threadIdx.x;
  out[threadIdx.x] = threadIdx.x > 0 ? v[threadIdx.x - 1] : -1;
}

TEST(missing_barrier) {
  array<int> out(64);
  OK(launch(no_barrier, dim3(1), dim3(64), 0, 0, out.device));
  out.down();
  bool right = true;
  for (int t = 0; t < 64; t++) right = right && out.host[(size_t)t] == t - 1;
  puts(right ? "right" : "wrong");
}

/* Races that ThreadSanitizer finds. */
static __global__ void race_in_shared(int *out) {
  __shared__ int v[64];
  v[threadIdx.x] = (int)threadIdx.x;
  __syncthreads();
  out[threadIdx.x + 64 * blockIdx.x] = v[threadIdx.x ^ 1];
  v[threadIdx.x] = 0; /* before the neighbour has read */
}
TEST(race_in_shared_memory) { run(race_in_shared, 64); }

static __global__ void race_of_lanes(int *out) {
  __shared__ int v[32];
  v[threadIdx.x] = (int)threadIdx.x;
  (void)__shfl_xor_sync(0xffffffffu, 1, 1); /* orders no memory */
  out[threadIdx.x + 64 * blockIdx.x] = v[threadIdx.x ^ 1];
}
TEST(race_across_a_shuffle) { run(race_of_lanes, 32); }

static __global__ void race_of_blocks(int *out) {
  if (threadIdx.x == 0) out[0] = 1;
}
TEST(race_of_blocks_in_memory) { run(race_of_blocks, 32); }

static __global__ void no_race(int *out) {
  __shared__ int v[64];
  for (int round = 0; round < 5; round++) {
    v[threadIdx.x] = (int)threadIdx.x;
    __syncwarp();
    int other = v[threadIdx.x ^ 1];
    __syncthreads();
    if (threadIdx.x == 0) v[63] = other;
    __syncthreads();
    atomicAdd(out, v[63]);
    __syncthreads();
  }
  __threadfence();
  if (atomicAdd(out + 1, 1) == 127) {
    __threadfence();
    out[2] = 1;
  }
}
TEST(race_that_is_none) { run(no_race, 64); }

/* The order of the threads and blocks, as the kernel's writes tell it. */
static __global__ void note_order(int *count, int *order) {
  order[(*count)++] = (int)(blockIdx.x * blockDim.x + threadIdx.x);
  __syncthreads();
  order[(*count)++] = (int)(blockIdx.x * blockDim.x + threadIdx.x);
}

TEST(order) { /* run with ASL_THREADS=1 */
  array<int> count(1), order(12);
  OK(launch(note_order, dim3(2), dim3(3), 0, 0, count.device, order.device));
  order.down();
  for (int i : order.host) printf("%d ", i);
}
#endif
