#include "data/loader.h"

#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
  MAX_LOADER_THREADS = 64,
  MESSAGE_BYTES = 1024,
  KEPT_BUFFER = 1 << 25, /* the largest that glibc keeps */
  KEPT_BYTES = 1 << 27,  /* of an arena */
};

typedef struct batch {
  struct batch *next;
  int64_t ticket;
  asl_request request; /* its `row` and `augment` point to the copies below */
  asl_augment augment;
  asl_row *rows;
  asl_tensor *tensors[ASL_PLANES];
  /* Guarded by the loader's lock. */
  int begun, done; /* rows */
  int failed;      /* lowest row that failed, or `rows`; no row after it is begun */
  asl_status status;
  char message[MESSAGE_BYTES];
} batch;

struct asl_loader {
  pthread_mutex_t lock;
  pthread_cond_t work, progress;
  bool stopping;
  batch *first; /* in the order of the requests */
  int64_t tickets;
  int threads;
  pthread_t thread[MAX_LOADER_THREADS];
};

static void batch_free(batch *b) {
  for (int p = 0; p < ASL_PLANES; p++) asl_tensor_release(b->tensors[p]);
  for (int r = 0; r < b->request.rows; r++) asl_source_release(b->rows[r].source);
  free(b->rows);
  free(b);
}

static asl_status make_row(const batch *b, int r) {
  const asl_request *q = &b->request;
  const asl_row *row = &b->rows[r];
  uint32_t needed = q->augment ? asl_augment_needs(q->planes, row->source->planes) : q->planes;
  asl_sample sample;
  ASL_TRY(asl_source_decode(row->source, row->index, needed, &sample));
  void *out[ASL_PLANES] = {0};
  for (int p = 0; p < ASL_PLANES; p++)
    if (b->tensors[p])
      out[p] = (char *)asl_tensor_data(b->tensors[p]) +
               (size_t)r * asl_plane_bytes(p, q->height, q->width);
  asl_draw draw = {q->seed, q->step, row->row};
  asl_status status =
      asl_augment_row(&sample, q->augment, draw, q->planes, q->height, q->width, out);
  asl_sample_free(&sample);
  return status;
}

/* A batch with a row to begin, or NULL. Rows begin in order and none begins after a failure, so the
 * lowest failing row of a batch is always met. */
static batch *next_batch(const asl_loader *loader) {
  for (batch *b = loader->first; b; b = b->next)
    if (b->begun < b->request.rows && b->begun < b->failed) return b;
  return NULL;
}

static bool finished(const batch *b) {
  int to_do = b->failed < b->request.rows ? b->begun : b->request.rows;
  return b->done == to_do;
}

/* Makes the next row of `b`; called and left with the lock held, released in between. */
static void advance(asl_loader *loader, batch *b) {
  int r = b->begun++;
  pthread_mutex_unlock(&loader->lock);
  asl_status status = make_row(b, r);
  pthread_mutex_lock(&loader->lock);
  b->done++;
  if (status != ASL_OK && r < b->failed) {
    b->failed = r;
    b->status = status;
    snprintf(b->message, sizeof b->message, "%s", asl_message());
  }
  if (finished(b)) pthread_cond_broadcast(&loader->progress);
}

static void *work(void *argument) {
  asl_loader *loader = argument;
  sigset_t all; /* signals are for the thread that runs the script */
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, NULL);
  pthread_mutex_lock(&loader->lock);
  while (!loader->stopping) {
    batch *b = next_batch(loader);
    if (b) advance(loader, b);
    else pthread_cond_wait(&loader->work, &loader->lock);
  }
  pthread_mutex_unlock(&loader->lock);
  return NULL;
}

/* Every row takes and gives back buffers of some megabytes. malloc would return each to the system,
 * and the next row would wait for its pages to be cleared again, about as long as it takes to
 * decode a picture. */
static void keep_buffers(void) {
  mallopt(M_MMAP_THRESHOLD, KEPT_BUFFER);
  mallopt(M_TRIM_THRESHOLD, KEPT_BYTES);
}

asl_status asl_loader_new(int threads, asl_loader **out) {
  if (threads < 0 || threads > MAX_LOADER_THREADS)
    return asl_fail(ASL_EINVAL, "%d loader threads; there can be 0 to %d", threads,
                    MAX_LOADER_THREADS);
  asl_loader *loader = calloc(1, sizeof *loader);
  if (!loader) return asl_fail(ASL_ENOMEM, "no memory for a loader");
  keep_buffers();
  pthread_mutex_init(&loader->lock, NULL);
  pthread_cond_init(&loader->work, NULL);
  pthread_cond_init(&loader->progress, NULL);
  for (; loader->threads < threads; loader->threads++) {
    int error = pthread_create(&loader->thread[loader->threads], NULL, work, loader);
    if (error == 0) continue;
    int got = loader->threads;
    asl_loader_free(loader);
    return asl_fail(ASL_EDEVICE, "the system gave %d of %d loader threads: %s", got, threads,
                    strerror(error));
  }
  *out = loader;
  return ASL_OK;
}

