/* Adaptive average pooling and its gradient.
 *
 * Forward: the windows are cut into parts of at most PART_PIXELS; a block sums a part, 16 bytes of channels a thread
 * (one value where the channels do not divide), its rows of threads taking the pixels in turn; sums are double.
 * Windows of one part are done then; for larger ones the parts are added in a second, small kernel.
 * Backward: a thread makes 16 bytes of a pixel of dx, gathering from the windows that hold it: ops/math/pool.h's
 * dual. */
#include "cuda/pool.h"

#include "cuda/divider.h"
extern "C" {
#include "ops/math/pool.h"
}

enum { PART_PIXELS = 512, MOST_PARTS = 1024 };

typedef struct level {
  void *data;              /* (N, height, width, C) */
  int64_t height, width;   /* windows */
  int64_t first;           /* number of the first window, counted through the levels */
  divider by_height, by_width;
} level;

typedef struct pooling {
  void *x; /* (N, h, w, C): read forward, written backward */
  int64_t pictures, h, w, channels, windows; /* of a picture, all levels */
  int64_t parts;
  int n;
  level of[POOL_LEVELS];
  divider by_h, by_w, by_vectors;
  double *sums; /* (N, windows, parts, C); NULL: parts is 1 */
} pooling;

static pooling pooling_of(const asl_tensor *x, asl_tensor *const pooled[], int n) {
  const int64_t *size = x->shape.size;
  pooling p = {};
  p.x = asl_tensor_data(x), p.pictures = size[0], p.h = size[1], p.w = size[2], p.channels = size[3], p.n = n;
  p.by_h = divider_of(max_i64(1, p.h)), p.by_w = divider_of(max_i64(1, p.w));
  int64_t largest = 1;
  for (int k = 0; k < n; k++) {
    const int64_t height = pooled[k]->shape.size[1], width = pooled[k]->shape.size[2];
    p.of[k] = {asl_tensor_data(pooled[k]), height, width, p.windows, divider_of(height), divider_of(width)};
    p.windows += height * width;
    largest = max_i64(largest, (p.h / height + 2) * (p.w / width + 2));
  }
  p.parts = min_i64(MOST_PARTS, ceil_div(largest, PART_PIXELS));
  return p;
}

/* One of the four, without indexing the kernel's parameters at run time. */
__device__ __forceinline__ level level_of(const pooling &p, int64_t window) {
  level l = p.of[0];
#pragma unroll
  for (int k = 1; k < POOL_LEVELS; k++)
    if (k < p.n && window >= p.of[k].first) l = p.of[k];
  return l;
}

/* ---- forward ------------------------------------------------------------------------------------------ */
typedef struct window {
  asl_window rows, columns;
} window;

__device__ __forceinline__ window window_at(const pooling &p, const level &l, int64_t index) {
  window at;
  at.rows = asl_pool_window(index / l.width, p.h, l.height);
  at.columns = asl_pool_window(index % l.width, p.w, l.width);
  return at;
}

__device__ __forceinline__ int64_t area_of(const window &w) {
  return (w.rows.end - w.rows.first) * (w.columns.end - w.columns.first);
}

/* Sums of pixels first, first + step .. below end of a window; x: the channels in the picture's first pixel. */
template <class T, int V>
__device__ __forceinline__ void sum_pixels(const pooling &p, const window &w, const T *x, int64_t first, int64_t end,
                                           int step, double sum[V]) {
  const uint32_t width = (uint32_t)(w.columns.end - w.columns.first);
#pragma unroll 4
  for (int64_t i = first; i < end; i += step) {
    int64_t row = w.rows.first + (uint32_t)i / width, column = w.columns.first + (uint32_t)i % width;
    float value[V];
    load_floats<V>(x + (row * p.w + column) * p.channels, value);
#pragma unroll
    for (int k = 0; k < V; k++) sum[k] += value[k];
  }
}

/* Block: (picture, window, part) along x, channels along y. Threads: `across` vectors of channels, the rest pixels. */
template <class T, int V> __global__ void pool_kernel(pooling p, int across) {
  __shared__ double shared[V][BLOCK];
  int64_t part = blockIdx.x % p.parts, rest = blockIdx.x / p.parts;
  int64_t number = rest % p.windows, picture = rest / p.windows;
  level l = level_of(p, number);
  window w = window_at(p, l, number - l.first);
  const int lane = (int)threadIdx.x % across, pixel = (int)threadIdx.x / across, pixels = BLOCK / across;
  const int64_t channel = ((int64_t)blockIdx.y * across + lane) * V;
  const int64_t area = area_of(w), length = (area + p.parts - 1) / p.parts, first = part * length;
  const T *x = (const T *)p.x + picture * p.h * p.w * p.channels + channel;
  double sum[V] = {};
  if (channel < p.channels) sum_pixels<T, V>(p, w, x, first + pixel, min(first + length, area), pixels, sum);
#pragma unroll
  for (int k = 0; k < V; k++) shared[k][threadIdx.x] = sum[k];
  for (int half = pixels / 2; half > 0; half /= 2) {
    __syncthreads();
    if (pixel >= half) continue;
#pragma unroll
    for (int k = 0; k < V; k++) shared[k][threadIdx.x] += shared[k][threadIdx.x + half * across];
  }
  if (pixel > 0 || channel >= p.channels) return;
  T *y = (T *)l.data + (picture * l.height * l.width + number - l.first) * p.channels + channel;
#pragma unroll
  for (int k = 0; k < V; k++) {
    if (p.sums) p.sums[(int64_t)blockIdx.x * p.channels + channel + k] = shared[k][threadIdx.x];
    else y[k] = from_float<T>((float)(shared[k][threadIdx.x] / (double)area));
  }
}

