/* softmax and log_softmax over the last dimension. */
#include "cpu/softmax.h"

#include "cpu/kernel.h"

typedef struct job {
  const float *x;
  float *y;
  int64_t rows, n, rows_per_chunk;
  bool log;
} job;

static void do_row(const job *j, const float *x, float *y) {
  if (j->log) {
    softmax_row row = softmax_of(x, j->n, 1, NULL);
    float log_sum = v8_log_lane(row.sum);
    for (int64_t i = 0; i < j->n; i++) y[i] = (x[i] - row.max) - log_sum;
  } else {
    softmax_row row = softmax_of(x, j->n, 1, y);
    for (int64_t i = 0; i < j->n; i++) y[i] /= row.sum;
  }
}

static void do_chunk(void *context, int64_t chunk) {
  const job *j = context;
  int64_t first = chunk * j->rows_per_chunk, end = min_i64(first + j->rows_per_chunk, j->rows);
  for (int64_t r = first; r < end; r++) do_row(j, j->x + r * j->n, j->y + r * j->n);
}

static asl_status run(const asl_call *call, bool log) {
  const asl_tensor *x = call->in[0];
  int64_t count = asl_tensor_count(x), n = x->shape.size[x->shape.rank - 1];
  if (count == 0) return ASL_OK;
  job j = {.x = asl_f32(x), .y = asl_f32(call->out[0]), .rows = count / n, .n = n, .log = log};
  j.rows_per_chunk = max_i64(1, CHUNK / n);
  asl_parallel(ceil_div(j.rows, j.rows_per_chunk), do_chunk, &j);
  return ASL_OK;
}

ASL_KERNEL(softmax) { return run(call, false); }
ASL_KERNEL(log_softmax) { return run(call, true); }
