#include "emu_block.h"

#include <memory>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "emu_fiber.h"
#include "emu_internal.h"
#include "emu_kernel.h"
#include "emu_thread.h"
#include "emu_tsan.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#endif

__thread uint3 threadIdx, blockIdx;
__thread dim3 blockDim, gridDim;
__thread void *asl_emu_shared;
int asl_emu_fence;

enum { MAX_WARPS = ASL_EMU_MAX_THREADS / ASL_EMU_WARP, GUARD = 256 };

/* Where a thread waits, in its source. */
struct site {
  const char *file;
  int line;
};

/* Sets of lanes are masks. A lane is runnable, arrived at a warp operation, waiting at the barrier,
 * gone, or the one that runs. */
struct warp {
  unsigned runnable, arrived, gone; /* gone: has returned, or never was */
  unsigned long long value[ASL_EMU_WARP], result[ASL_EMU_WARP];
  unsigned mask[ASL_EMU_WARP];
  int source[ASL_EMU_WARP];
  asl_emu_operation operation[ASL_EMU_WARP];
  site at[ASL_EMU_WARP];
  unsigned char meetings = 0; /* how many there were: they take turns at the places of meeting */
  char *met[ASL_EMU_WARP], left[ASL_EMU_WARP], meeting[256];
};

/* The block that an OS thread runs, and what it keeps from one to the next. */
struct asl_emu_block {
  const asl_emu_grid *grid;
  int threads, running, left; /* left: those that have not returned */
  bool reverse;
  int waiting, counted, result; /* of the barrier */
  int turn = 0;                 /* of the two places of meeting */
  char meeting[2];
  site barrier;
  unsigned runnable_warps;
  warp warps[MAX_WARPS];
  asl_emu_fiber *native, *of[ASL_EMU_MAX_THREADS]; /* of: NULL before a thread starts */
  asl_emu_fiber *fibers[ASL_EMU_MAX_THREADS], *idle[ASL_EMU_MAX_THREADS];
  int fiber_count, idle_count;
  uint3 place[ASL_EMU_MAX_THREADS]; /* threadIdx of each, for blocks of this shape: */
  dim3 shape;
  unsigned char *shared;

  asl_emu_block() : grid(), shape(0, 0, 0) {
    native = asl_emu_fiber_native();
    fiber_count = idle_count = 0;
    reverse = asl_emu_settings_get()->reverse;
    memset(of, 0, sizeof of);
    size_t bytes = ASL_EMU_SHARED_MOST + GUARD;
    if (posix_memalign((void **)&shared, 1024, bytes) != 0) asl_emu_die("no memory for a block");
  }
  ~asl_emu_block() {
    for (int i = 0; i < fiber_count; i++) asl_emu_fiber_free(fibers[i]);
    asl_emu_fiber_free(native);
    free(shared);
  }
};

static thread_local std::unique_ptr<asl_emu_block> kept;
static __thread asl_emu_block *current;

/* ---- messages -------------------------------------------------------------------------------- */
/* "kernel NAME, block (1,0,0) of (4,1,1)" */
ASL_EMU_UNSEEN static const char *where(const asl_emu_block *b) {
  static thread_local char text[512];
  snprintf(text, sizeof text, "kernel %s, block (%u,%u,%u) of (%u,%u,%u)",
           asl_emu_kernel_name(b->grid->kernel), blockIdx.x, blockIdx.y, blockIdx.z, gridDim.x,
           gridDim.y, gridDim.z);
  return text;
}

ASL_EMU_UNSEEN static const char *name_of(asl_emu_operation operation) {
  switch (operation) {
  case ASL_EMU_SHUFFLE: return "a shuffle";
  case ASL_EMU_BALLOT: return "a vote";
  default: return "__syncwarp";
  }
}

ASL_EMU_UNSEEN static bool same(site a, site b) {
  return a.line == b.line && (a.file == b.file || strcmp(a.file, b.file) == 0);
}

