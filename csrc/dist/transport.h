/* What carries bytes between ranks: filled in by a library of its own beside the core,
 * libasl_mpi.so, which is loaded only where there are ranks, so that one program runs with and
 * without MPI. That library takes nothing from the core.
 *
 * Functions that return int: 0 when done, else message() says why not. One thread uses it. */
#ifndef ASL_DIST_TRANSPORT_H
#define ASL_DIST_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>

typedef struct asl_transport {
  int rank, ranks; /* of all processes that were started together */

  /* Begin what all ranks do together, in one order; test() until it is done, then the next. Memory
   * must stay until then. all_gather: rank r's bytes lie at all + r bytes; at most INT_MAX bytes.
   */
  int (*all_gather)(const void *mine, void *all, size_t bytes);
  int (*broadcast)(void *data, size_t bytes, int root);
  int (*test)(bool *done);

  /* Notes: short messages at any time, which arrive in order; receive() is false when there is
   * none. All notes have the same size. */
  int (*send)(int to, const void *note, size_t bytes);
  bool (*receive)(void *note, size_t bytes);

  int (*finish)(void);       /* waits for the other ranks to do so */
  void (*end_all)(int code); /* ends all ranks; the launcher should end with `code` */
  const char *(*message)(void);
} asl_transport;

/* The library's one symbol: joins the other ranks. */
typedef int (*asl_transport_open)(asl_transport *transport);
#define ASL_TRANSPORT_OPEN "asl_mpi_open"

#endif
