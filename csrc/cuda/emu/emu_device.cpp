/* Devices, settings, errors. */
#include <atomic>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "emu_internal.h"

enum { MOST_DEVICES = 16 };

static thread_local int device;
static thread_local cudaError_t last_error;

/* ---- errors ---------------------------------------------------------------------------------- */
void asl_emu_die(const char *format, ...) {
  static std::atomic_flag dying = ATOMIC_FLAG_INIT;
  while (dying.test_and_set()) pause(); /* one message is enough: other blocks fail alike */
  va_list arguments;
  va_start(arguments, format);
  fputs("ASL emulator: ", stderr);
  vfprintf(stderr, format, arguments);
  fputc('\n', stderr);
  va_end(arguments);
  abort();
}

cudaError_t asl_emu_result(cudaError_t error) {
  if (error != cudaSuccess) last_error = error;
  return error;
}

cudaError_t cudaGetLastError(void) {
  cudaError_t error = last_error;
  last_error = cudaSuccess;
  return error;
}

cudaError_t cudaPeekAtLastError(void) { return last_error; }

const char *cudaGetErrorName(cudaError_t error) {
  switch (error) {
#define ASL_EMU_ERROR(name, value, text)                                                           \
  case name:                                                                                       \
    return #name;
#include "emu_errors.def"
#undef ASL_EMU_ERROR
  }
  return "unrecognized error code";
}

const char *cudaGetErrorString(cudaError_t error) {
  switch (error) {
#define ASL_EMU_ERROR(name, value, text)                                                           \
  case name:                                                                                       \
    return text;
#include "emu_errors.def"
#undef ASL_EMU_ERROR
  }
  return "unrecognized error code";
}

/* ---- settings -------------------------------------------------------------------------------- */
static size_t number_from(const char *variable, size_t unset, size_t most) {
  const char *text = getenv(variable);
  if (!text || !*text) return unset;
  char *end;
  unsigned long long value = strtoull(text, &end, 10);
  if (*text < '0' || *text > '9' || *end || value > most)
    asl_emu_die("%s=%s must be a whole number from 0 to %zu", variable, text, most);
  return (size_t)value;
}

const asl_emu_settings *asl_emu_settings_get(void) {
  static const asl_emu_settings settings = {
      number_from("ASL_EMU_REVERSE", 0, 1) != 0,
      (int)number_from("ASL_EMU_DEVICES", 1, MOST_DEVICES),
      number_from("ASL_EMU_MEMORY", (size_t)8 << 30, SIZE_MAX / 2)};
  return &settings;
}

std::mutex &asl_emu_lock(void) {
  static std::mutex lock;
  return lock;
}

/* ---- devices --------------------------------------------------------------------------------- */
int asl_emu_current_device(void) { return device; }

static bool exists(int number) { return number >= 0 && number < asl_emu_settings_get()->devices; }

cudaError_t cudaGetDeviceCount(int *count) {
  *count = asl_emu_settings_get()->devices;
  return asl_emu_result(*count == 0 ? cudaErrorNoDevice : cudaSuccess);
}

cudaError_t cudaSetDevice(int number) {
  if (!exists(number)) return asl_emu_result(cudaErrorInvalidDevice);
  device = number;
  return cudaSuccess;
}

cudaError_t cudaGetDevice(int *number) {
  *number = device;
  return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *properties, int number) {
  if (!exists(number)) return asl_emu_result(cudaErrorInvalidDevice);
  cudaDeviceProp p = {};
  snprintf(p.name, sizeof p.name, "ASL emulator");
  p.totalGlobalMem = asl_emu_settings_get()->memory;
  p.sharedMemPerBlock = ASL_EMU_SHARED;
  p.sharedMemPerBlockOptin = ASL_EMU_SHARED_MOST;
  p.sharedMemPerMultiprocessor = ASL_EMU_SHARED_ALL;
  p.reservedSharedMemPerBlock = ASL_EMU_SHARED_KEPT;
  p.totalConstMem = 64 << 10;
  p.regsPerBlock = p.regsPerMultiprocessor = 64 << 10;
  p.warpSize = ASL_EMU_WARP;
  p.maxThreadsPerBlock = p.maxThreadsDim[0] = p.maxThreadsDim[1] = ASL_EMU_MAX_THREADS;
  p.maxThreadsDim[2] = 64;
  p.maxGridSize[0] = INT32_MAX;
  p.maxGridSize[1] = p.maxGridSize[2] = 65535;
  p.major = 9;
  p.multiProcessorCount = ASL_EMU_PROCESSORS;
  p.canMapHostMemory = p.concurrentKernels = p.unifiedAddressing = p.asyncEngineCount = 1;
  p.pciBusID = number + 1;
  p.memoryBusWidth = 64;
  p.l2CacheSize = 1 << 20;
  p.maxThreadsPerMultiProcessor = ASL_EMU_PROCESSOR_THREADS;
  p.maxBlocksPerMultiProcessor = ASL_EMU_PROCESSOR_BLOCKS;
  *properties = p;
  return cudaSuccess;
}

