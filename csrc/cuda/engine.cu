#include "cuda/engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cuda/conv.h"
#include "cuda/gemm.h"
extern "C" {
#include "base/bf16.h"
#include "ops/fault.h"
}

/* ---- faults ------------------------------------------------------------------------------------------ */
enum { FAULT_SLOTS = 64 };
static const asl_fault NO_FAULT = ~0ull;

/* Calls whose kernels may note faults take slots in turn; the host remembers what each is about. The slots lie in
 * host memory that the device reads and writes: nothing has to be copied to look at them. */
static asl_fault *slots;
static struct noted {
  char where[160];
  int64_t limit;
  asl_shape x, map; /* of the first input, and of the first of bytes: the class map, where labels are looked at */
} noted[FAULT_SLOTS];
static int next_slot;

asl_fault *fault_slot(const asl_call *call, int64_t limit) {
  struct noted *n = &noted[next_slot];
  const char *name = asl_op_get(call->op)->name;
  if (call->at) snprintf(n->where, sizeof n->where, "%s (%s)", name, call->at);
  else snprintf(n->where, sizeof n->where, "%s", name);
  n->limit = limit;
  n->x = call->in[0]->shape;
  n->map = (asl_shape){};
  for (int i = ASL_MAX_IN - 1; i >= 0; i--)
    if (call->in[i] && call->in[i]->dtype == ASL_U8) n->map = call->in[i]->shape;
  asl_fault *slot = &slots[next_slot];
  next_slot = (next_slot + 1) % FAULT_SLOTS;
  return slot;
}

static asl_status fault_error(const struct noted *n, asl_fault fault) {
  long long position = (long long)(fault >> 24), limit = (long long)n->limit;
  int value = (int)(fault >> 8 & 0xffff);
  switch ((int)(fault & 0xff)) {
  case FAULT_LABEL: return asl_fault_class("label", n->map, position, value, limit);
  case FAULT_PREDICTION: return asl_fault_class("prediction", n->map, position, value, limit);
  case FAULT_LOGIT: return asl_fault_logit(n->x, position, asl_bf16_to_f32((uint16_t)value));
  case FAULT_NAN: return asl_fail(ASL_EDATA, "NaN in row %lld of %lld has no maximum", position + 1, limit);
  case FAULT_INDEX:
    return asl_fail(ASL_EINVAL, "the index at element %lld is outside the %lld rows of x", position + 1, limit);
  default: return asl_fail(ASL_EDATA, "the value at element %lld does not fit into its new dtype", position + 1);
  }
}

/* The first fault in the order of the calls, as far back as the slots remember. */
asl_status engine_check_faults(void) {
  asl_status status = ASL_OK;
  for (int i = 0; i < FAULT_SLOTS; i++) {
    int k = (next_slot + i) % FAULT_SLOTS;
    if (slots[k] == NO_FAULT) continue;
    if (status == ASL_OK) status = asl_wrap(fault_error(&noted[k], slots[k]), "%s", noted[k].where);
    slots[k] = NO_FAULT;
  }
  return status;
}

static asl_status open_faults(void) {
  CUDA_TRY(cudaHostAlloc((void **)&slots, FAULT_SLOTS * sizeof *slots, cudaHostAllocMapped));
  for (int i = 0; i < FAULT_SLOTS; i++) slots[i] = NO_FAULT;
  return ASL_OK;
}

/* ---- waiting ------------------------------------------------------------------------------------------- */
asl_status cuda_status(cudaError_t error, const char *what) {
  if (error == cudaSuccess) return ASL_OK;
  (void)cudaGetLastError();
  char call[64];
  snprintf(call, sizeof call, "%.*s", (int)strcspn(what, "("), what);
  return asl_fail(ASL_EDEVICE, "%s: %s (%s)", call, cudaGetErrorString(error), cudaGetErrorName(error));
}

asl_status engine_wait(void) {
  ASL_TRY(queue_flush());
  CUDA_TRY(cudaStreamSynchronize(queue_stream()));
  return engine_check_faults();
}

/* ---- opening ------------------------------------------------------------------------------------------- */
static void version_text(int version, char text[16]) {
  snprintf(text, 16, "%d.%d", version / 1000, version % 1000 / 10);
}

static void describe(asl_device_info *info) {
  *info = (asl_device_info){};
  cudaDeviceProp properties;
  int driver = 0, runtime = 0, device = 0;
  char driver_text[16], runtime_text[16];
  (void)cudaGetDeviceCount(&info->count);
  (void)cudaGetDevice(&device);
  if (cudaGetDeviceProperties(&properties, device) != cudaSuccess) return;
  (void)cudaDriverGetVersion(&driver);
  (void)cudaRuntimeGetVersion(&runtime);
  version_text(driver, driver_text);
  version_text(runtime, runtime_text);
  snprintf(info->name, sizeof info->name, "%.127s", properties.name);
  snprintf(info->detail, sizeof info->detail,
           "compute capability %d.%d, %d multiprocessors, driver for CUDA %s, runtime %s", properties.major,
           properties.minor, properties.multiProcessorCount, driver_text, runtime_text);
  info->total_bytes = (int64_t)properties.totalGlobalMem;
}

static const asl_device_api api = {
    memory_take, memory_give, memory_held, memory_reset_peak, memory_trim, transfer_upload, transfer_download,
    queue_copy, transfer_fetch, transfer_fetched, engine_wait, describe, conv_algorithms, queue_begin, queue_end,
    queue_count, ranks_unique_id, ranks_join, ranks_all_gather, ranks_broadcast,
};

enum { LEAST_MAJOR = 7, LEAST_MINOR = 5 }; /* what the kernels are compiled for: CMakeLists.txt */

static asl_status check_device(int number) {
  cudaDeviceProp p;
  CUDA_TRY(cudaGetDeviceProperties(&p, number));
  if (p.major > LEAST_MAJOR || (p.major == LEAST_MAJOR && p.minor >= LEAST_MINOR)) return ASL_OK;
  return asl_fail(ASL_ENOTSUP, "%s has compute capability %d.%d; %d.%d or newer is needed", p.name, p.major, p.minor,
                  LEAST_MAJOR, LEAST_MINOR);
}

static asl_status choose_device(void) {
  int count = 0, driver = 0, number = asl_device_chosen();
  cudaError_t found = cudaGetDeviceCount(&count);
  (void)cudaDriverGetVersion(&driver);
  (void)cudaGetLastError();
  if (driver == 0) return asl_fail(ASL_ENOTSUP, "no NVIDIA driver was found on this machine");
  if (found != cudaSuccess)
    return asl_fail(ASL_ENOTSUP, "%s (%s)", cudaGetErrorString(found), cudaGetErrorName(found));
  if (count == 0) return asl_fail(ASL_ENOTSUP, "there is a driver, but no GPU");
  if (number >= count) number %= count; /* several ranks may share a GPU */
  ASL_TRY(check_device(number));
  CUDA_TRY(cudaSetDevice(number));
  return ASL_OK;
}

extern "C" __attribute__((visibility("default"))) asl_status asl_engine_open(void);
extern "C" asl_status asl_engine_open(void) {
  ASL_TRY(choose_device());
  ASL_TRY(open_faults());
  ASL_TRY(gemm_open());
  asl_device_register(ASL_THIS_DEVICE, &api);
  asl_backend_register(ASL_THIS_DEVICE, &engine_backend);
  return ASL_OK;
}
