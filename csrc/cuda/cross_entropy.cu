/* Cross entropy at the logits' own size: the plain form, and the reference for the fused one. A few lanes of a warp
 * take a pixel; a block adds up its pixels in double, and the blocks' sums are added in order. */
#include "cuda/labels.h"
#include "cuda/softmax.h"

enum { MOST_BLOCKS = 8 * 132 };

typedef struct entropy_job {
  const void *logits;
  const uint8_t *labels;
  const float *class_weight, *pixel_weight; /* or NULL */
  int64_t pixels, classes;
  float sharpness; /* 1 / temperature */
  float hard;      /* share of the label in what is wanted */
  float smooth;    /* and of every class */
  int lanes;
  asl_fault *fault;
} entropy_job;

__device__ __forceinline__ float weight_of(const entropy_job &j, int c) {
  return j.class_weight ? j.class_weight[c] : 1.0f;
}

/* ---- loss ---------------------------------------------------------------------------------------------------- */
/* This lane's share of a pixel's loss: the sum over its classes of what is wanted of them times -log p. */
__device__ __forceinline__ float lane_loss(const entropy_job &j, const float v[KEPT], softmax_row row, int label,
                                           int lane) {
  float log_sum = logf(row.sum), loss = 0;
#pragma unroll
  for (int k = 0; k < KEPT; k++) {
    int c = lane + k * j.lanes;
    if (c >= j.classes || (c != label && j.smooth == 0)) continue;
    float one = weight_of(j, c) * (j.sharpness * (row.max - v[k]) + log_sum);
    loss += (c == label ? j.hard : 0.0f) * one + j.smooth * one;
  }
  return loss;
}

template <class T> __global__ void loss_kernel(entropy_job j, double *loss, int64_t *valid) {
  __shared__ double losses[WARP + 1];
  __shared__ int counts[WARP + 1];
  const int lane = threadIdx.x % j.lanes, pixels = blockDim.x / j.lanes;
  double sum = 0;
  int count = 0;
  for (int64_t first = (int64_t)blockIdx.x * pixels; first < j.pixels; first += (int64_t)gridDim.x * pixels) {
    int64_t i = first + threadIdx.x / j.lanes;
    int label = i < j.pixels ? j.labels[i] : (int)IGNORE;
    bool counts_here = label_is_class(label, j.classes, i, j.fault);
    float v[KEPT];
    softmax_load((const T *)j.logits + i * j.classes, counts_here ? (int)j.classes : 0, lane, j.lanes, v);
    softmax_row row = softmax_of(v, j.sharpness, j.lanes);
    float one = lanes_sum(counts_here ? lane_loss(j, v, row, label, lane) : 0.0f, j.lanes);
    if (!counts_here || lane > 0) continue;
    sum += j.pixel_weight ? one * j.pixel_weight[i] : one;
    count++;
  }
  sum = block_sum(sum, losses);
  count = block_sum(count, counts);
  if (threadIdx.x > 0) return;
  loss[blockIdx.x] = sum;
  valid[blockIdx.x] = count;
}

/* One block. given: NULL, or divides in place of the normaliser; normaliser 0: the number of valid pixels. */
__global__ void loss_sum_kernel(const double *loss, const int64_t *valid, int blocks, const int64_t *given,
                                double normaliser, float *y,
                                int64_t *y_valid) {
  __shared__ double losses[WARP + 1];
  __shared__ int64_t counts[WARP + 1];
  double sum = 0;
  int64_t count = 0;
  for (int b = threadIdx.x; b < blocks; b += blockDim.x) {
    sum += loss[b];
    count += valid[b];
  }
  sum = block_sum(sum, losses);
  count = block_sum(count, counts);
  if (threadIdx.x > 0) return;
  if (given) normaliser = (double)(*given > 1 ? *given : 1);
  *y = count > 0 ? (float)(sum / (normaliser == 0 ? (double)count : normaliser)) : 0.0f;
  *y_valid = count;
}

/* ---- gradient ------------------------------------------------------------------------------------------------ */
typedef struct gradient_job {
  entropy_job entropy;
  void *dlogits;
  const float *dloss;
  const int64_t *valid; /* NULL: normaliser is given */
  double normaliser, temperature;
} gradient_job;

__device__ __forceinline__ float gradient_scale(const gradient_job &g) {
  double normaliser = g.valid ? (double)(*g.valid > 1 ? *g.valid : 1) : g.normaliser;
  return (float)((double)*g.dloss / normaliser / g.temperature);
}

/* The sum over the classes of what is wanted of them. */
__device__ __forceinline__ float total_wanted(const entropy_job &j, float wanted, int lane) {
  float all = 0;
  if (j.smooth == 0) return wanted;
  for (int c = lane; c < j.classes; c += j.lanes) all += weight_of(j, c);
  return wanted + j.smooth * lanes_sum(all, j.lanes);
}

