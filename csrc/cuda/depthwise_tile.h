/* How the kernels of depthwise convolutions go over pictures.
 *
 * A block is (lanes, slots): neighbouring threads take neighbouring channels, V each, then neighbouring items.
 * An item is a column, or a few, of a band of rows of a picture; a thread walks down its rows, so that every
 * row is loaded once, and keeps weights and sums in registers. That is why it takes 4 channels also of bf16,
 * where 16 bytes would be 8. */
#ifndef ASL_CUDA_DEPTHWISE_TILE_H
#define ASL_CUDA_DEPTHWISE_TILE_H

#include "cuda/conv_kernels.h"
#include "cuda/norm_tile.h"

enum {
  TILE_THREADS = 128,
  TILE_V = 4,
  TILE_ROWS = 16,        /* of a band, at most: sums within a band are in f32 */
  TILE_BLOCKS = 132 * 4, /* to aim at: as many as an H200 runs at a time */
};

typedef struct band_walk { /* over `columns` columns and `rows` rows from `first_row`, `first_column` on */
  int first_row, rows, first_column, columns;
  int band, bands; /* rows of a band, and how many */
  int64_t items;
} band_walk;

typedef struct walk_grid {
  dim3 grid, block; /* grid (blocks of items, tiles of channels) */
} walk_grid;

static inline walk_grid walk_grid_of(int channels, int v, int64_t items) {
  int64_t groups = channels / v, tiles = ceil_div(groups, WARP), lanes = ceil_div(groups, tiles);
  int64_t slots = TILE_THREADS / lanes;
  return {dim3((unsigned)max_i64(1, ceil_div(items, slots)), (unsigned)tiles), dim3((unsigned)lanes, (unsigned)slots)};
}

/* Bands as high as leaves enough blocks; depends on the sizes only. */
static inline walk_grid plan_walk(int pictures, int channels, int v, band_walk *w) {
  walk_grid k = {};
  for (w->band = TILE_ROWS;; w->band /= 2) {
    w->bands = (w->rows + w->band - 1) / w->band;
    w->items = (int64_t)pictures * w->bands * w->columns;
    k = walk_grid_of(channels, v, w->items);
    if (w->band == 1 || (int64_t)k.grid.x * k.grid.y >= TILE_BLOCKS) return k;
  }
}

/* True where V neighbouring channels can be accessed at once: addresses are joined by `|`. */
static inline bool is_wide(int channels, asl_dtype dtype, uintptr_t addresses) {
  return channels % TILE_V == 0 && addresses % (TILE_V * asl_dtype_size(dtype)) == 0;
}

/* An item's place: columns run fastest. */
typedef struct walk_place {
  int picture, row, end, column; /* rows [row, end) */
} walk_place;
__device__ __forceinline__ walk_place place_of(const band_walk &w, int64_t item) {
  const int64_t line = item / w.columns;
  walk_place p;
  p.column = w.first_column + (int)(item - line * w.columns);
  p.picture = (int)(line / w.bands);
  p.row = w.first_row + (int)(line % w.bands) * w.band;
  p.end = min(p.row + w.band, w.first_row + w.rows);
  return p;
}

/* The threads' channels and item. */
template <int V> __device__ __forceinline__ int channel_of_thread() {
  return (int)(blockIdx.y * blockDim.x + threadIdx.x) * V;
}
__device__ __forceinline__ int64_t item_of_thread() { return (int64_t)blockIdx.x * blockDim.y + threadIdx.y; }

/* ---- weights of 3x3 kernels ----------------------------------------------------------------------------- */
/* Those of the thread's channels, as (tap, channel), by way of shared memory: as they lie, neighbouring threads would
 * read 36 V bytes apart. All threads take part. */
template <int V> __device__ __forceinline__ void load_weights3(const float *weight, int channels, float (&w)[9][V]) {
  __shared__ __align__(16) float shared[WARP * V * 9];
  const int first = (int)(blockIdx.y * blockDim.x) * V, count = min((int)blockDim.x * V, channels - first) * 9;
  const int thread = (int)(threadIdx.y * blockDim.x + threadIdx.x), threads = (int)(blockDim.x * blockDim.y);
  for (int i = thread; i < count; i += threads) shared[i] = weight[(int64_t)first * 9 + i];
  __syncthreads();
  float own[9 * V];
#pragma unroll
  for (int i = 0; i < 9 * V; i += V) load_floats<V>(shared + (int)threadIdx.x * 9 * V + i, own + i);
#pragma unroll
  for (int i = 0; i < 9 * V; i++) w[i % 9][i / 9] = own[i];
}

/* ---- x, normalised as it is loaded ---------------------------------------------------------------------- */
template <int V> struct source_norm {
  float mean[V], scale[V], beta[V], least; /* least: 0 with ReLU, else minus infinity */
  bool pending;
};

template <int V> __device__ __forceinline__ source_norm<V> source_norm_of(const normalised &x, int c) {
  source_norm<V> n = {};
  n.pending = x.mean != nullptr;
  n.least = x.relu ? 0.0f : -INFINITY;
  if (!n.pending) return n;
  load_terms<V>(x.mean + c, n.mean);
  load_terms<V>(x.scale + c, n.scale);
  load_terms<V>(x.beta + c, n.beta);
  return n;
}

template <class T, int V>
__device__ __forceinline__ void source_values(const source_norm<V> &n, const vec<T, V> &from, float out[V]) {
#pragma unroll
  for (int v = 0; v < V; v++) out[v] = to_float(from.v[v]);
  if (!n.pending) return;
#pragma unroll
  for (int v = 0; v < V; v++) {
    float y = norm_value(out[v], n.mean[v], n.scale[v], n.beta[v]);
    out[v] = y < n.least ? n.least : y; /* NaN stays NaN */
  }
}

#endif