void asl_loader_free(asl_loader *loader) {
  if (!loader) return;
  pthread_mutex_lock(&loader->lock);
  loader->stopping = true;
  pthread_cond_broadcast(&loader->work);
  pthread_mutex_unlock(&loader->lock);
  for (int t = 0; t < loader->threads; t++) pthread_join(loader->thread[t], NULL);
  while (loader->first) {
    batch *b = loader->first;
    loader->first = b->next;
    batch_free(b);
  }
  pthread_cond_destroy(&loader->progress);
  pthread_cond_destroy(&loader->work);
  pthread_mutex_destroy(&loader->lock);
  free(loader);
}

static asl_status check_request(const asl_request *q) {
  if (q->rows < 1) return asl_fail(ASL_EINVAL, "a batch of %d rows", q->rows);
  if (q->planes == 0) return asl_fail(ASL_EINVAL, "a batch of no planes");
  ASL_TRY(asl_picture_size_check(q->height, q->width));
  if (q->augment) ASL_TRY(asl_augment_check(q->augment));
  for (int r = 0; r < q->rows; r++)
    ASL_TRY(
        asl_wrap(asl_source_check(q->row[r].source, q->row[r].index, q->planes), "row %d", r + 1));
  return ASL_OK;
}

static asl_status new_tensors(batch *b) {
  const asl_request *q = &b->request;
  for (int p = 0; p < ASL_PLANES; p++) {
    if (!(q->planes >> p & 1)) continue;
    asl_shape one = asl_plane_shape(p, q->height, q->width), all = {one.rank + 1, {q->rows}};
    memcpy(all.size + 1, one.size, (size_t)one.rank * sizeof *one.size);
    ASL_TRY(asl_tensor_new(asl_planes[p].dtype, all, ASL_CPU, &b->tensors[p]));
  }
  return ASL_OK;
}

static asl_status batch_new(const asl_request *request, batch **out) {
  batch *b = calloc(1, sizeof *b);
  asl_row *rows = b ? malloc((size_t)request->rows * sizeof *rows) : NULL;
  if (!rows) {
    free(b);
    return asl_fail(ASL_ENOMEM, "no memory for a batch of %d rows", request->rows);
  }
  memcpy(rows, request->row, (size_t)request->rows * sizeof *rows);
  for (int r = 0; r < request->rows; r++) asl_source_retain(rows[r].source);
  b->request = *request;
  b->request.row = b->rows = rows;
  if (request->augment) {
    b->augment = *request->augment;
    b->request.augment = &b->augment;
  }
  b->failed = request->rows;
  asl_status status = new_tensors(b);
  if (status != ASL_OK) batch_free(b);
  else *out = b;
  return status;
}

asl_status asl_loader_request(asl_loader *loader, const asl_request *request, int64_t *ticket) {
  ASL_TRY(check_request(request));
  batch *b = NULL;
  ASL_TRY(batch_new(request, &b));
  b->ticket = *ticket = ++loader->tickets;
  pthread_mutex_lock(&loader->lock);
  batch **last = &loader->first;
  while (*last) last = &(*last)->next;
  *last = b;
  pthread_cond_broadcast(&loader->work);
  pthread_mutex_unlock(&loader->lock);
  return ASL_OK;
}

asl_status asl_loader_wait(asl_loader *loader, int64_t ticket, asl_tensor *tensors[ASL_PLANES]) {
  for (int p = 0; p < ASL_PLANES; p++) tensors[p] = NULL;
  pthread_mutex_lock(&loader->lock);
  batch **at = &loader->first;
  while (*at && (*at)->ticket != ticket) at = &(*at)->next;
  batch *b = *at;
  if (b) {
    while (!finished(b)) {
      if (loader->threads == 0) advance(loader, b);
      else pthread_cond_wait(&loader->progress, &loader->lock);
    }
    *at = b->next;
  }
  pthread_mutex_unlock(&loader->lock);
  if (!b)
    return asl_fail(ASL_EINVAL, "there is no batch with ticket %lld to wait for",
                    (long long)ticket);
  asl_status status = b->status;
  if (status == ASL_OK)
    for (int p = 0; p < ASL_PLANES; p++) tensors[p] = asl_tensor_retain(b->tensors[p]);
  else asl_fail(status, "%s", b->message);
  batch_free(b);
  return status;
}
