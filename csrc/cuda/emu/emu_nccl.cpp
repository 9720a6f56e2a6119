/* NCCL's functions: the bytes move through hooks, or by a copy where there is one rank. */
#include <atomic>
#include <string.h>
#include <vector>

#include "emu_internal.h"
#include "nccl.h"

int (*asl_emu_all_gather)(const void *mine, void *all, size_t bytes);
int (*asl_emu_broadcast)(void *data, size_t bytes, int root);

struct ncclComm {
  int rank, ranks;
};

/* What was asked for since the outermost ncclGroupStart(). */
struct transfer {
  cudaStream_t stream;
  std::function<cudaError_t()> work;
};
static thread_local std::vector<transfer> group;
static thread_local int depth;

/* ---- communicators --------------------------------------------------------------------------- */
ncclResult_t ncclGetVersion(int *version) {
  if (!version) return ncclInvalidArgument;
  *version = NCCL_VERSION_CODE;
  return ncclSuccess;
}

ncclResult_t ncclGetUniqueId(ncclUniqueId *id) {
  static std::atomic<unsigned> last;
  if (!id) return ncclInvalidArgument;
  unsigned number = ++last;
  memset(id, 0, sizeof *id);
  memcpy(id->internal, "ASL emulator", 12);
  memcpy(id->internal + 16, &number, sizeof number);
  return ncclSuccess;
}

ncclResult_t ncclCommInitRank(ncclComm_t *comm, int ranks, ncclUniqueId, int rank) {
  if (!comm || ranks < 1 || rank < 0 || rank >= ranks) return ncclInvalidArgument;
  if (ranks > 1 && (!asl_emu_all_gather || !asl_emu_broadcast)) return ncclInvalidUsage;
  *comm = new ncclComm{rank, ranks};
  return ncclSuccess;
}

ncclResult_t ncclCommFinalize(ncclComm_t comm) { return comm ? ncclSuccess : ncclInvalidArgument; }

ncclResult_t ncclCommDestroy(ncclComm_t comm) {
  delete comm;
  return ncclSuccess;
}

ncclResult_t ncclCommAbort(ncclComm_t comm) { return ncclCommDestroy(comm); }

ncclResult_t ncclCommCount(const ncclComm_t comm, int *ranks) {
  if (!comm || !ranks) return ncclInvalidArgument;
  *ranks = comm->ranks;
  return ncclSuccess;
}

ncclResult_t ncclCommUserRank(const ncclComm_t comm, int *rank) {
  if (!comm || !rank) return ncclInvalidArgument;
  *rank = comm->rank;
  return ncclSuccess;
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t *result) {
  if (!comm || !result) return ncclInvalidArgument;
  *result = ncclSuccess;
  return ncclSuccess;
}

const char *ncclGetErrorString(ncclResult_t result) {
  switch (result) {
  case ncclSuccess: return "no error";
  case ncclUnhandledCudaError: return "unhandled cuda error";
  case ncclSystemError: return "unhandled system error";
  case ncclInternalError: return "internal error";
  case ncclInvalidArgument: return "invalid argument";
  case ncclInvalidUsage: return "invalid usage";
  case ncclRemoteError: return "remote process exited or there was a network error";
  case ncclInProgress: return "NCCL operation in progress";
  default: return "unknown result code";
  }
}

const char *ncclGetLastError(ncclComm_t) { return ""; }

/* ---- transfers ------------------------------------------------------------------------------- */
static ncclResult_t result_of(cudaError_t error) {
  if (error == cudaSuccess) return ncclSuccess;
  return error == cudaErrorUnknown ? ncclRemoteError : ncclUnhandledCudaError;
}

static ncclResult_t submit(cudaStream_t stream, std::function<cudaError_t()> work) {
  if (depth == 0) return result_of(asl_emu_submit(stream, cudaGraphNodeTypeKernel, work));
  group.push_back({stream, work});
  return ncclSuccess;
}

ncclResult_t ncclGroupStart(void) {
  depth++;
  return ncclSuccess;
}

ncclResult_t ncclGroupEnd(void) {
  if (depth == 0) return ncclInvalidUsage;
  if (--depth > 0) return ncclSuccess;
  std::vector<transfer> all;
  all.swap(group);
  for (const transfer &t : all) {
    ncclResult_t result = submit(t.stream, t.work);
    if (result != ncclSuccess) return result;
  }
  return ncclSuccess;
}

/* 0 for a type that is none. */
static size_t size_of(ncclDataType_t type) {
  switch (type) {
  case ncclInt8:
  case ncclUint8: return 1;
  case ncclFloat16:
  case ncclBfloat16: return 2;
  case ncclInt32:
  case ncclUint32:
  case ncclFloat32: return 4;
  case ncclInt64:
  case ncclUint64:
  case ncclFloat64: return 8;
  default: return 0;
  }
}

/* A hook's answer as an error that becomes ncclRemoteError. */
static cudaError_t moved(int answer) { return answer == 0 ? cudaSuccess : cudaErrorUnknown; }

static void copy(void *to, const void *from, size_t bytes) {
  if (to != from && bytes > 0) memmove(to, from, bytes);
}

ncclResult_t ncclAllGather(const void *from, void *to, size_t count, ncclDataType_t type,
                           ncclComm_t comm, cudaStream_t stream) {
  size_t bytes = count * size_of(type);
  if (!comm || size_of(type) == 0) return ncclInvalidArgument;
  int ranks = comm->ranks;
  return submit(stream, [=] {
    if (!asl_emu_on_device(from, bytes) || !asl_emu_on_device(to, bytes * (size_t)ranks))
      return cudaErrorIllegalAddress;
    if (ranks > 1) return moved(asl_emu_all_gather(from, to, bytes));
    copy(to, from, bytes);
    return cudaSuccess;
  });
}

ncclResult_t ncclBroadcast(const void *from, void *to, size_t count, ncclDataType_t type, int root,
                           ncclComm_t comm, cudaStream_t stream) {
  size_t bytes = count * size_of(type);
  if (!comm || size_of(type) == 0 || root < 0 || root >= comm->ranks) return ncclInvalidArgument;
  bool is_root = comm->rank == root, alone = comm->ranks == 1;
  return submit(stream, [=] {
    if ((is_root && !asl_emu_on_device(from, bytes)) || !asl_emu_on_device(to, bytes))
      return cudaErrorIllegalAddress;
    if (is_root) copy(to, from, bytes);
    return alone ? cudaSuccess : moved(asl_emu_broadcast(to, bytes, root));
  });
}