/* Nobody can run, and not all have returned: names one thread of each kind. */
[[noreturn]] static void die_stuck(const asl_emu_block *b) {
  char text[1024];
  int n = 0, limit = (int)sizeof text;
  if (b->waiting > 0)
    n += snprintf(text, (size_t)limit, "; %d wait at __syncthreads (%s:%d)", b->waiting,
                  b->barrier.file, b->barrier.line);
  for (int t = 0, shown = 0; t < b->threads && shown < 4 && n < limit; t++) {
    const warp *w = &b->warps[t / ASL_EMU_WARP];
    int lane = t % ASL_EMU_WARP, before = lane - 1;
    if (!(w->arrived >> lane & 1)) continue;
    if (lane > 0 && (w->arrived >> before & 1) && same(w->at[lane], w->at[before]) &&
        w->mask[lane] == w->mask[before])
      continue;
    shown++;
    n +=
        snprintf(text + n, (size_t)(limit - n), "; thread %d waits at %s of mask 0x%08x (%s:%d)", t,
                 name_of(w->operation[lane]), w->mask[lane], w->at[lane].file, w->at[lane].line);
  }
  asl_emu_die("%s: its threads wait for each other for ever%s; %d have returned", where(b), text,
              b->threads - b->left);
}

void asl_emu_trap(const char *what, const char *file, int line) {
  asl_emu_die("%s, thread (%u,%u,%u): %s (%s:%d)", where(current), threadIdx.x, threadIdx.y,
              threadIdx.z, what, file, line);
}

/* ---- taking turns ---------------------------------------------------------------------------- */
ASL_EMU_UNSEEN static void make_runnable(asl_emu_block *b, int index, unsigned lanes) {
  b->warps[index].runnable |= lanes;
  if (lanes) b->runnable_warps |= 1u << index;
}

/* The next thread to run, which is then the one that runs; -1 when there is none. The lowest that
 * can (the highest, in reverse), so that a warp goes on while it can. */
ASL_EMU_UNSEEN static int choose(asl_emu_block *b) {
  if (!b->runnable_warps) return -1;
  bool reverse = b->reverse;
  int index = reverse ? 31 - __builtin_clz(b->runnable_warps) : __builtin_ctz(b->runnable_warps);
  warp *w = &b->warps[index];
  int lane = reverse ? 31 - __builtin_clz(w->runnable) : __builtin_ctz(w->runnable);
  w->runnable &= ~(1u << lane);
  if (!w->runnable) b->runnable_warps &= ~(1u << index);
  b->running = index * ASL_EMU_WARP + lane;
  threadIdx = b->place[b->running];
  return b->running;
}

static void fiber_main(void);

ASL_EMU_UNSEEN static asl_emu_fiber *idle_fiber(asl_emu_block *b) {
  if (b->idle_count > 0) return b->idle[--b->idle_count];
  asl_emu_fiber *fiber = asl_emu_fiber_new(fiber_main, b->fiber_count);
  return b->fibers[b->fiber_count++] = fiber;
}

/* Lets others run until this thread, which has noted what it waits for, is chosen. */
ASL_EMU_UNSEEN static void wait_for_turn(asl_emu_block *b) {
  int me = b->running, next = choose(b);
  if (next == me) return;
  if (next < 0) die_stuck(b);
  if (!b->of[next]) b->of[next] = idle_fiber(b);
  asl_emu_fiber_switch(b->of[me], b->of[next]);
}

static void returned(asl_emu_block *b);

/* Runs one thread after the other on one fiber, as long as none of them waits. */
ASL_EMU_UNSEEN static void fiber_main(void) {
  asl_emu_block *b = current;
  for (;;) {
    int me = b->running;
    asl_emu_fiber *mine = b->of[me];
    asl_emu_meet(&b->grid);
    b->grid->kernel->signature->invoke(b->grid->kernel->address, b->grid->arguments);
    b->of[me] = nullptr;
    returned(b);
    int next = choose(b);
    if (next < 0 && b->left > 0) die_stuck(b);
    if (next >= 0 && !b->of[next]) {
      b->of[next] = asl_emu_one_fiber_each ? idle_fiber(b) : mine;
      if (b->of[next] == mine) continue;
    }
    if (!asl_emu_one_fiber_each) b->idle[b->idle_count++] = mine;
    asl_emu_leave(&b->left);
    asl_emu_fiber_switch(mine, next < 0 ? b->native : b->of[next]);
  }
}

/* ---- barriers -------------------------------------------------------------------------------- */
static void die_divergent(const asl_emu_block *b, const char *other) {
  asl_emu_die("%s: divergent barrier: %d of its %d threads wait at __syncthreads (%s:%d), %s",
              where(b), b->waiting, b->threads, b->barrier.file, b->barrier.line, other);
}

