/* `asl --ranks`: a launcher as a child, which is told to stop when this process is.
 *
 * A launcher that gets SIGTERM gives the ranks a second before it kills them, which may be too
 * little to save. The signals it only hands on do not: SIGUSR1 means SIGTERM to a rank and SIGUSR2
 * means SIGINT (ranks.c). It runs in a process group of its own, so that Ctrl-C comes from here
 * alone. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dist/ranks.h"

enum { NOT_RUN = 127 };

/* One machine, whoever runs it and however many cores it has. Launchers know their own and ignore
 * the others. */
static const struct {
  const char *name, *value;
} settings[] = {
    {"OMPI_ALLOW_RUN_AS_ROOT", "1"}, /* Open MPI 4 */
    {"OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1"},
    {"OMPI_MCA_rmaps_base_oversubscribe", "1"},
    {"OMPI_MCA_hwloc_base_binding_policy", "none"}, /* ranks share the cores themselves */
    {"OMPI_MCA_orte_execute_quiet", "1"},           /* the ranks say what happened */
    {"PRTE_ALLOW_RUN_AS_ROOT", "1"},                /* Open MPI 5 */
    {"PRTE_ALLOW_RUN_AS_ROOT_CONFIRM", "1"},
    {"PRTE_MCA_rmaps_default_mapping_policy", ":oversubscribe"},
    {"PRTE_MCA_hwloc_default_binding_policy", "none"},
};

/* Open MPI reads other processes' memory where it can, and complains at length where a container
 * forbids it. */
static bool may_read_processes(void) {
  char from = 1, to = 0;
  struct iovec here = {&to, 1}, there = {&from, 1};
  return process_vm_readv(getpid(), &here, 1, &there, 1, 0) == 1;
}

/* In the child. Its reason not to run goes through `report`, which exec closes. */
static void run_child(char *const arguments[], const sigset_t *before, int report) {
  int nothing = open("/dev/null", O_RDONLY);
  if (nothing >= 0)
    dup2(nothing, STDIN_FILENO); /* a group in the background may not read the terminal */
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
    setenv(settings[i].name, settings[i].value, 0);
  unsetenv("ASL_RANKS");
  if (!may_read_processes()) setenv("OMPI_MCA_btl_vader_single_copy_mechanism", "none", 0);
  sigprocmask(SIG_SETMASK, before, NULL);
  execvp(arguments[0], arguments);
  int reason = errno;
  ssize_t written = write(report, &reason, sizeof reason);
  (void)written;
  _exit(NOT_RUN);
}

static asl_status start(char *const arguments[], const sigset_t *before, pid_t *child) {
  int ends[2], reason = 0;
  if (pipe2(ends, O_CLOEXEC) != 0) return asl_fail(ASL_EIO, "a pipe: %s", strerror(errno));
  *child = fork();
  if (*child == 0) run_child(arguments, before, ends[1]);
  int forked = errno;
  close(ends[1]);
  ssize_t n = *child > 0 ? read(ends[0], &reason, sizeof reason) : 0;
  close(ends[0]);
  if (*child < 0) return asl_fail(ASL_EIO, "a new process: %s", strerror(forked));
  if (n != (ssize_t)sizeof reason) return ASL_OK;
  waitpid(*child, NULL, 0);
  return asl_fail(ASL_ENOTSUP, "cannot run %s: %s", arguments[0], strerror(reason));
}

static int code_of(int status) {
  if (WIFEXITED(status)) return WEXITSTATUS(status);
  int number = WTERMSIG(status); /* what it was not yet ready to hand on, as what it means */
  return 128 + (number == SIGUSR1 ? SIGTERM : number == SIGUSR2 ? SIGINT : number);
}

static int attend(pid_t child, const sigset_t *heard) {
  for (bool asked = false;;) {
    int status, number = sigwaitinfo(heard, NULL);
    if (waitpid(child, &status, WNOHANG) == child) return code_of(status);
    if (number < 0 || number == SIGCHLD) continue;
    kill(child, asked ? SIGTERM : number == SIGINT ? SIGUSR2 : SIGUSR1);
    asked = true;
  }
}

asl_status asl_launch_run(char *const arguments[], int *code) {
  sigset_t heard, before;
  pid_t child = -1;
  sigemptyset(&heard);
  sigaddset(&heard, SIGCHLD);
  sigaddset(&heard, SIGINT);
  sigaddset(&heard, SIGTERM);
  sigaddset(&heard, SIGHUP);
  sigprocmask(SIG_BLOCK, &heard, &before);
  asl_status status = start(arguments, &before, &child);
  if (status == ASL_OK) *code = attend(child, &heard);
  sigprocmask(SIG_SETMASK, &before, NULL);
  return status;
}
