/* Depthwise convolution 3x3, stride 1 or 2, no dilation: both gradients from one pass over dz and x.
 *
 * Cell (j, i) is the S x S pixels of x from row S j - padding and column S i - padding on. All products of its
 * pixels are with the N x N pixels of dz up to (j, i), N = 3 (stride 1) or 2 (stride 2): tap (ky, kx) joins the
 * cell's pixel (ky % S, kx % S) with dz (j - ky / S, i - kx / S), once. So dx of a cell and its share of
 * dweight need the same few dz. A thread walks down a column of cells with these dz in registers.
 *
 * dweight: a thread sums a band in f32, a block its threads in double, a second kernel the blocks in order. */
#include "cuda/depthwise_tile.h"

template <class T, int V, int S> struct cell_row { /* what one step down loads */
  enum { N = 2 / S + 1 };
  vec<T, V> dz[N], x[S * S]; /* 0 outside the pictures */
  bool x_there[S];
};

/* What a thread's loads need. Pointers: to row 0, to the leftmost column that the thread reads, which may lie
 * outside the picture; the bits of `inside` say which columns exist. */
template <class T> struct cell_column {
  const T *dz, *x; /* x NULL: not needed */
  unsigned dz_inside, x_inside;
};

template <class T, int V, int S>
__device__ __forceinline__ void load_cells(const conv_shape &s, const cell_column<T> &at, int j, bool with_x,
                                           cell_row<T, V, S> *out) {
  enum { N = cell_row<T, V, S>::N };
  const unsigned dz_inside = j >= 0 && j < s.oh ? at.dz_inside : 0;
  const vec<T, V> zero = {};
#pragma unroll
  for (int q = 0; q < N; q++) { /* dz column i - q */
    out->dz[q] = zero;
    if (dz_inside >> q & 1)
      out->dz[q] = *reinterpret_cast<const vec<T, V> *>(at.dz + (j * s.ow + N - 1 - q) * s.c);
  }
#pragma unroll
  for (int a = 0; a < S; a++) {
    const int row = S * j - s.padding + a;
    out->x_there[a] = with_x && row >= 0 && row < s.h;
#pragma unroll
    for (int b = 0; b < S; b++) {
      out->x[a * S + b] = zero;
      if (at.x && out->x_there[a] && at.x_inside >> b & 1)
        out->x[a * S + b] = *reinterpret_cast<const vec<T, V> *>(at.x + (row * s.w + b) * s.c);
    }
  }
}

/* Row j of dz into the window. */
template <class T, int V, int S>
__device__ __forceinline__ void put_dz(const cell_row<T, V, S> &row, float (&to)[cell_row<T, V, S>::N][V]) {
#pragma unroll
  for (int q = 0; q < cell_row<T, V, S>::N; q++)
#pragma unroll
    for (int v = 0; v < V; v++) to[q][v] = to_float(row.dz[q].v[v]);
}

/* The N rows of dz up to j; u is the place of row j, the row before is at u - 1, around. */
template <int V, int S> struct dz_window {
  enum { N = 2 / S + 1 };
  float dz[N][N][V];
};

template <int V, int S>
__device__ __forceinline__ void make_dx(int u, int a, int b, const dz_window<V, S> &window, const float (&w)[9][V],
                                        float (&dx)[V]) {
  enum { N = dz_window<V, S>::N };
#pragma unroll
  for (int v = 0; v < V; v++) dx[v] = 0;
#pragma unroll
  for (int ky = a; ky < 3; ky += S)
#pragma unroll
    for (int kx = b; kx < 3; kx += S)
#pragma unroll
      for (int v = 0; v < V; v++)
        dx[v] = fmaf(window.dz[(u - ky / S + N) % N][kx / S][v], w[ky * 3 + kx][v], dx[v]);
}

template <int V, int S>
__device__ __forceinline__ void add_dweight(int u, int a, int b, const dz_window<V, S> &window, const float (&x)[V],
                                            float (&dw)[9][V]) {
  enum { N = dz_window<V, S>::N };
#pragma unroll
  for (int ky = a; ky < 3; ky += S)
#pragma unroll
    for (int kx = b; kx < 3; kx += S)
#pragma unroll
      for (int v = 0; v < V; v++)
        dw[ky * 3 + kx][v] = fmaf(window.dz[(u - ky / S + N) % N][kx / S][v], x[v], dw[ky * 3 + kx][v]);
}

/* One thread's walk. dx: like at.x, or NULL. AHEAD: the next cell is under way meanwhile; f32 leaves no registers
 * for that, but has twice the bytes under way. */
