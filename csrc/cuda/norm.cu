#include "cuda/norm.h"

#include "cuda/norm_tile.h"

/* ---- moments of chunks ------------------------------------------------------------------------------ */
/* Sums about a value near the mean, so that the squares lose no digits. */
template <int V> struct shifted_sums {
  float shift[V], sum[V], squares[V];
};

/* The mean of the first few of n values. They are among the n, so it is no farther from the mean of all
 * than sqrt(n / BATCH) standard deviations, whatever the values are. */
template <class T, int V>
__device__ __forceinline__ void choose_shift(const vec<T, V> x[BATCH], int count, shifted_sums<V> *s) {
  const float inverse = 1.0f / (float)(count < BATCH ? count : BATCH);
#pragma unroll
  for (int v = 0; v < V; v++) {
    float sum = 0;
#pragma unroll
    for (int u = 0; u < BATCH; u++)
      if (u < count) sum += to_float(x[u].v[v]);
    s->shift[v] = sum * inverse;
  }
}

template <class T, int V>
__device__ __forceinline__ void add_batch(const vec<T, V> x[BATCH], int count, shifted_sums<V> *s) {
#pragma unroll
  for (int u = 0; u < BATCH; u++) {
    if (u >= count) continue;
#pragma unroll
    for (int v = 0; v < V; v++) {
      const float d = to_float(x[u].v[v]) - s->shift[v];
      s->sum[v] += d;
      s->squares[v] = fmaf(d, d, s->squares[v]);
    }
  }
}

typedef struct moments_job {
  const void *z;
  int64_t pixels, channels, chunk;
  double *partial; /* (chunks, 2, channels): mean, sum of squared deviations */
} moments_job;

/* The sums of `count` values about the block's shift in place of the thread's own. */
template <int V>
__device__ __forceinline__ void move_shift(const shifted_sums<V> &s, int count, const float *shift, double sum[V],
                                           double squares[V]) {
#pragma unroll
  for (int v = 0; v < V; v++) {
    const double d = (double)s.shift[v] - (double)shift[v], own = (double)s.sum[v];
    sum[v] = own + count * d;
    squares[v] = (double)s.squares[v] + d * (2 * own + count * d);
  }
}

template <class T, int V> __global__ void __launch_bounds__(BLOCK) moments_kernel(moments_job k) {
  __shared__ double shared[V * BLOCK];
  __shared__ float block_shift[2 * TILE_BYTES / sizeof(T)];
  const norm_share t = norm_share_of<V>(k.pixels, k.channels, k.chunk);
  const T *z = (const T *)k.z + t.first;
  shifted_sums<V> s = {};
  for (int i = 0; i < t.count; i += BATCH, z += BATCH * t.step) {
    vec<T, V> x[BATCH];
    load_pixels<BATCH>(z, t.step, t.count - i, x);
    if (i == 0) choose_shift<T, V>(x, t.count, &s);
    add_batch<T, V>(x, t.count - i, &s);
  }

  float *shift = block_shift + threadIdx.x * V;
  double sum[V], squares[V];
  if (threadIdx.y == 0)
    for (int v = 0; v < V; v++) shift[v] = s.shift[v];
  __syncthreads();
  move_shift<V>(s, t.count, shift, sum, squares);
  sum_rows<V>(sum, shared);
  sum_rows<V>(squares, shared);
  if (threadIdx.y > 0 || t.count == 0) return;

  double *mean = k.partial + (int64_t)blockIdx.y * 2 * k.channels + t.channel;
  for (int v = 0; v < V; v++) {
    const double part = sum[v] / (double)t.pixels;
    mean[v] = (double)shift[v] + part;
    mean[k.channels + v] = squares[v] - sum[v] * part;
  }
}

template <class T, int V> static asl_status take_moments(const norm_grid *g, const moments_job *k) {
  return launch(moments_kernel<T, V>, g->grid, g->block, 0, *k);
}

