/* Depthwise convolutions of any kernel size, stride and dilation; 3x3 ones without dilation go to
 * depthwise3.cu. A thread makes V channels of one pixel of z or dx from the pixels its taps reach; what
 * neighbours share comes from the caches. Weights are laid out as (tap, channel) beforehand. */
#include "cuda/depthwise_tile.h"
#include "cuda/divider.h"

struct transpose_weights {
  const float *from;
  float *to;
  divider taps;
  int64_t channels;
  __device__ void operator()(int64_t i) const {
    const int64_t c = divide(taps, i);
    to[(i - c * taps.size) * channels + c] = from[i];
  }
};

static asl_status take_weights(const conv_shape *s, const float *weight, scratch *taken) {
  const int64_t taps = (int64_t)s->kh * s->kw;
  ASL_TRY(taken->take(taps * s->c * (int64_t)sizeof(float)));
  return map(taps * s->c, transpose_weights{weight, taken->as<float>(), divider_of(taps), s->c});
}

/* ---- one pixel ------------------------------------------------------------------------------------------- */
typedef struct pixel_place {
  int64_t picture;
  int y, x, c;
} pixel_place;

typedef struct pixel_dividers { /* of an index over (picture, y, x, groups of channels) */
  divider groups, width, height;
} pixel_dividers;

static pixel_dividers dividers_of(int height, int width, int groups) {
  return {divider_of(groups), divider_of(width), divider_of(height)};
}

template <int V> __device__ __forceinline__ pixel_place pixel_of(const pixel_dividers &d, int64_t i) {
  pixel_place p;
  const int64_t pixel = divide(d.groups, i), line = divide(d.width, pixel);
  p.picture = divide(d.height, line);
  p.c = (int)(i - pixel * d.groups.size) * V;
  p.x = (int)(pixel - line * d.width.size);
  p.y = (int)(line - p.picture * d.height.size);
  return p;
}

template <int V> __device__ __forceinline__ void add_tap(const float x[V], const float *weight, float sum[V]) {
  float w[V];
  load_floats<V>(weight, w);
#pragma unroll
  for (int v = 0; v < V; v++) sum[v] = fmaf(x[v], w[v], sum[v]);
}

template <class T, int V> struct forward_pixel {
  conv_shape s;
  pixel_dividers place;
  normalised source;
  const float *weight, *bias; /* weight (taps, c) */
  T *z;
  __device__ void operator()(int64_t i) const {
    const pixel_place p = pixel_of<V>(place, i);
    const T *from = static_cast<const T *>(source.x) + p.picture * s.h * s.w * s.c + p.c;
    const source_norm<V> norm = source_norm_of<V>(source, p.c);
    float sum[V] = {};
    if (bias) load_terms<V>(bias + p.c, sum);
    for (int ky = 0; ky < s.kh; ky++) {
      const int y = p.y * s.stride - s.padding + ky * s.dilation;
      if (y < 0 || y >= s.h) continue;
      for (int kx = 0; kx < s.kw; kx++) {
        const int x = p.x * s.stride - s.padding + kx * s.dilation;
        if (x < 0 || x >= s.w) continue;
        float value[V];
        source_values<T, V>(norm, *reinterpret_cast<const vec<T, V> *>(from + ((int64_t)y * s.w + x) * s.c), value);
        add_tap<V>(value, weight + ((int64_t)ky * s.kw + kx) * s.c + p.c, sum);
      }
    }
    store_floats<V>(z + i * V, sum);
  }
};

/* The output row or column that a tap reads `at` for, -1 where there is none. */
__device__ __forceinline__ int reader_of(int at, int tap, const conv_shape &s, int size) {
  const int y = at + s.padding - tap * s.dilation;
  if (y < 0 || y % s.stride != 0) return -1;
  return y / s.stride < size ? y / s.stride : -1;
}

template <class T, int V> struct backward_pixel {
  conv_shape s;
  pixel_dividers place;
  const float *weight; /* (taps, c) */
  const T *dz;
  T *dx;
  __device__ void operator()(int64_t i) const {
    const pixel_place p = pixel_of<V>(place, i);
    const T *from = dz + p.picture * s.oh * s.ow * s.c + p.c;
    float sum[V] = {};
    for (int ky = 0; ky < s.kh; ky++) {
      const int y = reader_of(p.y, ky, s, s.oh);
      if (y < 0) continue;
      for (int kx = 0; kx < s.kw; kx++) {
        const int x = reader_of(p.x, kx, s, s.ow);
        if (x < 0) continue;
        float value[V];
        load_floats<V>(from + ((int64_t)y * s.ow + x) * s.c, value);
        add_tap<V>(value, weight + ((int64_t)ky * s.kw + kx) * s.c + p.c, sum);
      }
    }
    store_floats<V>(dx + i * V, sum);
  }
};

template <class T, int V>
static asl_status forward_by(const conv_shape *s, normalised x, const float *weight, const float *bias, void *z) {
  forward_pixel<T, V> f = {*s, dividers_of(s->oh, s->ow, s->c / V), x, weight, bias, (T *)z};
  return map(output_pixels(s) * (s->c / V), f);
}

template <class T, int V>
static asl_status backward_data_by(const conv_shape *s, const float *weight, const void *dz, void *dx) {
  backward_pixel<T, V> f = {*s, dividers_of(s->h, s->w, s->c / V), weight, (const T *)dz, (T *)dx};
  return map(input_pixels(s) * (s->c / V), f);
}

/* ---- dweight --------------------------------------------------------------------------------------------- */
enum { RUN_PIXELS = 32 /* that are summed in f32 */ };

