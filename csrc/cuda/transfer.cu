/* Copies between host and device, through pinned memory, which the device reads and writes by itself: from other
 * memory a copy would wait for all work before it, and the host could not run ahead. */
#include "cuda/engine.h"

#include <string.h>

/* ---- to the device ------------------------------------------------------------------------------------- */
/* Two buffers in turn, each filled from its start until the next piece does not fit; it is filled again when
 * the device has read it. */
static const size_t STAGE_BYTES = 64 << 20, PIECE_ALIGNMENT = 256;
static struct stage {
  char *bytes;
  cudaEvent_t read; /* by the device */
} stages[2];
static int filling;
static size_t filled;

static asl_status open_stages(void) {
  for (struct stage &s : stages) {
    CUDA_TRY(cudaHostAlloc((void **)&s.bytes, STAGE_BYTES, cudaHostAllocDefault));
    CUDA_TRY(cudaEventCreateWithFlags(&s.read, cudaEventDisableTiming));
  }
  return ASL_OK;
}

static asl_status next_stage(void) {
  CUDA_TRY(cudaEventRecord(stages[filling].read, queue_stream()));
  filling = 1 - filling;
  filled = 0;
  CUDA_TRY(cudaEventSynchronize(stages[filling].read));
  return ASL_OK;
}

static asl_status staged_copy(void *to, const void *from, size_t bytes) {
  if (!stages[1].read) ASL_TRY(open_stages());
  if (filled + bytes > STAGE_BYTES) ASL_TRY(next_stage());
  char *stage = stages[filling].bytes + filled;
  memcpy(stage, from, bytes);
  filled += (bytes + PIECE_ALIGNMENT - 1) / PIECE_ALIGNMENT * PIECE_ALIGNMENT;
  CUDA_TRY(cudaMemcpyAsync(to, stage, bytes, cudaMemcpyHostToDevice, queue_stream()));
  return ASL_OK;
}

asl_status transfer_upload(void *to, const void *from, size_t bytes) {
  ASL_TRY(queue_flush());
  while (bytes > 0) {
    size_t piece = bytes < STAGE_BYTES ? bytes : STAGE_BYTES;
    ASL_TRY(staged_copy(to, from, piece));
    to = (char *)to + piece;
    from = (const char *)from + piece;
    bytes -= piece;
  }
  return ASL_OK;
}

/* ---- to the host --------------------------------------------------------------------------------------- */
asl_status transfer_download(void *to, const void *from, size_t bytes) {
  ASL_TRY(queue_flush());
  if (bytes) CUDA_TRY(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, queue_stream()));
  return engine_wait();
}

static struct fetch {
  cudaEvent_t there;
} fetches[ASL_FETCHES];
static uint64_t *numbers; /* one for each fetch */
static int64_t asked;     /* tickets so far */

asl_status transfer_fetch(const void *from, size_t bytes, int64_t *ticket) {
  if (bytes > sizeof *numbers) return asl_fail(ASL_EINVAL, "fetch takes up to 8 bytes, not %zu", bytes);
  ASL_TRY(queue_flush());
  if (!numbers) CUDA_TRY(cudaHostAlloc((void **)&numbers, ASL_FETCHES * sizeof *numbers, cudaHostAllocDefault));
  int slot = (int)(asked % ASL_FETCHES);
  struct fetch *f = &fetches[slot];
  if (!f->there) CUDA_TRY(cudaEventCreateWithFlags(&f->there, cudaEventDisableTiming));
  CUDA_TRY(cudaEventSynchronize(f->there)); /* the number it brought last */
  CUDA_TRY(cudaMemcpyAsync(&numbers[slot], from, bytes, cudaMemcpyDeviceToHost, queue_stream()));
  CUDA_TRY(cudaEventRecord(f->there, queue_stream()));
  *ticket = asked++;
  return ASL_OK;
}

asl_status transfer_fetched(int64_t ticket, void *to, size_t bytes) {
  if (ticket < 0 || ticket >= asked || ticket < asked - ASL_FETCHES)
    return asl_fail(ASL_EINVAL, "fetch %lld is forgotten: only the newest %d are kept", (long long)ticket, ASL_FETCHES);
  int slot = (int)(ticket % ASL_FETCHES);
  CUDA_TRY(cudaEventSynchronize(fetches[slot].there));
  memcpy(to, &numbers[slot], bytes);
  return engine_check_faults();
}
