/* Gradients of batch normalisation. */
#include "cpu/kernel.h"
#include "cpu/norm.h"
#include "cpu/norm_value.h"
#include "cpu/simd.h"

enum {
  WIDE = 4,   /* vectors of channels at a time in loops over pixels */
  PIXELS = 4, /* at a time in loops over channels */
};

/* ---- sums of g and g (z - mean) -------------------------------------------------------------- */
typedef struct sums_job {
  const asl_norm *norm;
  const asl_norm_grad *grad;
  float *partial; /* (block, 2, channels) */
} sums_job;

/* dy where the activation let the value through, at one vector of the pixel that begins at `at`. */
ALWAYS_INLINE v8 masked(const asl_norm *n, const float *dy, const float *z, const float *residual,
                        int64_t at, int64_t c, int64_t lanes) {
  v8 g = v8_load_some(dy + at + c, lanes);
  if (!n->relu) return g;
  return v8_where_positive(norm_value(n, z + at, residual ? residual + at : NULL, c, lanes), g);
}

ALWAYS_INLINE void sum_lanes(const asl_norm *n, const asl_norm_grad *grad, const asl_window *w,
                             int64_t c, int64_t lanes, float *sums) {
  v8 sum = v8_zero(), moment = v8_zero(), mean = v8_load_some(n->mean + c, lanes);
  int64_t at = w->pixel * n->channels;
  for (int64_t i = 0; i < w->pixels; i++, at += n->channels) {
    v8 g = masked(n, grad->dy, grad->z, grad->residual, at, c, lanes);
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
  asl_window w = norm_block(block, own.pixels, own.channels);
  int64_t c = 0;
  float *sums = k->partial + block * 2 * own.channels;
  for (; c + LANES <= own.channels; c += LANES) sum_lanes(&own, &grad, &w, c, LANES, sums);
  if (c < own.channels) sum_lanes(&own, &grad, &w, c, own.channels - c, sums);
}

/* (2, channels) */
static asl_status take_sums(const asl_norm *n, const asl_norm_grad *grad, double *sums) {
  int64_t blocks = norm_block_count(n->pixels, n->channels), row = 2 * n->channels;
  void *partial;
  ASL_TRY(take_scratch(blocks * row * (int64_t)sizeof(float), &partial));
  sums_job k = {n, grad, partial};
  asl_parallel(blocks, sum_block, &k);
  memset(sums, 0, (size_t)row * sizeof *sums);
  for (int64_t b = 0; b < blocks; b++)
    for (int64_t c = 0; c < row; c++) sums[c] += (double)k.partial[b * row + c];
  asl_pool_give(partial);
  return ASL_OK;
}

asl_status norm_sums_all(const asl_source *s, const float *dx, double *sums) {
  asl_norm_grad grad = {.z = s->z, .dy = dx};
  return take_sums(&s->norm, &grad, sums);
}

/* A few vectors of channels, of which the last has `lanes`. */
ALWAYS_INLINE void add_sums(int vectors, bool relu, int64_t lanes, const asl_norm *n,
                            const float *z, const float *dx, const float *x, int64_t stride,
                            int64_t pixels, int64_t channel, double *sums, double *moments) {
  v8 sum[WIDE], moment[WIDE], mean[WIDE];
  UNROLL for (int v = 0; v < vectors; v++) {
    sum[v] = moment[v] = v8_zero();
    mean[v] = v8_load_some(n->mean + channel + v * LANES, lanes - v * LANES);
  }
  for (int64_t i = 0; i < pixels; i++, z += n->channels, dx += n->channels, x += stride) {
    UNROLL for (int v = 0; v < vectors; v++) {
      v8 g = v8_load_some(dx + v * LANES, lanes - v * LANES);
      if (relu) g = v8_where_positive(v8_load(x + v * LANES), g);
      sum[v] = v8_add(sum[v], g);
      v8 centred = v8_sub(v8_load_some(z + v * LANES, lanes - v * LANES), mean[v]);
      moment[v] = v8_fma(g, centred, moment[v]);
    }
  }
  for (int v = 0; v < vectors; v++) {
    float part[2][LANES];
    v8_store(part[0], sum[v]);
    v8_store(part[1], moment[v]);
    for (int64_t i = 0; i < min_i64(lanes - v * LANES, LANES); i++) {
      sums[v * LANES + i] += (double)part[0][i];
      moments[v * LANES + i] += (double)part[1][i];
    }
  }
}

ALWAYS_INLINE void sums_rows(bool relu, const asl_source *s, const asl_window *w, const float *dx,
                             const float *x, int64_t stride, double *sums) {
  enum { STEP = WIDE * LANES };
  const asl_norm n = s->norm; /* which the compiler sees nobody write */
  const int64_t at = w->pixel * n.channels + w->first, count = w->count, pixels = w->pixels;
  const float *z = s->z + at;
  int64_t c = 0;
  dx += at;
  for (; c + STEP <= count; c += STEP)
    add_sums(WIDE, relu, STEP, &n, z + c, dx + c, x + c, stride, pixels, w->first + c, sums + c,
             sums + count + c);
  for (; c < count; c += LANES)
    add_sums(1, relu, count - c, &n, z + c, dx + c, x + c, stride, pixels, w->first + c, sums + c,
             sums + count + c);
}

/* The lanes behind the last channel are 0, as those of the mask. */
void norm_sums_rows(const asl_source *s, const asl_window *w, const float *dx, const float *x,
                    int64_t stride, double *sums) {
  if (s->norm.relu) sums_rows(true, s, w, dx, x, stride, sums);
  else sums_rows(false, s, w, dx, x, stride, sums);
}

/* ---- dz -------------------------------------------------------------------------------------- */
/* dz of one vector of channels of `pixels` pixels, the first of which begins at `at`. `extra`: there
 * may be a residual, or dresidual is wanted. */
ALWAYS_INLINE void dz_vector(int pixels, bool relu, bool extra, const asl_gradient *k,
                             const asl_norm *n, int64_t at, int64_t c, int64_t lanes, v8 dz[]) {
  const v8 mean = v8_load_some(n->mean + c, lanes), scale = v8_load_some(n->scale + c, lanes);
  const v8 beta = v8_load_some(n->beta + c, lanes);
  const v8 slope = v8_load_some(k->slope + c, lanes), offset = v8_load_some(k->offset + c, lanes);
  UNROLL for (int i = 0; i < pixels; i++, at += n->channels) {
    v8 g = v8_load_some(k->dy + at + c, lanes);
    v8 centred = v8_sub(v8_load_some(k->z + at + c, lanes), mean);
    if (relu) {
      v8 y = v8_fma(centred, scale, beta); /* as norm_value() */
      if (extra && k->residual) y = v8_add(y, v8_load_some(k->residual + at + c, lanes));
      g = v8_where_positive(y, g);
    }
    if (extra && k->dresidual) v8_store_some(k->dresidual + at + c, g, lanes);
    dz[i] = v8_mul(scale, v8_add(v8_add(g, offset), v8_mul(slope, centred)));
  }
}

static void copy_rows(const asl_gradient *g, const asl_window *w, float *to, int64_t stride,
                      int64_t padded) {
  asl_source dy = {.data = g->dy, .norm = {.channels = g->channels}};
  norm_source_rows(&dy, w, to, stride, padded);
}

ALWAYS_INLINE void dz_pixels(int pixels, bool relu, bool extra, const asl_gradient *k,
                             const asl_norm *n, const asl_window *w, int64_t pixel, float *to,
                             int64_t stride, int64_t padded) {
  const int64_t at = pixel * n->channels, end = w->first + w->count;
  int64_t c = w->first, t = 0;
  v8 dz[PIXELS];
  for (; c + LANES <= end; c += LANES, t += LANES) {
    dz_vector(pixels, relu, extra, k, n, at, c, LANES, dz);
    UNROLL for (int i = 0; i < pixels; i++) v8_store(to + i * stride + t, dz[i]);
  }
  if (c < end) {
    dz_vector(pixels, relu, extra, k, n, at, c, end - c, dz);
    UNROLL for (int i = 0; i < pixels; i++) v8_store(to + i * stride + t, dz[i]);
    t += LANES;
  }
  for (; t < padded; t += LANES)
    UNROLL for (int i = 0; i < pixels; i++) v8_store(to + i * stride + t, v8_zero());
}

ALWAYS_INLINE void dz_rows(bool relu, bool extra, const asl_gradient *g, const asl_window *given,
                           float *to, int64_t stride, int64_t padded) {
  const asl_gradient own = *g; /* which the compiler sees nobody write */
  const asl_norm n = *g->norm;
  const asl_window w = *given;
  const bool apart = w.count < n.channels;
  int64_t i = 0;
  for (; i + PIXELS <= w.pixels; i += PIXELS) {
    if (apart) {
      ask_ahead(own.dy + (w.pixel + i) * n.channels, &w, n.channels, PIXELS);
      ask_ahead(own.z + (w.pixel + i) * n.channels, &w, n.channels, PIXELS);
    }
    dz_pixels(PIXELS, relu, extra, &own, &n, &w, w.pixel + i, to + i * stride, stride, padded);
  }
  for (; i < w.pixels; i++)
    dz_pixels(1, relu, extra, &own, &n, &w, w.pixel + i, to + i * stride, stride, padded);
}

void norm_gradient_rows(const asl_gradient *g, const asl_window *w, float *to, int64_t stride,
                        int64_t padded) {
  if (!g->norm) copy_rows(g, w, to, stride, padded);
  else if (!g->norm->relu) dz_rows(false, true, g, w, to, stride, padded);
  else if (g->residual || g->dresidual) dz_rows(true, true, g, w, to, stride, padded);
  else dz_rows(true, false, g, w, to, stride, padded);
}

/* To an array without padding. */
typedef struct dz_job {
  const asl_gradient *gradient;
  int64_t pixels;
  float *dz; /* NULL: only dresidual */
} dz_job;

static void dz_block(void *context, int64_t block) {
  const dz_job *job = context;
  const asl_gradient own = *job->gradient;
  const asl_norm n = *own.norm;
  asl_window w = norm_block(block, job->pixels, n.channels);
  int64_t at = w.pixel * n.channels;
  for (int64_t i = 0; i < w.pixels; i++, at += n.channels) {
    for (int64_t c = 0; c < n.channels; c += LANES) {
      v8 dz;
      dz_vector(1, n.relu, true, &own, &n, at, c, n.channels - c, &dz);
      if (job->dz) v8_store_some(job->dz + at + c, dz, n.channels - c);
    }
  }
}

void norm_gradient_all(const asl_gradient *g, int64_t pixels, float *dz) {
  dz_job k = {g, pixels, dz};
  asl_parallel(norm_block_count(pixels, g->channels), dz_block, &k);
}

/* ---- the whole ------------------------------------------------------------------------------- */
/* dgamma, dbeta, and the mean terms of dz. */
static void use_sums(const asl_norm *n, const asl_norm_grad *grad, const double *sums,
                     asl_gradient *out) {
  double count = (double)n->pixels;
  for (int64_t c = 0; c < n->channels; c++) {
    double rstd = (double)n->rstd[c], sum = sums[c], xhat_sum = sums[n->channels + c] * rstd;
    if (grad->dbeta) grad->dbeta[c] = (float)sum;
    if (grad->dgamma) grad->dgamma[c] = (float)xhat_sum;
    out->slope[c] = grad->training ? (float)(-xhat_sum * rstd / count) : 0.0f;
    out->offset[c] = grad->training ? (float)(-sum / count) : 0.0f;
  }
}

asl_status norm_gradient_new(const asl_norm *n, const asl_norm_grad *grad, asl_gradient *out) {
  int64_t channels = n->channels;
  void *taken;
  ASL_TRY(take_scratch(2 * channels * (int64_t)(sizeof(double) + sizeof(float)), &taken));
  double *sums = taken;
  float *terms = (float *)(void *)(sums + 2 * channels);
  *out = (asl_gradient){.dy = grad->dy, .channels = channels, .norm = n, .z = grad->z,
                        .residual = grad->residual, .slope = terms, .offset = terms + channels,
                        .scratch = taken};
  asl_status status = ASL_OK;
  if (grad->dy_sums) memcpy(sums, grad->dy_sums, 2 * (size_t)channels * sizeof *sums);
  else if (grad->training || grad->dgamma || grad->dbeta) status = take_sums(n, grad, sums);
  else memset(sums, 0, 2 * (size_t)channels * sizeof *sums);
  if (status == ASL_OK) use_sums(n, grad, sums, out);
  else asl_pool_give(taken);
  return status;
}

void norm_gradient_free(asl_gradient *gradient) { asl_pool_give(gradient->scratch); }
