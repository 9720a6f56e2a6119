#include "cpu/norm.h"

#include "cpu/kernel.h"
#include "cpu/simd.h"

enum {
  WIDE = 4,      /* vectors of channels at a time in loops over pixels */
  CHANNELS = 64, /* whose blocks are merged at a time */
};

/* ---- blocks of pixels, for whole arrays ------------------------------------------------------ */
/* About 96 KiB, so that what passes over it twice finds it in the cache; at most 256, because sums
 * within a block are in float. */
static int64_t block_pixels(int64_t channels) {
  int64_t pixels = 24576 / channels;
  return pixels < 16 ? 16 : pixels > 256 ? 256 : pixels;
}
static int64_t block_count(int64_t pixels, int64_t channels) {
  return ceil_div(pixels, block_pixels(channels));
}
/* Its first element; *pixels is how many there are. */
static int64_t block_start(int64_t block, int64_t all, int64_t channels, int64_t *pixels) {
  int64_t first = block * block_pixels(channels);
  *pixels = min_i64(block_pixels(channels), all - first);
  return first * channels;
}

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

/* ---- bias ------------------------------------------------------------------------------------ */
void norm_add_bias(float *z, const float *bias, int64_t pixels, int64_t channels) {
  for (int64_t i = 0; i < pixels; i++, z += channels)
    for (int64_t c = 0; c < channels; c += LANES)
      v8_store_some(z + c,
                    v8_add(v8_load_some(z + c, channels - c), v8_load_some(bias + c, channels - c)),
                    channels - c);
}

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

