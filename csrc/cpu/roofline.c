/* What this machine can do at best with this instruction set and as many threads as the kernels use:
 * multiply-adds in registers, and a triad a = b + s c over arrays far beyond the caches. */
#include <time.h>
#include <unistd.h>

#include "cpu/kernel.h"
#include "cpu/simd.h"

/* Passes are timed alone and the best counts: the machine may be busy with something else. */
enum { PASSES = 6, PASS_NS = 6000000, CHAINS = 9 };

typedef struct probe {
  int64_t chunks;          /* one per thread */
  int64_t rounds;          /* of the chains */
  float *a, *b, *c, scale; /* of the triad */
  int64_t count;           /* elements of each array */
  _Atomic int64_t kept;    /* so that no result goes unused */
} probe;

static int64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int64_t timed(probe *p, asl_chunk_fn fn) {
  int64_t began = now_ns();
  asl_parallel(p->chunks, fn, p);
  return max_i64(now_ns() - began, 1);
}

/* Nanoseconds of the best pass. */
static int64_t best_of(probe *p, asl_chunk_fn fn) {
  int64_t best = timed(p, fn);
  for (int i = 1; i < PASSES; i++) best = min_i64(best, timed(p, fn));
  return best;
}

/* Independent chains, enough to hide the latency of an fma on two ports, few enough for registers. */
static void chains(void *context, int64_t chunk) {
  probe *p = context;
  const v8 x = v8_set(0.999f), y = v8_set(0.001f * (float)(chunk + 1));
  v8 sum[CHAINS];
  UNROLL for (int i = 0; i < CHAINS; i++) sum[i] = v8_set((float)i);
  for (int64_t r = 0; r < p->rounds; r++) {
    UNROLL for (int i = 0; i < CHAINS; i++) sum[i] = v8_fma(sum[i], x, y);
  }
  for (int i = 1; i < CHAINS; i++) sum[0] = v8_add(sum[0], sum[i]);
  atomic_fetch_add(&p->kept, (int64_t)v8_sum(sum[0]));
}

static double measure_macs(probe *p) {
  p->rounds = 256;
  while (timed(p, chains) < PASS_NS) p->rounds *= 2;
  double done = (double)p->chunks * (double)p->rounds * CHAINS * LANES;
  return done / (1e-9 * (double)best_of(p, chains));
}

static void triad(void *context, int64_t chunk) {
  const probe *p = context;
  const share part = share_of(p->count / LANES, p->chunks, chunk);
  const v8 scale = v8_set(p->scale);
  for (int64_t i = part.first * LANES; i < part.end * LANES; i += LANES)
    v8_store(p->a + i, v8_fma(scale, v8_load(p->c + i), v8_load(p->b + i)));
}

static void fill_arrays(void *context, int64_t chunk) {
  const probe *p = context;
  const share part = share_of(p->count, p->chunks, chunk);
  for (int64_t i = part.first; i < part.end; i++) p->a[i] = p->b[i] = p->c[i] = 1.0f;
}

/* Bytes of one of the three arrays: each alone would fill the last-level cache. No more, as fresh pages
 * take longer than the passes over them. */
static int64_t array_bytes(void) {
  int64_t cache = sysconf(_SC_LEVEL3_CACHE_SIZE); /* 0 or -1: not known */
  return min_i64(max_i64(cache, (int64_t)32 << 20), (int64_t)256 << 20);
}

static asl_status measure_bytes(probe *p, double *per_second) {
  int64_t bytes = array_bytes();
  void *scratch;
  ASL_TRY(take_scratch(3 * bytes, &scratch));
  p->count = bytes / (int64_t)sizeof(float);
  p->a = scratch;
  p->b = p->a + p->count;
  p->c = p->b + p->count;
  p->scale = 0.5f;
  asl_parallel(p->chunks, fill_arrays, p);
  *per_second = 3.0 * (double)bytes / (1e-9 * (double)best_of(p, triad));
  asl_pool_give(scratch);
  return ASL_OK;
}

asl_status ASL_LOCAL(asl_measure_peaks)(asl_peaks *peaks);
asl_status ASL_LOCAL(asl_measure_peaks)(asl_peaks *peaks) {
  probe p = {.chunks = asl_threads()};
  peaks->macs = measure_macs(&p);
  return measure_bytes(&p, &peaks->bytes);
}
