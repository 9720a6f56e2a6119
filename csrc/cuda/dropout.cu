/* Elementwise dropout: element i is kept where uniform(seed, counter, i) >= p. A pending x is normalised as it is
 * read. */
#include "cuda/conv.h"
#include "cuda/divider.h"
extern "C" {
#include "base/philox.h"
#include "ops/math/elementwise.h"
}

enum { NUMBERS = 4 }; /* of a call of the generator */

typedef struct dropout_job {
  const void *x;
  const float *mean, *scale, *beta; /* of channels; NULL: x is as it is */
  void *y;
  int64_t count, relu;
  uint64_t seed, counter;
  float p, keep; /* keep = 1 / (1 - p) */
  divider channels;
} dropout_job;

__device__ __forceinline__ float normalised_value(const dropout_job &j, float x, int64_t c) {
  float y = fmaf(x - j.mean[c], j.scale[c], j.beta[c]);
  return j.relu ? asl_relu_f32(y) : y;
}

/* Four elements, one call of the generator; V: 4 where they are aligned, else 1. */
template <class TX, class T, int V> __global__ void dropout_kernel(dropout_job j) {
  const TX *x = (const TX *)j.x;
  T *y = (T *)j.y;
  GRID_LOOP(q, (j.count + NUMBERS - 1) / NUMBERS) {
    int64_t first = q * NUMBERS, c = j.mean ? first - divide(j.channels, first) * j.channels.size : 0;
    asl_philox4 bits = asl_philox(j.seed, ASL_PURPOSE_DROPOUT, j.counter, (uint64_t)q);
    float v[NUMBERS] = {};
    if (V > 1) load_floats<NUMBERS>(x + first, v);
#pragma unroll
    for (int k = 0; k < NUMBERS; k++) {
      if (V == 1 && first + k < j.count) v[k] = to_float(x[first + k]);
      if (j.mean) v[k] = normalised_value(j, v[k], c);
      c = c + 1 == j.channels.size ? 0 : c + 1;
      v[k] = asl_uniform(bits.v[k]) < j.p ? 0.0f : v[k] * j.keep;
      if (V == 1 && first + k < j.count) y[first + k] = from_float<T>(v[k]);
    }
    if (V > 1) store_floats<NUMBERS>(y + first, v);
  }
}

template <class TX, class T> static asl_status drop(const dropout_job &j) {
  int64_t groups = ceil_div(j.count, NUMBERS);
  bool aligned = (uintptr_t)j.x % (NUMBERS * sizeof(TX)) == 0 && (uintptr_t)j.y % (NUMBERS * sizeof(T)) == 0;
  if (aligned && j.count % NUMBERS == 0)
    return launch(dropout_kernel<TX, T, NUMBERS>, grid_for(groups), dim3(BLOCK), 0, j);
  return launch(dropout_kernel<TX, T, 1>, grid_for(groups), dim3(BLOCK), 0, j);
}

template <class TX> static asl_status drop_from(const dropout_job &j, asl_dtype dtype) {
  AS_ACTIVATION(dtype, T, return drop<TX, T>(j));
}

asl_status k_dropout(const asl_call *call) {
  const asl_dropout_params *p = ASL_PARAMS(dropout, call);
  asl_tensor *x = call->in[0], *y = call->out[0];
  if (!y->storage->data) ASL_TRY(asl_tensor_allocate(y));
  if (asl_tensor_count(x) == 0) return ASL_OK;
  normalised source = normalised_of(x);
  dropout_job j = {};
  j.x = source.x;
  j.mean = source.mean;
  j.scale = source.scale;
  j.beta = source.beta;
  j.relu = source.relu;
  j.y = asl_tensor_data(y);
  j.count = asl_tensor_count(x);
  j.channels = divider_of(source.mean ? x->shape.size[x->shape.rank - 1] : 1);
  j.seed = (uint64_t)p->seed;
  j.counter = (uint64_t)p->counter;
  j.p = (float)p->p;
  j.keep = (float)(1.0 / (1.0 - p->p));
  AS_ACTIVATION(source.dtype, TX, return drop_from<TX>(j, y->dtype));
}