ASL_EMU_UNSEEN int asl_emu_barrier(int predicate, const char *file, int line) {
  asl_emu_block *b = current;
  site here = {file, line};
  char other[256];
  if (b->waiting == 0) b->barrier = here;
  if (!same(b->barrier, here)) {
    snprintf(other, sizeof other, "thread %d at another (%s:%d)", b->running, file, line);
    die_divergent(b, other);
  }
  b->waiting++;
  b->counted += predicate != 0;
  if (b->left < b->threads) {
    snprintf(other, sizeof other, "%d have returned", b->threads - b->left);
    die_divergent(b, other);
  }
  char *meeting = &b->meeting[b->turn];
  asl_emu_leave(meeting);
  if (b->waiting == b->threads) {
    b->result = b->counted;
    b->counted = b->waiting = 0;
    b->turn = !b->turn; /* who is early at the next must not be met by who is late from this one */
    for (int i = 0; i * ASL_EMU_WARP < b->threads; i++) make_runnable(b, i, ~b->warps[i].gone);
  }
  wait_for_turn(b);
  asl_emu_meet(meeting);
  return b->result;
}

/* ---- warp operations ------------------------------------------------------------------------- */
ASL_EMU_UNSEEN static unsigned long long ballot(const warp *w, unsigned lanes) {
  unsigned long long result = 0;
  for (int i = 0; i < ASL_EMU_WARP; i++)
    if ((lanes >> i & 1) && w->value[i]) result |= 1u << i;
  return result;
}

/* For ThreadSanitizer: what the lanes did before is done. Of all warp operations only __syncwarp
 * promises it. */
ASL_EMU_UNSEEN static void meet_lanes(warp *w, unsigned lanes) {
  if (!asl_emu_one_fiber_each) return;
  char *meeting = &w->meeting[w->meetings++];
  for (int i = 0; i < ASL_EMU_WARP; i++)
    if (lanes >> i & 1) asl_emu_meet(&w->left[i]), w->met[i] = meeting;
  asl_emu_leave(meeting);
}

/* Gives the lanes of an operation their results when all have arrived. */
ASL_EMU_UNSEEN static void complete(asl_emu_block *b, int index, unsigned mask) {
  warp *w = &b->warps[index];
  unsigned lanes = mask & ~w->gone;
  if (!lanes || (w->arrived & lanes) != lanes) return;
  int first = __builtin_ctz(lanes);
  for (int i = first; i < ASL_EMU_WARP; i++) {
    if (!(lanes >> i & 1)) continue;
    if (w->mask[i] != mask) return; /* it waits for others first */
    if (w->operation[i] != w->operation[first])
      asl_emu_die(
          "%s: thread %d is at %s (%s:%d) while thread %d is at %s (%s:%d), both of mask 0x%08x",
          where(b), index * ASL_EMU_WARP + first, name_of(w->operation[first]), w->at[first].file,
          w->at[first].line, index * ASL_EMU_WARP + i, name_of(w->operation[i]), w->at[i].file,
          w->at[i].line, mask);
  }
  if (w->operation[first] == ASL_EMU_SYNC) meet_lanes(w, lanes);
  unsigned long long votes = w->operation[first] == ASL_EMU_BALLOT ? ballot(w, lanes) : 0;
  for (int i = first; i < ASL_EMU_WARP; i++) {
    if (!(lanes >> i & 1)) continue;
    int source = w->source[i];
    if (w->operation[i] != ASL_EMU_SHUFFLE) w->result[i] = votes;
    else w->result[i] = (lanes >> source & 1) ? w->value[source] : ~0ull;
  }
  w->arrived &= ~lanes;
  make_runnable(b, index, lanes);
}

ASL_EMU_UNSEEN unsigned long long asl_emu_warp(asl_emu_operation operation, unsigned int mask,
                                               unsigned long long value, int source,
                                               const char *file, int line) {
  asl_emu_block *b = current;
  int index = b->running / ASL_EMU_WARP, lane = b->running % ASL_EMU_WARP;
  warp *w = &b->warps[index];
  if (!(mask >> lane & 1))
    asl_emu_die("%s: thread %d, lane %d, is at %s whose mask 0x%08x does not name it (%s:%d)",
                where(b), b->running, lane, name_of(operation), mask, file, line);
  w->operation[lane] = operation;
  w->mask[lane] = mask;
  w->value[lane] = value;
  w->source[lane] = source & (ASL_EMU_WARP - 1);
  w->at[lane] = {file, line};
  w->arrived |= 1u << lane;
  if (operation == ASL_EMU_SYNC) asl_emu_leave(&w->left[lane]);
  complete(b, index, mask);
  wait_for_turn(b);
  if (operation == ASL_EMU_SYNC) asl_emu_meet(w->met[lane]);
  return w->result[lane];
}

