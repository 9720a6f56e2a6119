/* What launchers tell the processes they start. */
#include <stdlib.h>
#include <string.h>

#include "dist/internal.h"

static const struct {
  const char *name, *ranks, *rank;
} launchers[] = {
    {"Open MPI", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"},
    {"PMI", "PMI_SIZE", "PMI_RANK"}, /* MPICH, Intel MPI, srun --mpi=pmi2 */
    /* Of a job step: the script of a batch job has SLURM_NTASKS and SLURM_PROCID as well, and is
       alone. */
    {"Slurm", "SLURM_STEP_NUM_TASKS", "SLURM_PROCID"},
};

/* A number from `low` to MAX_RANKS in the variable, which is set. */
static asl_status read_number(const char *name, int low, int *out) {
  const char *text = getenv(name);
  char *end;
  long value = strtol(text, &end, 10);
  if (end == text || *end || value < low || value > MAX_RANKS)
    return asl_fail(ASL_EINVAL, "%s is \"%s\": it must be a number from %d to %d", name, text, low,
                    MAX_RANKS);
  *out = (int)value;
  return ASL_OK;
}

static asl_status ask_launcher(asl_launch *out) {
  for (size_t i = 0; i < sizeof launchers / sizeof *launchers; i++) {
    if (!getenv(launchers[i].ranks) || !getenv(launchers[i].rank)) continue;
    ASL_TRY(read_number(launchers[i].ranks, 1, &out->ranks));
    ASL_TRY(read_number(launchers[i].rank, 0, &out->rank));
    if (out->rank >= out->ranks)
      return asl_fail(ASL_EINVAL, "%s is %d, but %s is %d: there are ranks 0 to %d",
                      launchers[i].rank, out->rank, launchers[i].ranks, out->ranks, out->ranks - 1);
    out->launcher = launchers[i].name;
    return ASL_OK;
  }
  return ASL_OK;
}

asl_status asl_launched(asl_launch *out) {
  asl_launch launch = {.ranks = 1};
  int wanted = 0;
  const char *set = getenv("ASL_RANKS");
  if (set && *set) ASL_TRY(read_number("ASL_RANKS", 1, &wanted));
  if (wanted != 1) ASL_TRY(ask_launcher(&launch));
  if (wanted > 1 && launch.launcher && wanted != launch.ranks)
    return asl_fail(ASL_EINVAL, "ASL_RANKS is %d, but %s started %d ranks", wanted, launch.launcher,
                    launch.ranks);
  if (wanted > 1 && !launch.launcher)
    launch = (asl_launch){.ranks = wanted, .launcher = "ASL_RANKS"};
  *out = launch;
  return ASL_OK;
}
