/* Batch normalisation over (pixels, channels) arrays; shared by batch_norm and conv_bn_act.
 *
 *   y = act((z - mean) scale + beta + residual),  scale = gamma rstd, act = ReLU or nothing.
 *
 * z, y and residual are f32 or bf16, all of one dtype; everything else is f32. Statistics take one
 * pass over z: every thread sums a short run of values in f32 about the mean of its first few, and
 * these sums are combined in double in an order that depends on the sizes only. */
#ifndef ASL_CUDA_NORM_H
#define ASL_CUDA_NORM_H

#include "cuda/cuda.h"

/* What is normalised with, (channels) each. The scale is gamma rstd; gamma / sqrt(var + eps) where var
 * is given in place of rstd; gamma itself where neither is. */
typedef struct norm_terms {
  const float *mean, *gamma, *beta, *rstd, *var;
  float eps;
  int32_t relu;
} norm_terms;

typedef struct norm_statistics {
  int64_t pixels, channels;
  const float *gamma, *beta;
  float *running_mean, *running_var;
  double eps, momentum;
  float *mean, *rstd; /* results, both or neither wanted: NULL */
  float *affine;      /* (3, channels), asl_pending's: mean, scale, beta; NULL: not wanted */
} norm_statistics;

/* ASL_EINVAL when there is one value per channel only, of which training knows no variance. */
asl_status norm_check_training(int64_t pixels, int64_t channels);

/* Takes the statistics of z, to be read through *out. training: the batch's, towards which the running ones
 * move by `momentum`, the variance as its unbiased estimate. Otherwise the running ones, z is not read, and
 * without results there is nothing to compute. What has no other place lies in `own`, which must outlive *out. */
asl_status norm_take(const norm_statistics *s, bool training, const void *z, asl_dtype dtype, scratch *own,
                     norm_terms *out);

/* y from z; residual may be NULL, y may be z. */
asl_status norm_apply(const norm_terms *n, int64_t pixels, int64_t channels, asl_dtype dtype, const void *z,
                      const void *residual, void *y);

/* What a pending tensor is normalised with. */
norm_terms norm_terms_of(const asl_pending *pending);

/* asl_backend.settle */
asl_status norm_settle(const asl_pending *pending, void *y);

#endif
