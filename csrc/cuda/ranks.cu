/* Ranks over NCCL: it only moves bytes. Sums are made by our own kernels in a fixed order, because NCCL's order
 * depends on how many GPUs there are and how they are connected. */
#include <dlfcn.h>
#include <nccl.h>
#include <string.h>

#include "cuda/engine.h"
#include "cuda/library.h"

#define NCCL_FUNCTIONS(X)                                                                          \
  X(ncclGetUniqueId) X(ncclCommInitRank) X(ncclAllGather) X(ncclBroadcast) X(ncclGetErrorString)

#define X(function) static decltype(&function) p_##function;
NCCL_FUNCTIONS(X)
#undef X

static ncclComm_t communicator;

static asl_status nccl_open(void) {
  if (p_ncclGetUniqueId) return ASL_OK;
#ifdef ASL_EMULATED
#define X(function) p_##function = function;
  NCCL_FUNCTIONS(X)
#undef X
  /* Emulated GPUs have no links: their bytes take the way of the CPU's (dist/ranks.h). */
  ASL_TRY(library_function(RTLD_DEFAULT, "asl_ranks_emulate_gather", &asl_emu_all_gather));
  ASL_TRY(library_function(RTLD_DEFAULT, "asl_ranks_emulate_broadcast", &asl_emu_broadcast));
#else
  void *library;
  ASL_TRY(library_open("libnccl.so.2", &library));
#define X(function) ASL_TRY(library_function(library, #function, &p_##function));
  NCCL_FUNCTIONS(X)
#undef X
#endif
  return ASL_OK;
}

static asl_status nccl_status(ncclResult_t result, const char *what) {
  if (result == ncclSuccess) return ASL_OK;
  return asl_fail(ASL_EDEVICE, "%s: %s", what, p_ncclGetErrorString(result));
}

asl_status ranks_unique_id(char id[ASL_UNIQUE_ID_BYTES]) {
  static_assert(sizeof(ncclUniqueId) == ASL_UNIQUE_ID_BYTES, "NCCL's id");
  ncclUniqueId made;
  ASL_TRY(nccl_open());
  ASL_TRY(nccl_status(p_ncclGetUniqueId(&made), "ncclGetUniqueId"));
  memcpy(id, &made, sizeof made);
  return ASL_OK;
}

asl_status ranks_join(const char id[ASL_UNIQUE_ID_BYTES], int rank, int ranks) {
  ncclUniqueId theirs;
  ASL_TRY(nccl_open());
  memcpy(&theirs, id, sizeof theirs);
  return nccl_status(p_ncclCommInitRank(&communicator, ranks, theirs, rank), "ncclCommInitRank");
}

typedef struct gather_args {
  const void *mine;
  void *all;
  size_t bytes;
} gather_args;

static asl_status issue_gather(const void *args) {
  const gather_args *a = (const gather_args *)args;
  return nccl_status(p_ncclAllGather(a->mine, a->all, a->bytes, ncclUint8, communicator, queue_stream()),
                     "ncclAllGather");
}

asl_status ranks_all_gather(const void *mine, void *all, size_t bytes) {
  if (!communicator) return asl_fail(ASL_EINVAL, "all_gather: this rank has not joined the others");
  gather_args args = {mine, all, bytes};
  return bytes ? queue_call(issue_gather, &args, sizeof args) : ASL_OK;
}

typedef struct broadcast_args {
  void *data;
  size_t bytes, root;
} broadcast_args;

static asl_status issue_broadcast(const void *args) {
  const broadcast_args *a = (const broadcast_args *)args;
  return nccl_status(p_ncclBroadcast(a->data, a->data, a->bytes, ncclUint8, (int)a->root, communicator, queue_stream()),
                     "ncclBroadcast");
}

asl_status ranks_broadcast(void *data, size_t bytes, int root) {
  if (!communicator) return asl_fail(ASL_EINVAL, "broadcast: this rank has not joined the others");
  broadcast_args args = {data, bytes, (size_t)root};
  return bytes ? queue_call(issue_broadcast, &args, sizeof args) : ASL_OK;
}
