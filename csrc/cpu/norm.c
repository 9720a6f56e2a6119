#include "cpu/norm.h"

#include "cpu/kernel.h"
#include "cpu/norm_value.h"
#include "cpu/simd.h"

enum {
  WIDE = 4,      /* vectors of channels at a time in loops over pixels */
  PIXELS = 4,    /* at a time in loops over channels */
  CHANNELS = 64, /* whose blocks are merged at a time */
};

asl_status norm_new(asl_norm *n, int64_t pixels, const asl_tensor *gamma, const asl_tensor *beta,
                    const asl_tensor *mean, const asl_tensor *rstd, bool relu) {
  int64_t channels = asl_tensor_count(gamma);
  void *taken;
  ASL_TRY(take_scratch(3 * channels * (int64_t)sizeof(float), &taken));
  float *scratch = taken;
  *n = (asl_norm){.pixels = pixels, .channels = channels, .gamma = asl_f32(gamma),
                  .beta = asl_f32(beta), .mean = mean ? asl_f32(mean) : scratch,
                  .rstd = rstd ? asl_f32(rstd) : scratch + channels,
                  .scale = scratch + 2 * channels, .relu = relu, .scratch = scratch};
  return ASL_OK;
}

void norm_free(asl_norm *n) { asl_pool_give(n->scratch); }

/* ---- moments --------------------------------------------------------------------------------- */
asl_status norm_moments_new(int64_t blocks, int64_t channels, int64_t pixels, asl_moments *out) {
  if (pixels == 1)
    return asl_fail(ASL_EINVAL,
                    "training needs more than one value per channel; here %lld channels have one "
                    "each: use more pictures, larger ones or training=0",
                    (long long)channels);
  void *record;
  ASL_TRY(take_scratch(blocks * (2 * channels + 1) * (int64_t)sizeof(float), &record));
  *out = (asl_moments){blocks, channels, record};
  return ASL_OK;
}

/* Means and sums of squared deviations of a few vectors of channels; the last has `lanes`. The sum
 * of the deviations, 0 but for the rounding of the mean, corrects both (Chan, Golub & LeVeque 1983,
 * the corrected two-pass algorithm): channels far from 0 lose no digits. */
ALWAYS_INLINE void moments(int vectors, int64_t lanes, const float *z, int64_t pixels,
                           int64_t stride, float *mean, float *squares) {
  v8 sum[WIDE], deviation[WIDE], drift[WIDE];
  v8 inverse = v8_set(1.0f / (float)pixels);
  UNROLL for (int v = 0; v < vectors; v++) sum[v] = deviation[v] = drift[v] = v8_zero();
  for (int64_t i = 0; i < pixels; i++)
    UNROLL for (int v = 0; v < vectors; v++)
      sum[v] = v8_add(sum[v], v8_load_some(z + i * stride + v * LANES, lanes));
  UNROLL for (int v = 0; v < vectors; v++) sum[v] = v8_mul(sum[v], inverse);
  for (int64_t i = 0; i < pixels; i++) {
    UNROLL for (int v = 0; v < vectors; v++) {
      v8 d = v8_sub(v8_load_some(z + i * stride + v * LANES, lanes), sum[v]);
      drift[v] = v8_add(drift[v], d);
      deviation[v] = v8_fma(d, d, deviation[v]);
    }
  }
  UNROLL for (int v = 0; v < vectors; v++) {
    v8 shift = v8_mul(drift[v], inverse);
    v8 corrected = v8_sub(deviation[v], v8_mul(drift[v], shift));
    v8_store_some(mean + v * LANES, v8_add(sum[v], shift), lanes);
    v8_store_some(squares + v * LANES, v8_max(v8_zero(), corrected), lanes);
  }
}

void norm_moments_of(asl_moments *m, int64_t block, const float *z, const asl_window *w) {
  int64_t channels = m->channels, c = w->first, end = w->first + w->count;
  float *record = m->record + block * (2 * channels + 1), *mean = record + 1;
  float *squares = mean + channels;
  z += w->pixel * channels;
  if (w->first == 0) record[0] = (float)w->pixels;
  for (; c + WIDE * LANES <= end; c += WIDE * LANES)
    moments(WIDE, LANES, z + c, w->pixels, channels, mean + c, squares + c);
  for (; c + LANES <= end; c += LANES)
    moments(1, LANES, z + c, w->pixels, channels, mean + c, squares + c);
  if (c < end) moments(1, end - c, z + c, w->pixels, channels, mean + c, squares + c);
}

