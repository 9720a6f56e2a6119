/* Convolution on the device: what conv2d and conv_bn_act are made of. NHWC; x, dx, z, dz f32 or bf16, of one
 * dtype; weights and their gradients f32; sums f32, those over many pixels combined in double.
 *
 *   groups = C = O             depthwise.cu: own kernels, which normalise x as they load it
 *   C <= 4, one group          dense_first.cu: own kernels (a network's first layer), but for dx
 *   1x1 with stride 1          dense.cu: matrix products of x as it lies
 *   any other                  cudnn.cu on a GPU that has cuDNN; else dense.cu: im2col and matrix products */
#ifndef ASL_CUDA_CONV_H
#define ASL_CUDA_CONV_H

#include "cuda/cuda.h"

typedef struct conv_shape { /* x (n,h,w,c), weight (o,kh,kw,c/groups), y (n,oh,ow,o) */
  int n, h, w, c, o, kh, kw, oh, ow, stride, padding, dilation, groups;
  int too_large; /* a size or a coordinate does not fit into an int: the functions below refuse */
} conv_shape;

/* Values that may still have to be normalised as they are read: act((x - mean) scale + beta), or x where mean is
 * NULL. */
typedef struct normalised {
  const void *x;
  const float *mean, *scale, *beta; /* (C) each */
  asl_dtype dtype;                  /* ASL_F32 or ASL_BF16 */
  int relu;
} normalised;

conv_shape conv_shape_of(const asl_tensor *x, const asl_tensor *weight, const asl_tensor *y, int64_t stride,
                         int64_t padding, int64_t dilation, int64_t groups);

/* The tensor as it lies, or what it is made from where it is pending and has not been settled. */
normalised normalised_of(const asl_tensor *x);

/* True where the kernels below normalise on load for this convolution; otherwise the caller settles x first. */
bool conv_takes_pending(const conv_shape *s);

/* z = conv2d(x, weight) + bias; z has x's dtype. bias may be NULL. ASL_ENOMEM, ASL_ENOTSUP. */
asl_status conv_forward(const conv_shape *s, normalised x, const float *weight, const float *bias, void *z);

/* dx and dweight, written (not added to); what is not wanted is NULL. From one pass over dz where the kernel
 * can. ASL_ENOMEM, ASL_ENOTSUP. */
asl_status conv_backward(const conv_shape *s, normalised x, const float *weight, const void *dz, void *dx,
                         float *dweight);
asl_status conv_backward_data(const conv_shape *s, const float *weight, const void *dz, asl_dtype dtype, void *dx);
asl_status conv_backward_weight(const conv_shape *s, normalised x, const void *dz, float *dweight);

/* dbias (O): the sum of dz (rows, O) over rows. */
asl_status conv_backward_bias(int64_t rows, int64_t channels, const void *dz, asl_dtype dtype, float *dbias);

/* Which library computes dense k x k convolutions, and with which algorithms: for a run's manifest. */
const char *conv_algorithms(void);

#endif
