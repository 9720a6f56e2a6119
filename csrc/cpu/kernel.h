/* What the kernels share: splitting work, scratch memory, the first fault in data. */
#ifndef ASL_CPU_KERNEL_H
#define ASL_CPU_KERNEL_H

#include <stdatomic.h>

#include "base/parallel.h"
#include "base/pool.h"
#include "cpu/cpu.h"

/* For inner functions whose small constant arguments shape the code, and their loops: accumulators
 * in arrays must become registers. */
#define ALWAYS_INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 9")

/* Elements in a chunk of simple loops: large against the cost of a call, small against caches. */
enum { CHUNK = 32768 };

static inline int64_t min_i64(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t max_i64(int64_t a, int64_t b) { return a > b ? a : b; }
static inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

/* Kernels that need scratch per chunk cut their work into at most SHARES chunks and take the
 * scratch of all beforehand, so that peak memory does not depend on the number of threads. */
enum { SHARES = 64 };

typedef struct share {
  int64_t first, end;
} share;
static inline share share_of(int64_t items, int64_t shares, int64_t i) {
  return (share){items * i / shares, items * (i + 1) / shares};
}

/* Scratch of `bytes` bytes into *out, to be given back with asl_pool_give(). ASL_ENOMEM. */
static inline asl_status take_scratch(int64_t bytes, void **out) {
  *out = asl_pool_take((size_t)bytes);
  if (*out) return ASL_OK;
  return asl_fail(ASL_ENOMEM, "out of memory: asked for %lld bytes of scratch, %lld are in use",
                  (long long)bytes, (long long)asl_pool_memory().live);
}

/* Scratch for the chunks that run at a time: `floats` for each thread, whose own begin at
 * thread_floats(). asl_pool_give(data) when done. ASL_ENOMEM. */
typedef struct thread_scratch {
  float *data;
  int64_t floats; /* whole cache lines */
} thread_scratch;
static inline asl_status take_thread_scratch(int64_t floats, thread_scratch *out) {
  out->floats = ceil_div(floats, 16) * 16;
  size_t bytes = (size_t)(out->floats * asl_threads()) * sizeof(float);
  out->data = asl_pool_take_uncounted(bytes);
  if (out->data) return ASL_OK;
  return asl_fail(ASL_ENOMEM, "out of memory: asked for %zu bytes of scratch, %lld are in use",
                  bytes, (long long)asl_pool_memory().live);
}
static inline float *thread_floats(const thread_scratch *s) {
  return s->data + asl_worker() * s->floats;
}

/* The lowest position at which any chunk found something wrong: the same for any schedule. */
typedef _Atomic int64_t first_fault;
enum { NO_FAULT = -1 };
static inline void note_fault(first_fault *fault, int64_t position) {
  int64_t seen = atomic_load(fault);
  while (seen == NO_FAULT || position < seen)
    if (atomic_compare_exchange_weak(fault, &seen, position)) return;
}

#endif
