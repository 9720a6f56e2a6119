/* What a thread of a block sees: its place in the grid, shared memory, barriers and warp
 * operations.
 *
 * Stricter than a GPU, where the result would be undefined or differ between generations: all
 * threads of a block must come to the same __syncthreads() (same line; none may have returned), and
 * all threads of a mask that have not returned to the same warp operation with the same mask. A
 * shuffle from a lane outside the mask, or one that has returned, gives bytes of 0xFF. */
#ifndef ASL_EMU_THREAD_H
#define ASL_EMU_THREAD_H

#include <string.h>
#include <type_traits>

#include "emu_types.h"

enum asl_emu_operation {
  ASL_EMU_SHUFFLE, /* value of the lane */
  ASL_EMU_BALLOT,  /* mask of the lanes with a value that is not 0 */
  ASL_EMU_SYNC     /* nothing */
};

/* One per OS thread, which runs one block at a time. */
#define ASL_EMU_OWN extern __thread

#pragma GCC visibility push(hidden)
ASL_EMU_OWN uint3 threadIdx, blockIdx;
ASL_EMU_OWN dim3 blockDim, gridDim;
ASL_EMU_OWN void *asl_emu_shared;
#undef ASL_EMU_OWN
extern int asl_emu_fence;

/* Waits for all threads of the block; returns in how many of them `predicate` is not 0. */
int asl_emu_barrier(int predicate, const char *file, int line);

/* Waits for the lanes of the mask; `source` is the lane whose value a shuffle gives. */
unsigned long long asl_emu_warp(asl_emu_operation operation, unsigned int mask,
                                unsigned long long value, int source, const char *file, int line);

/* Ends the program: a kernel has failed. */
[[noreturn]] void asl_emu_trap(const char *what, const char *file, int line);
#pragma GCC visibility pop

static const int warpSize = 32;

/* In place of `extern __shared__`. Holds bytes of 0xFF (NaN) at the start of every block. */
static inline void *asl_emu_dynamic_shared(void) { return asl_emu_shared; }

#define ASL_EMU_SITE const char *file = __builtin_FILE(), int line = __builtin_LINE()

static inline void __syncthreads(ASL_EMU_SITE) { asl_emu_barrier(0, file, line); }

static inline int __syncthreads_count(int predicate, ASL_EMU_SITE) {
  return asl_emu_barrier(predicate, file, line);
}

static inline int __syncthreads_or(int predicate, ASL_EMU_SITE) {
  return asl_emu_barrier(predicate, file, line) > 0;
}

static inline int __syncthreads_and(int predicate, ASL_EMU_SITE) {
  return asl_emu_barrier(!predicate, file, line) == 0;
}

static inline void __syncwarp(unsigned int mask = 0xffffffffu, ASL_EMU_SITE) {
  asl_emu_warp(ASL_EMU_SYNC, mask, 0, 0, file, line);
}

static inline unsigned int __ballot_sync(unsigned int mask, int predicate, ASL_EMU_SITE) {
  return (unsigned int)asl_emu_warp(ASL_EMU_BALLOT, mask, predicate != 0, 0, file, line);
}

static inline int __any_sync(unsigned int mask, int predicate, ASL_EMU_SITE) {
  return __ballot_sync(mask, predicate, file, line) != 0;
}

static inline int __all_sync(unsigned int mask, int predicate, ASL_EMU_SITE) {
  return __ballot_sync(mask, !predicate, file, line) == 0;
}

static inline int asl_emu_lane(void) {
  return (int)((threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z)) & 31);
}

template <class T>
static inline T asl_emu_shuffle(unsigned int mask, T value, int source, const char *file,
                                int line) {
  static_assert(std::is_arithmetic<T>::value && (sizeof(T) == 4 || sizeof(T) == 8),
                "shuffles move numbers of 4 or 8 bytes");
  unsigned long long bits = 0;
  memcpy(&bits, &value, sizeof value);
  bits = asl_emu_warp(ASL_EMU_SHUFFLE, mask, bits, source, file, line);
  memcpy(&value, &bits, sizeof value);
  return value;
}

/* A lane whose source lies outside its segment of `width` lanes gets its own value. */
template <class T>
static inline T __shfl_sync(unsigned int mask, T value, int source, int width = 32, ASL_EMU_SITE) {
  int first = asl_emu_lane() & ~(width - 1);
  return asl_emu_shuffle(mask, value, first + (source & (width - 1)), file, line);
}

template <class T>
static inline T __shfl_up_sync(unsigned int mask, T value, unsigned int delta, int width = 32,
                               ASL_EMU_SITE) {
  int lane = asl_emu_lane(), place = lane & (width - 1);
  return asl_emu_shuffle(mask, value, delta > (unsigned int)place ? lane : lane - (int)delta, file,
                         line);
}

template <class T>
static inline T __shfl_down_sync(unsigned int mask, T value, unsigned int delta, int width = 32,
                                 ASL_EMU_SITE) {
  int lane = asl_emu_lane(), left = width - 1 - (lane & (width - 1));
  return asl_emu_shuffle(mask, value, delta > (unsigned int)left ? lane : lane + (int)delta, file,
                         line);
}

template <class T>
static inline T __shfl_xor_sync(unsigned int mask, T value, int lane_mask, int width = 32,
                                ASL_EMU_SITE) {
  /* As on a GPU, a segment may read from those before it, not from those after it. */
  int lane = asl_emu_lane(), source = lane ^ lane_mask, last = lane | (width - 1);
  return asl_emu_shuffle(mask, value, source > last ? lane : source, file, line);
}
#undef ASL_EMU_SITE

#define __trap() asl_emu_trap("__trap()", __FILE__, __LINE__)

/* What this thread wrote is there for others that see what it writes later. */
static inline void __threadfence(void) {
#ifdef __SANITIZE_THREAD__ /* does not know fences: one that orders all threads that pass it */
  __atomic_fetch_add(&asl_emu_fence, 0, __ATOMIC_ACQ_REL);
#else
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
#endif
}
static inline void __threadfence_block(void) { __threadfence(); }

#endif
