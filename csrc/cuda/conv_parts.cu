/* What several kinds of convolutions need: rounded weights, biases, sums of partial results. */
#include "cuda/conv_kernels.h"
#include "cuda/divider.h"
#include "cuda/norm_tile.h"

/* ---- weights --------------------------------------------------------------------------------------------- */
struct round_weights {
  const float *from;
  bf16 *to;
  __device__ void operator()(int64_t i) const { to[i] = from_float<bf16>(from[i]); }
};

asl_status weights_as(const float *weight, int64_t count, asl_dtype dtype, scratch *taken, const void **out) {
  *out = weight;
  if (dtype != ASL_BF16) return ASL_OK;
  ASL_TRY(taken->take(count * (int64_t)sizeof(bf16)));
  *out = taken->data;
  return map(count, round_weights{weight, taken->as<bf16>()});
}

/* ---- bias ------------------------------------------------------------------------------------------------ */
template <class T, int V> struct bias_adder {
  divider groups; /* of V channels */
  const float *bias;
  T *z;
  __device__ void operator()(int64_t i) const {
    const int64_t c = (i - divide(groups, i) * groups.size) * V;
    float value[V], add[V];
    load_floats<V>(z + i * V, value);
    load_terms<V>(bias + c, add);
#pragma unroll
    for (int v = 0; v < V; v++) value[v] += add[v];
    store_floats<V>(z + i * V, value);
  }
};

template <class T, int V>
static asl_status add_bias_by(int64_t rows, int64_t channels, const float *bias, void *z) {
  bias_adder<T, V> f = {divider_of(channels / V), bias, (T *)z};
  return map(rows * channels / V, f);
}

asl_status add_bias(int64_t rows, int64_t channels, const float *bias, asl_dtype dtype, void *z) {
  const bool wide = norm_is_wide(channels, dtype, address(z));
  AS_ACTIVATION(dtype, T, {
    return wide ? add_bias_by<T, 16 / sizeof(T)>(rows, channels, bias, z)
                : add_bias_by<T, 1>(rows, channels, bias, z);
  });
}

/* ---- sums over chunks ------------------------------------------------------------------------------------ */
__global__ void combine_kernel(const double *__restrict__ partial, int64_t chunks, int64_t rows, int64_t columns,
                               float *__restrict__ out) {
  __shared__ double shared[COMBINE_CHANNELS * COMBINE_ROWS];
  const int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x, count = rows * columns;
  double sum[1] = {0};
  if (i < count) {
#pragma unroll 4
    for (int64_t k = threadIdx.y; k < chunks; k += blockDim.y) sum[0] += partial[k * count + i];
  }
  sum_rows<1>(sum, shared);
  if (i < count && threadIdx.y == 0) out[i % columns * rows + i / columns] = (float)sum[0];
}

asl_status combine_partials(const double *partial, int64_t chunks, int64_t rows, int64_t columns, float *out) {
  const norm_grid k = norm_combine_grid(chunks, rows * columns);
  return launch(combine_kernel, k.grid, k.block, 0, partial, chunks, rows, columns, out);
}

/* ---- dbias ----------------------------------------------------------------------------------------------- */
template <class T, int V>
__global__ void column_sums_kernel(const T *__restrict__ dz, int64_t rows, int64_t channels, int64_t chunk,
                                   double *__restrict__ partial) {
  __shared__ double shared[V * BLOCK];
  const norm_share t = norm_share_of<V>(rows, channels, chunk);
  float sum[V] = {};
#pragma unroll 4
  for (int i = 0; i < t.count; i++) {
    float value[V];
    load_floats<V>(dz + t.first + i * t.step, value);
#pragma unroll
    for (int v = 0; v < V; v++) sum[v] += value[v];
  }
  double total[V];
#pragma unroll
  for (int v = 0; v < V; v++) total[v] = (double)sum[v];
  sum_rows<V>(total, shared);
  if (t.channel >= channels || threadIdx.y != 0) return;
#pragma unroll
  for (int v = 0; v < V; v++) partial[blockIdx.y * channels + t.channel + v] = total[v];
}

template <class T, int V>
static asl_status column_sums(const norm_grid &k, int64_t rows, int64_t channels, const void *dz, double *partial) {
  return launch(column_sums_kernel<T, V>, k.grid, k.block, 0, (const T *)dz, rows, channels, k.chunk, partial);
}

asl_status conv_backward_bias(int64_t rows, int64_t channels, const void *dz, asl_dtype dtype, float *dbias) {
  if (rows == 0) return queue_set(dbias, 0, (size_t)channels * sizeof(float));
  const bool wide = norm_is_wide(channels, dtype, address(dz));
  const norm_grid k = norm_grid_of(rows, channels, wide, dtype);
  scratch taken;
  ASL_TRY(taken.take(k.chunks * channels * (int64_t)sizeof(double)));
  double *partial = taken.as<double>();
  asl_status status;
  AS_ACTIVATION(dtype, T, {
    status = wide ? column_sums<T, 16 / sizeof(T)>(k, rows, channels, dz, partial)
                  : column_sums<T, 1>(k, rows, channels, dz, partial);
  });
  ASL_TRY(status);
  return combine_partials(partial, k.chunks, 1, channels, dbias);
}
