/* Batch normalisation over (pixels, channels) arrays; shared by batch_norm, conv_bn_act and the
 * kernels that read pending tensors.
 *
 *   y = act((z - mean) scale + beta + residual),  scale = gamma rstd, act = ReLU or nothing.
 *
 * Statistics are two-pass within a block of pixels that is in the cache, and blocks are merged in
 * order in double (Chan, Golub & LeVeque 1983). */
#ifndef ASL_CPU_NORM_H
#define ASL_CPU_NORM_H

#include "cpu/cpu.h"

#define norm_new ASL_LOCAL(asl_norm_new)
#define norm_free ASL_LOCAL(asl_norm_free)
#define norm_column_sums ASL_LOCAL(asl_norm_column_sums)
#define norm_moments_new ASL_LOCAL(asl_norm_moments_new)
#define norm_moments_of ASL_LOCAL(asl_norm_moments_of)
#define norm_batch ASL_LOCAL(asl_norm_batch)
#define norm_running ASL_LOCAL(asl_norm_running)
#define norm_scale ASL_LOCAL(asl_norm_scale)
#define norm_apply ASL_LOCAL(asl_norm_apply)
#define norm_apply_all ASL_LOCAL(asl_norm_apply_all)
#define norm_settle ASL_LOCAL(asl_norm_settle)
#define norm_source ASL_LOCAL(asl_norm_source)
#define norm_source_rows ASL_LOCAL(asl_norm_source_rows)
#define norm_gradient_new ASL_LOCAL(asl_norm_gradient_new)
#define norm_gradient_free ASL_LOCAL(asl_norm_gradient_free)
#define norm_gradient_rows ASL_LOCAL(asl_norm_gradient_rows)
#define norm_gradient_all ASL_LOCAL(asl_norm_gradient_all)
#define norm_sums_rows ASL_LOCAL(asl_norm_sums_rows)
#define norm_sums_all ASL_LOCAL(asl_norm_sums_all)

typedef struct asl_norm {
  int64_t pixels, channels;
  const float *gamma, *beta;
  float *mean, *rstd, *scale; /* (channels) each */
  bool relu;
  float *scratch; /* PRIVATE */
} asl_norm;

/* For z of `pixels` x channels of gamma. mean and rstd are used where they are given, to read (a
 * gradient) or to write; otherwise they are scratch. norm_free() when done. ASL_ENOMEM. */
asl_status norm_new(asl_norm *n, int64_t pixels, const asl_tensor *gamma, const asl_tensor *beta,
                    const asl_tensor *mean, const asl_tensor *rstd, bool relu);
void norm_free(asl_norm *n);

/* sums[c] = sum over pixels of x. ASL_ENOMEM. */
asl_status norm_column_sums(const float *x, int64_t pixels, int64_t channels, float *sums);

/* Channels [first, first + count) of some pixels: what a kernel has in the cache. */
typedef struct asl_window {
  int64_t pixel, pixels, first, count;
} asl_window;

/* ---- statistics ------------------------------------------------------------------------------ */
typedef struct asl_moments { /* of `blocks` blocks of pixels */
  int64_t blocks, channels;
  float *record; /* per block: count, mean (channels), sum of squared deviations (channels) */
} asl_moments;

/* Takes the records from the pool; asl_pool_give(record) frees them. ASL_ENOMEM; ASL_EINVAL when
 * `pixels`, the number of values per channel, is 1. */
asl_status norm_moments_new(int64_t blocks, int64_t channels, int64_t pixels, asl_moments *out);
/* Fills in the window's channels of the record of `block`, which is the window's pixels of z. */
void norm_moments_of(asl_moments *m, int64_t block, const float *z, const asl_window *w);

/* mean and rstd of the merged blocks; running statistics move by `momentum` towards them, the
 * variance as its unbiased estimate. */
void norm_batch(asl_norm *n, const asl_moments *m, double eps, double momentum, float *running_mean,
                float *running_var);
/* mean and rstd from running statistics. */
void norm_running(asl_norm *n, const float *running_mean, const float *running_var, double eps);
/* scale = gamma rstd; the two functions above do it as well. */
void norm_scale(asl_norm *n);

/* y from z for a window of both; residual may be NULL, y may be z. The second for all, in
 * parallel. */
void norm_apply(const asl_norm *n, const float *z, const float *residual, float *y,
                const asl_window *w);
void norm_apply_all(const asl_norm *n, const float *z, const float *residual, float *y);

/* asl_backend.settle */
asl_status norm_settle(const asl_pending *pending, void *y);

/* ---- reading --------------------------------------------------------------------------------- */
/* The values of a tensor, to be normalised as they are read when it is pending. */
typedef struct asl_source {
  const float *data; /* y, or z when `pending` */
  bool pending;
  const float *z; /* what y is made from, also once it is settled; NULL: an ordinary tensor */
  asl_norm norm;  /* of z */
} asl_source;
asl_source norm_source(const asl_tensor *x);

/* The window's values to rows of `stride` floats, of which `padded` are written: the channels, then
 * 0; padded is a multiple of 8. */
void norm_source_rows(const asl_source *s, const asl_window *w, float *to, int64_t stride,
                      int64_t padded);

/* ---- gradients ------------------------------------------------------------------------------- */
/* With g = dy where y > 0 (without ReLU: dy) and xhat = (z - mean) rstd:
 *   dgamma = sum g xhat, dbeta = sum g, dresidual = g,
 *   dz = scale (g - mean(g) - xhat mean(g xhat)) when training, else scale g,
 * where dz is computed as it is read. */
typedef struct asl_gradient {
  const float *dy;
  int64_t channels;
  const asl_norm *norm; /* NULL: dz is dy itself */
  const float *z, *residual;
  float *dresidual;      /* written along with dz, or NULL */
  float *slope, *offset; /* dz = scale (g + offset + slope (z - mean)) */
  void *scratch;         /* PRIVATE */
} asl_gradient;

typedef struct asl_norm_grad {
  const float *z, *residual, *dy;
  const double *dy_sums; /* the sums of g and g (z - mean), or NULL: they are taken here */
  bool training;
  float *dgamma, *dbeta; /* may be NULL */
} asl_norm_grad;

/* Sums over pixels, dgamma and dbeta; *out reads dz. n->scale must be set; n must outlive *out.
 * norm_gradient_free() when done. ASL_ENOMEM. */
asl_status norm_gradient_new(const asl_norm *n, const asl_norm_grad *grad, asl_gradient *out);
void norm_gradient_free(asl_gradient *gradient);

/* As norm_source_rows(). */
void norm_gradient_rows(const asl_gradient *g, const asl_window *w, float *to, int64_t stride,
                        int64_t padded);
/* dz of all pixels, in parallel; NULL: only dresidual. */
void norm_gradient_all(const asl_gradient *g, int64_t pixels, float *dz);

/* The first pass of the gradient of the block that made a pending x, taken while dx is in the
 * cache: sums[0..count) += g, sums[count..2 count) += g (z - mean) over the window, at most some
 * hundred pixels, of dx; `x` are the window's normalised values in rows of `stride` floats. */
void norm_sums_rows(const asl_source *s, const asl_window *w, const float *dx, const float *x,
                    int64_t stride, double *sums);
/* The same for all of dx, in parallel; sums are overwritten. ASL_ENOMEM. */
asl_status norm_sums_all(const asl_source *s, const float *dx, double *sums);

#endif
