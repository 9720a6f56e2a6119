/* Moving elements as they are. */
#ifndef ASL_CUDA_ASSIGN_H
#define ASL_CUDA_ASSIGN_H

#include "cuda/cuda.h"

/* y := x, broadcast to y's shape; one dtype, any strides. They do not overlap. */
asl_status move_elements(asl_tensor *y, asl_tensor *x);

#endif
