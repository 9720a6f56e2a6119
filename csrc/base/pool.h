/* The caching allocator of host memory: tensors and kernel scratch come from here.
 *
 * Freed blocks are kept and reused, because fresh pages cost a page fault each (1.4-1.6x of a whole
 * training step with plain malloc). Blocks are 64-byte aligned. Accounting is exact in rounded
 * block sizes. All functions are thread-safe. */
#ifndef ASL_BASE_POOL_H
#define ASL_BASE_POOL_H

#include <stddef.h>
#include <stdint.h>

typedef struct asl_memory {
  int64_t live;   /* bytes handed out now */
  int64_t peak;   /* highest `live` since the last asl_pool_reset_peak() */
  int64_t cached; /* bytes kept for reuse */
} asl_memory;

/* At least `bytes` bytes (uninitialised), or NULL when the system has no more: the caller reports
 * ASL_ENOMEM. 0 bytes give a valid block. */
void *asl_pool_take(size_t bytes);

/* The same, but in neither `live` nor `peak`: for scratch of which every thread has its own, so that
 * the memory of a computation does not depend on the number of threads. */
void *asl_pool_take_uncounted(size_t bytes);

/* Gives a block back; NULL is allowed. Cannot fail. */
void asl_pool_give(void *block);

asl_memory asl_pool_memory(void);
void asl_pool_reset_peak(void);
void asl_pool_trim(void); /* returns all cached blocks to the system */

#endif
