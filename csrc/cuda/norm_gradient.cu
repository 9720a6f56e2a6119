#include "cuda/norm_gradient.h"

#include "cuda/norm_tile.h"

/* ---- sums of g and g (z - mean) --------------------------------------------------------------------- */
typedef struct sums_job {
  norm_terms n;
  int64_t pixels, channels, chunk;
  const void *z, *residual, *dy;
  double *partial; /* (chunks, 2, channels) */
} sums_job;

/* What lies between z and y: nothing, ReLU, or a residual and ReLU. A residual alone changes no gradient. */
enum norm_end { END_NONE, END_RELU, END_ADD_RELU };

static norm_end end_of(const norm_terms &n, const void *residual) {
  return !n.relu ? END_NONE : residual ? END_ADD_RELU : END_RELU;
}

/* dy where the activation let the value through. */
template <norm_end END>
__device__ __forceinline__ float masked(float dy, float centred, float residual, float scale, float beta) {
  if (END == END_NONE) return dy;
  const float y = fmaf(centred, scale, beta); /* norm_value() */
  return (END == END_RELU ? y : y + residual) > 0 ? dy : 0.0f;
}

template <class T, int V, norm_end END> __global__ void __launch_bounds__(BLOCK) sums_kernel(sums_job k) {
  __shared__ double shared[V * BLOCK];
  constexpr int U = SMALL_BATCH<V>;
  const norm_share t = norm_share_of<V>(k.pixels, k.channels, k.chunk);
  float sum[V] = {}, moment[V] = {};
  if (t.count > 0) {
    const norm_registers<V> n = load_norm<V>(k.n, t.channel);
    int64_t at = t.first;
    for (int i = 0; i < t.count; i += U, at += U * t.step) {
      vec<T, V> dy[U], z[U], residual[U] = {};
      load_pixels<U>((const T *)k.dy + at, t.step, t.count - i, dy);
      load_pixels<U>((const T *)k.z + at, t.step, t.count - i, z);
      if (END == END_ADD_RELU) load_pixels<U>((const T *)k.residual + at, t.step, t.count - i, residual);
#pragma unroll
      for (int u = 0; u < U; u++) {
        if (u >= t.count - i) continue;
#pragma unroll
        for (int v = 0; v < V; v++) {
          const float centred = to_float(z[u].v[v]) - n.mean[v];
          const float r = END == END_ADD_RELU ? to_float(residual[u].v[v]) : 0.0f;
          const float g = masked<END>(to_float(dy[u].v[v]), centred, r, n.scale[v], n.beta[v]);
          sum[v] += g;
          moment[v] = fmaf(g, centred, moment[v]);
        }
      }
    }
  }
  double total[V];
  double *to = k.partial + (int64_t)blockIdx.y * 2 * k.channels + t.channel;
  const bool gives = threadIdx.y == 0 && t.count > 0;
#pragma unroll
  for (int v = 0; v < V; v++) total[v] = (double)sum[v];
  sum_rows<V>(total, shared);
#pragma unroll
  for (int v = 0; v < V; v++) {
    if (gives) to[v] = total[v];
    total[v] = (double)moment[v];
  }
  sum_rows<V>(total, shared);
#pragma unroll
  for (int v = 0; v < V; v++)
    if (gives) to[k.channels + v] = total[v];
}

template <class T, int V> static asl_status run_sums(const norm_grid *g, const sums_job *k) {
  static void (*const kernels[])(sums_job) = {sums_kernel<T, V, END_NONE>, sums_kernel<T, V, END_RELU>,
                                              sums_kernel<T, V, END_ADD_RELU>};
  return launch(kernels[end_of(k->n, k->residual)], g->grid, g->block, 0, *k);
}

static asl_status take_sums(const norm_grid *g, bool wide, asl_dtype dtype, const sums_job *k) {
  if (g->chunks == 0) return ASL_OK;
  AS_ACTIVATION(dtype, T, return wide ? (run_sums<T, 16 / sizeof(T)>(g, k)) : (run_sums<T, 1>(g, k)));
}

