/* Bilinear resampling of channels-last pictures, one axis after the other: rows are blended first,
 * then pixels within the blended row. Shared by resize and by the losses that never build the
 * resized picture. */
#ifndef ASL_CPU_RESAMPLE_H
#define ASL_CPU_RESAMPLE_H

#include "cpu/cpu.h"
#include "ops/math/interp.h"

/* One axis: where each target position lies, and which targets lie behind each source position. */
typedef struct asl_axis {
  int64_t in, out;
  asl_interp *at; /* per target */
  int64_t *start; /* start[i] = first target with index >= i, i <= in */
} asl_axis;

#define asl_axis_new ASL_LOCAL(asl_axis_new)
#define asl_lerp_row ASL_LOCAL(asl_lerp_row)

/* ASL_ENOMEM. Free with asl_axis_free(), which allows an axis that was never made ({0}). */
asl_status asl_axis_new(int64_t in, int64_t out, bool align_corners, asl_axis *axis);
#define asl_axis_free(axis) asl_pool_give((axis)->at)

/* Bands: targets between the same two source positions b and b + 1. */
static inline int64_t asl_bands(const asl_axis *axis) { return axis->in > 1 ? axis->in - 1 : 1; }

/* y[i] = asl_lerp(a[i], b[i], t) */
void asl_lerp_row(const float *a, const float *b, float t, int64_t n, float *y);

#endif
