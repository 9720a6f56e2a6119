/* Dense k x k convolutions by cuDNN, which is loaded when it is first asked for; without it, or where it does
 * not support a shape, the caller computes them otherwise. Algorithms come from a fixed table: none is timed,
 * none is nondeterministic, so that a run gives the same bits every time. */
#ifndef ASL_CUDA_CUDNN_H
#define ASL_CUDA_CUDNN_H

#include "cuda/conv.h"

enum cudnn_pass { CUDNN_PASS_FORWARD, CUDNN_PASS_DATA, CUDNN_PASS_WEIGHT };

#ifndef ASL_EMULATED
/* True where cuDNN is there and has the table's algorithm for this shape. */
bool cudnn_takes(const conv_shape *s, enum cudnn_pass pass, asl_dtype dtype);

/* Only where cudnn_takes(). As the dense_ functions of conv_kernels.h. */
asl_status cudnn_forward(const conv_shape *s, const void *x, asl_dtype dtype, const float *weight, void *z);
asl_status cudnn_backward_data(const conv_shape *s, const float *weight, const void *dz, asl_dtype dtype, void *dx);
asl_status cudnn_backward_weight(const conv_shape *s, const void *x, asl_dtype dtype, const void *dz, float *dweight);

const char *cudnn_describe(void);
#else
static inline bool cudnn_takes(const conv_shape *, enum cudnn_pass, asl_dtype) { return false; }
static inline asl_status cudnn_forward(const conv_shape *, const void *, asl_dtype, const float *, void *) {
  return asl_fail(ASL_ENOTSUP, "the emulator has no cuDNN");
}
static inline asl_status cudnn_backward_data(const conv_shape *, const float *, const void *, asl_dtype, void *) {
  return asl_fail(ASL_ENOTSUP, "the emulator has no cuDNN");
}
static inline asl_status cudnn_backward_weight(const conv_shape *, const void *, asl_dtype, const void *, float *) {
  return asl_fail(ASL_ENOTSUP, "the emulator has no cuDNN");
}
static inline const char *cudnn_describe(void) { return "im2col and matrix products"; }
#endif

#endif
