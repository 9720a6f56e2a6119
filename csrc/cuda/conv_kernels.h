/* The kinds of convolutions behind conv.h, and what their kernels share. Pictures are not empty here. */
#ifndef ASL_CUDA_CONV_KERNELS_H
#define ASL_CUDA_CONV_KERNELS_H

#include "cuda/conv.h"

/* ---- groups = C = O ------------------------------------------------------------------------------------ */
asl_status depthwise_forward(const conv_shape *s, normalised x, const float *weight, const float *bias, void *z);
/* x.x may be NULL where dweight is. */
asl_status depthwise_backward(const conv_shape *s, normalised x, const float *weight, const void *dz, void *dx,
                              float *dweight);

/* 3x3 without dilation, stride 1 or 2: depthwise3.cu and depthwise3_gradient.cu. The others: depthwise.cu. */
static inline bool depthwise3_takes(const conv_shape *s) {
  return s->kh == 3 && s->kw == 3 && s->dilation == 1 && s->stride <= 2;
}
asl_status depthwise3_forward(const conv_shape *s, normalised x, const float *weight, const float *bias, void *z);
asl_status depthwise3_backward(const conv_shape *s, normalised x, const float *weight, const void *dz, void *dx,
                               float *dweight);

/* ---- few input channels -------------------------------------------------------------------------------- */
bool first_takes(const conv_shape *s);
asl_status first_forward(const conv_shape *s, const void *x, asl_dtype dtype, const float *weight, const float *bias,
                         void *z);
asl_status first_backward_weight(const conv_shape *s, const void *x, asl_dtype dtype, const void *dz, float *dweight);

/* ---- any other ----------------------------------------------------------------------------------------- */
asl_status dense_forward(const conv_shape *s, const void *x, asl_dtype dtype, const float *weight, void *z);
asl_status dense_backward_data(const conv_shape *s, const float *weight, const void *dz, asl_dtype dtype, void *dx);
asl_status dense_backward_weight(const conv_shape *s, const void *x, asl_dtype dtype, const void *dz, float *dweight);

/* ---- parts --------------------------------------------------------------------------------------------- */
/* 1x1, stride 1, no padding: x is the matrix of columns itself. */
static inline bool is_pointwise(const conv_shape *s) {
  return s->kh == 1 && s->kw == 1 && s->stride == 1 && s->padding == 0;
}
static inline int64_t input_pixels(const conv_shape *s) { return (int64_t)s->n * s->h * s->w; }
static inline int64_t weight_count(const conv_shape *s) {
  return (int64_t)s->o * s->kh * s->kw * (s->c / s->groups);
}
static inline int64_t output_pixels(const conv_shape *s) { return (int64_t)s->n * s->oh * s->ow; }

/* The weights as the products take them: themselves, or rounded to bf16 in `taken`. */
asl_status weights_as(const float *weight, int64_t count, asl_dtype dtype, scratch *taken, const void **out);

/* z (rows, channels) += bias */
asl_status add_bias(int64_t rows, int64_t channels, const float *bias, asl_dtype dtype, void *z);

/* out[column][row] = the sum over chunks, in order, of partial[chunk][row][column]: as (chunks, rows, columns). */
asl_status combine_partials(const double *partial, int64_t chunks, int64_t rows, int64_t columns, float *out);

#endif
