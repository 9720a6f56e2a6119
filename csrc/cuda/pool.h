/* Adaptive average pooling at up to four resolutions: what adaptive_avg_pool and pyramid_pool are made of. */
#ifndef ASL_CUDA_POOL_H
#define ASL_CUDA_POOL_H

#include "cuda/cuda.h"

enum { POOL_LEVELS = 4 };

/* pooled[k] (N, b, b', C) = the means of x (N, h, w, C) over the windows of level k. Each level reads x, which is
 * small wherever there are several. */
asl_status pool_forward(const asl_tensor *x, asl_tensor *const pooled[], int levels);

/* dx from the gradients of the levels. */
asl_status pool_backward(asl_tensor *const dpooled[], int levels, asl_tensor *dx);

#endif
