/* Gradients of batch normalisation (norm.h). With g = dy where y > 0 (without ReLU: dy) and
 * xhat = (z - mean) rstd:
 *
 *   dgamma = sum g xhat, dbeta = sum g, dresidual = g,
 *   dz = scale (g - mean(g) - xhat mean(g xhat)) when training, else scale g.
 *
 * Two passes: the sums, each thread's in f32 over a short run of pixels and from there in double, in an
 * order that depends on the sizes only; then dz and dresidual. The first falls away where its sums are known. */
#ifndef ASL_CUDA_NORM_GRADIENT_H
#define ASL_CUDA_NORM_GRADIENT_H

#include "cuda/norm.h"

typedef struct norm_gradient {
  int64_t pixels, channels;
  asl_dtype dtype;               /* of z, residual, dy, dz and dresidual */
  const void *z, *residual, *dy; /* residual may be NULL */
  norm_terms terms;              /* with rstd */
  const double *dy_sums;         /* (2, channels): the sums of g and g (z - mean), or NULL: they are taken here */
  bool training;
  float *dgamma, *dbeta, *dbias; /* results, any may be NULL; dbias: of what z was shifted by */
  void *dz, *dresidual;
} norm_gradient;

asl_status norm_backward(const norm_gradient *g);

/* sums (2, channels): the first pass of the gradient of the block that made a pending tensor, from that
 * tensor's gradient dx. */
asl_status norm_sums(const asl_pending *pending, const void *dx, double *sums);

#endif
