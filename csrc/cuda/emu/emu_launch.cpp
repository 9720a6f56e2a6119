#include <algorithm>
#include <stdint.h>

#include "emu_block.h"
#include "emu_internal.h"
#include "emu_kernel.h"
#include "emu_symbol.h"

extern "C" {
#include "base/parallel.h"
}

/* ---- known kernels --------------------------------------------------------------------------- */
/* Never shrinks, so it is read without a lock. */
enum { TABLE = 1 << 14 };
static std::atomic<asl_emu_kernel *> table[TABLE];

/* The kernel's place, or the empty one where it belongs. */
static std::atomic<asl_emu_kernel *> *slot_of(const void *address) {
  uint64_t hash = (uint64_t)(uintptr_t)address * 0x9e3779b97f4a7c15u;
  for (uint64_t i = hash >> 40, tried = 0; tried < TABLE; i++, tried++) {
    asl_emu_kernel *kernel = table[i % TABLE].load(std::memory_order_acquire);
    if (!kernel || kernel->address == address) return &table[i % TABLE];
  }
  asl_emu_die("there are more than %d kernels", TABLE);
}

asl_emu_kernel *asl_emu_find_kernel(const void *address) {
  return address ? slot_of(address)->load(std::memory_order_acquire) : nullptr;
}

void asl_emu_register_kernel(const void *kernel, const asl_emu_signature *signature,
                             const char *name) {
  if (asl_emu_find_kernel(kernel)) return;
  static std::mutex adding;
  std::lock_guard<std::mutex> guard(adding);
  std::atomic<asl_emu_kernel *> *slot = slot_of(kernel);
  if (slot->load(std::memory_order_relaxed)) return;
  asl_emu_kernel *made = new asl_emu_kernel();
  made->address = kernel;
  made->signature = signature;
  made->name = name;
  made->most_shared = ASL_EMU_SHARED;
  slot->store(made, std::memory_order_release);
}

const char *asl_emu_kernel_name(const asl_emu_kernel *kernel) {
  static thread_local char text[256];
  if (kernel->name) return kernel->name;
  asl_emu_symbol(kernel->address, text, sizeof text);
  return text;
}

/* ---- launching ------------------------------------------------------------------------------- */
cudaError_t asl_emu_check_launch(const asl_emu_kernel *kernel, dim3 grid, dim3 block,
                                 size_t shared_bytes) {
  uint64_t threads = (uint64_t)block.x * block.y * block.z;
  bool fits = block.x <= 1024 && block.y <= 1024 && block.z <= 64 && threads >= 1 &&
              threads <= ASL_EMU_MAX_THREADS;
  fits = fits && grid.x >= 1 && grid.x <= INT32_MAX && grid.y >= 1 && grid.y <= 65535 &&
         grid.z >= 1 && grid.z <= 65535;
  if (!fits) return cudaErrorInvalidConfiguration;
  return shared_bytes > kernel->most_shared ? cudaErrorInvalidValue : cudaSuccess;
}

/* Enough parts for any number of threads; a part costs next to nothing. */
static const int64_t PARTS = 256;

struct job {
  asl_emu_grid grid;
  int64_t blocks, parts;
};

static void run_part(void *context, int64_t part) {
  const job *j = (const job *)context;
  bool reverse = asl_emu_settings_get()->reverse;
  for (int64_t i = j->blocks * part / j->parts; i < j->blocks * (part + 1) / j->parts; i++)
    asl_emu_run_block(&j->grid, reverse ? j->blocks - 1 - i : i);
}

void asl_emu_run_grid(const asl_emu_kernel *kernel, dim3 grid, dim3 block, void *const *arguments,
                      size_t shared_bytes) {
  job j = {{kernel, arguments, grid, block, shared_bytes}, 0, 0};
  j.blocks = (int64_t)grid.x * grid.y * grid.z;
  j.parts = j.blocks < PARTS ? j.blocks : PARTS;
  asl_parallel(j.parts, run_part, &j);
}

/* ---- the runtime's functions on kernels ------------------------------------------------------ */
cudaError_t cudaFuncSetAttribute(const void *function, enum cudaFuncAttribute attribute,
                                 int value) {
  asl_emu_kernel *kernel = asl_emu_find_kernel(function);
  if (!kernel) return asl_emu_result(cudaErrorInvalidDeviceFunction);
  if (attribute == cudaFuncAttributePreferredSharedMemoryCarveout)
    return asl_emu_result(value < -1 || value > 100 ? cudaErrorInvalidValue : cudaSuccess);
  if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize || value < 0 ||
      (size_t)value > ASL_EMU_SHARED_MOST)
    return asl_emu_result(cudaErrorInvalidValue);
  kernel->most_shared = (size_t)value;
  return cudaSuccess;
}

cudaError_t cudaFuncGetAttributes(struct cudaFuncAttributes *attributes, const void *function) {
  const asl_emu_kernel *kernel = asl_emu_find_kernel(function);
  if (!kernel) return asl_emu_result(cudaErrorInvalidDeviceFunction);
  *attributes = {};
  attributes->maxThreadsPerBlock = ASL_EMU_MAX_THREADS;
  attributes->numRegs = 32;
  attributes->ptxVersion = attributes->binaryVersion = 90;
  attributes->maxDynamicSharedSizeBytes = (int)kernel->most_shared;
  return cudaSuccess;
}

/* As if every kernel used 32 registers and no static shared memory. */
cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, const void *function,
                                                          int block_size, size_t dynamic_bytes) {
  const asl_emu_kernel *kernel = asl_emu_find_kernel(function);
  if (!kernel) return asl_emu_result(cudaErrorInvalidDeviceFunction);
  if (!blocks || block_size < 1) return asl_emu_result(cudaErrorInvalidValue);
  *blocks = 0;
  if (block_size > ASL_EMU_MAX_THREADS || dynamic_bytes > kernel->most_shared) return cudaSuccess;
  int warps = (block_size + ASL_EMU_WARP - 1) / ASL_EMU_WARP;
  size_t by_threads = ASL_EMU_PROCESSOR_THREADS / (size_t)(warps * ASL_EMU_WARP);
  size_t by_memory = ASL_EMU_SHARED_ALL / (dynamic_bytes + ASL_EMU_SHARED_KEPT);
  *blocks = (int)std::min({by_threads, by_memory, (size_t)ASL_EMU_PROCESSOR_BLOCKS});
  return cudaSuccess;
}
