/* Rows of a batch from pictures and label maps, each through its transform. A row is a piece of
 * work. */
#include "cpu/kernel.h"
#include "ops/fault.h"
#include "ops/transform.h"

typedef struct job {
  const uint8_t *x, *labels; /* labels and y_labels: NULL without */
  const int64_t *index;
  const asl_transform *transform;
  uint8_t *y, *y_labels;
  asl_size source, size;
  thread_scratch scratch;
} job;

static size_t pixels(asl_size size) { return (size_t)size.height * (size_t)size.width; }

static void make_row(void *context, int64_t row) {
  const job *j = context;
  const asl_transform *t = &j->transform[row];
  size_t from = (size_t)j->index[row] * pixels(j->source), to = (size_t)row * pixels(j->size);
  asl_transform_picture(t, j->x + 3 * from, j->source, j->y + 3 * to, j->size,
                        thread_floats(&j->scratch));
  if (j->labels)
    asl_transform_bytes(t, j->labels + from, j->source, ASL_NO_LABEL, j->y_labels + to, j->size);
}

ASL_KERNEL(augment) {
  const asl_tensor *x = call->in[0], *labels = call->in[1], *index = call->in[2], *y = call->out[0];
  ASL_TRY(asl_fault_indices(x, index));
  const int64_t *from = x->shape.size, *to = y->shape.size;
  job j = {.x = asl_u8(x),
           .labels = labels ? asl_u8(labels) : NULL,
           .index = asl_i64(index),
           .transform = asl_tensor_data(call->in[3]),
           .y = asl_u8(y),
           .y_labels = labels ? asl_u8(call->out[1]) : NULL,
           .source = {(int)from[1], (int)from[2]},
           .size = {(int)to[1], (int)to[2]}};
  size_t bytes = 0;
  for (int64_t row = 0; row < to[0]; row++) {
    size_t needed = asl_transform_scratch(&j.transform[row], j.source);
    if (needed > bytes) bytes = needed;
  }
  ASL_TRY(take_thread_scratch(ceil_div((int64_t)bytes, (int64_t)sizeof(float)), &j.scratch));
  asl_parallel(to[0], make_row, &j);
  asl_pool_give(j.scratch.data);
  return ASL_OK;
}