/* ---- what the sums give ------------------------------------------------------------------------------ */
typedef struct combine_job {
  const double *partial; /* (chunks, 2, channels) */
  int64_t chunks, pixels, channels, training;
  const float *gamma, *rstd;
  float *dgamma, *dbeta, *dbias;
  float *terms; /* (2, channels): dz = scale (g + terms[0] + terms[1] (z - mean)) */
  double *sums; /* (2, channels) */
} combine_job;

/* The bias shifts z and its mean alike: under batch statistics its gradient is exactly 0. */
__device__ __forceinline__ void give_gradients(const combine_job &k, int64_t c, double sum, double moment) {
  const double rstd = (double)k.rstd[c], xhat_sum = moment * rstd, count = (double)k.pixels;
  if (k.dgamma) k.dgamma[c] = (float)xhat_sum;
  if (k.dbeta) k.dbeta[c] = (float)sum;
  if (k.dbias) k.dbias[c] = k.training ? 0.0f : k.gamma[c] * k.rstd[c] * (float)sum;
  if (!k.terms) return;
  k.terms[c] = (float)(-sum / count);
  k.terms[k.channels + c] = (float)(-xhat_sum * rstd / count);
}

__global__ void combine_kernel(combine_job k) {
  __shared__ double shared[2 * COMBINE_CHANNELS * COMBINE_ROWS];
  const int64_t c = (int64_t)blockIdx.x * COMBINE_CHANNELS + threadIdx.x;
  double sums[2] = {0, 0};
  if (c < k.channels) {
    for (int64_t i = threadIdx.y; i < k.chunks; i += blockDim.y) {
      sums[0] += k.partial[2 * i * k.channels + c];
      sums[1] += k.partial[(2 * i + 1) * k.channels + c];
    }
  }
  sum_rows<2>(sums, shared);
  if (threadIdx.y > 0 || c >= k.channels) return;
  if (k.sums) {
    k.sums[c] = sums[0];
    k.sums[k.channels + c] = sums[1];
  } else {
    give_gradients(k, c, sums[0], sums[1]);
  }
}

static asl_status combine(const combine_job *k) {
  const norm_grid g = norm_combine_grid(k->chunks, k->channels);
  return launch(combine_kernel, g.grid, g.block, 0, *k);
}

asl_status norm_sums(const asl_pending *pending, const void *dx, double *sums) {
  const asl_tensor *z = pending->z;
  const int64_t channels = pending->affine->shape.size[1], pixels = asl_tensor_count(z) / channels;
  const bool wide = norm_is_wide(channels, z->dtype, address(asl_tensor_data(z)) | address(dx));
  const norm_grid g = norm_grid_of(pixels, channels, wide, z->dtype);
  const bool at_once = g.chunks == 1;
  scratch partial;
  if (!at_once) ASL_TRY(partial.take(g.chunks * 2 * channels * (int64_t)sizeof(double)));
  sums_job k = {norm_terms_of(pending), pixels, channels, g.chunk, asl_tensor_data(z), nullptr, dx,
                at_once ? sums : partial.as<double>()};
  ASL_TRY(take_sums(&g, wide, z->dtype, &k));
  if (at_once) return ASL_OK;
  combine_job all = {};
  all.partial = k.partial;
  all.chunks = g.chunks;
  all.channels = channels;
  all.sums = sums;
  return combine(&all);
}

/* ---- dz ---------------------------------------------------------------------------------------------- */
typedef struct dz_job {
  norm_terms n;
  int64_t pixels, channels, chunk;
  const void *z, *residual, *dy;
  const float *terms; /* combine_job's, or NULL: 0 */
  void *dz, *dresidual;
} dz_job;