typedef struct weight_chunks {
  int64_t chunks, pixels; /* pixels of z in a chunk */
} weight_chunks;

/* Block x = (tap, chunk): sums over the chunk's pixels; partial (chunks, taps, c). */
template <class T, int V>
__global__ void weight_kernel(conv_shape s, pixel_dividers place, weight_chunks k, normalised source,
                              const T *__restrict__ dz, double *__restrict__ partial) {
  __shared__ double shared[V * TILE_THREADS];
  const int c = channel_of_thread<V>();
  const int64_t tap = blockIdx.x / k.chunks, chunk = blockIdx.x % k.chunks, taps = (int64_t)s.kh * s.kw;
  const int64_t end = min((long long)((chunk + 1) * k.pixels), (long long)s.n * s.oh * s.ow);
  const int dy = (int)(tap / s.kw) * s.dilation - s.padding, dx = (int)(tap % s.kw) * s.dilation - s.padding;
  double total[V] = {};
  if (c < s.c) {
    const source_norm<V> norm = source_norm_of<V>(source, c);
    const T *from = static_cast<const T *>(source.x) + c;
    float sum[V] = {};
    int run = 0;
    for (int64_t pixel = chunk * k.pixels + threadIdx.y; pixel < end; pixel += blockDim.y) {
      const pixel_place p = pixel_of<V>(place, pixel);
      const int y = p.y * s.stride + dy, x = p.x * s.stride + dx;
      if (y < 0 || y >= s.h || x < 0 || x >= s.w) continue;
      float value[V], gradient[V];
      source_values<T, V>(norm, *reinterpret_cast<const vec<T, V> *>(from + ((p.picture * s.h + y) * s.w + x) * s.c),
                          value);
      load_floats<V>(dz + pixel * s.c + c, gradient);
      const bool flush = ++run % RUN_PIXELS == 0;
#pragma unroll
      for (int v = 0; v < V; v++) {
        sum[v] = fmaf(gradient[v], value[v], sum[v]);
        if (!flush) continue;
        total[v] += (double)sum[v];
        sum[v] = 0;
      }
    }
#pragma unroll
    for (int v = 0; v < V; v++) total[v] += (double)sum[v];
  }
  sum_rows<V>(total, shared);
  if (c >= s.c || threadIdx.y != 0) return;
#pragma unroll
  for (int v = 0; v < V; v++) partial[(chunk * taps + tap) * s.c + c + v] = total[v];
}

template <class T, int V>
static asl_status backward_weight_by(const conv_shape *s, normalised x, const void *dz, float *dweight) {
  const int64_t pixels = output_pixels(s), taps = (int64_t)s->kh * s->kw;
  walk_grid g = walk_grid_of(s->c, V, 1);
  weight_chunks k = {};
  k.chunks = max_i64(1, min_i64(ceil_div(pixels, g.block.y * RUN_PIXELS), 2 * TILE_BLOCKS / (taps * g.grid.y)));
  k.pixels = ceil_div(pixels, k.chunks);
  if (taps * k.chunks > INT32_MAX)
    return asl_fail(ASL_ENOTSUP, "a kernel of %dx%d is too large for this device", s->kh, s->kw);
  g.grid.x = (unsigned)(taps * k.chunks);
  scratch partial;
  ASL_TRY(partial.take(k.chunks * taps * s->c * (int64_t)sizeof(double)));
  ASL_TRY(launch(weight_kernel<T, V>, g.grid, g.block, 0, *s, dividers_of(s->oh, s->ow, 1), k, x, (const T *)dz,
                 partial.as<double>()));
  return combine_partials(partial.as<double>(), k.chunks, taps, s->c, dweight);
}

/* ---- which ----------------------------------------------------------------------------------------------- */
asl_status depthwise_forward(const conv_shape *s, normalised x, const float *weight, const float *bias, void *z) {
  if (depthwise3_takes(s)) return depthwise3_forward(s, x, weight, bias, z);
  scratch weights;
  ASL_TRY(take_weights(s, weight, &weights));
  const bool wide = is_wide(s->c, x.dtype, address(x.x) | address(z));
  AS_ACTIVATION(x.dtype, T, {
    return wide ? forward_by<T, TILE_V>(s, x, weights.as<float>(), bias, z)
                : forward_by<T, 1>(s, x, weights.as<float>(), bias, z);
  });
}

static asl_status backward_data(const conv_shape *s, const float *weight, const void *dz, asl_dtype dtype, void *dx) {
  scratch weights;
  ASL_TRY(take_weights(s, weight, &weights));
  const bool wide = is_wide(s->c, dtype, address(dz) | address(dx));
  AS_ACTIVATION(dtype, T, {
    return wide ? backward_data_by<T, TILE_V>(s, weights.as<float>(), dz, dx)
                : backward_data_by<T, 1>(s, weights.as<float>(), dz, dx);
  });
}

asl_status depthwise_backward(const conv_shape *s, normalised x, const float *weight, const void *dz, void *dx,
                              float *dweight) {
  if (depthwise3_takes(s)) return depthwise3_backward(s, x, weight, dz, dx, dweight);
  if (dx) ASL_TRY(backward_data(s, weight, dz, x.dtype, dx));
  if (!dweight) return ASL_OK;
  const bool wide = is_wide(s->c, x.dtype, address(x.x) | address(dz));
  AS_ACTIVATION(x.dtype, T, {
    return wide ? backward_weight_by<T, TILE_V>(s, x, dz, dweight) : backward_weight_by<T, 1>(s, x, dz, dweight);
  });
}