/* ---- statistics ------------------------------------------------------------------------------------- */
typedef struct finish_job {
  norm_statistics s;
  const double *partial;
  int64_t chunks, chunk;
} finish_job;

__device__ __forceinline__ void give_terms(const norm_statistics &s, int64_t c, float mean, float rstd) {
  s.mean[c] = mean;
  s.rstd[c] = rstd;
  if (!s.affine) return;
  s.affine[c] = mean;
  s.affine[s.channels + c] = s.gamma[c] * rstd;
  s.affine[2 * s.channels + c] = s.beta[c];
}

__device__ __forceinline__ void give_batch(const norm_statistics &s, int64_t c, double mean, double squares) {
  const double count = (double)s.pixels, keep = 1 - s.momentum;
  if (squares < 0) squares = 0; /* NaN stays NaN */
  give_terms(s, c, (float)mean, (float)(1.0 / sqrt(squares / count + s.eps)));
  s.running_mean[c] = (float)(keep * (double)s.running_mean[c] + s.momentum * mean);
  s.running_var[c] = (float)(keep * (double)s.running_var[c] + s.momentum * (squares / (count - 1)));
}

/* Merges the chunks' moments about the mean of the first. */
__global__ void finish_kernel(finish_job k) {
  __shared__ double shared[2 * COMBINE_CHANNELS * COMBINE_ROWS];
  const int64_t channels = k.s.channels, c = (int64_t)blockIdx.x * COMBINE_CHANNELS + threadIdx.x;
  const bool inside = c < channels && k.chunks > 0;
  const double *record = k.partial + c, shift = inside ? record[0] : 0;
  double sums[2] = {0, 0};
  for (int64_t i = threadIdx.y; inside && i < k.chunks; i += blockDim.y) {
    const int64_t left = k.s.pixels - i * k.chunk;
    const double count = (double)(left < k.chunk ? left : k.chunk), d = record[2 * i * channels] - shift;
    sums[0] += count * d;
    sums[1] += record[(2 * i + 1) * channels] + count * d * d;
  }
  sum_rows<2>(sums, shared);
  if (threadIdx.y > 0 || c >= channels) return;
  const double part = k.chunks > 0 ? sums[0] / (double)k.s.pixels : 0;
  give_batch(k.s, c, shift + part, sums[1] - sums[0] * part);
}

asl_status norm_check_training(int64_t pixels, int64_t channels) {
  if (pixels != 1) return ASL_OK;
  return asl_fail(ASL_EINVAL,
                  "training needs more than one value per channel; here %lld channels have one each: use more "
                  "pictures, larger ones or training=0",
                  (long long)channels);
}

static asl_status take_batch(const norm_statistics *s, const void *z, asl_dtype dtype) {
  const bool wide = norm_is_wide(s->channels, dtype, address(z));
  const norm_grid g = norm_grid_of(s->pixels, s->channels, wide, dtype);
  scratch partial;
  ASL_TRY(partial.take(g.chunks * 2 * s->channels * (int64_t)sizeof(double)));
  moments_job moments = {z, s->pixels, s->channels, g.chunk, partial.as<double>()};
  if (g.chunks > 0)
    AS_ACTIVATION(dtype, T,
                  ASL_TRY(wide ? (take_moments<T, 16 / sizeof(T)>(&g, &moments)) : (take_moments<T, 1>(&g, &moments))));
  finish_job finish = {*s, partial.as<double>(), g.chunks, g.chunk};
  const norm_grid combine = norm_combine_grid(g.chunks, s->channels);
  return launch(finish_kernel, combine.grid, combine.block, 0, finish);
}

struct running_job {
  norm_statistics s;
  __device__ void operator()(int64_t c) const {
    give_terms(s, c, s.running_mean[c], (float)(1.0 / sqrt((double)s.running_var[c] + s.eps)));
  }
};

