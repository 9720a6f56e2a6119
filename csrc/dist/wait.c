/* Waiting for the other ranks, and what becomes of them all when one fails.
 *
 * A rank that fails tells rank 0, which waits for it in something they do together sooner or later;
 * rank 0 says so and ends all. A rank that leaves tells all others. A rank that died tells nobody:
 * the others see that its process is gone. */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dist/internal.h"

/* Seconds: between two looks at the others; that rank 0 has to answer; that a launcher has to end a
 * process. */
static const double LOOK = 0.02, ANSWER = 5, END = 10;
enum { SPINS = 2000 }; /* tests before it lets others run between two of them */
static const double PATIENCE = 0.002, HASTE = 0.5; /* seconds before it sleeps between them */

enum { FAILED, LEAVING };
typedef struct note {
  int kind, rank, code;
  bool said; /* the reason stands on rank 0's standard error */
  char text[ASL_FAILURE_TEXT];
} note;

static asl_failure failure;
static bool failed, said;
static bool *gone; /* (ranks) those that have left */
static bool left;  /* this one */

/* ---- notes ----------------------------------------------------------------------------------- */
static void tell(int to, int kind, int code, bool is_said, const char *text) {
  note n;
  memset(&n, 0, sizeof n);
  n.kind = kind;
  n.rank = dist_transport.rank;
  n.code = code;
  n.said = is_said;
  snprintf(n.text, sizeof n.text, "%s", text);
  (void)dist_transport.send(to, &n,
                            sizeof n); /* who cannot be told sees that the process is gone */
}

static void tell_all(int code, bool is_said) {
  for (int r = 0; r < dist_transport.ranks; r++)
    if (r != dist_transport.rank) tell(r, LEAVING, code, is_said, "");
}

static asl_status fail(int rank, int code, const char *text) {
  if (!failed) {
    failed = true;
    failure.rank = rank;
    failure.code = code;
    snprintf(failure.text, sizeof failure.text, "%s", text);
  }
  return asl_fail(ASL_EIO, "%.*s", (int)strcspn(failure.text, "\n"), failure.text);
}

static asl_status fail_left(int rank, int code) {
  char text[256];
  snprintf(text, sizeof text, "rank %d on %s has ended with exit code %d, the others have not",
           rank, asl_ranks_info(rank).host, code);
  return fail(rank, code, text);
}

static asl_status take_note(note *n) {
  if (n->rank < 0 || n->rank >= dist_transport.ranks) return ASL_OK;
  n->text[sizeof n->text - 1] = '\0';
  if (n->kind == FAILED) return fail(n->rank, n->code, n->text);
  if (!gone) gone = calloc((size_t)dist_transport.ranks, sizeof *gone);
  if (gone) gone[n->rank] = true;
  said = said || n->said;
  return n->said || n->code != 0 ? fail_left(n->rank, n->code) : ASL_OK;
}

static asl_status read_notes(void) {
  note n;
  while (dist_transport.receive(&n, sizeof n)) ASL_TRY(take_note(&n));
  return ASL_OK;
}

/* ---- the others ------------------------------------------------------------------------------ */
static bool has_left(int rank) { return gone && gone[rank]; }

static asl_status look_for_dead(void) {
  for (int r = 0; r < dist_transport.ranks; r++) {
    if (r == dist_transport.rank || has_left(r) || dist_is_there(r)) continue;
    ASL_TRY(read_notes()); /* it may have said something before it went */
    if (has_left(r)) continue;
    char text[256];
    asl_rank_info info = asl_ranks_info(r);
    snprintf(text, sizeof text,
             "rank %d on %s (process %d) has died without a word: it was killed, or crashed", r,
             info.host, info.pid);
    return fail(r, 0, text);
  }
  return ASL_OK;
}

void dist_pause(double seconds) {
  struct timespec t = {0, (long)(1e9 * seconds)};
  nanosleep(&t, NULL);
}

/* A rank that left after all had its part of what is waited for is no failure, but one that left
 * before. */
static asl_status look(double began) {
  ASL_TRY(read_notes());
  ASL_TRY(look_for_dead());
  for (int r = 0; dist_now() - began > 1 && r < dist_transport.ranks; r++)
    if (has_left(r)) return fail_left(r, 0);
  return ASL_OK;
}

/* Others need the core that this waits on: loader threads, and ranks of the same machine. But long
 * messages come in many pieces, which only move while this tests. */
asl_status dist_wait(bool all_are_here) {
  const double awake = all_are_here ? HASTE : PATIENCE;
  double began = 0, next = 0;
  for (int tests = 0;; tests++) {
    bool done = false;
    if (dist_transport.test(&done))
      return asl_fail(ASL_EDEVICE, "between ranks: %s", dist_transport.message());
    if (done) return ASL_OK;
    if (tests < SPINS) continue;
    tests = SPINS;
    double now = dist_now();
    if (began == 0) began = now;
    if (now - began < awake) sched_yield();
    else dist_pause(0.00005);
    if (now < next) continue;
    next = now + LOOK;
    ASL_TRY(look(began));
  }
}

/* ---- failing --------------------------------------------------------------------------------- */
const asl_failure *asl_ranks_failure(void) { return failed ? &failure : NULL; }

static bool lowest_there(void) {
  for (int r = 0; r < dist_transport.rank; r++)
    if (!(failed && failure.rank == r) && !has_left(r) && dist_is_there(r)) return false;
  return true;
}

/* Until the launcher ends this process, or until rank 0 said that it will. */
static void await_end(double seconds) {
  double end = dist_now() + seconds;
  while (dist_now() < end) {
    dist_pause(0.01);
    bool before = said;
    (void)read_notes();
    if (said && !before) end = dist_now() + END;
  }
}

bool asl_ranks_report(int code, const char *text) {
  if (!asl_ranks_joined() || left) return false;
  bool alone = lowest_there(); /* who is gone may have said so before it went */
  (void)read_notes();
  if (!said && alone) return false;
  if (!said) tell(0, FAILED, code, false, text);
  await_end(said ? END : ANSWER);
  return said;
}

/* ---- leaving --------------------------------------------------------------------------------- */
static bool all_left(void) {
  for (int r = 0; r < dist_transport.ranks; r++)
    if (r != dist_transport.rank && !has_left(r)) return false;
  return true;
}

asl_status asl_ranks_leave(int code, bool agreed) {
  if (!asl_ranks_joined() || left) return ASL_OK;
  if (!agreed) {
    left = true;
    tell_all(code, true);
    dist_transport.end_all(code);
    return ASL_OK;
  }
  tell_all(0, false);
  while (!all_left()) {
    ASL_TRY(read_notes());
    ASL_TRY(look_for_dead());
    dist_pause(0.001);
  }
  left = true;
  if (dist_transport.finish())
    return asl_fail(ASL_EDEVICE, "between ranks: %s", dist_transport.message());
  return ASL_OK;
}

/* For on_exit(): a script that called os.exit(). */
void dist_leave_at_exit(int code, void *unused) {
  (void)unused;
  if (!asl_ranks_joined() || left) return;
  if (code == 0 && asl_ranks_leave(0, true) == ASL_OK) return;
  if (code != 0) tell_all(code, false);
  await_end(ANSWER); /* somebody else has to say so */
  left = true;
  dist_transport.end_all(code ? code : 1);
}
