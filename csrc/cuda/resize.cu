/* Bilinear resize and its gradient. A thread makes 16 bytes of a pixel (one value where the channels do not divide).
 *
 * The gradient is gathered, one source axis after the other: a thread owns a column and a strip of rows of dx and
 * walks down the rows of dy, each of which it reads once: what a row of dy has for its column goes to the row of dx
 * above and to the one below, which it carries along. */
#include "cuda/resize.h"

/* ---- forward ------------------------------------------------------------------------------------------ */
template <class T, int V> struct resized {
  const T *x;
  T *y;
  int64_t channels;
  divider vectors, width, height; /* of y */
  axis rows, columns;

  __device__ void operator()(int64_t i) const {
    int64_t vector, column, row;
    int64_t pixel = divide_with_rest(vectors, i, &vector);
    int64_t line = divide_with_rest(width, pixel, &column);
    int64_t picture = divide_with_rest(height, line, &row);
    float value[V];
    bilinear<V>(x + picture * rows.in * columns.in * channels + vector * V, channels, rows, row, columns, column,
                value);
    store_floats<V>(y + i * V, value);
  }
};

template <class T, int V> static asl_status resize(const asl_tensor *x, asl_tensor *y, bool align_corners) {
  const int64_t *in = x->shape.size, *out = y->shape.size;
  resized<T, V> f = {};
  f.x = data_of<T>(x), f.y = data_of<T>(y), f.channels = in[3];
  f.vectors = divider_of(max_i64(1, in[3] / V)), f.width = divider_of(out[2]), f.height = divider_of(out[1]);
  f.rows = axis_of(in[1], out[1], align_corners), f.columns = axis_of(in[2], out[2], align_corners);
  return map(asl_tensor_count(y) / V, f);
}

template <class T> static asl_status resize_as(const asl_tensor *x, asl_tensor *y, bool align_corners) {
  const int v = 16 / (int)sizeof(T);
  if (width_of<T>(x->shape.size[3], data_of<T>(x), data_of<T>(y)) == v) return resize<T, v>(x, y, align_corners);
  return resize<T, 1>(x, y, align_corners);
}

asl_status k_resize(const asl_call *call) {
  bool align_corners = ASL_PARAMS(resize, call)->align_corners != 0;
  AS_ACTIVATION(call->in[0]->dtype, T, return resize_as<T>(call->in[0], call->out[0], align_corners));
}

/* ---- backward ----------------------------------------------------------------------------------------- */
template <class T, int V> struct gathered {
  const T *dy;
  T *dx;
  int64_t channels, strip; /* rows of dx of a thread */
  divider vectors, width, strips;
  axis rows, columns;

  /* Adds what row y of dy has for a column of dx, whose targets are first .. end - 1. */
  __device__ void add_row(const T *line, int64_t column, int64_t first, int64_t end, float down, float above[V],
                          float below[V]) const {
    float sum[V] = {};
    for (int64_t t = first; t < end; t++) {
      asl_interp at = axis_at(columns, t);
      float weight = at.index == column ? 1.0f - at.weight : at.weight, value[V];
      load_floats<V>(line + t * channels, value);
#pragma unroll
      for (int i = 0; i < V; i++) sum[i] = fmaf(weight, value[i], sum[i]);
    }
#pragma unroll
    for (int i = 0; i < V; i++) {
      above[i] = fmaf(1.0f - down, sum[i], above[i]);
      below[i] = fmaf(down, sum[i], below[i]);
    }
  }

  __device__ void add_band(const T *from, int64_t band, int64_t column, float above[V], float below[V]) const {
    int64_t first = axis_first(columns, column - 1), end = axis_first(columns, column + 1);
    for (int64_t y = axis_first(rows, band), last = axis_first(rows, band + 1); y < last; y++)
      add_row(from + y * columns.out * channels, column, first, end, axis_at(rows, y).weight, above, below);
  }

  __device__ void operator()(int64_t i) const {
    int64_t vector, column, part;
    int64_t picture = divide_with_rest(strips, divide_with_rest(width, divide_with_rest(vectors, i, &vector), &column),
                                       &part);
    const T *from = dy + picture * rows.out * columns.out * channels + vector * V;
    T *to = dx + (picture * rows.in * columns.in + column) * channels + vector * V;
    int64_t row = part * strip, end = min(row + strip, rows.in);
    float above[V] = {}, below[V] = {};
    if (row > 0) add_band(from, row - 1, column, above, below);
    for (; row < end; row++) {
#pragma unroll
      for (int k = 0; k < V; k++) above[k] = below[k], below[k] = 0;
      if (row < axis_bands(rows)) add_band(from, row, column, above, below);
      store_floats<V>(to + row * columns.in * channels, above);
    }
  }
};

/* Longer strips read less twice, but there must be threads enough: 2^18 keep a large GPU busy. */
static int64_t strip_of(int64_t threads, int64_t rows) { return max_i64(1, min_i64(min_i64(8, rows), threads >> 18)); }

template <class T, int V> static asl_status gather(const asl_tensor *dy, asl_tensor *dx, bool align_corners) {
  const int64_t *in = dx->shape.size, *out = dy->shape.size;
  gathered<T, V> f = {};
  f.dy = data_of<T>(dy), f.dx = data_of<T>(dx), f.channels = in[3];
  f.strip = strip_of(asl_tensor_count(dx) / V, in[1]);
  int64_t strips = ceil_div(in[1], f.strip);
  f.vectors = divider_of(max_i64(1, in[3] / V)), f.width = divider_of(max_i64(1, in[2]));
  f.strips = divider_of(max_i64(1, strips));
  f.rows = axis_of(in[1], out[1], align_corners), f.columns = axis_of(in[2], out[2], align_corners);
  return map(in[0] * strips * in[2] * (in[3] / V), f);
}

template <class T> static asl_status gather_as(const asl_tensor *dy, asl_tensor *dx, bool align_corners) {
  const int v = 16 / (int)sizeof(T);
  if (width_of<T>(dx->shape.size[3], data_of<T>(dy), data_of<T>(dx)) == v) return gather<T, v>(dy, dx, align_corners);
  return gather<T, 1>(dy, dx, align_corners);
}

asl_status k_resize_backward(const asl_call *call) {
  bool align_corners = ASL_PARAMS(resize_backward, call)->align_corners != 0;
  AS_ACTIVATION(call->out[0]->dtype, T, return gather_as<T>(call->in[1], call->out[0], align_corners));
}
