#define _GNU_SOURCE
#include "base/parallel.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

/* A thread that waits spins for some 30 us, then lets others run between its looks (loader threads
 * need the core) for about as long as the script takes between two kernels, and then sleeps: waking
 * up costs 50 to 100 us. */
enum { MAX_THREADS = 256, SPINS = 1000, YIELDS = 500 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards the start and end of jobs */
static pthread_cond_t started = PTHREAD_COND_INITIALIZER;
static pthread_cond_t finished = PTHREAD_COND_INITIALIZER;
static pthread_t workers[MAX_THREADS];
static int threads; /* 0 until first used */
static int running; /* worker threads alive */
static atomic_flag busy = ATOMIC_FLAG_INIT;
static _Thread_local bool inside;
static _Thread_local int worker;

static struct {
  asl_chunk_fn fn;
  void *context;
  int64_t chunks;
  int parts;
} job;
static atomic_uint generation; /* a new value = a new job */
static atomic_int pending;     /* workers that have not finished it */
static bool stopping;

static inline void pause_thread(void) {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

static inline bool waits(int *looks) {
  if ((*looks)++ < SPINS) pause_thread();
  else if (*looks < SPINS + YIELDS) sched_yield();
  else return false;
  return true;
}

static void run_part(int part) {
  int64_t first = job.chunks * part / job.parts, last = job.chunks * (part + 1) / job.parts;
  for (int64_t c = first; c < last; c++) job.fn(job.context, c);
}

static void wait_for_job(unsigned seen) {
  int looks = 0;
  do {
    if (atomic_load_explicit(&generation, memory_order_acquire) != seen) return;
  } while (waits(&looks));
  pthread_mutex_lock(&lock);
  while (atomic_load(&generation) == seen) pthread_cond_wait(&started, &lock);
  pthread_mutex_unlock(&lock);
}

static void *work(void *argument) {
  int part = (int)(intptr_t)argument;
  unsigned seen = 0;
  inside = true;
  worker = part;
  for (;;) {
    wait_for_job(seen);
    seen++;
    if (stopping) return NULL;
    run_part(part);
    if (atomic_fetch_sub(&pending, 1) == 1) {
      pthread_mutex_lock(&lock);
      pthread_cond_signal(&finished);
      pthread_mutex_unlock(&lock);
    }
  }
}

static void announce(void) {
  pthread_mutex_lock(&lock);
  atomic_fetch_add_explicit(&generation, 1, memory_order_release);
  pthread_cond_broadcast(&started);
  pthread_mutex_unlock(&lock);
}

static void stop_workers(void) {
  if (!running) return;
  stopping = true;
  announce();
  for (int i = 0; i < running; i++) pthread_join(workers[i], NULL);
  running = 0;
  stopping = false;
}

static void start_workers(void) {
  if (running == threads - 1) return;
  stop_workers();
  atomic_store(&generation, 0);
  for (int i = 0; i < threads - 1; i++) {
    /* With fewer threads than asked for the result is the same, only later. */
    if (pthread_create(&workers[i], NULL, work, (void *)(intptr_t)(i + 1)) != 0) {
      threads = i + 1;
      break;
    }
    running = i + 1;
  }
}

static int default_threads(void) {
  const char *set = getenv("ASL_THREADS");
  if (set && atoi(set) > 0) return atoi(set);
  cpu_set_t cpus;
  return sched_getaffinity(0, sizeof cpus, &cpus) == 0 ? CPU_COUNT(&cpus) : 1;
}

int asl_worker(void) { return worker; }

int asl_threads(void) {
  if (threads == 0) asl_set_threads(default_threads());
  return threads;
}

void asl_set_threads(int n) {
  while (atomic_flag_test_and_set(&busy)) sched_yield();
  threads = n < 1 ? 1 : n > MAX_THREADS ? MAX_THREADS : n;
  atomic_flag_clear(&busy);
}

void asl_parallel(int64_t chunks, asl_chunk_fn fn, void *context) {
  int wanted = asl_threads();
  if (chunks <= 1 || wanted == 1 || inside || atomic_flag_test_and_set(&busy)) {
    for (int64_t c = 0; c < chunks; c++) fn(context, c);
    return;
  }
  start_workers();
  inside = true;
  job.fn = fn;
  job.context = context;
  job.chunks = chunks;
  job.parts = running + 1;
  atomic_store(&pending, running);
  announce();
  run_part(0);
  int looks = 0;
  while (atomic_load(&pending) > 0 && waits(&looks)) continue;
  if (atomic_load(&pending) > 0) {
    pthread_mutex_lock(&lock);
    while (atomic_load(&pending) > 0) pthread_cond_wait(&finished, &lock);
    pthread_mutex_unlock(&lock);
  }
  inside = false;
  atomic_flag_clear(&busy);
}
