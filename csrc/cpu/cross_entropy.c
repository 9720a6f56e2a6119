/* Cross entropy at the logits' own size: the plain form, and the reference for the fused one. */
#include "cpu/kernel.h"
#include "cpu/labels.h"
#include "cpu/softmax.h"

typedef struct job {
  const float *logits, *class_weight;
  const uint8_t *labels;
  int64_t pixels, classes, pixels_per_chunk;
  double *loss; /* per chunk */
  float *dlogits;
  float scale; /* of the gradient */
} job;

static void loss_chunk(void *context, int64_t chunk) {
  const job *j = context;
  int64_t first = chunk * j->pixels_per_chunk;
  int64_t end = min_i64(first + j->pixels_per_chunk, j->pixels);
  double loss = 0;
  for (int64_t i = first; i < end; i++) {
    int label = j->labels[i];
    if (label == IGNORE) continue;
    const float *z = j->logits + i * j->classes;
    softmax_row row = softmax_of(z, j->classes, NULL);
    float nll = (row.max - z[label]) + v8_log_lane(row.sum);
    loss += j->class_weight ? nll * j->class_weight[label] : nll;
  }
  j->loss[chunk] = loss;
}

static void gradient_chunk(void *context, int64_t chunk) {
  const job *j = context;
  int64_t first = chunk * j->pixels_per_chunk;
  int64_t end = min_i64(first + j->pixels_per_chunk, j->pixels);
  for (int64_t i = first; i < end; i++) {
    int label = j->labels[i];
    float *d = j->dlogits + i * j->classes;
    if (label == IGNORE) {
      for (int64_t c = 0; c < j->classes; c++) d[c] = 0;
      continue;
    }
    softmax_row row = softmax_of(j->logits + i * j->classes, j->classes, d);
    float scale = j->class_weight ? j->scale * j->class_weight[label] : j->scale;
    for (int64_t c = 0; c < j->classes; c++) d[c] = d[c] / row.sum * scale;
    d[label] -= scale;
  }
}

static job job_of(const asl_call *call) {
  const asl_tensor *logits = call->in[0], *weight = call->in[2];
  job j = {.logits = asl_f32(logits), .labels = asl_u8(call->in[1]),
           .class_weight = weight ? asl_f32(weight) : NULL,
           .pixels = asl_tensor_count(call->in[1]), .classes = logits->shape.size[3]};
  j.pixels_per_chunk = max_i64(1, CHUNK / j.classes);
  return j;
}

ASL_KERNEL(cross_entropy) {
  job j = job_of(call);
  int64_t valid;
  void *scratch;
  ASL_TRY(asl_labels_check(call->in[1], j.classes, &valid));
  int64_t chunks = ceil_div(j.pixels, j.pixels_per_chunk);
  ASL_TRY(take_scratch(chunks * (int64_t)sizeof *j.loss, &scratch));
  j.loss = scratch;
  asl_parallel(chunks, loss_chunk, &j);
  double loss = 0, normaliser = ASL_PARAMS(cross_entropy, call)->normaliser;
  for (int64_t c = 0; c < chunks; c++) loss += j.loss[c];
  asl_pool_give(scratch);
  if (normaliser == 0) normaliser = (double)valid;
  *asl_f32(call->out[0]) = valid > 0 ? (float)(loss / normaliser) : 0.0f;
  *asl_i64(call->out[1]) = valid;
  return ASL_OK;
}

ASL_KERNEL(cross_entropy_backward) {
  job j = job_of(call);
  int64_t valid;
  ASL_TRY(asl_labels_check(call->in[1], j.classes, &valid));
  double normaliser = ASL_PARAMS(cross_entropy_backward, call)->normaliser;
  if (normaliser == 0) normaliser = (double)max_i64(valid, 1);
  j.scale = (float)(*asl_f32(call->in[3]) / normaliser);
  j.dlogits = asl_f32(call->out[0]);
  asl_parallel(ceil_div(j.pixels, j.pixels_per_chunk), gradient_chunk, &j);
  return ASL_OK;
}