template <class T, int V, norm_end END> __global__ void __launch_bounds__(BLOCK, 2) dz_kernel(dz_job k) {
  constexpr int U = SMALL_BATCH<V>;
  const norm_share t = norm_share_of<V>(k.pixels, k.channels, k.chunk);
  if (t.count == 0) return;
  const norm_registers<V> n = load_norm<V>(k.n, t.channel);
  float offset[V] = {}, slope[V] = {};
  if (k.terms) {
    load_terms<V>(k.terms + t.channel, offset);
    load_terms<V>(k.terms + k.channels + t.channel, slope);
  }
  int64_t at = t.first;
  for (int i = 0; i < t.count; i += U, at += U * t.step) {
    vec<T, V> dy[U], z[U], residual[U] = {};
    load_pixels<U>((const T *)k.dy + at, t.step, t.count - i, dy);
    load_pixels<U>((const T *)k.z + at, t.step, t.count - i, z);
    if (END == END_ADD_RELU) load_pixels<U>((const T *)k.residual + at, t.step, t.count - i, residual);
#pragma unroll
    for (int u = 0; u < U; u++) {
      if (u >= t.count - i) continue;
#pragma unroll
      for (int v = 0; v < V; v++) {
        const float centred = to_float(z[u].v[v]) - n.mean[v];
        const float r = END == END_ADD_RELU ? to_float(residual[u].v[v]) : 0.0f;
        const float g = masked<END>(to_float(dy[u].v[v]), centred, r, n.scale[v], n.beta[v]);
        dy[u].v[v] = from_float<T>(g); /* exact: dy's or 0 */
        z[u].v[v] = from_float<T>(n.scale[v] * fmaf(slope[v], centred, g + offset[v]));
      }
      if (k.dz) store_pixel((T *)k.dz + at + u * t.step, z[u]);
      if (k.dresidual) store_pixel((T *)k.dresidual + at + u * t.step, dy[u]);
    }
  }
}

template <class T, int V> static asl_status run_dz(const norm_grid *g, const dz_job *k) {
  static void (*const kernels[])(dz_job) = {dz_kernel<T, V, END_NONE>, dz_kernel<T, V, END_RELU>,
                                            dz_kernel<T, V, END_ADD_RELU>};
  return launch(kernels[end_of(k->n, k->residual)], g->grid, g->block, 0, *k);
}

/* ---- the whole --------------------------------------------------------------------------------------- */
asl_status norm_backward(const norm_gradient *g) {
  const bool has_terms = g->training && g->dz, has_results = g->dgamma || g->dbeta || g->dbias;
  const bool has_sums = g->dgamma || g->dbeta || (g->dbias && !g->training) || has_terms;
  const bool wide = norm_is_wide(g->channels, g->dtype, address(g->z) | address(g->residual) | address(g->dy) |
                                                            address(g->dz) | address(g->dresidual));
  const norm_grid grid = norm_grid_of(g->pixels, g->channels, wide, g->dtype);
  const int64_t row = 2 * g->channels;
  scratch partial, terms;
  if (has_sums && !g->dy_sums) {
    ASL_TRY(partial.take(grid.chunks * row * (int64_t)sizeof(double)));
    sums_job k = {g->terms, g->pixels, g->channels, grid.chunk, g->z, g->residual, g->dy, partial.as<double>()};
    ASL_TRY(take_sums(&grid, wide, g->dtype, &k));
  }
  if (has_terms) ASL_TRY(terms.take(row * (int64_t)sizeof(float)));
  if (has_results || has_terms) {
    combine_job k = {};
    k.partial = g->dy_sums ? g->dy_sums : partial.as<double>();
    k.chunks = !has_sums ? 0 : g->dy_sums ? 1 : grid.chunks;
    k.pixels = g->pixels;
    k.channels = g->channels;
    k.training = g->training;
    k.gamma = g->terms.gamma;
    k.rstd = g->terms.rstd;
    k.dgamma = g->dgamma;
    k.dbeta = g->dbeta;
    k.dbias = g->dbias;
    k.terms = terms.as<float>();
    ASL_TRY(combine(&k));
  }
  if (g->pixels == 0 || !(g->dz || g->dresidual)) return ASL_OK;
  dz_job k = {g->terms, g->pixels, g->channels, grid.chunk, g->z, g->residual, g->dy, terms.as<float>(),
              g->dz, g->dresidual};
  AS_ACTIVATION(g->dtype, T, return wide ? (run_dz<T, 16 / sizeof(T)>(&grid, &k)) : (run_dz<T, 1>(&grid, &k)));
}