/* Element i of (N, windows, C): the parts in their order. */
template <class T> struct combined {
  pooling p;

  __device__ void operator()(int64_t i) const {
    int64_t channel = i % p.channels, rest = i / p.channels, number = rest % p.windows, picture = rest / p.windows;
    level l = level_of(p, number);
    double sum = 0;
    for (int64_t k = 0; k < p.parts; k++) sum += p.sums[(rest * p.parts + k) * p.channels + channel];
    double area = (double)area_of(window_at(p, l, number - l.first));
    ((T *)l.data)[(picture * l.height * l.width + number - l.first) * p.channels + channel] =
        from_float<T>((float)(sum / area));
  }
};

template <class T, int V> static asl_status run_forward(pooling p) {
  scratch sums;
  const int64_t blocks = p.pictures * p.windows * p.parts;
  if (blocks * p.channels == 0) return ASL_OK;
  if (p.parts > 1) {
    ASL_TRY(sums.take(blocks * p.channels * (int64_t)sizeof *p.sums));
    p.sums = sums.as<double>();
  }
  int across = 1;
  while (across < 32 && across < p.channels / V) across *= 2;
  dim3 grid((unsigned)blocks, (unsigned)ceil_div(p.channels / V, across));
  ASL_TRY(launch(pool_kernel<T, V>, grid, dim3(BLOCK), 0, p, across));
  if (p.parts == 1) return ASL_OK;
  combined<T> f = {p};
  return map(p.pictures * p.windows * p.channels, f);
}

/* ---- backward ----------------------------------------------------------------------------------------- */
/* Windows and duals of one axis: asl_pool_window(i, n, b), where the host knows what is divided by. */
__device__ __forceinline__ asl_window window_of(int64_t i, int64_t n, const divider &b) {
  asl_window w = {divide(b, i * n), divide(b, (i + 1) * n + b.size - 1)};
  return w;
}

template <class T, int V> struct spread {
  pooling p;

  __device__ void add_level(const level &l, int64_t picture, int64_t row, int64_t column, int64_t channel,
                            float sum[V]) const {
    asl_window rows = window_of(row, l.height, p.by_h), columns = window_of(column, l.width, p.by_w);
    for (int64_t r = rows.first; r < rows.end; r++) {
      asl_window held = window_of(r, p.h, l.by_height);
      for (int64_t i = columns.first; i < columns.end; i++) {
        asl_window across = window_of(i, p.w, l.by_width);
        float value[V], area = (float)((held.end - held.first) * (across.end - across.first));
        load_floats<V>((const T *)l.data + ((picture * l.height + r) * l.width + i) * p.channels + channel, value);
#pragma unroll
        for (int k = 0; k < V; k++) sum[k] += value[k] / area;
      }
    }
  }

  __device__ void operator()(int64_t i) const {
    int64_t pixel = divide(p.by_vectors, i), line = divide(p.by_w, pixel), picture = divide(p.by_h, line);
    float sum[V] = {};
#pragma unroll
    for (int k = 0; k < POOL_LEVELS; k++)
      if (k < p.n)
        add_level(p.of[k], picture, line - picture * p.h, pixel - line * p.w, (i - pixel * p.by_vectors.size) * V, sum);
    store_floats<V>((T *)p.x + i * V, sum);
  }
};

template <class T, int V> static asl_status run_backward(pooling p) {
  p.by_vectors = divider_of(max_i64(1, p.channels / V));
  spread<T, V> f = {p};
  return map(p.pictures * p.h * p.w * p.channels / V, f);
}

/* ---- both --------------------------------------------------------------------------------------------- */
/* Can all threads move 16 bytes? */
template <class T> static bool is_wide(const pooling &p) {
  uintptr_t addresses = (uintptr_t)p.x;
  for (int k = 0; k < p.n; k++) addresses |= (uintptr_t)p.of[k].data;
  return addresses % 16 == 0 && p.channels % (16 / (int)sizeof(T)) == 0;
}

template <class T> static asl_status forward_as(const pooling &p) {
  return is_wide<T>(p) ? run_forward<T, 16 / (int)sizeof(T)>(p) : run_forward<T, 1>(p);
}

template <class T> static asl_status backward_as(const pooling &p) {
  return is_wide<T>(p) ? run_backward<T, 16 / (int)sizeof(T)>(p) : run_backward<T, 1>(p);
}

asl_status pool_forward(const asl_tensor *x, asl_tensor *const pooled[], int levels) {
  pooling p = pooling_of(x, pooled, levels);
  AS_ACTIVATION(x->dtype, T, return forward_as<T>(p));
}

asl_status pool_backward(asl_tensor *const dpooled[], int levels, asl_tensor *dx) {
  pooling p = pooling_of(dx, dpooled, levels);
  AS_ACTIVATION(dx->dtype, T, return backward_as<T>(p));
}

asl_status k_adaptive_avg_pool(const asl_call *call) { return pool_forward(call->in[0], call->out, 1); }
asl_status k_adaptive_avg_pool_backward(const asl_call *call) { return pool_backward(call->in + 1, 1, call->out[0]); }
