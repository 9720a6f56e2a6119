/* Cross entropy at the logits' own size: the plain form, and the reference for the fused one. */
#include "cpu/kernel.h"
#include "cpu/labels.h"
#include "cpu/softmax.h"

typedef struct job {
  const float *logits, *class_weight, *pixel_weight;
  const uint8_t *labels;
  int64_t pixels, classes, pixels_per_chunk;
  float sharpness; /* 1 / temperature */
  float hard;      /* share of the label in what is wanted */
  float smooth;    /* and of every class */
  double *loss;    /* per chunk */
  float *dlogits;
  float scale; /* of the gradient */
} job;

static float weight_of(const job *j, int64_t c) { return j->class_weight ? j->class_weight[c] : 1; }

static float pixel_loss(const job *j, const float *z, int label) {
  softmax_row row = softmax_of(z, j->classes, j->sharpness, NULL);
  float log_sum = v8_log_lane(row.sum), all = 0;
  float loss = weight_of(j, label) * (j->sharpness * (row.max - z[label]) + log_sum);
  if (j->smooth == 0) return loss;
  for (int64_t c = 0; c < j->classes; c++)
    all += weight_of(j, c) * (j->sharpness * (row.max - z[c]) + log_sum);
  return j->hard * loss + j->smooth * all;
}

static void loss_chunk(void *context, int64_t chunk) {
  const job *j = context;
  int64_t first = chunk * j->pixels_per_chunk;
  int64_t end = min_i64(first + j->pixels_per_chunk, j->pixels);
  double loss = 0;
  for (int64_t i = first; i < end; i++) {
    if (j->labels[i] == IGNORE) continue;
    float one = pixel_loss(j, j->logits + i * j->classes, j->labels[i]);
    loss += j->pixel_weight ? one * j->pixel_weight[i] : one;
  }
  j->loss[chunk] = loss;
}

/* d = scale ((sum of q) p - q): p the softmax, q the wanted shares of the classes. */
static void pixel_gradient(const job *j, const float *z, int label, float scale, float *d) {
  softmax_row row = softmax_of(z, j->classes, j->sharpness, d);
  float wanted = j->hard * weight_of(j, label), total = wanted;
  for (int64_t c = 0; j->smooth > 0 && c < j->classes; c++) total += j->smooth * weight_of(j, c);
  for (int64_t c = 0; c < j->classes; c++) d[c] = d[c] / row.sum * (scale * total);
  d[label] -= scale * wanted;
  for (int64_t c = 0; j->smooth > 0 && c < j->classes; c++)
    d[c] -= scale * j->smooth * weight_of(j, c);
}

static void gradient_chunk(void *context, int64_t chunk) {
  const job *j = context;
  int64_t first = chunk * j->pixels_per_chunk;
  int64_t end = min_i64(first + j->pixels_per_chunk, j->pixels);
  for (int64_t i = first; i < end; i++) {
    float *d = j->dlogits + i * j->classes;
    float scale = j->pixel_weight ? j->scale * j->pixel_weight[i] : j->scale;
    if (j->labels[i] == IGNORE)
      for (int64_t c = 0; c < j->classes; c++) d[c] = 0;
    else
      pixel_gradient(j, j->logits + i * j->classes, j->labels[i], scale, d);
  }
}

/* The inputs that cross_entropy and its gradient begin with. */
static job job_of(const asl_call *call, double smoothing, double temperature) {
  const asl_tensor *logits = call->in[0], *class_weight = call->in[2], *pixel_weight = call->in[3];
  job j = {.logits = asl_f32(logits), .labels = asl_u8(call->in[1]),
           .class_weight = class_weight ? asl_f32(class_weight) : NULL,
           .pixel_weight = pixel_weight ? asl_f32(pixel_weight) : NULL,
           .pixels = asl_tensor_count(call->in[1]), .classes = logits->shape.size[3],
           .sharpness = (float)(1 / temperature), .hard = (float)(1 - smoothing)};
  j.smooth = (float)(smoothing / (double)j.classes);
  j.pixels_per_chunk = max_i64(1, CHUNK / j.classes);
  return j;
}

ASL_KERNEL(cross_entropy) {
  const asl_cross_entropy_params *p = ASL_PARAMS(cross_entropy, call);
  job j = job_of(call, p->smoothing, p->temperature);
  int64_t valid;
  void *scratch;
  ASL_TRY(asl_labels_check(call->in[1], j.classes, &valid));
  int64_t chunks = ceil_div(j.pixels, j.pixels_per_chunk);
  ASL_TRY(take_scratch(chunks * (int64_t)sizeof *j.loss, &scratch));
  j.loss = scratch;
  asl_parallel(chunks, loss_chunk, &j);
  double loss = 0;
  for (int64_t c = 0; c < chunks; c++) loss += j.loss[c];
  asl_pool_give(scratch);
  double normaliser = loss_normaliser(p->normaliser, call->in[4], valid);
  *asl_f32(call->out[0]) = valid > 0 ? (float)(loss / normaliser) : 0.0f;
  *asl_i64(call->out[1]) = valid;
  return ASL_OK;
}

ASL_KERNEL(cross_entropy_backward) {
  const asl_cross_entropy_backward_params *p = ASL_PARAMS(cross_entropy_backward, call);
  job j = job_of(call, p->smoothing, p->temperature);
  int64_t valid;
  ASL_TRY(asl_labels_check(call->in[1], j.classes, &valid));
  double normaliser = loss_normaliser(p->normaliser, call->in[4], valid);
  j.scale = (float)(*asl_f32(call->in[5]) / normaliser / p->temperature);
  j.dlogits = asl_f32(call->out[0]);
  asl_parallel(ceil_div(j.pixels, j.pixels_per_chunk), gradient_chunk, &j);
  return ASL_OK;
}
