/* The caching allocator of device memory. All work passes through one queue in order, so a block may be given
 * back and taken again while kernels still use it: the next user's work comes after theirs. Nothing waits.
 *
 * Of the free blocks of a size the one with the lowest address is taken, so that the addresses of a step depend on
 * which blocks are free and not on the order they became so: a step finds the addresses of the step before, and
 * its graph again. */
#include "cuda/engine.h"

#include <set>
#include <unordered_map>

extern "C" {
#include "base/size_class.h"
}

static std::set<void *> free_blocks[ASL_SIZE_CLASSES];
static std::unordered_map<void *, int> class_of; /* of every block, free or not */
static asl_memory held;

asl_status memory_take(size_t bytes, void **out) {
  *out = nullptr;
  if (bytes >> 47) return ASL_ENOMEM;
  int size_class;
  size_t rounded = asl_size_class(bytes, &size_class);
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
  int64_t bytes = (int64_t)asl_class_size(size_class);
  free_blocks[size_class].insert(block);
  held.live -= bytes;
  held.cached += bytes;
}

asl_memory memory_held(void) { return held; }
void memory_reset_peak(void) { held.peak = held.live; }

void memory_trim(void) {
  if (engine_wait() != ASL_OK) return; /* a broken device frees nothing; the next call reports it */
  queue_forget();
  for (int c = 0; c < ASL_SIZE_CLASSES; c++) {
    for (void *block : free_blocks[c]) {
      held.cached -= (int64_t)asl_class_size(c);
      class_of.erase(block);
      (void)cudaFree(block);
    }
    free_blocks[c].clear();
  }
}
