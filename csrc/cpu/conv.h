/* Convolutions on the CPU: geometry, and the three products of a convolution.
 *
 * Nothing is ever gathered into an im2col matrix for the forward pass and the data gradient. Both
 * compute lines of pixels; for a run of pixels of a line the same kernel taps hit existing source
 * pixels, so that a run is a small matrix product whose left side is read in place:
 *   y line       an output row;                    source x, pixel t reads x at t stride + tap
 *   dx line      every stride-th pixel of an input row;  source dy, pixel t reads dy at t + tap
 * A line is cut into blocks of pixels, which are the chunks of the thread pool. */
#ifndef ASL_CPU_CONV_H
#define ASL_CPU_CONV_H

#include "cpu/cpu.h"

typedef struct asl_conv {
  int64_t n, h, w, c;    /* x */
  int64_t ho, wo, o;     /* y */
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
  bool accumulate;             /* add to what the target holds */
  int taps;
  asl_tap tap[ASL_MAX_TAPS];   /* source: for the first pixel */
} asl_span;
typedef void (*asl_span_fn)(void *context, const asl_span *span);

/* Called with a block of finished output pixels while it is in the cache. */
typedef struct asl_finish {
  void (*fn)(void *context, int64_t block, int64_t first, int64_t count);
  void *context;
} asl_finish;

#define conv_of ASL_LOCAL(asl_conv_of)
#define conv_blocks ASL_LOCAL(asl_conv_blocks)
#define conv_walk ASL_LOCAL(asl_conv_walk)
#define conv_walk_row ASL_LOCAL(asl_conv_walk_row)
#define conv_forward ASL_LOCAL(asl_conv_forward)
#define conv_dx ASL_LOCAL(asl_conv_dx)
#define conv_dweight ASL_LOCAL(asl_conv_dweight)
#define dense_forward ASL_LOCAL(asl_dense_forward)
#define dense_dx ASL_LOCAL(asl_dense_dx)
#define dense_dweight ASL_LOCAL(asl_dense_dweight)
#define depthwise_forward ASL_LOCAL(asl_depthwise_forward)
#define depthwise_dx ASL_LOCAL(asl_depthwise_dx)
#define depthwise_dweight ASL_LOCAL(asl_depthwise_dweight)

/* The geometry; a 1x1 convolution without stride and padding becomes one long row. */
asl_conv conv_of(const asl_tensor *x, const asl_tensor *weight, int64_t stride, int64_t padding,
                 int64_t dilation, int64_t groups);

/* How many blocks conv_forward() finishes; depends on the geometry only. */
int64_t conv_blocks(const asl_conv *g);

/* The products; y, dx and dweight are overwritten. `finish` may be NULL. ASL_ENOMEM. */
asl_status conv_forward(const asl_conv *g, const float *x, const float *weight, float *y,
                        const asl_finish *finish);
asl_status conv_dx(const asl_conv *g, const float *weight, const float *dy, float *dx);
asl_status conv_dweight(const asl_conv *g, const float *x, const float *dy, float *dweight);

/* ---- for dense.c, dense_weight.c and depthwise.c --------------------------------------------- */
/* Calls fn for every span of y (or of dx), in parallel over blocks; `finish` only with y. */
void conv_walk(const asl_conv *g, bool to_dx, asl_span_fn fn, void *context,
               const asl_finish *finish);
/* The spans of pixels [first, last) of row `row` of y (rows count over all pictures), in order. */
void conv_walk_row(const asl_conv *g, int64_t row, int64_t first, int64_t last, asl_span_fn fn,
                   void *context);

asl_status dense_forward(const asl_conv *g, const float *x, const float *weight, float *y,
                         const asl_finish *finish);
asl_status dense_dx(const asl_conv *g, const float *weight, const float *dy, float *dx);
asl_status dense_dweight(const asl_conv *g, const float *x, const float *dy, float *dweight);
asl_status depthwise_forward(const asl_conv *g, const float *x, const float *weight, float *y,
                             const asl_finish *finish);
asl_status depthwise_dx(const asl_conv *g, const float *weight, const float *dy, float *dx);
asl_status depthwise_dweight(const asl_conv *g, const float *x, const float *dy, float *dweight);

#endif
