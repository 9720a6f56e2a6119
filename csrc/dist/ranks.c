#define _GNU_SOURCE
#include "dist/ranks.h"

#include <dlfcn.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dist/internal.h"
#include "ops/ops.h"

enum { LONG_MESSAGE = 1 << 15 };

asl_transport dist_transport;

bool asl_ranks_joined(void) { return dist_transport.ranks > 1; }
int asl_rank(void) { return dist_transport.rank; }
const char *asl_ranks_built(void) { return ASL_MPI_STATE; }
int asl_ranks(void) { return asl_ranks_joined() ? dist_transport.ranks : 1; }

/* ---- joining --------------------------------------------------------------------------------- */
static asl_status library_path(char path[PATH_MAX]) {
  Dl_info self;
  if (!dladdr((void *)&dist_transport, &self) || !self.dli_fname)
    return asl_fail(ASL_ENOTSUP, "ranks: where the core was loaded from is not known");
  const char *slash = strrchr(self.dli_fname, '/');
  int folder = slash ? (int)(slash - self.dli_fname) : 1;
  int n = snprintf(path, PATH_MAX, "%.*s/libasl_mpi.so", folder, slash ? self.dli_fname : ".");
  return n < PATH_MAX ? ASL_OK : asl_fail(ASL_ENOTSUP, "ranks: the path is too long");
}

asl_status asl_ranks_available(void) {
  char path[PATH_MAX];
  ASL_TRY(library_path(path));
  if (access(path, R_OK) == 0) return ASL_OK;
  return asl_fail(ASL_ENOTSUP, "this asl was built without MPI (%s is not there)", path);
}

static asl_status open_transport(asl_transport *out) {
  char path[PATH_MAX];
  ASL_TRY(asl_ranks_available());
  ASL_TRY(library_path(path));
  /* For all to see: MPI's own plug-ins use its symbols. */
  void *library = dlopen(path, RTLD_NOW | RTLD_GLOBAL | RTLD_NODELETE);
  if (!library) return asl_fail(ASL_ENOTSUP, "ranks: %s", dlerror());
  asl_transport_open open_it;
  *(void **)(void *)&open_it = dlsym(library, ASL_TRANSPORT_OPEN);
  if (!open_it) return asl_fail(ASL_ENOTSUP, "ranks: %s is no such library of asl", path);
  return open_it(out) == 0 ? ASL_OK : asl_fail(ASL_EDEVICE, "ranks: %s", out->message());
}

/* mpirun hands these on, and SIGTERM only with a second to live. */
static void on_signal(int number) { raise(number == SIGUSR1 ? SIGTERM : SIGINT); }

static void hear_launcher(void) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  sigaction(SIGUSR1, &action, NULL);
  sigaction(SIGUSR2, &action, NULL);
}

static asl_status check_launch(const asl_launch *launch, const asl_transport *t) {
  if (t->ranks == launch->ranks) return ASL_OK;
  return asl_fail(
      ASL_EDEVICE,
      "%s started %d ranks, but MPI knows of %d: is it another MPI than asl was built with (%s)?",
      launch->launcher, launch->ranks, t->ranks, asl_ranks_built());
}

static asl_status join(const asl_launch *launch) {
  asl_transport transport;
  hear_launcher();
  ASL_TRY(open_transport(&transport));
  ASL_TRY(check_launch(launch, &transport));
  dist_transport = transport;
  on_exit(dist_leave_at_exit, NULL);
  setenv("ASL_RANKS", "1", 1); /* for processes started from here */
  return dist_meet();
}

asl_status asl_ranks_join(void) {
  static bool tried;
  static asl_status result;
  if (tried)
    return result == ASL_OK ? ASL_OK : asl_fail(result, "this rank could not join the others");
  asl_launch launch;
  ASL_TRY(asl_launched(&launch));
  tried = true;
  if (launch.ranks > 1) result = join(&launch);
  return result;
}

