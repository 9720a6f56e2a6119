/* Loader threads: rows of batches are decoded and augmented ahead of their use.
 *
 * Each row is a pure function of its request, written to its own part of the batch, so the result
 * does not depend on the number of threads. The batch's tensors are made when it is asked for and
 * owned by the loader until it is waited for; threads only see their memory. All functions but the
 * threads' own are called from the one thread that runs the script. */
#ifndef ASL_DATA_LOADER_H
#define ASL_DATA_LOADER_H

#include <stdint.h>

#include "data/augment.h"
#include "data/source.h"
#include "tensor/tensor.h"

typedef struct asl_loader asl_loader;

typedef struct asl_row {
  asl_source *source; /* retained until the batch is waited for */
  int64_t index;
  uint64_t row; /* counter of its random numbers (augment.h) */
} asl_row;

typedef struct asl_request {
  int rows;
  const asl_row *row;
  int height, width; /* of the batch's pictures */
  uint32_t planes;
  const asl_augment *augment; /* NULL = the plain resize */
  uint64_t seed, step;
} asl_request;

/* `threads` 0..64; with 0 the rows are made by the thread that waits. ASL_EINVAL, ASL_ENOMEM,
 * ASL_EDEVICE (the system gives no thread). */
asl_status asl_loader_new(int threads, asl_loader **out);

/* Drops what was asked for and not yet begun, waits for what was begun, and frees everything. NULL
 * allowed. Cannot fail. */
void asl_loader_free(asl_loader *loader);

/* Queues a batch; everything is copied or retained. The ticket is to be waited for once, in any
 * order. ASL_EINVAL (no rows, size, a plane that a source lacks, settings), ASL_ENOMEM. */
asl_status asl_loader_request(asl_loader *loader, const asl_request *request, int64_t *ticket);

/* Blocks until the batch is made. For each plane asked for, tensors[plane] becomes a tensor
 * (rows, ...) with a reference for the caller; the others NULL. When rows fail, the failure of the
 * first of them, whatever the number of threads. ASL_EINVAL for a ticket that does not exist or was
 * waited for. */
asl_status asl_loader_wait(asl_loader *loader, int64_t ticket, asl_tensor *tensors[ASL_PLANES]);

#endif