/* The running thread is done: others may have waited for just that, or in vain. */
ASL_EMU_UNSEEN static void returned(asl_emu_block *b) {
  int index = b->running / ASL_EMU_WARP, lane = b->running % ASL_EMU_WARP;
  warp *w = &b->warps[index];
  b->left--;
  w->gone |= 1u << lane;
  if (b->waiting > 0) {
    char other[64];
    snprintf(other, sizeof other, "thread %d has returned", b->running);
    die_divergent(b, other);
  }
  for (int i = 0; w->arrived && i < ASL_EMU_WARP; i++)
    if ((w->arrived >> i & 1) && (w->mask[i] >> lane & 1)) complete(b, index, w->mask[i]);
}

/* ---- a block --------------------------------------------------------------------------------- */
ASL_EMU_UNSEEN static void set_shape(asl_emu_block *b, dim3 shape) {
  if (b->shape.x == shape.x && b->shape.y == shape.y && b->shape.z == shape.z) return;
  b->shape = shape;
  int t = 0;
  for (unsigned z = 0; z < shape.z; z++)
    for (unsigned y = 0; y < shape.y; y++)
      for (unsigned x = 0; x < shape.x; x++) b->place[t++] = {x, y, z};
}

ASL_EMU_UNSEEN static void start_threads(asl_emu_block *b) {
  b->left = b->threads;
  b->waiting = b->counted = 0;
  b->runnable_warps = 0;
  for (int i = 0; i * ASL_EMU_WARP < b->threads; i++) {
    int lanes = b->threads - i * ASL_EMU_WARP;
    b->warps[i].gone = lanes < ASL_EMU_WARP ? ~0u << lanes : 0;
    b->warps[i].runnable = b->warps[i].arrived = 0;
    make_runnable(b, i, ~b->warps[i].gone);
  }
}

static void fill_shared(asl_emu_block *b, size_t bytes) {
#ifdef __SANITIZE_ADDRESS__
  ASAN_UNPOISON_MEMORY_REGION(b->shared, ASL_EMU_SHARED_MOST + GUARD);
#endif
  memset(b->shared, 0xff, bytes);
  memset(b->shared + bytes, 0xa5, GUARD);
#ifdef __SANITIZE_ADDRESS__
  ASAN_POISON_MEMORY_REGION(b->shared + bytes, ASL_EMU_SHARED_MOST + GUARD - bytes);
#endif
}

static void check_shared(asl_emu_block *b, size_t bytes) {
#ifdef __SANITIZE_ADDRESS__
  ASAN_UNPOISON_MEMORY_REGION(b->shared, ASL_EMU_SHARED_MOST + GUARD);
#endif
  for (size_t i = 0; i < GUARD; i++)
    if (b->shared[bytes + i] != 0xa5)
      asl_emu_die("%s: wrote byte %zu of its dynamic shared memory of %zu bytes", where(b),
                  bytes + i, bytes);
}

ASL_EMU_UNSEEN static void set_place(asl_emu_block *b, const asl_emu_grid *grid, int64_t block) {
  int64_t row = block / grid->blocks.x;
  blockIdx.x = (unsigned)(block % grid->blocks.x);
  blockIdx.y = (unsigned)(row % grid->blocks.y);
  blockIdx.z = (unsigned)(row / grid->blocks.y);
  gridDim = grid->blocks;
  blockDim = grid->threads;
  asl_emu_shared = b->shared;
  current = b;
}

/* For ThreadSanitizer, to which making a fiber puts it in order with who makes it: all are made
 * here. */
ASL_EMU_UNSEEN static void gather_fibers(asl_emu_block *b) {
  for (; b->fiber_count < b->threads; b->fiber_count++)
    b->fibers[b->fiber_count] = asl_emu_fiber_new(fiber_main, b->fiber_count);
  memcpy(b->idle, b->fibers, sizeof b->idle);
  b->idle_count = b->fiber_count;
}

ASL_EMU_UNSEEN void asl_emu_run_block(const asl_emu_grid *grid, int64_t block) {
  if (!kept) kept.reset(new asl_emu_block());
  asl_emu_block *b = kept.get();
  b->grid = grid;
  b->threads = (int)(grid->threads.x * grid->threads.y * grid->threads.z);
  set_shape(b, grid->threads);
  set_place(b, grid, block);
  start_threads(b);
  fill_shared(b, grid->shared_bytes);
  if (asl_emu_one_fiber_each) gather_fibers(b);
  asl_emu_leave(&b->grid);
  int first = choose(b);
  b->of[first] = idle_fiber(b);
  asl_emu_fiber_switch(b->native, b->of[first]);
  asl_emu_meet(&b->left);
  check_shared(b, grid->shared_bytes);
}
