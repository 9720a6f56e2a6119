/* libasl_mpi.so: ranks by MPI. Nothing is computed by MPI, it only copies bytes. */
#include <limits.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dist/transport.h"

__attribute__((visibility("default"))) int asl_mpi_open(asl_transport *transport);

enum { NOTE = 1 };

static char text[MPI_MAX_ERROR_STRING + 64];
static MPI_Comm data, notes; /* so that notes never meet what ranks do together */
static MPI_Request running = MPI_REQUEST_NULL;

static int checked(int error, const char *what) {
  if (error == MPI_SUCCESS) return 0;
  char reason[MPI_MAX_ERROR_STRING] = "";
  int length;
  MPI_Error_string(error, reason, &length);
  snprintf(text, sizeof text, "%s: %s", what, reason);
  return 1;
}

static const char *message(void) { return text; }

static int too_long(size_t bytes) {
  if (bytes <= INT_MAX) return 0;
  snprintf(text, sizeof text, "%zu bytes a rank are too many at once: at most %d", bytes, INT_MAX);
  return 1;
}

static int all_gather(const void *mine, void *all, size_t bytes) {
  if (too_long(bytes)) return 1;
  return checked(
      MPI_Iallgather(mine, (int)bytes, MPI_BYTE, all, (int)bytes, MPI_BYTE, data, &running),
      "MPI_Iallgather");
}

static int broadcast(void *bytes, size_t count, int root) {
  if (too_long(count)) return 1;
  return checked(MPI_Ibcast(bytes, (int)count, MPI_BYTE, root, data, &running), "MPI_Ibcast");
}

static int test(bool *done) {
  int flag = 0;
  int error = MPI_Test(&running, &flag, MPI_STATUS_IGNORE);
  *done = flag != 0;
  return checked(error, "MPI_Test");
}

/* A note that is not taken at once stays in this copy; a process that sends another one soon after
 * has something worse to say, so the copy is never given back. */
static int send(int to, const void *note, size_t bytes) {
  void *copy = malloc(bytes);
  if (!copy) return checked(MPI_ERR_NO_MEM, "a note to another rank");
  memcpy(copy, note, bytes);
  MPI_Request request;
  int error = MPI_Isend(copy, (int)bytes, MPI_BYTE, to, NOTE, notes, &request);
  int flag = 0;
  for (int i = 0; error == MPI_SUCCESS && !flag && i < 1000; i++)
    error = MPI_Test(&request, &flag, MPI_STATUS_IGNORE);
  if (flag) free(copy);
  else if (error == MPI_SUCCESS) MPI_Request_free(&request);
  return checked(error, "MPI_Isend");
}

static bool receive(void *note, size_t bytes) {
  int flag = 0;
  if (MPI_Iprobe(MPI_ANY_SOURCE, NOTE, notes, &flag, MPI_STATUS_IGNORE) != MPI_SUCCESS || !flag)
    return false;
  return MPI_Recv(note, (int)bytes, MPI_BYTE, MPI_ANY_SOURCE, NOTE, notes, MPI_STATUS_IGNORE) ==
         MPI_SUCCESS;
}

static int finish(void) { return checked(MPI_Finalize(), "MPI_Finalize"); }
static void end_all(int code) { MPI_Abort(MPI_COMM_WORLD, code); }

int asl_mpi_open(asl_transport *transport) {
  int given;
  *transport = (asl_transport){.all_gather = all_gather,
                               .broadcast = broadcast,
                               .test = test,
                               .send = send,
                               .receive = receive,
                               .finish = finish,
                               .end_all = end_all,
                               .message = message};
  if (checked(MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &given), "MPI_Init_thread"))
    return 1;
  MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN); /* which the copies below take over */
  if (checked(MPI_Comm_dup(MPI_COMM_WORLD, &data), "MPI_Comm_dup")) return 1;
  if (checked(MPI_Comm_dup(MPI_COMM_WORLD, &notes), "MPI_Comm_dup")) return 1;
  MPI_Comm_rank(data, &transport->rank);
  MPI_Comm_size(data, &transport->ranks);
  return 0;
}
