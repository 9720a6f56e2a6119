/* Batch normalisation over (pixels, channels) arrays; shared by batch_norm and conv_bn_act.
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
#define norm_add_bias ASL_LOCAL(asl_norm_add_bias)
#define norm_column_sums ASL_LOCAL(asl_norm_column_sums)
#define norm_moments_new ASL_LOCAL(asl_norm_moments_new)
#define norm_moments_of ASL_LOCAL(asl_norm_moments_of)
#define norm_batch ASL_LOCAL(asl_norm_batch)
#define norm_running ASL_LOCAL(asl_norm_running)
#define norm_scale ASL_LOCAL(asl_norm_scale)
#define norm_apply ASL_LOCAL(asl_norm_apply)
#define norm_apply_all ASL_LOCAL(asl_norm_apply_all)
#define norm_backward ASL_LOCAL(asl_norm_backward)

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

/* z += bias */
void norm_add_bias(float *z, const float *bias, int64_t pixels, int64_t channels);
/* sums[c] = sum over pixels of x. ASL_ENOMEM. */
asl_status norm_column_sums(const float *x, int64_t pixels, int64_t channels, float *sums);

/* ---- statistics ------------------------------------------------------------------------------ */
typedef struct asl_moments { /* of `blocks` blocks of pixels */
  int64_t blocks, channels;
  float *record; /* per block: count, mean (channels), sum of squared deviations (channels) */
} asl_moments;

/* Takes the records from the pool; asl_pool_give(record) frees them. ASL_ENOMEM; ASL_EINVAL when
 * `pixels`, the number of values per channel, is 1. */
asl_status norm_moments_new(int64_t blocks, int64_t channels, int64_t pixels, asl_moments *out);
/* Fills in the record of `block`, whose pixels begin at z. */
void norm_moments_of(asl_moments *m, int64_t block, const float *z, int64_t pixels);

/* mean and rstd of the merged blocks; running statistics move by `momentum` towards them, the
 * variance as its unbiased estimate. */
void norm_batch(asl_norm *n, const asl_moments *m, double eps, double momentum,
                float *running_mean, float *running_var);
/* mean and rstd from running statistics. */
void norm_running(asl_norm *n, const float *running_mean, const float *running_var, double eps);
/* scale = gamma rstd; the two functions above do it as well. */
void norm_scale(asl_norm *n);

/* y from z for some pixels; residual may be NULL, y may be z. The second for all, in parallel. */
void norm_apply(const asl_norm *n, const float *z, const float *residual, float *y, int64_t pixels);
void norm_apply_all(const asl_norm *n, const float *z, const float *residual, float *y);

/* ---- gradients ------------------------------------------------------------------------------- */
/* With g = dy where y > 0 (without ReLU: dy) and xhat = (z - mean) rstd:
 *   dgamma = sum g xhat, dbeta = sum g, dresidual = g,
 *   dz = scale (g - mean(g) - xhat mean(g xhat)) when training, else scale g.
 * Outputs may be NULL; n->scale must be set. ASL_ENOMEM. */
typedef struct asl_norm_grad {
  const float *z, *residual, *dy;
  bool training;
  float *dz, *dgamma, *dbeta, *dresidual;
} asl_norm_grad;
asl_status norm_backward(const asl_norm *n, const asl_norm_grad *grad);

#endif
