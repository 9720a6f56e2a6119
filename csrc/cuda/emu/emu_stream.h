/* Streams, events, captures and graphs, for the files that make them work. */
#ifndef ASL_EMU_STREAM_H
#define ASL_EMU_STREAM_H

#include <functional>
#include <set>
#include <stdint.h>
#include <thread>
#include <unordered_map>
#include <vector>

#include "emu_internal.h"
#include "emu_kernel.h"

/* A kernel with copies of its arguments. */
struct asl_emu_call {
  const asl_emu_kernel *kernel = nullptr;
  dim3 grid, block;
  size_t shared_bytes = 0;

  void set(const asl_emu_kernel *which, dim3 blocks, dim3 threads, void *const *given,
           size_t shared);
  void run(void) const;
  void describe(cudaKernelNodeParams *params) const;

private:
  struct alignas(64) unit {
    unsigned char bytes[64];
  };
  std::vector<unit> values; /* each argument at the start of a unit */
  std::vector<void *> addresses(void) const;
  mutable std::vector<void *> described;
};

typedef std::vector<CUgraphNode_st *> asl_emu_nodes;

struct CUgraphNode_st {
  cudaGraphNodeType type;
  asl_emu_call call;                 /* of kernels; its `kernel` is NULL for all other work: */
  std::function<cudaError_t()> work; /* also that of libraries, whose type is that of kernels */
  asl_emu_nodes after;
  cudaError_t run(void) const;
};

struct CUgraph_st {
  asl_emu_nodes nodes; /* in the order of their capture, which is one they may run in */
};

/* A copy of the graph as it was when it was instantiated. */
struct CUgraphExec_st {
  const CUgraph_st *graph;
  uint64_t number; /* of the graph: another may have its address later */
  std::vector<CUgraphNode_st> nodes;
  std::unordered_map<const CUgraphNode_st *, size_t> place;
};

struct asl_emu_capture {
  uint64_t id;
  cudaStreamCaptureMode mode;
  std::thread::id thread;
  CUstream_st *origin;
  CUgraph_st *graph;
  bool spoiled;
};

struct CUstream_st {
  int device;
  unsigned flags;
  asl_emu_capture *capture; /* NULL when it is not captured */
  asl_emu_nodes after;      /* what the next node will depend on */
};

struct CUevent_st {
  int device;
  unsigned flags;
  bool is_recorded;
  double seconds;
  uint64_t capture; /* the id of the one it was recorded in, or 0 */
  asl_emu_nodes after;
};

/* What exists. All below are used with asl_emu_lock() held. */
struct asl_emu_objects {
  std::set<CUstream_st *> streams;
  std::set<CUevent_st *> events;
  std::set<asl_emu_capture *> captures;
  std::unordered_map<const CUgraph_st *, uint64_t> graphs; /* and their numbers */
  std::set<const CUgraphNode_st *> nodes;
  std::set<const CUgraphExec_st *> execs;
  uint64_t last_number = 0;
};

#pragma GCC visibility push(hidden)
asl_emu_objects *asl_emu_known(void);

/* The stream, also for the legacy stream of the current device; NULL for a handle that is none. */
CUstream_st *asl_emu_find_stream(cudaStream_t stream);
bool asl_emu_is_legacy(const CUstream_st *stream);

/* The rules that work on `stream` meets before it runs or is captured: the error, or cudaSuccess.
 */
cudaError_t asl_emu_admit(CUstream_st *stream);

/* A captured stream is destroyed: its capture fails, and where it began there, is gone. */
void asl_emu_abandon(CUstream_st *stream);

/* Adds a node behind the stream's last. */
CUgraphNode_st *asl_emu_append(CUstream_st *stream, cudaGraphNodeType type);
#pragma GCC visibility pop

#endif
