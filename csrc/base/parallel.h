/* The thread pool of the CPU kernels.
 *
 * Work is split into a number of chunks that depends on the problem only, never on the number of
 * threads; a chunk writes its own part of the output or its own partial sum, and partial sums are
 * combined in chunk order by the caller. So results have the same bits for any thread count. */
#ifndef ASL_BASE_PARALLEL_H
#define ASL_BASE_PARALLEL_H

#include <stdint.h>

typedef void (*asl_chunk_fn)(void *context, int64_t chunk);

/* Runs fn(context, c) for every c in [0, chunks), thread t of T taking the contiguous share
 * [chunks*t/T, chunks*(t+1)/T). Returns when all are done. Called from a chunk or while another
 * thread is inside, it runs serially. Cannot fail. */
void asl_parallel(int64_t chunks, asl_chunk_fn fn, void *context);

/* Which of the threads of the running asl_parallel() this is, from 0 to asl_threads() - 1: for
 * scratch memory, one piece per thread. */
int asl_worker(void);

/* How many threads take part: ASL_THREADS, else the cores this process may use. */
int asl_threads(void);

/* Sets the number of threads, at least 1, at most 256. */
void asl_set_threads(int threads);

#endif