/* Merges channels [first, first + n) of all blocks in order: mean, sum of squared deviations. */
static void merge(const asl_moments *m, int64_t first, int64_t n, double mean[CHANNELS],
                  double squares[CHANNELS]) {
  double count = 0;
  for (int64_t c = 0; c < n; c++) mean[c] = squares[c] = 0;
  for (int64_t b = 0; b < m->blocks; b++) {
    const float *record = m->record + b * (2 * m->channels + 1), *block_mean = record + 1 + first;
    const float *block_squares = block_mean + m->channels;
    double added = (double)record[0], part = added / (count + added), weight = count * part;
    for (int64_t c = 0; c < n; c++) {
      double d = (double)block_mean[c] - mean[c];
      mean[c] += d * part;
      squares[c] += (double)block_squares[c] + d * d * weight;
    }
    count += added;
  }
}

void norm_scale(asl_norm *n) {
  for (int64_t c = 0; c < n->channels; c++) n->scale[c] = n->gamma[c] * n->rstd[c];
}

void norm_batch(asl_norm *n, const asl_moments *m, double eps, double momentum,
                float *running_mean, float *running_var) {
  double mean[CHANNELS], squares[CHANNELS], count = (double)n->pixels;
  for (int64_t first = 0; first < n->channels; first += CHANNELS) {
    int64_t here = min_i64(CHANNELS, n->channels - first);
    merge(m, first, here, mean, squares);
    for (int64_t i = 0; i < here; i++) {
      int64_t c = first + i;
      double unbiased = squares[i] / (count - 1);
      n->mean[c] = (float)mean[i];
      n->rstd[c] = (float)(1.0 / sqrt(squares[i] / count + eps));
      running_mean[c] = (float)((1 - momentum) * (double)running_mean[c] + momentum * mean[i]);
      running_var[c] = (float)((1 - momentum) * (double)running_var[c] + momentum * unbiased);
    }
  }
  norm_scale(n);
}

void norm_running(asl_norm *n, const float *running_mean, const float *running_var, double eps) {
  for (int64_t c = 0; c < n->channels; c++) {
    n->mean[c] = running_mean[c];
    n->rstd[c] = (float)(1.0 / sqrt((double)running_var[c] + eps));
  }
  norm_scale(n);
}

/* ---- y --------------------------------------------------------------------------------------- */
ALWAYS_INLINE void apply(const asl_norm *n, const float *z, const float *residual, float *y,
                         int64_t c, int64_t lanes) {
  v8 value = norm_value(n, z, residual, c, lanes);
  if (n->relu) value = v8_max(v8_zero(), value); /* in this order NaN stays NaN */
  v8_store_some(y + c, value, lanes);
}

void norm_apply(const asl_norm *n, const float *z, const float *residual, float *y,
                const asl_window *w) {
  const asl_norm own = *n; /* which the compiler sees nobody write */
  const int64_t channels = own.channels, end = w->first + w->count, at = w->pixel * channels;
  z += at;
  y += at;
  if (residual) residual += at;
  for (int64_t i = 0; i < w->pixels; i++, z += channels, y += channels) {
    int64_t c = w->first;
    for (; c + LANES <= end; c += LANES) apply(&own, z, residual, y, c, LANES);
    if (c < end) apply(&own, z, residual, y, c, end - c);
    if (residual) residual += channels;
  }
}

typedef struct apply_job {
  const asl_norm *norm;
  const float *z, *residual;
  float *y;
} apply_job;

static void apply_block(void *context, int64_t block) {
  const apply_job *k = context;
  asl_window w = norm_block(block, k->norm->pixels, k->norm->channels);
  norm_apply(k->norm, k->z, k->residual, k->y, &w);
}

void norm_apply_all(const asl_norm *n, const float *z, const float *residual, float *y) {
  apply_job k = {n, z, residual, y};
  asl_parallel(norm_block_count(n->pixels, n->channels), apply_block, &k);
}

/* ---- pending tensors ------------------------------------------------------------------------- */
static asl_norm norm_of(const asl_pending *p) {
  int64_t channels = p->z->shape.size[p->z->shape.rank - 1];
  float *affine = asl_f32(p->affine);
  return (asl_norm){.pixels = asl_tensor_count(p->z) / channels, .channels = channels,
                    .mean = affine, .scale = affine + channels, .beta = affine + 2 * channels,
                    .relu = p->relu};
}

asl_status norm_settle(const asl_pending *pending, void *y) {
  asl_norm n = norm_of(pending);
  norm_apply_all(&n, asl_f32(pending->z), NULL, y);
  return ASL_OK;
}

