/* Depthwise convolution 3x3, stride 1 or 2, no dilation: forward.
 *
 * A thread makes PX neighbouring columns of a band of output rows. It loads the input rows under them one
 * after the other, each once, and adds them to the 3 (stride 1) or 2 (stride 2) output rows they reach, whose
 * sums it holds; the next input row is under way meanwhile. */
#include "cuda/depthwise_tile.h"

enum { PX = 2 };

/* Sums of output rows in flight; row t of the input, counted from the first, reaches output row (t - ky) / S. */
template <int S> struct forward_size {
  enum { COLUMNS = S * (PX - 1) + 3, SUMS = 2 / S + 1, PERIOD = S * SUMS };
};
/* Which of the sums: of t modulo PERIOD, and ky. */
template <int S> __device__ __forceinline__ constexpr int sum_of(int t, int ky) {
  return ((t - ky + 2 * S * forward_size<S>::SUMS) / S) % forward_size<S>::SUMS;
}

template <class T, int V, int S> struct forward_row {
  enum { COLUMNS = forward_size<S>::COLUMNS };
  vec<T, V> x[COLUMNS];
  bool there;
};

template <class T, int V, int S>
__device__ __forceinline__ void load_row(const conv_shape &s, const T *from, int row, unsigned inside,
                                         forward_row<T, V, S> *out) {
  out->there = row >= 0 && row < s.h;
  if (!out->there) return;
#pragma unroll
  for (int j = 0; j < forward_row<T, V, S>::COLUMNS; j++)
    if (inside >> j & 1)
      out->x[j] = *reinterpret_cast<const vec<T, V> *>(from + (row * s.w + j) * s.c);
}

/* Adds row t to the sums; `u` is t modulo PERIOD. */
template <class T, int V, int S>
__device__ __forceinline__ void add_row(int u, const forward_row<T, V, S> &row, unsigned inside,
                                        const source_norm<V> &norm, const float (&w)[9][V],
                                        float (&sum)[forward_size<S>::SUMS][PX][V]) {
  if (!row.there) return;
#pragma unroll
  for (int j = 0; j < forward_size<S>::COLUMNS; j++) {
    if (!(inside >> j & 1)) continue;
    float x[V];
    source_values<T, V>(norm, row.x[j], x);
#pragma unroll
    for (int i = 0; i < PX; i++) {
      const int kx = j - S * i;
      if (kx < 0 || kx > 2) continue;
#pragma unroll
      for (int ky = 0; ky < 3; ky++) {
        if ((u - ky + 2 * S) % S != 0) continue;
        float(&to)[V] = sum[sum_of<S>(u, ky)][i];
#pragma unroll
        for (int v = 0; v < V; v++) to[v] = fmaf(x[v], w[ky * 3 + kx][v], to[v]);
      }
    }
  }
}

template <class T, int V, int S>
__global__ void __launch_bounds__(TILE_THREADS, 4)
    forward3_kernel(conv_shape s, band_walk walk, normalised source, const float *__restrict__ weight,
                    const float *__restrict__ bias, T *__restrict__ z) {
  typedef forward_size<S> size;
  const int c = channel_of_thread<V>();
  const int64_t item = item_of_thread();
  float w[9][V];
  load_weights3<V>(weight, s.c, w);
  if (c >= s.c || item >= walk.items) return;
  const walk_place p = place_of(walk, item);
  const int column = p.column * PX, left = column * S - s.padding, top = p.row * S - s.padding;

  unsigned inside = 0;
#pragma unroll
  for (int j = 0; j < size::COLUMNS; j++) inside |= (unsigned)(left + j >= 0 && left + j < s.w) << j;
  const T *from = static_cast<const T *>(source.x) + ((int64_t)p.picture * s.h * s.w + left) * s.c + c;
  T *to = z + (((int64_t)p.picture * s.oh + p.row) * s.ow + column) * s.c + c;

  const source_norm<V> norm = source_norm_of<V>(source, c);
  float start[V] = {}, sum[size::SUMS][PX][V];
  if (bias) load_terms<V>(bias + c, start);
#pragma unroll
  for (int k = 0; k < size::SUMS * PX; k++)
#pragma unroll
    for (int v = 0; v < V; v++) sum[k / PX][k % PX][v] = start[v];

  const int rows = p.end - p.row, steps = S * (rows - 1) + 3;
  forward_row<T, V, S> row, next;
  load_row<T, V, S>(s, from, top, inside, &next);
  for (int t0 = 0; t0 < steps; t0 += size::PERIOD) {
#pragma unroll
    for (int u = 0; u < size::PERIOD; u++) {
      const int t = t0 + u;
      if (t >= steps) continue;
      row = next;
      if (t + 1 < steps) load_row<T, V, S>(s, from, top + t + 1, inside, &next);
      add_row<T, V, S>(u, row, inside, norm, w, sum);
      if ((u - 2 + 2 * S) % S != 0) continue;
      /* The output row that has all of its three input rows now; those above the band are not wanted. */
      float(&done)[PX][V] = sum[sum_of<S>(u, 2)];
#pragma unroll
      for (int i = 0; i < PX; i++) {
        if (t >= 2 && column + i < s.ow) store_floats<V>(to + (int64_t)i * s.c, done[i]);
#pragma unroll
        for (int v = 0; v < V; v++) done[i][v] = start[v];
      }
      if (t >= 2) to += (int64_t)s.ow * s.c;
    }
  }
}

template <class T, int V, int S>
static asl_status forward3(const conv_shape *s, normalised x, const float *weight, const float *bias, void *z) {
  band_walk w = {};
  w.rows = s->oh;
  w.columns = (s->ow + PX - 1) / PX;
  const walk_grid k = plan_walk(s->n, s->c, V, &w);
  return launch(forward3_kernel<T, V, S>, k.grid, k.block, 0, *s, w, x, weight, bias, (T *)z);
}

template <class T, int V>
static asl_status forward3_strided(const conv_shape *s, normalised x, const float *weight, const float *bias,
                                   void *z) {
  return s->stride == 1 ? forward3<T, V, 1>(s, x, weight, bias, z) : forward3<T, V, 2>(s, x, weight, bias, z);
}

asl_status depthwise3_forward(const conv_shape *s, normalised x, const float *weight, const float *bias, void *z) {
  const bool wide = is_wide(s->c, x.dtype, address(x.x) | address(z));
  AS_ACTIVATION(x.dtype, T, {
    return wide ? forward3_strided<T, TILE_V>(s, x, weight, bias, z) : forward3_strided<T, 1>(s, x, weight, bias, z);
  });
}