asl_status norm_take(const norm_statistics *s, bool training, const void *z, asl_dtype dtype, scratch *own,
                     norm_terms *out) {
  norm_statistics taken = *s;
  *out = norm_terms{s->running_mean, s->gamma, s->beta, nullptr, s->running_var, (float)s->eps, 0};
  if (!training && !s->mean && !s->affine) return ASL_OK;
  if (!s->mean) {
    ASL_TRY(own->take(2 * s->channels * (int64_t)sizeof(float)));
    taken.mean = own->as<float>();
    taken.rstd = taken.mean + s->channels;
  }
  out->mean = taken.mean;
  out->rstd = taken.rstd;
  return training ? take_batch(&taken, z, dtype) : map(s->channels, running_job{taken});
}

/* ---- y ---------------------------------------------------------------------------------------------- */
typedef struct apply_job {
  norm_terms n;
  int64_t pixels, channels, chunk;
  const void *z, *residual;
  void *y;
} apply_job;

template <class T, int V, bool ADD> __global__ void __launch_bounds__(BLOCK, ADD ? 2 : 3) apply_kernel(apply_job k) {
  const norm_share t = norm_share_of<V>(k.pixels, k.channels, k.chunk);
  if (t.count == 0) return;
  const norm_registers<V> n = load_norm<V>(k.n, t.channel);
  const float least = k.n.relu ? 0.0f : -INFINITY;
  constexpr int U = ADD ? SMALL_BATCH<V> : BATCH;
  int64_t at = t.first;
  for (int i = 0; i < t.count; i += U, at += U * t.step) {
    vec<T, V> z[U], residual[U] = {};
    load_pixels<U>((const T *)k.z + at, t.step, t.count - i, z);
    if (ADD) load_pixels<U>((const T *)k.residual + at, t.step, t.count - i, residual);
#pragma unroll
    for (int u = 0; u < U; u++) {
      if (u >= t.count - i) continue;
#pragma unroll
      for (int v = 0; v < V; v++) {
        float y = norm_value(to_float(z[u].v[v]), n.mean[v], n.scale[v], n.beta[v]);
        if (ADD) y += to_float(residual[u].v[v]);
        z[u].v[v] = from_float<T>(y < least ? least : y); /* NaN stays NaN */
      }
      store_pixel((T *)k.y + at + u * t.step, z[u]);
    }
  }
}

template <class T, int V> static asl_status run_apply(const norm_grid *g, const apply_job *k) {
  return launch(k->residual ? apply_kernel<T, V, true> : apply_kernel<T, V, false>, g->grid, g->block, 0, *k);
}

asl_status norm_apply(const norm_terms *n, int64_t pixels, int64_t channels, asl_dtype dtype, const void *z,
                      const void *residual, void *y) {
  if (pixels == 0) return ASL_OK;
  const bool wide = norm_is_wide(channels, dtype, address(z) | address(residual) | address(y));
  const norm_grid g = norm_grid_of(pixels, channels, wide, dtype);
  apply_job k = {*n, pixels, channels, g.chunk, z, residual, y};
  AS_ACTIVATION(dtype, T, return wide ? (run_apply<T, 16 / sizeof(T)>(&g, &k)) : (run_apply<T, 1>(&g, &k)));
}

norm_terms norm_terms_of(const asl_pending *pending) {
  const float *affine = data_of<float>(pending->affine);
  const int64_t channels = pending->affine->shape.size[1];
  norm_terms n = {affine, affine + channels, affine + 2 * channels, nullptr, nullptr, 0, pending->relu};
  return n;
}

asl_status norm_settle(const asl_pending *pending, void *y) {
  const int64_t channels = pending->affine->shape.size[1];
  norm_terms n = norm_terms_of(pending);
  return norm_apply(&n, asl_tensor_count(pending->z) / channels, channels, pending->z->dtype,
                    asl_tensor_data(pending->z), nullptr, y);
}
