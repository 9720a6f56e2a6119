/* Bilinear resampling of channels-last pictures: positions along an axis as ops/math/interp.h has them, bit for bit,
 * without the slow division, and samples of a picture. */
#ifndef ASL_CUDA_RESIZE_H
#define ASL_CUDA_RESIZE_H

#include "cuda/cuda.h"
#include "cuda/divider.h"
extern "C" {
#include "ops/math/interp.h"
}

/* One axis of a picture that is resized. */
typedef struct axis {
  int64_t in, out;
  bool align_corners;
  divider span; /* what numerators are divided by: asl_interp_at() */
} axis;

static inline axis axis_of(int64_t in, int64_t out, bool align_corners) {
  axis a = {};
  a.in = in, a.out = out, a.align_corners = align_corners;
  a.span = divider_of(max_i64(1, align_corners ? out - 1 : 2 * out));
  return a;
}

/* Bands: targets between the same two source positions b and b + 1. */
static inline __host__ __device__ int64_t axis_bands(const axis &a) { return a.in > 1 ? a.in - 1 : 1; }

/* n / d.size and the rest. */
__device__ __forceinline__ int64_t divide_with_rest(const divider &d, int64_t n, int64_t *rest) {
  if ((uint64_t)(n | d.size) >> 31) {
    *rest = n % d.size;
    return n / d.size;
  }
  uint32_t quotient = (__umulhi((uint32_t)n, d.magic) + (uint32_t)n) >> d.shift;
  *rest = (uint32_t)n - quotient * (uint32_t)d.size;
  return quotient;
}

/* asl_interp_at(target, a.in, a.out, a.align_corners) */
__device__ __forceinline__ asl_interp axis_at(const axis &a, int64_t target) {
  asl_interp at = {0, 0.0f};
  if (a.in == 1 || (a.align_corners && a.out == 1)) return at;
  int64_t numerator = a.align_corners ? target * (a.in - 1) : (2 * target + 1) * a.in - a.out, rest;
  int64_t last = (a.in - 1) * a.span.size;
  numerator = numerator < 0 ? 0 : numerator > last ? last : numerator;
  int64_t index = divide_with_rest(a.span, numerator, &rest);
  if (index > a.in - 2) index = a.in - 2, rest = a.span.size;
  at.index = (int32_t)index;
  if ((uint64_t)a.span.size >> 32) at.weight = (float)rest / (float)a.span.size;
  else at.weight = (float)(uint32_t)rest / (float)(uint32_t)a.span.size;
  return at;
}

/* The first target at or behind source position `index`: of its band, or of a later one where it has none. 0 for the
 * positions before the first, a.out for those without a band. */
__device__ __forceinline__ int64_t axis_first(const axis &a, int64_t index) {
  if (index <= 0) return 0;
  if (index >= axis_bands(a) || a.out == 0) return a.out;
  if (a.align_corners) return a.out == 1 ? 1 : (index * (a.out - 1) + a.in - 2) / (a.in - 1);
  int64_t numerator = (2 * index + 1) * a.out - a.in; /* of t >= numerator / (2 in) */
  return numerator <= 0 ? 0 : (numerator + 2 * a.in - 1) / (2 * a.in);
}

/* V channels from `x` on of the picture that a pixel of the target sees: rows are blended first, then the pixels of
 * the blended row. `x` points to the channel in the picture's first pixel. */
template <int V, class T>
__device__ __forceinline__ void bilinear(const T *x, int64_t channels, const axis &rows, int64_t y, const axis &columns,
                                         int64_t column, float out[V]) {
  asl_interp down = axis_at(rows, y), across = axis_at(columns, column);
  const T *above = x + ((int64_t)down.index * columns.in + across.index) * channels;
  const T *below = rows.in > 1 ? above + columns.in * channels : above;
  int64_t right = columns.in > 1 ? channels : 0;
  float corner[4][V];
  load_floats<V>(above, corner[0]);
  load_floats<V>(above + right, corner[1]);
  load_floats<V>(below, corner[2]);
  load_floats<V>(below + right, corner[3]);
#pragma unroll
  for (int i = 0; i < V; i++)
    out[i] = asl_lerp(asl_lerp(corner[0][i], corner[2][i], down.weight),
                      asl_lerp(corner[1][i], corner[3][i], down.weight), across.weight);
}

/* Values a thread moves at once: 16 bytes where channels and addresses allow it for all tensors, else one. */
template <class T> static inline int width_of(int64_t channels, const void *a, const void *b) {
  const int v = 16 / (int)sizeof(T);
  bool aligned = ((uintptr_t)a | (uintptr_t)b) % 16 == 0;
  return aligned && channels % v == 0 ? v : 1;
}

#endif
