/* Convolutions as matrix products, by output pixel (row) and (group, tap, channel) (column): y = X W', dX = dy W,
 * dW = dy' X, per group. For 1x1 with stride 1 the matrix X is x itself; for any other it is gathered (im2col)
 * for a chunk of pixels at a time. dx is then gathered from dX, which for bf16 stays f32, so that the sum over the
 * taps is rounded once. Chunks depend on the sizes only, and dweight adds them up in order. */
#include "cuda/conv_kernels.h"
#include "cuda/divider.h"
#include "cuda/gemm.h"
#include "cuda/norm_tile.h"

enum { CHUNK_BYTES = 64 << 20 /* of X; more where a row of dx needs more */ };

typedef struct columns { /* the matrix X */
  int64_t taps, inputs, outputs; /* inputs, outputs: channels of a group */
  int64_t length;                /* of a row: groups x taps x inputs */
} columns;

static columns columns_of(const conv_shape *s) {
  const int64_t taps = (int64_t)s->kh * s->kw, inputs = s->c / s->groups;
  return {taps, inputs, s->o / s->groups, taps * s->c};
}

static int64_t chunk_rows(const columns *x, int64_t bytes) { return max_i64(1, CHUNK_BYTES / (x->length * bytes)); }

static const void *element(const void *data, asl_dtype dtype, int64_t i) {
  return (const char *)data + i * (int64_t)asl_dtype_size(dtype);
}
static void *element(void *data, asl_dtype dtype, int64_t i) {
  return (char *)data + i * (int64_t)asl_dtype_size(dtype);
}

/* ---- the products ---------------------------------------------------------------------------------------- */
static asl_status product_y(const conv_shape *s, int64_t rows, const void *x, const void *weight, asl_dtype dtype,
                            void *y) {
  const columns k = columns_of(s);
  const int64_t length = k.taps * k.inputs;
  for (int64_t g = 0; g < s->groups; g++) {
    const matrix a = {element(x, dtype, g * length), k.length, dtype, false};
    const matrix b = {element(weight, dtype, g * k.outputs * length), length, dtype, true};
    ASL_TRY(gemm(rows, k.outputs, length, a, b, 0, element(y, dtype, g * k.outputs), s->o, dtype));
  }
  return ASL_OK;
}

static asl_status product_dx(const conv_shape *s, int64_t rows, const void *dy, const void *weight, asl_dtype dtype,
                             void *dx, asl_dtype dx_dtype) {
  const columns k = columns_of(s);
  const int64_t length = k.taps * k.inputs;
  for (int64_t g = 0; g < s->groups; g++) {
    const matrix a = {element(dy, dtype, g * k.outputs), s->o, dtype, false};
    const matrix b = {element(weight, dtype, g * k.outputs * length), length, dtype, false};
    ASL_TRY(gemm(rows, length, k.outputs, a, b, 0, element(dx, dx_dtype, g * length), k.length, dx_dtype));
  }
  return ASL_OK;
}

static asl_status product_dweight(const conv_shape *s, int64_t rows, const void *dy, const void *x, asl_dtype dtype,
                                  bool add, float *dweight) {
  const columns k = columns_of(s);
  const int64_t length = k.taps * k.inputs;
  for (int64_t g = 0; g < s->groups; g++) {
    const matrix a = {element(dy, dtype, g * k.outputs), s->o, dtype, true};
    const matrix b = {element(x, dtype, g * length), k.length, dtype, false};
    ASL_TRY(gemm(k.outputs, length, rows, a, b, add ? 1.0f : 0.0f, dweight + g * k.outputs * length, length, ASL_F32));
  }
  return ASL_OK;
}

/* ---- gathering X ----------------------------------------------------------------------------------------- */
typedef struct gather_plan {
  conv_shape s;
  divider vectors, taps, kw, ow, oh, inputs; /* vectors: of V channels of a pixel; inputs: channels of a group */
  int64_t first;                             /* output pixel of row 0 */
} gather_plan;

static gather_plan gather_of(const conv_shape *s, int64_t first, int v) {
  const columns k = columns_of(s);
  return {*s, divider_of(s->c / v), divider_of(k.taps), divider_of(s->kw), divider_of(s->ow), divider_of(s->oh),
          divider_of(k.inputs), first};
}

/* Where channel c of a tap lies in a row of X: groups are outermost. */
__device__ __forceinline__ int64_t place_in_row(const gather_plan &p, int64_t tap, int64_t c) {
  const int64_t group = divide(p.inputs, c);
  return (group * (p.taps.size - 1) + tap) * p.inputs.size + c;
}

