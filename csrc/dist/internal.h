/* What the files of dist/ share. PRIVATE to them. */
#ifndef ASL_DIST_INTERNAL_H
#define ASL_DIST_INTERNAL_H

#include <time.h>

#include "dist/ranks.h"
#include "dist/transport.h"

enum { MAX_RANKS = 4096 };
extern asl_transport dist_transport; /* ranks 0: not joined */

/* Waits for what the transport was told to begin, and looks meanwhile how the others are.
 * `all_are_here`: it cannot take long. As asl_ranks_gather(). */
asl_status dist_wait(bool all_are_here);
void dist_pause(double seconds); /* below 1 */
void dist_leave_at_exit(int code, void *unused);

/* ---- peers.c: the other processes ------------------------------------------------------------ */
/* Tells the others who this is and learns who they are; takes this rank's share of the machine. */
asl_status dist_meet(void);
/* Its process runs, as far as can be seen from here: those of other machines always do. */
bool dist_is_there(int rank);

static inline double dist_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

#endif