/* ---- bytes ----------------------------------------------------------------------------------- */
static asl_status begun(int failed, bool all_are_here) {
  if (failed) return asl_fail(ASL_EDEVICE, "between ranks: %s", dist_transport.message());
  return dist_wait(all_are_here);
}

/* Before what is long: then nobody waits busily for a rank that is late. */
static asl_status meet_for(size_t bytes, bool *met) {
  static char mine, all[MAX_RANKS];
  *met = bytes > LONG_MESSAGE;
  return *met ? begun(dist_transport.all_gather(&mine, all, 1), false) : ASL_OK;
}

asl_status asl_ranks_gather(const void *mine, void *all, size_t bytes) {
  bool met;
  if (bytes == 0) return ASL_OK;
  if (!asl_ranks_joined()) {
    memcpy(all, mine, bytes);
    return ASL_OK;
  }
  ASL_TRY(meet_for(bytes, &met));
  return begun(dist_transport.all_gather(mine, all, bytes), met);
}

asl_status asl_ranks_broadcast(void *data, size_t bytes, int root) {
  bool met;
  if (bytes == 0 || !asl_ranks_joined()) return ASL_OK;
  ASL_TRY(meet_for(bytes, &met));
  return begun(dist_transport.broadcast(data, bytes, root), met);
}

/* ---- tensors --------------------------------------------------------------------------------- */
static asl_status join_device(asl_device device, const asl_device_api *api) {
  static bool joined[ASL_DEVICES];
  if (joined[device]) return ASL_OK;
  if (!api->unique_id || !api->join || !api->all_gather)
    return asl_fail(ASL_ENOTSUP, "device \"%s\" cannot work in several ranks",
                    asl_device_name(device));
  char id[ASL_UNIQUE_ID_BYTES] = {0};
  if (asl_rank() == 0) ASL_TRY(api->unique_id(id));
  ASL_TRY(asl_ranks_broadcast(id, sizeof id, 0));
  ASL_TRY(api->join(id, asl_rank(), asl_ranks()));
  joined[device] = true;
  return ASL_OK;
}

static asl_status gather_on(asl_device device, const void *mine, void *all, size_t bytes) {
  const asl_device_api *api;
  if (device == ASL_CPU) return asl_ranks_gather(mine, all, bytes);
  ASL_TRY(asl_device_open(device, &api));
  if (!asl_ranks_joined()) return api->copy(all, mine, bytes);
  ASL_TRY(join_device(device, api));
  return api->all_gather(mine, all, bytes);
}

asl_status asl_ranks_gather_tensor(asl_tensor *mine, asl_tensor **all) {
  asl_tensor *from, *to;
  char text[128];
  if (mine->shape.rank == ASL_MAX_RANK)
    return asl_fail(ASL_EINVAL, "all_gather: %s has no room for one more dimension",
                    asl_tensor_text(mine, text));
  asl_shape shape = {.rank = mine->shape.rank + 1, .size = {asl_ranks()}};
  memcpy(shape.size + 1, mine->shape.size, (size_t)mine->shape.rank * sizeof *shape.size);
  ASL_TRY(asl_settle(mine));
  ASL_TRY(asl_contiguous(mine, &from));
  asl_device device = from->storage->device;
  asl_status status = asl_tensor_new(from->dtype, shape, device, &to);
  if (status == ASL_OK) {
    status = gather_on(device, asl_tensor_data(from), asl_tensor_data(to),
                       (size_t)asl_tensor_bytes(from));
    if (status == ASL_OK) *all = to;
    else asl_tensor_release(to);
  }
  asl_tensor_release(from);
  return status;
}

int asl_ranks_emulate_gather(const void *mine, void *all, size_t bytes) {
  return asl_ranks_gather(mine, all, bytes);
}
int asl_ranks_emulate_broadcast(void *data, size_t bytes, int root) {
  return asl_ranks_broadcast(data, bytes, root);
}