template <class T, int V> struct gather_columns { /* element (row, tap, V channels) */
  gather_plan p;
  const T *x;
  T *to;
  __device__ void operator()(int64_t i) const {
    const conv_shape &s = p.s;
    const int64_t j = divide(p.vectors, i), row = divide(p.taps, j), tap = j - row * p.taps.size;
    const int64_t c = (i - j * p.vectors.size) * V, pixel = p.first + row;
    const int64_t line = divide(p.ow, pixel), picture = divide(p.oh, line), ky = divide(p.kw, tap);
    const int y = (int)(line - picture * s.oh) * s.stride - s.padding + (int)ky * s.dilation;
    const int at = (int)(pixel - line * s.ow) * s.stride - s.padding + (int)(tap - ky * s.kw) * s.dilation;
    vec<T, V> value = {};
    if (y >= 0 && y < s.h && at >= 0 && at < s.w)
      value = *reinterpret_cast<const vec<T, V> *>(x + ((picture * s.h + y) * s.w + at) * s.c + c);
    *reinterpret_cast<vec<T, V> *>(to + row * (p.taps.size * s.c) + place_in_row(p, tap, c)) = value;
  }
};

/* Vectors do not cross the borders of groups. */
static bool gathers_wide(const conv_shape *s, asl_dtype dtype, const void *x) {
  return norm_is_wide(s->c / s->groups, dtype, address(x));
}

template <class T, int V>
static asl_status gather_by(const conv_shape *s, const void *x, int64_t first, int64_t rows, void *to) {
  gather_columns<T, V> f = {gather_of(s, first, V), (const T *)x, (T *)to};
  return map(rows * s->kh * s->kw * (s->c / V), f);
}

/* Rows `first`... of X. */
static asl_status gather(const conv_shape *s, const void *x, asl_dtype dtype, int64_t first, int64_t rows, void *to) {
  AS_ACTIVATION(dtype, T, {
    return gathers_wide(s, dtype, x) ? gather_by<T, 16 / sizeof(T)>(s, x, first, rows, to)
                                     : gather_by<T, 1>(s, x, first, rows, to);
  });
}

/* ---- gathering dx ---------------------------------------------------------------------------------------- */
typedef struct band { /* of dx: rows [row, row + rows) of pictures [picture, picture + pictures) */
  int64_t picture, pictures;
  int row, rows;
  int64_t first, count; /* the output pixels that reach them, and more: rows of dX */
} band;

template <class T> struct gather_dx { /* one element of the band */
  gather_plan p;
  divider rows, width, channels;
  band b;
  const float *sums; /* dX */
  T *dx;
  __device__ void operator()(int64_t i) const {
    const conv_shape &s = p.s;
    const int64_t j = divide(channels, i), c = i - j * s.c, line = divide(width, j), place = divide(rows, line);
    const int row = b.row + (int)(line - place * b.rows), column = (int)(j - line * s.w);
    const int64_t picture = b.picture + place;
    float sum = 0;
    for (int ky = 0; ky < s.kh; ky++) {
      const int y = row + s.padding - ky * s.dilation, oy = y / s.stride;
      if (y < 0 || oy * s.stride != y || oy >= s.oh) continue;
      for (int kx = 0; kx < s.kw; kx++) {
        const int at = column + s.padding - kx * s.dilation, ox = at / s.stride;
        if (at < 0 || ox * s.stride != at || ox >= s.ow) continue;
        const int64_t pixel = (picture * s.oh + oy) * s.ow + ox - b.first;
        sum += sums[pixel * (p.taps.size * s.c) + place_in_row(p, (int64_t)ky * s.kw + kx, c)];
      }
    }
    dx[((picture * s.h + row) * s.w + column) * s.c + c] = from_float<T>(sum);
  }
};

static asl_status gather_band(const conv_shape *s, const band *b, const float *sums, asl_dtype dtype, void *dx) {
  const int64_t count = b->pictures * b->rows * s->w * s->c;
  AS_ACTIVATION(dtype, T, {
    gather_dx<T> f = {gather_of(s, b->first, 1), divider_of(b->rows), divider_of(s->w), divider_of(s->c), *b,
                      sums, (T *)dx};
    return map(count, f);
  });
}

/* ---- chunks of dx ---------------------------------------------------------------------------------------- */
/* Whole pictures, or where one is too large, bands of one. */
typedef struct band_plan {
  int64_t pictures;
  int rows;
  int64_t most; /* rows of dX at a time */
} band_plan;