asl_source norm_source(const asl_tensor *x) {
  const asl_pending *p = asl_pending_of(x);
  asl_source s = {.pending = p && !x->storage->data};
  if (p) {
    s.norm = norm_of(p);
    s.z = asl_f32(p->z);
  } else if (x->shape.rank > 0) {
    s.norm.channels = x->shape.size[x->shape.rank - 1];
  }
  s.data = s.pending ? s.z : asl_f32(x);
  return s;
}

/* One vector of channels of `pixels` pixels: what it is normalised with is loaded once. */
ALWAYS_INLINE void read_vector(int pixels, bool pending, bool relu, const asl_norm *n,
                               const float *from, int64_t c, int64_t lanes, float *to,
                               int64_t stride) {
  v8 value[PIXELS], mean = v8_zero(), scale = mean, beta = mean;
  if (pending) {
    mean = v8_load_some(n->mean + c, lanes);
    scale = v8_load_some(n->scale + c, lanes);
    beta = v8_load_some(n->beta + c, lanes);
  }
  UNROLL for (int i = 0; i < pixels; i++) {
    value[i] = v8_load_some(from + i * n->channels + c, lanes);
    if (pending) value[i] = v8_fma(v8_sub(value[i], mean), scale, beta);
    if (relu) value[i] = v8_max(v8_zero(), value[i]);
  }
  UNROLL for (int i = 0; i < pixels; i++) v8_store(to + i * stride, value[i]);
}

ALWAYS_INLINE void read_pixels(int pixels, bool pending, bool relu, const asl_norm *n,
                               const asl_window *w, const float *from, float *to, int64_t stride,
                               int64_t padded) {
  const int64_t end = w->first + w->count;
  int64_t c = w->first, at = 0;
  for (; c + LANES <= end; c += LANES, at += LANES)
    read_vector(pixels, pending, relu, n, from, c, LANES, to + at, stride);
  if (c < end) {
    read_vector(pixels, pending, relu, n, from, c, end - c, to + at, stride);
    at += LANES;
  }
  for (; at < padded; at += LANES)
    UNROLL for (int i = 0; i < pixels; i++) v8_store(to + i * stride + at, v8_zero());
}

ALWAYS_INLINE void read_rows(bool pending, bool relu, const asl_source *s, const asl_window *given,
                             float *to, int64_t stride, int64_t padded) {
  const asl_norm n = s->norm; /* which the compiler sees nobody write */
  const asl_window w = *given;
  const float *from = s->data + w.pixel * n.channels;
  const bool apart = w.count < n.channels;
  int64_t i = 0;
  for (; i + PIXELS <= w.pixels; i += PIXELS) {
    if (apart) ask_ahead(from + i * n.channels, &w, n.channels, PIXELS);
    read_pixels(PIXELS, pending, relu, &n, &w, from + i * n.channels, to + i * stride, stride,
                padded);
  }
  for (; i < w.pixels; i++)
    read_pixels(1, pending, relu, &n, &w, from + i * n.channels, to + i * stride, stride, padded);
}

void norm_source_rows(const asl_source *s, const asl_window *w, float *to, int64_t stride,
                      int64_t padded) {
  if (!s->pending) read_rows(false, false, s, w, to, stride, padded);
  else if (s->norm.relu) read_rows(true, true, s, w, to, stride, padded);
  else read_rows(true, false, s, w, to, stride, padded);
}

/* ---- sums over pixels ------------------------------------------------------------------------ */
typedef struct columns_job {
  const float *x;
  int64_t pixels, channels;
  float *partial; /* (block, channels) */
} columns_job;

static void columns_block(void *context, int64_t block) {
  const columns_job *k = context;
  asl_window w = norm_block(block, k->pixels, k->channels);
  float *sums = k->partial + block * k->channels;
  const float *x = k->x + w.pixel * k->channels;
  memset(sums, 0, (size_t)k->channels * sizeof(float));
  for (int64_t i = 0; i < w.pixels; i++, x += k->channels)
    for (int64_t c = 0; c < k->channels; c += LANES)
      v8_store_some(sums + c, v8_add(v8_load_some(sums + c, k->channels - c),
                                     v8_load_some(x + c, k->channels - c)), k->channels - c);
}

asl_status norm_column_sums(const float *x, int64_t pixels, int64_t channels, float *sums) {
  int64_t blocks = norm_block_count(pixels, channels);
  void *partial;
  ASL_TRY(take_scratch(blocks * channels * (int64_t)sizeof(float), &partial));
  columns_job k = {x, pixels, channels, partial};
  asl_parallel(blocks, columns_block, &k);
  for (int64_t c = 0; c < channels; c++) {
    double sum = 0;
    for (int64_t b = 0; b < blocks; b++) sum += (double)k.partial[b * channels + c];
    sums[c] = (float)sum;
  }
  asl_pool_give(partial);
  return ASL_OK;
}
