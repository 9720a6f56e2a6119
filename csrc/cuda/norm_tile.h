/* How the kernels of batch norm go over (pixels, channels) arrays.
 *
 * A thread takes V neighbouring channels, 16 bytes, of every so many-th pixel, so that what belongs to
 * its channels stays in registers; neighbouring threads take neighbouring channels (threadIdx.x), then
 * pixels (threadIdx.y). BATCH loads are under way at a time. */
#ifndef ASL_CUDA_NORM_TILE_H
#define ASL_CUDA_NORM_TILE_H

#include "cuda/norm.h"

enum {
  BATCH = 4,        /* pixels that a thread loads at a time */
  RUN = 128,        /* pixels that a thread takes at most: sums over them are in f32 */
  BLOCKS = 132 * 8, /* to aim at: every SM of an H200 has several */
  TILE_BYTES = 128  /* of the channels of a tile, twice as many at most */
};

/* True where 16-byte accesses are possible: the pointers' addresses are joined by `|`. */
static inline bool norm_is_wide(int64_t channels, asl_dtype dtype, uintptr_t addresses) {
  return addresses % 16 == 0 && channels % (16 / (int64_t)asl_dtype_size(dtype)) == 0;
}
static inline uintptr_t address(const void *p) { return (uintptr_t)p; }

/* ---- the grid -------------------------------------------------------------------------------------- */
/* Pixels are cut into chunks, channels into tiles: a block takes one tile of one chunk. */
typedef struct norm_grid {
  dim3 grid, block;
  int64_t chunk;  /* pixels; the last may have fewer */
  int64_t chunks; /* how many */
} norm_grid;

/* Depends on the sizes and on `wide` only, as the order of sums does. Tiles are narrow, so that the block of a
 * reduction has many pixels for each of its results. */
static inline norm_grid norm_grid_of(int64_t pixels, int64_t channels, bool wide, asl_dtype dtype) {
  int64_t bytes = (int64_t)asl_dtype_size(dtype), v = wide ? 16 / bytes : 1;
  int64_t line = TILE_BYTES / (v * bytes), groups = channels / v;
  int64_t tiles = groups <= 2 * line ? 1 : ceil_div(groups, line), width = ceil_div(groups, tiles);
  int64_t rows = BLOCK / width, wanted = max_i64(1, BLOCKS / tiles);
  int64_t run = ceil_div(ceil_div(pixels, rows * wanted), BATCH) * BATCH;
  run = max_i64(min_i64(max_i64(run, BATCH), RUN), ceil_div(pixels, rows * 65535)); /* the grid's limit */
  norm_grid g = {};
  g.chunk = run * rows;
  g.chunks = ceil_div(pixels, g.chunk);
  g.grid = dim3((unsigned)tiles, (unsigned)g.chunks);
  g.block = dim3((unsigned)width, (unsigned)rows);
  return g;
}

/* Partial results lie as (chunk, 2, channels) doubles; blocks of this shape combine them. */
enum { COMBINE_CHANNELS = 8, COMBINE_ROWS = 128 };
static inline norm_grid norm_combine_grid(int64_t chunks, int64_t channels) {
  norm_grid g = {};
  g.grid = dim3((unsigned)ceil_div(channels, COMBINE_CHANNELS));
  g.block = dim3(COMBINE_CHANNELS, 1);
  while (g.block.y < COMBINE_ROWS && g.block.y < chunks) g.block.y *= 2;
  return g;
}

/* What a thread takes: `count` pixels of V channels, `step` elements apart. */
typedef struct norm_share {
  int64_t channel, first, step; /* first: the element */
  int count;                    /* 0 outside the array */
  int pixels;                   /* that the block takes */
} norm_share;

