/* Memory of the devices and pinned memory of the host: allocations between red zones, copies,
 * fills. */
#include <map>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "emu_internal.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(first, bytes) ((void)(first), (void)(bytes))
#define ASAN_UNPOISON_MEMORY_REGION(first, bytes) ((void)(first), (void)(bytes))
#endif

/* A multiple of the alignment that cudaMalloc() promises. */
enum { RED_ZONE = 256, RED = 0xa5, FRESH = 0xff, HOST = -1, MOST_DEVICES = 16 };

struct allocation {
  size_t bytes;
  int device; /* or HOST */
};

/* By address. Never destroyed: threads may outlive main(). */
static std::map<const char *, allocation> &allocations(void) {
  static auto *all = new std::map<const char *, allocation>();
  return *all;
}
static size_t used[MOST_DEVICES];

/* ---- red zones ------------------------------------------------------------------------------- */
/* The first byte that was written around an allocation, counted from its start; 0 when none was. */
__attribute__((no_sanitize("address"))) static long long first_damage(const char *start,
                                                                      size_t bytes) {
  const unsigned char *p = (const unsigned char *)start;
  for (long long i = -RED_ZONE; i < 0; i++)
    if (p[i] != RED) return i;
  for (size_t i = bytes; i < bytes + RED_ZONE; i++)
    if (p[i] != RED) return (long long)i;
  return 0;
}

static bool damaged(const char *start, size_t bytes, long long *byte) {
  *byte = first_damage(start, bytes);
  return *byte < 0 || *byte >= (long long)bytes;
}

int asl_emu_check(void) {
  std::lock_guard<std::mutex> guard(asl_emu_lock());
  int count = 0;
  long long byte;
  for (const auto &[start, a] : allocations()) {
    if (!damaged(start, a.bytes, &byte)) continue;
    fprintf(stderr, "ASL emulator: byte %lld of an allocation of %zu bytes was written\n", byte,
            a.bytes);
    count++;
  }
  return count;
}

static void check_at_exit(void) {
  if (asl_emu_check() > 0) abort();
}

/* ---- allocating ------------------------------------------------------------------------------ */
static cudaError_t allocate(void **pointer, size_t bytes, int device) {
  static int registered = atexit(check_at_exit);
  (void)registered;
  if (!pointer) return cudaErrorInvalidValue;
  *pointer = nullptr;
  if (bytes == 0) return cudaSuccess;
  std::lock_guard<std::mutex> guard(asl_emu_lock());
  size_t most = asl_emu_settings_get()->memory;
  if (device != HOST && (bytes > most || used[device] > most - bytes))
    return cudaErrorMemoryAllocation;
  size_t whole = bytes + 2 * RED_ZONE;
  void *memory;
  if (whole < bytes || posix_memalign(&memory, RED_ZONE, whole) != 0)
    return cudaErrorMemoryAllocation;
  char *start = (char *)memory + RED_ZONE;
  memset(memory, RED, RED_ZONE);
  memset(start, FRESH, bytes);
  memset(start + bytes, RED, RED_ZONE);
  ASAN_POISON_MEMORY_REGION(memory, RED_ZONE);
  ASAN_POISON_MEMORY_REGION(start + bytes, RED_ZONE);
  if (device != HOST) used[device] += bytes;
  allocations()[start] = {bytes, device};
  *pointer = start;
  return cudaSuccess;
}

static cudaError_t release(void *pointer, bool host, const char *function) {
  if (!pointer) return cudaSuccess;
  std::lock_guard<std::mutex> guard(asl_emu_lock());
  auto found = allocations().find((const char *)pointer);
  if (found == allocations().end() || (found->second.device == HOST) != host)
    return cudaErrorInvalidValue;
  allocation a = found->second;
  char *start = (char *)pointer;
  long long byte;
  if (damaged(start, a.bytes, &byte))
    asl_emu_die("%s: byte %lld of an allocation of %zu bytes was written", function, byte, a.bytes);
  if (!host) used[a.device] -= a.bytes;
  allocations().erase(found);
  ASAN_UNPOISON_MEMORY_REGION(start - RED_ZONE, a.bytes + 2 * RED_ZONE);
  free(start - RED_ZONE);
  return cudaSuccess;
}

/* The calls that a capture forbids. */
static cudaError_t guarded(std::function<cudaError_t()> call) {
  cudaError_t error = asl_emu_unsafe();
  return asl_emu_result(error == cudaSuccess ? call() : error);
}

