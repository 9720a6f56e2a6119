#define _GNU_SOURCE
#include "base/pool.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/size_class.h"

enum { ALIGN = 64, LARGE_PAGE = 2 << 20 };

typedef struct header {
  struct header *next; /* PRIVATE: the free list */
  size_t bytes;        /* rounded size without this header */
  int size_class;
  bool counted;
} header;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static header *free_list[ASL_SIZE_CLASSES];
static asl_memory memory;

/* Large blocks ask for large pages: with pages of 4 KiB a kernel that reads parts of every row finds
 * few of their addresses in the processor's tables. */
static void *fresh(size_t bytes) {
  void *block;
  if (posix_memalign(&block, bytes >= LARGE_PAGE ? LARGE_PAGE : ALIGN, bytes) != 0) return NULL;
#ifdef MADV_HUGEPAGE
  if (bytes >= LARGE_PAGE) madvise(block, bytes / LARGE_PAGE * LARGE_PAGE, MADV_HUGEPAGE);
#endif
  return block;
}

static void *take(size_t bytes, bool counted) {
  if (bytes >> 47) return NULL;
  int size_class;
  size_t rounded = asl_size_class(bytes, &size_class);
  pthread_mutex_lock(&lock);
  header *h = free_list[size_class];
  if (h) {
    free_list[size_class] = h->next;
    memory.cached -= (int64_t)rounded;
  }
  pthread_mutex_unlock(&lock);
  if (!h) {
    h = fresh(ALIGN + rounded);
    if (!h) { /* what is cached in other classes may be what is missing */
      asl_pool_trim();
      h = fresh(ALIGN + rounded);
      if (!h) return NULL;
    }
    h->bytes = rounded;
    h->size_class = size_class;
  }
  h->counted = counted;
  if (!counted) return (char *)h + ALIGN;
  pthread_mutex_lock(&lock);
  memory.live += (int64_t)rounded;
  if (memory.live > memory.peak) memory.peak = memory.live;
  pthread_mutex_unlock(&lock);
  return (char *)h + ALIGN;
}

void *asl_pool_take(size_t bytes) { return take(bytes, true); }
void *asl_pool_take_uncounted(size_t bytes) { return take(bytes, false); }

void asl_pool_give(void *block) {
  if (!block) return;
  header *h = (header *)(void *)((char *)block - ALIGN);
  pthread_mutex_lock(&lock);
  h->next = free_list[h->size_class];
  free_list[h->size_class] = h;
  if (h->counted) memory.live -= (int64_t)h->bytes;
  memory.cached += (int64_t)h->bytes;
  pthread_mutex_unlock(&lock);
}

asl_memory asl_pool_memory(void) {
  pthread_mutex_lock(&lock);
  asl_memory m = memory;
  pthread_mutex_unlock(&lock);
  return m;
}

void asl_pool_reset_peak(void) {
  pthread_mutex_lock(&lock);
  memory.peak = memory.live;
  pthread_mutex_unlock(&lock);
}

void asl_pool_trim(void) {
  pthread_mutex_lock(&lock);
  for (int c = 0; c < ASL_SIZE_CLASSES; c++) {
    while (free_list[c]) {
      header *h = free_list[c];
      free_list[c] = h->next;
      memory.cached -= (int64_t)h->bytes;
      free(h);
    }
  }
  pthread_mutex_unlock(&lock);
}

/* Nothing is in use when the library goes; what was kept for reuse goes with it. */
__attribute__((destructor)) static void trim_at_exit(void) { asl_pool_trim(); }
