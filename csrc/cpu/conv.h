/* Convolutions on the CPU: geometry, and the three products of a convolution.
 *
 * The general kernel gathers nothing into an im2col matrix for the forward pass and the data
 * gradient. Both compute lines of pixels; for a run of pixels of a line the same kernel taps hit
 * existing source pixels, so that a run is a small matrix product whose left side is read in place:
 *   y line       an output row;                    source x, pixel t reads x at t stride + tap
 *   dx line      every stride-th pixel of an input row;  source dy, pixel t reads dy at t + tap
 * A line is cut into blocks of pixels, which are the chunks of the thread pool. */
#ifndef ASL_CPU_CONV_H
#define ASL_CPU_CONV_H

#include "cpu/cpu.h"
#include "cpu/norm.h"

typedef struct asl_conv {
  int64_t n, h, w, c; /* x */
  int64_t ho, wo, o;  /* y */
  int64_t kh, kw, stride, padding, dilation, groups;
} asl_conv;

enum { ASL_MAX_TAPS = 49 }; /* per span; larger kernels accumulate over several */

typedef struct asl_tap {
  int64_t index;  /* ky kw + kx */
  int64_t source; /* the source pixel that it hits */
} asl_tap;

/* `count` pixels for which the same taps exist; taps are in the order of `index`. */
typedef struct asl_span {
  int64_t count;
  int64_t target, target_step; /* first target pixel and distance to the next */
  int64_t source_step;         /* distance between source pixels of a tap */
  bool accumulate, last;       /* add to what the target holds; no more taps follow */
  int taps;
  asl_tap tap[ASL_MAX_TAPS]; /* source: for the first pixel */
} asl_span;
typedef void (*asl_span_fn)(void *context, const asl_span *span);

/* What follows the products of y, while they are in registers or in the cache: y = norm(conv(x) +
 * bias), and a call with every block of finished output pixels. */
typedef struct asl_ends {
  const float *bias;                                                      /* (o) or NULL */
  const asl_norm *norm;                                                   /* or NULL */
  void (*finish)(void *context, int64_t block, const asl_window *window); /* or NULL */
  void *context;
} asl_ends;

/* A product of gradients: what is not wanted is NULL. */
typedef struct asl_conv_grads {
  float *dx, *dweight;
  double *dx_sums; /* (2, c), see norm_sums_rows(); only with dx and a source that has z */
} asl_conv_grads;

#define conv_of ASL_LOCAL(asl_conv_of)
#define conv_blocks ASL_LOCAL(asl_conv_blocks)
#define conv_walk ASL_LOCAL(asl_conv_walk)
#define conv_walk_row ASL_LOCAL(asl_conv_walk_row)
#define conv_forward ASL_LOCAL(asl_conv_forward)
#define conv_backward ASL_LOCAL(asl_conv_backward)
#define conv_takes_pending ASL_LOCAL(asl_conv_takes_pending)
#define conv_reads_once ASL_LOCAL(asl_conv_reads_once)
#define dense_blocks ASL_LOCAL(asl_dense_blocks)
#define dense_forward ASL_LOCAL(asl_dense_forward)
#define dense_dx ASL_LOCAL(asl_dense_dx)
#define dense_dweight ASL_LOCAL(asl_dense_dweight)
#define pointwise_blocks ASL_LOCAL(asl_pointwise_blocks)
#define pointwise_forward ASL_LOCAL(asl_pointwise_forward)
#define pointwise_backward ASL_LOCAL(asl_pointwise_backward)
#define depthwise_blocks ASL_LOCAL(asl_depthwise_blocks)
#define depthwise_forward ASL_LOCAL(asl_depthwise_forward)
#define depthwise_backward ASL_LOCAL(asl_depthwise_backward)

/* The geometry; a 1x1 convolution without stride and padding becomes one long row. */
asl_conv conv_of(const asl_tensor *x, const asl_tensor *weight, int64_t stride, int64_t padding,
                 int64_t dilation, int64_t groups);

/* Whether conv_forward() and conv_backward() take a pending source; others must be settled. */
bool conv_takes_pending(const asl_conv *g);

/* Whether conv_backward() reads every pixel of the gradient exactly once. */
bool conv_reads_once(const asl_conv *g);

/* How many blocks of pixels conv_forward() finishes; depends on the geometry only. */
int64_t conv_blocks(const asl_conv *g);

/* y is overwritten. ASL_ENOMEM. */
asl_status conv_forward(const asl_conv *g, const asl_source *x, const float *weight, float *y,
                        const asl_ends *ends);
/* The gradients of y = conv(x); all wanted ones come from one pass over dy and x where the kernel
 * can. They are overwritten. ASL_ENOMEM. */
asl_status conv_backward(const asl_conv *g, const asl_source *x, const float *weight,
                         const asl_gradient *dy, const asl_conv_grads *out);

/* ---- the three kinds of kernels -------------------------------------------------------------- */
/* 1x1, stride 1, one group. */
int64_t pointwise_blocks(const asl_conv *g);
asl_status pointwise_forward(const asl_conv *g, const asl_source *x, const float *weight, float *y,
                             const asl_ends *ends);
asl_status pointwise_backward(const asl_conv *g, const asl_source *x, const float *weight,
                              const asl_gradient *dy, const asl_conv_grads *out);

/* groups = c = o. */
int64_t depthwise_blocks(const asl_conv *g);
asl_status depthwise_forward(const asl_conv *g, const asl_source *x, const float *weight, float *y,
                             const asl_ends *ends);
asl_status depthwise_backward(const asl_conv *g, const asl_source *x, const float *weight,
                              const asl_gradient *dy, const asl_conv_grads *out);

/* Any other. */
int64_t dense_blocks(const asl_conv *g);
asl_status dense_forward(const asl_conv *g, const float *x, const float *weight, float *y,
                         const asl_ends *ends);
asl_status dense_dx(const asl_conv *g, const float *weight, const float *dy, float *dx);
asl_status dense_dweight(const asl_conv *g, const float *x, const asl_gradient *dy, float *dweight);

/* Calls fn for every span of y (or of dx), in parallel over blocks; `ends` only with y. */
void conv_walk(const asl_conv *g, bool to_dx, asl_span_fn fn, void *context, const asl_ends *ends);
/* The spans of pixels [first, last) of row `row` of y (rows count over all pictures), in order. */
void conv_walk_row(const asl_conv *g, int64_t row, int64_t first, int64_t last, asl_span_fn fn,
                   void *context);

#endif
