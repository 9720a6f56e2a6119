/* y = [x, resize(a), resize(b), ...] along the channels in one pass: a thread makes 16 bytes of a pixel of y (one value
 * where some channels do not divide), of whichever part they belong to. */
#include "cuda/resize.h"

enum { PARTS = 5 };

template <class T> struct part {
  const T *data;
  int64_t first, channels; /* of y's */
  axis rows, columns;
};

template <class T, int V> struct joined {
  T *y;
  int n;
  part<T> of[PARTS]; /* of[0] is x */
  divider vectors, width, height; /* of y */

  __device__ void operator()(int64_t i) const {
    int64_t vector, column, row;
    int64_t pixel = divide_with_rest(vectors, i, &vector);
    int64_t line = divide_with_rest(width, pixel, &column);
    int64_t picture = divide_with_rest(height, line, &row);
    const int64_t channel = vector * V;
    float value[V] = {};
    if (channel < of[0].channels) load_floats<V>(of[0].data + pixel * of[0].channels + channel, value);
#pragma unroll
    for (int k = 1; k < PARTS; k++) { /* unrolled: parameters are not to be indexed at run time */
      const part<T> &p = of[k];
      if (k >= n || channel < p.first || channel >= p.first + p.channels) continue;
      const T *from = p.data + picture * p.rows.in * p.columns.in * p.channels + channel - p.first;
      bilinear<V>(from, p.channels, p.rows, row, p.columns, column, value);
    }
    store_floats<V>(y + i * V, value);
  }
};

template <class T, int V> static asl_status join(const asl_call *call) {
  const asl_tensor *y = call->out[0];
  const int64_t *out = y->shape.size;
  joined<T, V> f = {};
  f.y = data_of<T>(y);
  f.vectors = divider_of(max_i64(1, out[3] / V));
  f.width = divider_of(max_i64(1, out[2])), f.height = divider_of(max_i64(1, out[1]));
  int64_t channel = 0;
  for (int k = 0; k < PARTS; k++) {
    const asl_tensor *t = call->in[k];
    if (!t) continue;
    const int64_t *in = t->shape.size;
    f.of[f.n] = {data_of<T>(t), channel, in[3], axis_of(in[1], out[1], true), axis_of(in[2], out[2], true)};
    channel += in[3];
    f.n++;
  }
  return map(asl_tensor_count(y) / V, f);
}

template <class T> static asl_status join_as(const asl_call *call) {
  const int v = 16 / (int)sizeof(T);
  bool wide = true;
  for (int k = 0; k < PARTS; k++)
    if (call->in[k])
      wide &= width_of<T>(call->in[k]->shape.size[3], data_of<T>(call->in[k]), data_of<T>(call->out[0])) == v;
  return wide ? join<T, v>(call) : join<T, 1>(call);
}

asl_status k_resize_concat(const asl_call *call) {
  AS_ACTIVATION(call->out[0]->dtype, T, return join_as<T>(call));
}
