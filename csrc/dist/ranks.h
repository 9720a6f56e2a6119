/* Ranks: processes that train together, each computing its part of every step.
 *
 * A launcher (mpirun, srun, `asl --ranks`) starts the same program R times; a rank is one of them,
 * from 0 to R - 1. Alone, a process is rank 0 of 1 and nothing here needs a library. Among several,
 * MPI lets them meet and carries the bytes of the CPU; between GPUs the device does
 * (tensor/device.h).
 *
 * What ranks do together (join, gather, broadcast) all must do, in the same order. While one waits
 * for the others it notices that one of them failed or died, and fails with a message that names
 * it: rank, host, cause. Everything here is called by the thread that runs the script. */
#ifndef ASL_DIST_RANKS_H
#define ASL_DIST_RANKS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"
#include "tensor/tensor.h"

/* ---- who this is ----------------------------------------------------------------------------- */
typedef struct asl_launch {
  int rank, ranks;      /* 0 of 1: alone */
  const char *launcher; /* "Open MPI", "PMI", "Slurm", "ASL_RANKS"; NULL: none */
} asl_launch;

/* As the launcher tells it in the environment; ASL_RANKS=1 says that this process is alone all the
 * same. ASL_EINVAL: what it tells makes no sense. */
asl_status asl_launched(asl_launch *out);

/* Meets the other ranks, at the first call; does nothing alone. Afterwards the number of threads is
 * this rank's share of the cores (unless ASL_THREADS says otherwise), each rank of a machine has a
 * device of its own, and processes started from here are alone. ASL_ENOTSUP (no MPI library),
 * ASL_EDEVICE. */
asl_status asl_ranks_join(void);
bool asl_ranks_joined(void); /* with others */

int asl_rank(void);  /* 0 before joining */
int asl_ranks(void); /* 1 before joining */

typedef struct asl_rank_info {
  const char *host;
  int pid;
} asl_rank_info;
asl_rank_info asl_ranks_info(int rank); /* once joined */

/* ---- moving bytes ---------------------------------------------------------------------------- */
/* Rank r's bytes lie at all + r bytes, on every rank: a copy, nothing is computed. At most INT_MAX
 * bytes. ASL_EDEVICE (MPI), ASL_EIO (another rank failed, died or left): then the memory may still
 * be written to, and all that is left to do is to report and leave. */
asl_status asl_ranks_gather(const void *mine, void *all, size_t bytes);
asl_status asl_ranks_broadcast(void *data, size_t bytes, int root);

/* All ranks' tensors, which have one dtype, shape and device, as one of shape (ranks, ...) there;
 * without gradient. Also alone. As above, and ASL_ENOMEM, ASL_ENOTSUP (a device that cannot). */
asl_status asl_ranks_gather_tensor(asl_tensor *mine, asl_tensor **all);

/* The first two for the emulated GPUs of csrc/cuda, which have no NCCL: 0 when done, else the
 * message is set. */
__attribute__((visibility("default"))) int asl_ranks_emulate_gather(const void *mine, void *all,
                                                                    size_t bytes);
__attribute__((visibility("default"))) int asl_ranks_emulate_broadcast(void *data, size_t bytes,
                                                                       int root);

/* ---- failing and leaving --------------------------------------------------------------------- */
enum { ASL_FAILURE_TEXT = 4000 };
typedef struct asl_failure {
  int rank, code; /* the exit code its rank wants; 0: not known, it died */
  char text[ASL_FAILURE_TEXT];
} asl_failure;

/* What made another rank end, once a call above failed for that reason; NULL: nothing. */
const asl_failure *asl_ranks_failure(void);

/* Tells rank 0 why this rank, another one, ends. Rank 0 then says so and ends all; this waits for
 * that. False when rank 0 does not, within some seconds, or is gone: this rank must say so. */
bool asl_ranks_report(int code, const char *text);

/* The last call; nothing alone. `agreed`: all ranks leave now, with this code; waits for them, and
 * fails as above when one does not come. Otherwise ends them all with `code`, which was said; does
 * not return. */
asl_status asl_ranks_leave(int code, bool agreed);

/* ---- starting them --------------------------------------------------------------------------- */
/* Runs a launcher and waits for its end; *code: as a shell gives it, 128 + n when signal n ended
 * it. SIGINT, SIGTERM and SIGHUP are handed on so that the ranks save and stop; a second one ends
 * them. ASL_ENOTSUP: it cannot be run. */
asl_status asl_launch_run(char *const arguments[], int *code);

/* Was this asl built with MPI? "no", or which: "Open MPI 4.1.4". And its library there:
 * ASL_ENOTSUP. */
const char *asl_ranks_built(void);
asl_status asl_ranks_available(void);

#endif