template <int V> __device__ __forceinline__ norm_share norm_share_of(int64_t pixels, int64_t channels, int64_t chunk) {
  norm_share t;
  const int64_t pixel = blockIdx.y * chunk, left = pixels - pixel;
  t.channel = ((int64_t)blockIdx.x * blockDim.x + threadIdx.x) * V;
  t.first = (pixel + threadIdx.y) * channels + t.channel;
  t.step = blockDim.y * channels;
  t.pixels = (int)(left < chunk ? left : chunk);
  t.count = t.channel < channels ? (t.pixels + (int)blockDim.y - 1 - (int)threadIdx.y) / (int)blockDim.y : 0;
  return t;
}

/* Sums x over the threads with the same threadIdx.x; the result is that of threadIdx.y = 0. All threads
 * take part; `shared` holds N doubles a thread. */
template <int N> __device__ __forceinline__ void sum_rows(double x[N], double *shared) {
  const unsigned width = blockDim.x, threads = width * blockDim.y;
  const unsigned thread = threadIdx.y * width + threadIdx.x;
  __syncthreads(); /* what was read from `shared` before */
  for (unsigned rows = blockDim.y; rows > 1;) {
    const unsigned half = (rows + 1) / 2;
    if (threadIdx.y >= half && threadIdx.y < rows) {
#pragma unroll
      for (int k = 0; k < N; k++) shared[k * threads + thread] = x[k];
    }
    __syncthreads();
    if (threadIdx.y < rows - half) {
#pragma unroll
      for (int k = 0; k < N; k++) x[k] += shared[k * threads + thread + half * width];
    }
    rows = half;
  }
}

/* ---- values --------------------------------------------------------------------------------------- */
/* Parameters are parts of one large tensor: their addresses are multiples of 4 only. */
template <int V> __device__ __forceinline__ void load_terms(const float *p, float out[V]) {
  enum { FOUR = V < 4 ? V : 4 };
  if ((uintptr_t)p % (FOUR * sizeof(float)) == 0) {
#pragma unroll
    for (int v = 0; v < V; v += FOUR) load_floats<FOUR>(p + v, out + v);
  } else {
#pragma unroll
    for (int v = 0; v < V; v++) out[v] = p[v];
  }
}

template <int V> struct norm_registers {
  float mean[V], scale[V], beta[V];
};

template <int V> __device__ __forceinline__ norm_registers<V> load_norm(const norm_terms &n, int64_t c) {
  norm_registers<V> r;
  float factor[V];
  load_terms<V>(n.mean + c, r.mean);
  load_terms<V>(n.gamma + c, r.scale);
  load_terms<V>(n.beta + c, r.beta);
  if (n.rstd) {
    load_terms<V>(n.rstd + c, factor);
#pragma unroll
    for (int v = 0; v < V; v++) r.scale[v] *= factor[v];
  } else if (n.var) {
    load_terms<V>(n.var + c, factor);
#pragma unroll
    for (int v = 0; v < V; v++) r.scale[v] *= 1.0f / sqrtf(factor[v] + n.eps);
  }
  return r;
}

/* The first U of `count` pixels, `step` elements apart; 0 behind them. */
template <int U, class T, int V>
__device__ __forceinline__ void load_pixels(const T *from, int64_t step, int count, vec<T, V> out[U]) {
#pragma unroll
  for (int u = 0; u < U; u++)
    out[u] = u < count ? *reinterpret_cast<const vec<T, V> *>(from + u * step) : vec<T, V>{};
}

template <class T, int V> __device__ __forceinline__ void store_pixel(T *to, const vec<T, V> &x) {
  *reinterpret_cast<vec<T, V> *>(to) = x;
}

/* How many pixels of several arrays a thread loads at a time: as many as there are registers for. */
template <int V> constexpr int SMALL_BATCH = V == 8 ? 2 : BATCH;

/* Before the activation and the residual; one rounding after the difference, as wherever y is recomputed. */
__device__ __forceinline__ float norm_value(float z, float mean, float scale, float beta) {
  return fmaf(z - mean, scale, beta);
}

#endif
