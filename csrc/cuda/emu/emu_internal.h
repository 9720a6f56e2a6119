/* What the parts of the emulator share: ending the program, errors as values, its settings, memory
 * that is known, and work given to streams. */
#ifndef ASL_EMU_INTERNAL_H
#define ASL_EMU_INTERNAL_H

#include <stdint.h>
#include <functional>
#include <mutex>

#include "emu_api.h"
#include "emu_types.h"

enum { ASL_EMU_WARP = 32, ASL_EMU_MAX_THREADS = 1024 };

/* Bytes of shared memory: as a matter of course, on request, and kept by the system. */
static const size_t ASL_EMU_SHARED = 48 << 10, ASL_EMU_SHARED_MOST = 227 << 10,
                    ASL_EMU_SHARED_ALL = 228 << 10, ASL_EMU_SHARED_KEPT = 1 << 10;
enum { ASL_EMU_PROCESSORS = 4, ASL_EMU_PROCESSOR_THREADS = 2048, ASL_EMU_PROCESSOR_BLOCKS = 32 };

#pragma GCC visibility push(hidden)

/* Prints "ASL emulator: " and the message to stderr and ends the program. */
[[noreturn]] __attribute__((format(printf, 1, 2))) void asl_emu_die(const char *format, ...);

/* Makes `error` the thread's last error, unless it is cudaSuccess, and returns it. */
cudaError_t asl_emu_result(cudaError_t error);

struct asl_emu_settings {
  bool reverse;
  int devices;
  size_t memory; /* bytes of a device */
};
const asl_emu_settings *asl_emu_settings_get(void);

int asl_emu_current_device(void);

/* One lock for what is known of memory, streams, events and graphs; not held while work runs. */
std::mutex &asl_emu_lock(void);

/* ---- memory ---------------------------------------------------------------------------------- */
/* Whether all the bytes lie in one live allocation of a device. None always do. */
bool asl_emu_on_device(const void *pointer, size_t bytes);

/* ---- work ------------------------------------------------------------------------------------ */
/* cudaErrorStreamCaptureUnsupported, and the end of the capture, for a call that no capture that
 * concerns this thread allows. */
cudaError_t asl_emu_unsafe(void);

/* Ends the capture that the stream is part of with the error for what no capture allows. */
cudaError_t asl_emu_spoil(cudaStream_t stream);

/* Runs the work, or makes it a node of the graph that the stream is captured to. What the work
 * returns when a graph is launched is the result of the launch. */
cudaError_t asl_emu_submit(cudaStream_t stream, cudaGraphNodeType type,
                           std::function<cudaError_t()> work);

#pragma GCC visibility pop
#endif
