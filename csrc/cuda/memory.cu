/* The caching allocator of device memory. All work passes through one queue in order, so a block may be given
 * back and taken again while kernels still use it: the next user's work comes after theirs. Nothing waits.
 *
 * Of the free blocks of a size the one with the lowest address is taken, so that the addresses of a step depend on
 * which blocks are free and not on the order they became so: a step finds the addresses of the step before, and
 * its graph again. */
#include "cuda/engine.h"

#include <set>
#include <unordered_map>

/* Sizes are rounded up to one of eight steps per power of two: at most 12.5 % is wasted. */
enum { MIN_LOG2 = 9, CLASSES = 8 * (48 - MIN_LOG2) };

static std::set<void *> free_blocks[CLASSES];
static std::unordered_map<void *, int> class_of; /* of every block, free or not */
static asl_memory held;

static size_t rounded_up(size_t bytes, int *size_class) {
  size_t base = (size_t)1 << MIN_LOG2;
  if (bytes <= base) {
    *size_class = 0;
    return base;
  }
  int log2 = 63 - __builtin_clzll((unsigned long long)(bytes - 1));
  size_t low = (size_t)1 << log2, step = low / 8;
  size_t k = (bytes - low + step - 1) / step; /* 1..8 */
  *size_class = (log2 - MIN_LOG2) * 8 + (int)k;
  return low + k * step;
}

static size_t bytes_of_class(int size_class) {
  size_t low = (size_t)1 << (MIN_LOG2 + (size_class - 1) / 8);
  return size_class == 0 ? (size_t)1 << MIN_LOG2 : low + (size_t)((size_class - 1) % 8 + 1) * (low / 8);
}

asl_status memory_take(size_t bytes, void **out) {
  *out = nullptr;
  if (bytes >> 47) return ASL_ENOMEM;
  int size_class;
  size_t rounded = rounded_up(bytes, &size_class);
  std::set<void *> &blocks = free_blocks[size_class];
  if (!blocks.empty()) {
    *out = *blocks.begin();
    blocks.erase(blocks.begin());
    held.cached -= (int64_t)rounded;
  } else {
    if (cudaMalloc(out, rounded) != cudaSuccess) {
      (void)cudaGetLastError(); /* it is reported as out of memory and must not be seen again */
      *out = nullptr;
      return ASL_ENOMEM;
    }
    class_of[*out] = size_class;
  }
  held.live += (int64_t)rounded;
  if (held.live > held.peak) held.peak = held.live;
  return ASL_OK;
}

void memory_give(void *block) {
  if (!block) return;
  int size_class = class_of[block];
  int64_t bytes = (int64_t)bytes_of_class(size_class);
  free_blocks[size_class].insert(block);
  held.live -= bytes;
  held.cached += bytes;
}

asl_memory memory_held(void) { return held; }
void memory_reset_peak(void) { held.peak = held.live; }

void memory_trim(void) {
  if (engine_wait() != ASL_OK) return; /* a broken device frees nothing; the next call reports it */
  queue_forget();
  for (int c = 0; c < CLASSES; c++) {
    for (void *block : free_blocks[c]) {
      held.cached -= (int64_t)bytes_of_class(c);
      class_of.erase(block);
      (void)cudaFree(block);
    }
    free_blocks[c].clear();
  }
}