/* -1 for an attribute that is not known here. */
static int attribute_of(const cudaDeviceProp *p, cudaDeviceAttr attribute) {
  switch (attribute) {
  case cudaDevAttrMaxThreadsPerBlock: return p->maxThreadsPerBlock;
  case cudaDevAttrMaxBlockDimX: return p->maxThreadsDim[0];
  case cudaDevAttrMaxBlockDimY: return p->maxThreadsDim[1];
  case cudaDevAttrMaxBlockDimZ: return p->maxThreadsDim[2];
  case cudaDevAttrMaxGridDimX: return p->maxGridSize[0];
  case cudaDevAttrMaxGridDimY: return p->maxGridSize[1];
  case cudaDevAttrMaxGridDimZ: return p->maxGridSize[2];
  case cudaDevAttrMaxSharedMemoryPerBlock: return (int)p->sharedMemPerBlock;
  case cudaDevAttrTotalConstantMemory: return (int)p->totalConstMem;
  case cudaDevAttrWarpSize: return p->warpSize;
  case cudaDevAttrMaxRegistersPerBlock: return p->regsPerBlock;
  case cudaDevAttrClockRate: return 1000000; /* kHz, of both */
  case cudaDevAttrMemoryClockRate: return 1000000;
  case cudaDevAttrMultiProcessorCount: return p->multiProcessorCount;
  case cudaDevAttrIntegrated: return p->integrated;
  case cudaDevAttrCanMapHostMemory: return p->canMapHostMemory;
  case cudaDevAttrComputeMode: return 0;
  case cudaDevAttrConcurrentKernels: return p->concurrentKernels;
  case cudaDevAttrEccEnabled: return p->ECCEnabled;
  case cudaDevAttrPciBusId: return p->pciBusID;
  case cudaDevAttrPciDeviceId: return p->pciDeviceID;
  case cudaDevAttrPciDomainId: return p->pciDomainID;
  case cudaDevAttrGlobalMemoryBusWidth: return p->memoryBusWidth;
  case cudaDevAttrL2CacheSize: return p->l2CacheSize;
  case cudaDevAttrMaxThreadsPerMultiProcessor: return p->maxThreadsPerMultiProcessor;
  case cudaDevAttrAsyncEngineCount: return p->asyncEngineCount;
  case cudaDevAttrUnifiedAddressing: return p->unifiedAddressing;
  case cudaDevAttrComputeCapabilityMajor: return p->major;
  case cudaDevAttrComputeCapabilityMinor: return p->minor;
  case cudaDevAttrMaxSharedMemoryPerMultiprocessor: return (int)p->sharedMemPerMultiprocessor;
  case cudaDevAttrMaxRegistersPerMultiprocessor: return p->regsPerMultiprocessor;
  case cudaDevAttrCooperativeLaunch: return p->cooperativeLaunch;
  case cudaDevAttrMaxSharedMemoryPerBlockOptin: return (int)p->sharedMemPerBlockOptin;
  case cudaDevAttrMaxBlocksPerMultiprocessor: return p->maxBlocksPerMultiProcessor;
  case cudaDevAttrReservedSharedMemoryPerBlock: return (int)p->reservedSharedMemPerBlock;
  case cudaDevAttrMemoryPoolsSupported: return 0;
  }
  return -1;
}

cudaError_t cudaDeviceGetAttribute(int *value, enum cudaDeviceAttr attribute, int number) {
  cudaDeviceProp properties;
  cudaError_t error = cudaGetDeviceProperties(&properties, number);
  if (error != cudaSuccess) return error;
  int known = attribute_of(&properties, attribute);
  if (known < 0) return asl_emu_result(cudaErrorInvalidValue);
  *value = known;
  return cudaSuccess;
}

cudaError_t cudaDeviceGetPCIBusId(char *id, int length, int number) {
  if (!exists(number)) return asl_emu_result(cudaErrorInvalidDevice);
  if (!id || length < 13) return asl_emu_result(cudaErrorInvalidValue);
  snprintf(id, (size_t)length, "0000:%02x:00.0", (unsigned char)(number + 1));
  return cudaSuccess;
}

cudaError_t cudaDeviceGetStreamPriorityRange(int *least, int *greatest) {
  if (least) *least = 0;
  if (greatest) *greatest = -5;
  return cudaSuccess;
}

cudaError_t cudaDeviceCanAccessPeer(int *can, int number, int peer) {
  if (!exists(number) || !exists(peer)) return asl_emu_result(cudaErrorInvalidDevice);
  *can = number != peer;
  return cudaSuccess;
}

cudaError_t cudaDeviceEnablePeerAccess(int peer, unsigned int flags) {
  if (!exists(peer) || peer == device) return asl_emu_result(cudaErrorInvalidDevice);
  return asl_emu_result(flags == 0 ? cudaSuccess : cudaErrorInvalidValue);
}

cudaError_t cudaDeviceSynchronize(void) { return asl_emu_result(asl_emu_unsafe()); }

cudaError_t cudaDriverGetVersion(int *version) {
  *version = CUDART_VERSION;
  return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int *version) {
  *version = CUDART_VERSION;
  return cudaSuccess;
}