/* d = scale (total p - q): p the softmax, q what is wanted of the classes. */
template <class T> __global__ void gradient_kernel(gradient_job g) {
  const entropy_job &j = g.entropy;
  const int lane = threadIdx.x % j.lanes, pixels = blockDim.x / j.lanes;
  const float whole_scale = gradient_scale(g);
  for (int64_t first = (int64_t)blockIdx.x * pixels; first < j.pixels; first += (int64_t)gridDim.x * pixels) {
    int64_t i = first + threadIdx.x / j.lanes;
    int label = i < j.pixels ? j.labels[i] : (int)IGNORE, n = i < j.pixels ? (int)j.classes : 0;
    bool counts_here = label_is_class(label, j.classes, i, j.fault);
    float v[KEPT], scale = counts_here && j.pixel_weight ? whole_scale * j.pixel_weight[i] : whole_scale;
    softmax_load((const T *)j.logits + i * j.classes, n, lane, j.lanes, v);
    softmax_row row = softmax_of(v, j.sharpness, j.lanes);
    float wanted = counts_here ? j.hard * weight_of(j, label) : 0.0f, total = total_wanted(j, wanted, lane);
    T *d = (T *)g.dlogits + i * j.classes;
#pragma unroll
    for (int k = 0; k < KEPT; k++) {
      int c = lane + k * j.lanes;
      if (c >= n) continue;
      float p = expf(j.sharpness * (v[k] - row.max)) / row.sum, one = p * (scale * total);
      if (c == label) one -= scale * wanted;
      if (j.smooth > 0) one -= scale * j.smooth * weight_of(j, c);
      d[c] = from_float<T>(counts_here ? one : 0.0f);
    }
  }
}

/* ---- the ops --------------------------------------------------------------------------------------------------- */
/* The inputs that cross_entropy and its gradient begin with. */
static entropy_job job_of(const asl_call *call, double smoothing, double temperature) {
  const asl_tensor *logits = call->in[0];
  entropy_job j = {};
  j.logits = asl_tensor_data(logits);
  j.labels = asl_u8(call->in[1]);
  j.class_weight = data_of<float>(call->in[2]);
  j.pixel_weight = data_of<float>(call->in[3]);
  j.pixels = asl_tensor_count(call->in[1]);
  j.classes = logits->shape.size[3];
  j.sharpness = (float)(1 / temperature);
  j.hard = (float)(1 - smoothing);
  j.smooth = (float)(smoothing / (double)j.classes);
  j.lanes = softmax_lanes(j.classes);
  j.fault = fault_slot(call, j.classes);
  return j;
}

static int blocks_for(const entropy_job &j) {
  return (int)max_i64(1, min_i64(MOST_BLOCKS, ceil_div(j.pixels * j.lanes, BLOCK)));
}

asl_status k_cross_entropy(const asl_call *call) {
  const asl_cross_entropy_params *p = ASL_PARAMS(cross_entropy, call);
  entropy_job j = job_of(call, p->smoothing, p->temperature);
  const int blocks = blocks_for(j);
  scratch losses, counts;
  ASL_TRY(losses.take(blocks * (int64_t)sizeof(double)));
  ASL_TRY(counts.take(blocks * (int64_t)sizeof(int64_t)));
  double *loss = losses.as<double>();
  int64_t *valid = counts.as<int64_t>();
  asl_status status;
  AS_ACTIVATION(call->in[0]->dtype, T,
                status = launch(loss_kernel<T>, dim3((unsigned)blocks), dim3(BLOCK), 0, j, loss, valid));
  ASL_TRY(status);
  return launch(loss_sum_kernel, dim3(1), dim3(BLOCK), 0, (const double *)loss, (const int64_t *)valid, blocks,
                data_of<const int64_t>(call->in[4]),
                p->normaliser, asl_f32(call->out[0]), asl_i64(call->out[1]));
}

asl_status k_cross_entropy_backward(const asl_call *call) {
  const asl_cross_entropy_backward_params *p = ASL_PARAMS(cross_entropy_backward, call);
  gradient_job g = {};
  scratch valid;
  g.entropy = job_of(call, p->smoothing, p->temperature);
  g.dlogits = asl_tensor_data(call->out[0]);
  g.dloss = asl_f32(call->in[5]);
  g.normaliser = p->normaliser;
  g.temperature = p->temperature;
  if (g.entropy.pixels == 0) return ASL_OK;
  if (call->in[4]) {
    g.valid = asl_i64(call->in[4]);
  } else if (p->normaliser == 0) {
    ASL_TRY(valid.take((int64_t)sizeof(int64_t)));
    g.valid = valid.as<int64_t>();
    ASL_TRY(labels_count(g.entropy.labels, g.entropy.pixels, IGNORE, valid.as<int64_t>()));
  }
  dim3 grid((unsigned)blocks_for(g.entropy));
  AS_ACTIVATION(call->in[0]->dtype, T, return launch(gradient_kernel<T>, grid, dim3(BLOCK), 0, g));
}
