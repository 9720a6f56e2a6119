/* Streams and events. Work runs at once, so a stream is a place to capture from and a name to
 * check. */
#include <algorithm>
#include <time.h>

#include "emu_stream.h"

typedef std::lock_guard<std::mutex> guard;

/* Never destroyed: threads may outlive main(). */
asl_emu_objects *asl_emu_known(void) {
  static auto *objects = new asl_emu_objects();
  return objects;
}

/* ---- streams --------------------------------------------------------------------------------- */
static CUstream_st legacy[16]; /* one for each device */

bool asl_emu_is_legacy(const CUstream_st *stream) {
  return stream >= legacy && stream < legacy + sizeof legacy / sizeof *legacy;
}

CUstream_st *asl_emu_find_stream(cudaStream_t stream) {
  int device = asl_emu_current_device();
  if (!stream || stream == cudaStreamLegacy) {
    legacy[device].device = device;
    return &legacy[device];
  }
  return asl_emu_known()->streams.count(stream) ? stream : nullptr;
}

cudaError_t asl_emu_admit(CUstream_st *stream) {
  if (!stream || stream->device != asl_emu_current_device()) return cudaErrorInvalidResourceHandle;
  if (stream->capture)
    return stream->capture->spoiled ? cudaErrorStreamCaptureInvalidated : cudaSuccess;
  if (!asl_emu_is_legacy(stream)) return cudaSuccess;
  cudaError_t error = cudaSuccess;
  for (CUstream_st *other : asl_emu_known()->streams) {
    if (!other->capture || other->device != stream->device) continue;
    if (other->flags & cudaStreamNonBlocking) continue;
    other->capture->spoiled = true;
    error = cudaErrorStreamCaptureImplicit;
  }
  return error;
}

cudaError_t asl_emu_submit(cudaStream_t handle, cudaGraphNodeType type,
                           std::function<cudaError_t()> work) {
  {
    guard locked(asl_emu_lock());
    CUstream_st *stream = asl_emu_find_stream(handle);
    cudaError_t error = asl_emu_admit(stream);
    if (error != cudaSuccess) return error;
    if (stream->capture) {
      asl_emu_append(stream, type)->work = work;
      return cudaSuccess;
    }
  }
  return work();
}

cudaError_t asl_emu_spoil(cudaStream_t handle) {
  guard locked(asl_emu_lock());
  CUstream_st *stream = asl_emu_find_stream(handle);
  if (stream && stream->capture) stream->capture->spoiled = true;
  return cudaErrorStreamCaptureUnsupported;
}

static cudaError_t create(cudaStream_t *stream, unsigned flags, int priority) {
  int least, greatest;
  cudaDeviceGetStreamPriorityRange(&least, &greatest);
  if (!stream || flags > cudaStreamNonBlocking || priority > least || priority < greatest)
    return cudaErrorInvalidValue;
  guard locked(asl_emu_lock());
  *stream = new CUstream_st{asl_emu_current_device(), flags, nullptr, {}};
  asl_emu_known()->streams.insert(*stream);
  return cudaSuccess;
}

cudaError_t cudaStreamCreate(cudaStream_t *stream) {
  return asl_emu_result(create(stream, cudaStreamDefault, 0));
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned int flags) {
  return asl_emu_result(create(stream, flags, 0));
}

cudaError_t cudaStreamCreateWithPriority(cudaStream_t *stream, unsigned int flags, int priority) {
  /* A priority out of range is moved into it, as CUDA does. */
  return asl_emu_result(create(stream, flags, std::clamp(priority, -5, 0)));
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  guard locked(asl_emu_lock());
  if (!stream || !asl_emu_known()->streams.erase(stream))
    return asl_emu_result(cudaErrorInvalidResourceHandle);
  if (stream->capture) asl_emu_abandon(stream);
  delete stream;
  return cudaSuccess;
}

/* Waiting for a stream, or asking about it, is nothing that can be captured. */
static cudaError_t wait_for(cudaStream_t handle) {
  bool is_captured;
  {
    guard locked(asl_emu_lock());
    CUstream_st *stream = asl_emu_find_stream(handle);
    if (!stream) return cudaErrorInvalidResourceHandle;
    is_captured = stream->capture != nullptr;
  }
  return is_captured ? asl_emu_spoil(handle) : asl_emu_unsafe();
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) { return asl_emu_result(wait_for(stream)); }

cudaError_t cudaStreamQuery(cudaStream_t stream) { return asl_emu_result(wait_for(stream)); }

cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t function, void *context) {
  if (!function) return asl_emu_result(cudaErrorInvalidValue);
  return asl_emu_result(asl_emu_submit(stream, cudaGraphNodeTypeHost, [=] {
    function(context);
    return cudaSuccess;
  }));
}

/* ---- events ---------------------------------------------------------------------------------- */
cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned int flags) {
  if (!event || flags > (cudaEventBlockingSync | cudaEventDisableTiming))
    return asl_emu_result(cudaErrorInvalidValue);
  guard locked(asl_emu_lock());
  *event = new CUevent_st{asl_emu_current_device(), flags, false, 0, 0, {}};
  asl_emu_known()->events.insert(*event);
  return cudaSuccess;
}

cudaError_t cudaEventCreate(cudaEvent_t *event) {
  return cudaEventCreateWithFlags(event, cudaEventDefault);
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  guard locked(asl_emu_lock());
  if (!event || !asl_emu_known()->events.erase(event))
    return asl_emu_result(cudaErrorInvalidResourceHandle);
  delete event;
  return cudaSuccess;
}

static bool is_event(cudaEvent_t event) { return asl_emu_known()->events.count(event) > 0; }

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t handle) {
  guard locked(asl_emu_lock());
  CUstream_st *stream = asl_emu_find_stream(handle);
  if (!is_event(event) || (stream && event->device != stream->device))
    return asl_emu_result(cudaErrorInvalidResourceHandle);
  cudaError_t error = asl_emu_admit(stream);
  if (error != cudaSuccess) return asl_emu_result(error);
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  event->is_recorded = true;
  event->seconds = (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
  event->capture = stream->capture ? stream->capture->id : 0;
  event->after = stream->after;
  return cudaSuccess;
}

static asl_emu_capture *capture_numbered(uint64_t id) {
  for (asl_emu_capture *capture : asl_emu_known()->captures)
    if (capture->id == id) return capture;
  return nullptr;
}

/* Makes the stream part of the capture, behind what the event stands for. */
static cudaError_t join(CUstream_st *stream, const CUevent_st *event) {
  asl_emu_capture *capture = capture_numbered(event->capture);
  if (!capture) return cudaErrorCapturedEvent;
  if (asl_emu_is_legacy(stream)) return cudaErrorStreamCaptureImplicit;
  if (stream->capture && stream->capture != capture) {
    stream->capture->spoiled = capture->spoiled = true;
    return cudaErrorStreamCaptureMerge;
  }
  stream->capture = capture;
  for (CUgraphNode_st *node : event->after)
    if (std::find(stream->after.begin(), stream->after.end(), node) == stream->after.end())
      stream->after.push_back(node);
  return cudaSuccess;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t handle, cudaEvent_t event, unsigned int flags) {
  guard locked(asl_emu_lock());
  CUstream_st *stream = asl_emu_find_stream(handle);
  if (!stream || !is_event(event)) return asl_emu_result(cudaErrorInvalidResourceHandle);
  if (flags != cudaEventWaitDefault) return asl_emu_result(cudaErrorInvalidValue);
  if (!event->is_recorded) return cudaSuccess;
  if (event->capture) return asl_emu_result(join(stream, event));
  if (!stream->capture) return cudaSuccess;
  stream->capture->spoiled = true;
  return asl_emu_result(cudaErrorStreamCaptureIsolation);
}

static cudaError_t wait_for_event(cudaEvent_t event) {
  {
    guard locked(asl_emu_lock());
    if (!is_event(event)) return cudaErrorInvalidResourceHandle;
    asl_emu_capture *capture = capture_numbered(event->capture);
    if (capture) capture->spoiled = true;
    if (event->capture) return cudaErrorCapturedEvent;
  }
  return asl_emu_unsafe();
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  return asl_emu_result(wait_for_event(event));
}

cudaError_t cudaEventQuery(cudaEvent_t event) { return asl_emu_result(wait_for_event(event)); }

cudaError_t cudaEventElapsedTime(float *milliseconds, cudaEvent_t start, cudaEvent_t end) {
  guard locked(asl_emu_lock());
  if (!milliseconds) return asl_emu_result(cudaErrorInvalidValue);
  for (cudaEvent_t event : {start, end}) {
    if (!is_event(event) || !event->is_recorded || (event->flags & cudaEventDisableTiming))
      return asl_emu_result(cudaErrorInvalidResourceHandle);
    if (event->capture) return asl_emu_result(cudaErrorCapturedEvent);
  }
  *milliseconds = (float)(1e3 * (end->seconds - start->seconds));
  return cudaSuccess;
}