cudaError_t cudaMalloc(void **pointer, size_t bytes) {
  return guarded([=] { return allocate(pointer, bytes, asl_emu_current_device()); });
}

cudaError_t cudaFree(void *pointer) {
  return guarded([=] { return release(pointer, false, "cudaFree"); });
}

cudaError_t cudaHostAlloc(void **pointer, size_t bytes, unsigned int flags) {
  if (flags > 7) return asl_emu_result(cudaErrorInvalidValue);
  return guarded([=] { return allocate(pointer, bytes, HOST); });
}

cudaError_t cudaMallocHost(void **pointer, size_t bytes) {
  return cudaHostAlloc(pointer, bytes, cudaHostAllocDefault);
}

cudaError_t cudaFreeHost(void *pointer) {
  return guarded([=] { return release(pointer, true, "cudaFreeHost"); });
}

cudaError_t cudaMemGetInfo(size_t *free_bytes, size_t *total_bytes) {
  std::lock_guard<std::mutex> guard(asl_emu_lock());
  *total_bytes = asl_emu_settings_get()->memory;
  *free_bytes = *total_bytes - used[asl_emu_current_device()];
  return cudaSuccess;
}

/* ---- what is known of a pointer -------------------------------------------------------------- */
/* The allocation with the highest address below `end` that overlaps [pointer, end), or NULL. */
static const std::pair<const char *const, allocation> *overlapping(const void *pointer,
                                                                   size_t bytes) {
  auto next = allocations().lower_bound((const char *)pointer + (bytes ? bytes : 1));
  if (next == allocations().begin()) return nullptr;
  --next;
  return next->first + next->second.bytes > (const char *)pointer ? &*next : nullptr;
}

enum place { OUTSIDE, PINNED, DEVICE, ASTRIDE };

static place place_of(const void *pointer, size_t bytes, int *device) {
  std::lock_guard<std::mutex> guard(asl_emu_lock());
  const auto *found = overlapping(pointer, bytes);
  if (!found) return OUTSIDE;
  const char *first = (const char *)pointer;
  *device = found->second.device;
  if (first < found->first || first + bytes > found->first + found->second.bytes) return ASTRIDE;
  return *device == HOST ? PINNED : DEVICE;
}

bool asl_emu_on_device(const void *pointer, size_t bytes) {
  int device;
  return bytes == 0 || place_of(pointer, bytes, &device) == DEVICE;
}

cudaError_t cudaPointerGetAttributes(struct cudaPointerAttributes *attributes,
                                     const void *pointer) {
  int device = 0;
  place at = place_of(pointer, 1, &device);
  *attributes = {};
  attributes->type = at == DEVICE   ? cudaMemoryTypeDevice
                     : at == PINNED ? cudaMemoryTypeHost
                                    : cudaMemoryTypeUnregistered;
  attributes->device = at == DEVICE ? device : at == PINNED ? asl_emu_current_device() : -2;
  attributes->devicePointer = at == OUTSIDE ? nullptr : (void *)pointer;
  attributes->hostPointer = at == DEVICE ? nullptr : (void *)pointer;
  return cudaSuccess;
}

cudaError_t cudaHostGetDevicePointer(void **device_pointer, void *host, unsigned int flags) {
  int device;
  if (!device_pointer || flags != 0 || place_of(host, 1, &device) != PINNED)
    return asl_emu_result(cudaErrorInvalidValue);
  *device_pointer = host;
  return cudaSuccess;
}

/* ---- copying and filling --------------------------------------------------------------------- */
struct copy {
  char *to;
  const char *from;
  size_t to_pitch, from_pitch, width, height;
  cudaMemcpyKind kind;
  bool is_pageable; /* one side is memory of the host that is not pinned */
};

static size_t extent(size_t pitch, size_t width, size_t height) {
  return width == 0 || height == 0 ? 0 : pitch * (height - 1) + width;
}

/* Memory of the host may be pinned or not, but not that of a device. */
static bool fits(place at, bool on_device) {
  return on_device ? at == DEVICE : at == OUTSIDE || at == PINNED;
}