void norm_moments_of(asl_moments *m, int64_t block, const float *z, int64_t pixels) {
  int64_t channels = m->channels, c = 0;
  float *record = m->record + block * (2 * channels + 1), *mean = record + 1;
  float *squares = mean + channels;
  record[0] = (float)pixels;
  for (; c + WIDE * LANES <= channels; c += WIDE * LANES)
    moments(WIDE, LANES, z + c, pixels, channels, mean + c, squares + c);
  for (; c + LANES <= channels; c += LANES)
    moments(1, LANES, z + c, pixels, channels, mean + c, squares + c);
  if (c < channels) moments(1, channels - c, z + c, pixels, channels, mean + c, squares + c);
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
/* y before the activation; the backward pass uses it too, so that it sees the same ReLU mask. */
ALWAYS_INLINE v8 normalised(const asl_norm *n, const float *z, const float *residual, int64_t c,
                            int64_t lanes) {
  v8 centred = v8_sub(v8_load_some(z + c, lanes), v8_load_some(n->mean + c, lanes));
  v8 y = v8_fma(centred, v8_load_some(n->scale + c, lanes), v8_load_some(n->beta + c, lanes));
  return residual ? v8_add(y, v8_load_some(residual + c, lanes)) : y;
}

ALWAYS_INLINE void apply(const asl_norm *n, const float *z, const float *residual, float *y,
                         int64_t c, int64_t lanes) {
  v8 value = normalised(n, z, residual, c, lanes);
  if (n->relu) value = v8_max(v8_zero(), value); /* in this order NaN stays NaN */
  v8_store_some(y + c, value, lanes);
}

void norm_apply(const asl_norm *n, const float *z, const float *residual, float *y,
                int64_t pixels) {
  const asl_norm own = *n; /* which the compiler sees nobody write */
  int64_t channels = own.channels;
  for (int64_t i = 0; i < pixels; i++, z += channels, y += channels) {
    int64_t c = 0;
    for (; c + LANES <= channels; c += LANES) apply(&own, z, residual, y, c, LANES);
    if (c < channels) apply(&own, z, residual, y, c, channels - c);
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
  int64_t pixels, at = block_start(block, k->norm->pixels, k->norm->channels, &pixels);
  norm_apply(k->norm, k->z + at, k->residual ? k->residual + at : NULL, k->y + at, pixels);
}

void norm_apply_all(const asl_norm *n, const float *z, const float *residual, float *y) {
  apply_job k = {n, z, residual, y};
  asl_parallel(block_count(n->pixels, n->channels), apply_block, &k);
}

/* ---- sums over pixels ------------------------------------------------------------------------ */
/* Adds up `n` columns of partial sums from column `first` on, blocks in order. */
static void add_blocks(const float *partial, int64_t blocks, int64_t stride, int64_t first,
                       int64_t n, double sums[CHANNELS]) {
  for (int64_t c = 0; c < n; c++) sums[c] = 0;
  for (int64_t b = 0; b < blocks; b++)
    for (int64_t c = 0; c < n; c++) sums[c] += (double)partial[b * stride + first + c];
}

typedef struct columns_job {
  const float *x;
  int64_t pixels, channels;
  float *partial; /* (block, channels) */
} columns_job;

static void columns_block(void *context, int64_t block) {
  const columns_job *k = context;
  int64_t pixels, at = block_start(block, k->pixels, k->channels, &pixels);
  float *sums = k->partial + block * k->channels;
  memset(sums, 0, (size_t)k->channels * sizeof(float));
  for (int64_t i = 0; i < pixels; i++)
    norm_add_bias(sums, k->x + at + i * k->channels, 1, k->channels);
}

asl_status norm_column_sums(const float *x, int64_t pixels, int64_t channels, float *sums) {
  int64_t blocks = block_count(pixels, channels);
  void *partial;
  ASL_TRY(take_scratch(blocks * channels * (int64_t)sizeof(float), &partial));
  columns_job k = {x, pixels, channels, partial};
  asl_parallel(blocks, columns_block, &k);
  double sum[CHANNELS];
  for (int64_t first = 0; first < channels; first += CHANNELS) {
    int64_t here = min_i64(CHANNELS, channels - first);
    add_blocks(k.partial, blocks, channels, first, here, sum);
    for (int64_t i = 0; i < here; i++) sums[first + i] = (float)sum[i];
  }
  asl_pool_give(partial);
  return ASL_OK;
}

/* ---- gradients: sums ------------------------------------------------------------------------- */
/* Per block and channel: sum of g, sum of g (z - mean). */
typedef struct sums_job {
  const asl_norm *norm;
  const asl_norm_grad *grad;
  float *partial; /* (block, 2, channels) */
} sums_job;

/* dy where the activation let the value through, at one vector of a pixel. */
ALWAYS_INLINE v8 masked(const asl_norm *n, const asl_norm_grad *grad, int64_t at, int64_t c,
                        int64_t lanes) {
  v8 dy = v8_load_some(grad->dy + at + c, lanes);
  if (!n->relu) return dy;
  const float *residual = grad->residual ? grad->residual + at : NULL;
  return v8_where_positive(normalised(n, grad->z + at, residual, c, lanes), dy);
}

ALWAYS_INLINE void sum_lanes(const asl_norm *n, const asl_norm_grad *grad, int64_t at,
                             int64_t pixels, int64_t c, int64_t lanes, float *sums) {
  v8 sum = v8_zero(), moment = v8_zero(), mean = v8_load_some(n->mean + c, lanes);
  for (int64_t i = 0; i < pixels; i++, at += n->channels) {
    v8 g = masked(n, grad, at, c, lanes);
    sum = v8_add(sum, g);
    moment = v8_fma(g, v8_sub(v8_load_some(grad->z + at + c, lanes), mean), moment);
  }
  v8_store_some(sums + c, sum, lanes);
  v8_store_some(sums + n->channels + c, moment, lanes);
}

static void sum_block(void *context, int64_t block) {
  const sums_job *k = context;
  const asl_norm own = *k->norm;
  const asl_norm_grad grad = *k->grad;
  int64_t pixels, at = block_start(block, own.pixels, own.channels, &pixels), c = 0;
  float *sums = k->partial + block * 2 * own.channels;
  for (; c + LANES <= own.channels; c += LANES) sum_lanes(&own, &grad, at, pixels, c, LANES, sums);
  if (c < own.channels) sum_lanes(&own, &grad, at, pixels, c, own.channels - c, sums);
}

/* ---- dz -------------------------------------------------------------------------------------- */
typedef struct dz_job {
  const asl_norm *norm;
  const asl_norm_grad *grad;
  const float *offset, *slope; /* dz = scale (g - offset - slope (z - mean)) */
} dz_job;

ALWAYS_INLINE void dz_lanes(const asl_norm *n, const asl_norm_grad *grad, const dz_job *k,
                            int64_t at, int64_t c, int64_t lanes) {
  v8 g = masked(n, grad, at, c, lanes);
  if (grad->dresidual) v8_store_some(grad->dresidual + at + c, g, lanes);
  if (!grad->dz) return;
  if (grad->training) {
    v8 centred = v8_sub(v8_load_some(grad->z + at + c, lanes), v8_load_some(n->mean + c, lanes));
    g = v8_sub(g, v8_load_some(k->offset + c, lanes));
    g = v8_sub(g, v8_mul(v8_load_some(k->slope + c, lanes), centred));
  }
  v8_store_some(grad->dz + at + c, v8_mul(v8_load_some(n->scale + c, lanes), g), lanes);
}

static void dz_block(void *context, int64_t block) {
  const dz_job own = *(const dz_job *)context;
  const asl_norm n = *own.norm;
  const asl_norm_grad grad = *own.grad;
  int64_t pixels, at = block_start(block, n.pixels, n.channels, &pixels);
  for (int64_t i = 0; i < pixels; i++, at += n.channels) {
    int64_t c = 0;
    for (; c + LANES <= n.channels; c += LANES) dz_lanes(&n, &grad, &own, at, c, LANES);
    if (c < n.channels) dz_lanes(&n, &grad, &own, at, c, n.channels - c);
  }
}

/* dgamma, dbeta, and the mean terms of dz. */
static void combine_sums(const sums_job *k, float *offset, float *slope) {
  const asl_norm *n = k->norm;
  int64_t channels = n->channels, blocks = block_count(n->pixels, channels);
  double sum[CHANNELS], moment[CHANNELS], count = (double)n->pixels;
  for (int64_t first = 0; first < channels; first += CHANNELS) {
    int64_t here = min_i64(CHANNELS, channels - first);
    add_blocks(k->partial, blocks, 2 * channels, first, here, sum);
    add_blocks(k->partial, blocks, 2 * channels, channels + first, here, moment);
    for (int64_t i = 0; i < here; i++) {
      int64_t c = first + i;
      double rstd = (double)n->rstd[c], xhat_sum = moment[i] * rstd;
      if (k->grad->dbeta) k->grad->dbeta[c] = (float)sum[i];
      if (k->grad->dgamma) k->grad->dgamma[c] = (float)xhat_sum;
      offset[c] = (float)(sum[i] / count);
      slope[c] = (float)(xhat_sum * rstd / count);
    }
  }
}

asl_status norm_backward(const asl_norm *n, const asl_norm_grad *grad) {
  int64_t channels = n->channels, blocks = block_count(n->pixels, channels);
  void *taken;
  ASL_TRY(take_scratch((blocks + 1) * 2 * channels * (int64_t)sizeof(float), &taken));
  float *partial = taken;
  float *offset = partial + blocks * 2 * channels, *slope = offset + channels;
  if (grad->training || grad->dgamma || grad->dbeta) {
    sums_job sums = {n, grad, partial};
    asl_parallel(blocks, sum_block, &sums);
    combine_sums(&sums, offset, slope);
  }
  if (grad->dz || grad->dresidual) {
    dz_job k = {n, grad, offset, slope};
    asl_parallel(blocks, dz_block, &k);
  }
  asl_pool_give(partial);
  return ASL_OK;
}