template <class T, int V, int S>
__device__ __forceinline__ void walk_cells(const conv_shape &s, const walk_place &p, const cell_column<T> &at,
                                           const source_norm<V> &norm, const float (&w)[9][V], T *dx,
                                           float (&dw)[9][V]) {
  enum { N = dz_window<V, S>::N, AHEAD = sizeof(T) == 2 };
  dz_window<V, S> window;
  cell_row<T, V, S> row, next;
#pragma unroll
  for (int k = 1; k < N; k++) { /* the rows of dz before the first */
    load_cells<T, V, S>(s, at, p.row - k, false, &row);
    put_dz<T, V, S>(row, window.dz[N - k]);
  }
  if (AHEAD) load_cells<T, V, S>(s, at, p.row, true, &next);
  for (int j0 = p.row; j0 < p.end; j0 += N) {
#pragma unroll
    for (int u = 0; u < N; u++) {
      const int j = j0 + u;
      if (j >= p.end) continue;
      if (!AHEAD) load_cells<T, V, S>(s, at, j, true, &row);
      else row = next;
      if (AHEAD && j + 1 < p.end) load_cells<T, V, S>(s, at, j + 1, true, &next);
      put_dz<T, V, S>(row, window.dz[u]);
#pragma unroll
      for (int a = 0; a < S; a++) {
#pragma unroll
        for (int b = 0; b < S; b++) {
          if (!row.x_there[a] || !(at.x_inside >> b & 1)) continue;
          if (dx) {
            float value[V];
            make_dx<V, S>(u, a, b, window, w, value);
            store_floats<V>(dx + ((S * j - s.padding + a) * s.w + b) * s.c, value);
          }
          if (at.x) {
            float x[V];
            source_values<T, V>(norm, row.x[a * S + b], x);
            add_dweight<V, S>(u, a, b, window, x, dw);
          }
        }
      }
    }
  }
}

/* partial (blocks, 9, c), or NULL with source.x NULL; dx may be NULL. */
template <class T, int V, int S>
__global__ void __launch_bounds__(TILE_THREADS, 3)
    backward3_kernel(conv_shape s, band_walk walk, normalised source, const float *__restrict__ weight,
                     const T *__restrict__ dz, T *__restrict__ dx, double *__restrict__ partial) {
  enum { N = dz_window<V, S>::N };
  const int c = channel_of_thread<V>();
  const int64_t item = item_of_thread();
  float w[9][V] = {}, dw[9][V] = {};
  if (dx) load_weights3<V>(weight, s.c, w);
  if (c < s.c && item < walk.items) {
    const walk_place p = place_of(walk, item);
    const int left = S * p.column - s.padding, dz_left = p.column - (N - 1);
    const int64_t x_at = ((int64_t)p.picture * s.h * s.w + left) * s.c + c;
    cell_column<T> at = {};
    at.dz = dz + ((int64_t)p.picture * s.oh * s.ow + dz_left) * s.c + c;
    if (partial) at.x = static_cast<const T *>(source.x) + x_at;
#pragma unroll
    for (int q = 0; q < N; q++) at.dz_inside |= (unsigned)(p.column - q >= 0 && p.column - q < s.ow) << q;
#pragma unroll
    for (int b = 0; b < S; b++) at.x_inside |= (unsigned)(left + b >= 0 && left + b < s.w) << b;
    const source_norm<V> norm = source_norm_of<V>(source, c);
    walk_cells<T, V, S>(s, p, at, norm, w, dx ? dx + x_at : nullptr, dw);
  }
  if (!partial) return;
  __shared__ double shared[3 * V * TILE_THREADS];
#pragma unroll
  for (int ky = 0; ky < 3; ky++) {
    double sum[3 * V];
#pragma unroll
    for (int i = 0; i < 3 * V; i++) sum[i] = (double)dw[ky * 3 + i / V][i % V];
    sum_rows<3 * V>(sum, shared);
    if (threadIdx.y != 0 || c >= s.c) continue;
#pragma unroll
    for (int i = 0; i < 3 * V; i++)
      partial[((int64_t)blockIdx.x * 9 + ky * 3 + i / V) * s.c + c + i % V] = sum[i];
  }
}

/* All cells that have a pixel of x. */
static void cells_along(int size, int stride, int padding, int *first, int *count) {
  *first = padding / stride;
  *count = (size - 1 + padding) / stride - *first + 1;
}

template <class T, int V, int S>
static asl_status backward3(const conv_shape *s, normalised x, const float *weight, const void *dz, void *dx,
                            float *dweight) {
  band_walk w = {};
  cells_along(s->h, S, s->padding, &w.first_row, &w.rows);
  cells_along(s->w, S, s->padding, &w.first_column, &w.columns);
  const walk_grid k = plan_walk(s->n, s->c, V, &w);
  scratch partial;
  if (dweight) ASL_TRY(partial.take((int64_t)k.grid.x * 9 * s->c * (int64_t)sizeof(double)));
  ASL_TRY(launch(backward3_kernel<T, V, S>, k.grid, k.block, 0, *s, w, x, weight, (const T *)dz, (T *)dx,
                 partial.as<double>()));
  return dweight ? combine_partials(partial.as<double>(), k.grid.x, 9, s->c, dweight) : ASL_OK;
}

template <class T, int V>
static asl_status backward3_strided(const conv_shape *s, normalised x, const float *weight, const void *dz, void *dx,
                                    float *dweight) {
  return s->stride == 1 ? backward3<T, V, 1>(s, x, weight, dz, dx, dweight)
                        : backward3<T, V, 2>(s, x, weight, dz, dx, dweight);
}

asl_status depthwise3_backward(const conv_shape *s, normalised x, const float *weight, const void *dz, void *dx,
                               float *dweight) {
  const bool wide = is_wide(s->c, x.dtype, address(x.x) | address(dz) | address(dx));
  AS_ACTIVATION(x.dtype, T, {
    return wide ? backward3_strided<T, TILE_V>(s, x, weight, dz, dx, dweight)
                : backward3_strided<T, 1>(s, x, weight, dz, dx, dweight);
  });
}