static cudaError_t check_copy(copy *c) {
  if (c->kind < cudaMemcpyHostToHost || c->kind > cudaMemcpyDefault)
    return cudaErrorInvalidMemcpyDirection;
  if (c->height > 1 && (c->width > c->to_pitch || c->width > c->from_pitch))
    return cudaErrorInvalidValue;
  size_t to_bytes = extent(c->to_pitch, c->width, c->height);
  size_t from_bytes = extent(c->from_pitch, c->width, c->height);
  if (to_bytes == 0) return cudaSuccess;
  int device;
  place to = place_of(c->to, to_bytes, &device), from = place_of(c->from, from_bytes, &device);
  if (!c->to || !c->from || to == ASTRIDE || from == ASTRIDE) return cudaErrorInvalidValue;
  bool to_device = c->kind == cudaMemcpyHostToDevice || c->kind == cudaMemcpyDeviceToDevice;
  bool from_device = c->kind == cudaMemcpyDeviceToHost || c->kind == cudaMemcpyDeviceToDevice;
  bool fixed = c->kind != cudaMemcpyDefault;
  if (fixed && !(fits(to, to_device) && fits(from, from_device))) return cudaErrorInvalidValue;
  if (c->to < c->from + from_bytes && c->from < c->to + to_bytes)
    asl_emu_die("a copy of %zu bytes overlaps itself", to_bytes);
  c->is_pageable = to == OUTSIDE || from == OUTSIDE;
  return cudaSuccess;
}

static cudaError_t run_copy(copy c) {
  cudaError_t error = check_copy(&c);
  if (error != cudaSuccess) return error;
  for (size_t i = 0; i < c.height; i++)
    memcpy(c.to + i * c.to_pitch, c.from + i * c.from_pitch, c.width);
  return cudaSuccess;
}

static cudaError_t submit_copy(copy c, cudaStream_t stream) {
  cudaError_t error = check_copy(&c);
  if (error != cudaSuccess || c.width == 0 || c.height == 0) return asl_emu_result(error);
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  if (c.is_pageable) error = cudaStreamIsCapturing(stream, &status);
  if (error == cudaSuccess && status == cudaStreamCaptureStatusActive)
    error = asl_emu_spoil(stream);
  if (error != cudaSuccess) return asl_emu_result(error);
  return asl_emu_result(
      asl_emu_submit(stream, cudaGraphNodeTypeMemcpy, [c] { return run_copy(c); }));
}

static copy plain(void *to, const void *from, size_t bytes, cudaMemcpyKind kind) {
  return {(char *)to, (const char *)from, bytes, bytes, bytes, 1, kind, false};
}

cudaError_t cudaMemcpy(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind) {
  return guarded([=] { return submit_copy(plain(to, from, bytes, kind), 0); });
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind,
                            cudaStream_t stream) {
  return submit_copy(plain(to, from, bytes, kind), stream);
}

cudaError_t cudaMemcpy2DAsync(void *to, size_t to_pitch, const void *from, size_t from_pitch,
                              size_t width, size_t height, enum cudaMemcpyKind kind,
                              cudaStream_t stream) {
  copy c = {(char *)to, (const char *)from, to_pitch, from_pitch, width, height, kind, false};
  return submit_copy(c, stream);
}

cudaError_t cudaMemcpyPeerAsync(void *to, int to_device, const void *from, int from_device,
                                size_t bytes, cudaStream_t stream) {
  int devices = asl_emu_settings_get()->devices, at = -1;
  if (to_device < 0 || to_device >= devices || from_device < 0 || from_device >= devices)
    return asl_emu_result(cudaErrorInvalidDevice);
  if (bytes > 0 && (place_of(to, bytes, &at) != DEVICE || at != to_device ||
                    place_of(from, bytes, &at) != DEVICE || at != from_device))
    return asl_emu_result(cudaErrorInvalidValue);
  return submit_copy(plain(to, from, bytes, cudaMemcpyDeviceToDevice), stream);
}

static cudaError_t run_fill(void *pointer, int value, size_t bytes) {
  if (!asl_emu_on_device(pointer, bytes)) return cudaErrorInvalidValue;
  if (bytes > 0) memset(pointer, value, bytes);
  return cudaSuccess;
}

cudaError_t cudaMemsetAsync(void *pointer, int value, size_t bytes, cudaStream_t stream) {
  if (!asl_emu_on_device(pointer, bytes)) return asl_emu_result(cudaErrorInvalidValue);
  if (bytes == 0) return cudaSuccess;
  return asl_emu_result(asl_emu_submit(stream, cudaGraphNodeTypeMemset,
                                       [=] { return run_fill(pointer, value, bytes); }));
}

cudaError_t cudaMemset(void *pointer, int value, size_t bytes) {
  return guarded([=] { return cudaMemsetAsync(pointer, value, bytes, 0); });
}