static band_plan plan_bands(const conv_shape *s) {
  const columns k = columns_of(s);
  const int64_t most = chunk_rows(&k, sizeof(float)), of_picture = (int64_t)s->oh * s->ow;
  if (of_picture <= most) {
    const int64_t pictures = min_i64(s->n, most / of_picture);
    return {pictures, s->h, pictures * of_picture};
  }
  const int64_t reach = (int64_t)(s->kh - 1) * s->dilation;
  const int64_t rows = max_i64(1, min_i64(s->h, (most / s->ow - 2) * s->stride - reach + 1));
  return {1, (int)rows, min_i64(s->oh, (rows - 1 + reach) / s->stride + 2) * s->ow};
}

static band band_at(const conv_shape *s, const band_plan *plan, int64_t picture, int row) {
  band b = {};
  b.picture = picture;
  b.pictures = min_i64(plan->pictures, s->n - picture);
  b.row = row;
  b.rows = (int)min_i64(plan->rows, s->h - row);
  const int64_t reach = (int64_t)(s->kh - 1) * s->dilation, lowest = row + s->padding - reach;
  int64_t from = lowest > 0 ? lowest / s->stride : 0;
  int64_t to = min_i64(s->oh, (int64_t)(row + b.rows - 1 + s->padding) / s->stride + 1);
  if (b.rows == s->h) from = 0, to = s->oh; /* output pixels of several pictures lie next to each other */
  b.first = (picture * s->oh + from) * s->ow;
  b.count = max_i64(0, b.pictures * (to - from) * s->ow);
  return b;
}

static asl_status data_by_bands(const conv_shape *s, const void *weight, const void *dz, asl_dtype dtype, void *dx) {
  const band_plan plan = plan_bands(s);
  scratch taken;
  ASL_TRY(taken.take(plan.most * columns_of(s).length * (int64_t)sizeof(float)));
  for (int64_t picture = 0; picture < s->n; picture += plan.pictures) {
    for (int row = 0; row < s->h; row += plan.rows) {
      const band b = band_at(s, &plan, picture, row);
      ASL_TRY(product_dx(s, b.count, element(dz, dtype, b.first * s->o), weight, dtype, taken.data, ASL_F32));
      ASL_TRY(gather_band(s, &b, taken.as<float>(), dtype, dx));
    }
  }
  return ASL_OK;
}

/* ---- the three passes ------------------------------------------------------------------------------------ */
asl_status dense_forward(const conv_shape *s, const void *x, asl_dtype dtype, const float *weight, void *z) {
  const columns k = columns_of(s);
  const int64_t pixels = output_pixels(s);
  const int64_t most = min_i64(pixels, chunk_rows(&k, (int64_t)asl_dtype_size(dtype)));
  scratch rounded, taken;
  const void *w;
  ASL_TRY(weights_as(weight, weight_count(s), dtype, &rounded, &w));
  if (is_pointwise(s)) return product_y(s, pixels, x, w, dtype, z);
  ASL_TRY(taken.take(most * k.length * (int64_t)asl_dtype_size(dtype)));
  for (int64_t first = 0; first < pixels; first += most) {
    const int64_t rows = min_i64(most, pixels - first);
    ASL_TRY(gather(s, x, dtype, first, rows, taken.data));
    ASL_TRY(product_y(s, rows, taken.data, w, dtype, element(z, dtype, first * s->o)));
  }
  return ASL_OK;
}

asl_status dense_backward_data(const conv_shape *s, const float *weight, const void *dz, asl_dtype dtype, void *dx) {
  scratch rounded;
  const void *w;
  ASL_TRY(weights_as(weight, weight_count(s), dtype, &rounded, &w));
  if (is_pointwise(s)) return product_dx(s, output_pixels(s), dz, w, dtype, dx, dtype);
  return data_by_bands(s, w, dz, dtype, dx);
}

asl_status dense_backward_weight(const conv_shape *s, const void *x, asl_dtype dtype, const void *dz, float *dweight) {
  const columns k = columns_of(s);
  const int64_t pixels = output_pixels(s);
  const int64_t most = min_i64(pixels, chunk_rows(&k, (int64_t)asl_dtype_size(dtype)));
  scratch taken;
  if (is_pointwise(s)) return product_dweight(s, pixels, dz, x, dtype, false, dweight);
  ASL_TRY(taken.take(most * k.length * (int64_t)asl_dtype_size(dtype)));
  for (int64_t first = 0; first < pixels; first += most) {
    const int64_t rows = min_i64(most, pixels - first);
    ASL_TRY(gather(s, x, dtype, first, rows, taken.data));
    ASL_TRY(product_dweight(s, rows, element(dz, dtype, first * s->o), taken.data, dtype, first > 0, dweight));
  }
  return ASL_OK;
}
