/* Who the other ranks are, whether their processes still run, and how the machine is shared with
 * them. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/parallel.h"
#include "dist/internal.h"

/* Machines are told apart by when they were booted: names need not differ. */
typedef struct identity {
  char host[64], boot[40], pid_space[40];
  int pid;
  cpu_set_t cpus;
} identity;

static identity *peers;
static bool *watched;

static void read_line(const char *path, char *text, size_t size) {
  int file = open(path, O_RDONLY | O_CLOEXEC);
  ssize_t n = file >= 0 ? read(file, text, size - 1) : 0;
  text[n > 0 ? n : 0] = '\0';
  if (file >= 0) close(file);
}

static identity own_identity(void) {
  identity me;
  memset(&me, 0, sizeof me); /* all of it travels */
  gethostname(me.host, sizeof me.host - 1);
  read_line("/proc/sys/kernel/random/boot_id", me.boot, sizeof me.boot);
  if (readlink("/proc/self/ns/pid", me.pid_space, sizeof me.pid_space - 1) < 0)
    me.pid_space[0] = '\0';
  me.pid = (int)getpid();
  if (sched_getaffinity(0, sizeof me.cpus, &me.cpus) != 0) CPU_SET(0, &me.cpus);
  return me;
}

static bool same_machine(const identity *a, const identity *b) {
  return strcmp(a->boot, b->boot) == 0 && (a->boot[0] || strcmp(a->host, b->host) == 0);
}

static bool runs(int pid) { return kill(pid, 0) == 0 || errno == EPERM; }

/* Ranks that may run on the same cores share them. */
static void share_machine(const identity *me) {
  int sharing = 0, before = 0;
  for (int r = 0; r < dist_transport.ranks; r++) {
    if (!same_machine(me, &peers[r])) continue;
    cpu_set_t both;
    CPU_AND(&both, &me->cpus, &peers[r].cpus);
    if (CPU_COUNT(&both) > 0) sharing++;
    if (r < dist_transport.rank) before++;
  }
  const char *set = getenv("ASL_THREADS");
  if (!(set && atoi(set) > 0)) asl_set_threads(CPU_COUNT(&me->cpus) / (sharing > 0 ? sharing : 1));
  if (asl_device_chosen() == 0) asl_device_choose(before);
}

asl_status dist_meet(void) {
  identity me = own_identity();
  size_t ranks = (size_t)dist_transport.ranks;
  peers = calloc(ranks, sizeof *peers);
  watched = calloc(ranks, sizeof *watched);
  if (!peers || !watched) return asl_fail(ASL_ENOMEM, "out of memory: what %zu ranks are", ranks);
  ASL_TRY(asl_ranks_gather(&me, peers, sizeof me));
  for (size_t r = 0; r < ranks; r++) {
    identity *peer = &peers[r];
    peer->host[sizeof peer->host - 1] = peer->boot[sizeof peer->boot - 1] = '\0';
    peer->pid_space[sizeof peer->pid_space - 1] = '\0';
    watched[r] = same_machine(&me, peer) && me.pid_space[0] &&
                 strcmp(me.pid_space, peer->pid_space) == 0 && peer->pid > 0 && runs(peer->pid);
  }
  share_machine(&me);
  return ASL_OK;
}

bool dist_is_there(int rank) { return !watched || !watched[rank] || runs(peers[rank].pid); }

asl_rank_info asl_ranks_info(int rank) {
  return (asl_rank_info){peers[rank].host, peers[rank].pid};
}
