/* What the losses on resized logits share: they never build the full-size logits.
 *
 * The unit of work is a band: the label rows that lie between two logit rows, `above` and `below`.
 * For every label row of a band the two are blended into one row (so this is done once per pixel of
 * the small picture). Label pixels between the same two pixels of that row are a run: their
 * softmaxes wait in a small table, until the gradient of the run goes to the two pixels of a
 * gradient row in one pass; from there, row by row, to the logit rows above and below. A band owns
 * the gradient of the row above; what it has for the row below waits in `carried` and is added in a
 * second, short pass. So sums have a fixed order, and memory is that of two small gradients.
 *
 * Logits are kept in units of log 2 and relative to the largest of their pixel. So all are at most
 * 0, also those of the label pixels between them, whose own maximum nobody has to look for. */
#ifndef ASL_CPU_UPSAMPLE_LOSS_H
#define ASL_CPU_UPSAMPLE_LOSS_H

#include "cpu/kernel.h"
#include "cpu/resample.h"
#include "cpu/simd.h"

enum { LOSS_RUN = 16, LOSS_CLASSES = 256 }; /* largest run; classes when padded */

/* Padded rows of logits. */
typedef struct logit_rows {
  float *above, *below, *blended;
} logit_rows;

/* The scratch of a share. */
typedef struct loss_rows {
  logit_rows logits, target;
  float *gradient;             /* of the blended row */
  float *d_above, *d_below;    /* of the band's rows */
  /* Per valid pixel of the label row; its loss is weight log(total) + gap log 2. */
  float *across;               /* weight of the right one of its two logit pixels */
  float *weight, *total, *gap; /* at first weight is the pixel_weight */
  int32_t *column;             /* of the left logit pixel */
  uint8_t *label;
} loss_rows;

/* Pixels first .. first + n - 1 of a label row, n <= LOSS_RUN, at the same column. */
typedef struct loss_run {
  int64_t first, n, column;
  float down; /* weight of the row below */
} loss_run;

/* What an op fills in; the rest is asl_upsample_loss()'s. */
typedef struct upsample_loss {
  const asl_tensor *logits, *target, *labels, *pixel_weight, *class_weight; /* NULL: not given */
  float *dlogits;                                 /* NULL: no gradient wanted */
  int64_t height, width;                          /* of the labels */
  double normaliser, temperature, smoothing;      /* normaliser 0: the number of valid pixels */
  bool align_corners, divergence;
  /* Writes weight, total and gap of a run and, where it is wanted, adds to the gradients. */
  void (*do_run)(const struct upsample_loss *j, const loss_rows *r, const loss_run *run);

  const float *smooth; /* what smoothing wants of every class, padded with 0; NULL: nothing */
  float smooth_total;
  asl_axis y, x;
  int64_t pictures, classes, bands, padded, row; /* floats in a padded pixel, in a padded row */
  float sharpness; /* of the logits: 1 / (temperature log 2) */
  float *scratch, *carried;
  double *loss; /* per band */
  int64_t shares, scratch_share;
} upsample_loss;

#define asl_upsample_loss ASL_LOCAL(asl_upsample_loss)
#define asl_exact_softmax ASL_LOCAL(asl_exact_softmax)

/* The loss into call->out[0], the number of valid pixels into out[1], the gradient into dlogits.
 * ASL_ENOMEM; ASL_EDATA for a label that is not below `classes` (256: no label is). */
asl_status asl_upsample_loss(upsample_loss *j, const asl_call *call, int64_t label_classes);

/* softmax_between() for any logits: the shift is their maximum. */
float asl_exact_softmax(const float *p, const float *d, float u, int64_t padded, float *e,
                        float *total);

/* d = q - p for the two pixels p and q at a column of a blended row. */
static inline void differences(const float *p, int64_t padded, float *d) {
  for (int64_t k = 0; k < padded; k += LANES)
    v8_store(d + k, v8_sub(v8_load(p + padded + k), v8_load(p + k)));
}

/* The pixel at weight u between the two: e = 2^(z - shift) and their sum. Returns the shift, which
 * is 0 unless all z are so small that what 2^z leaves out (below 2^-125) would count. */
static inline float softmax_between(const float *p, const float *d, float u, int64_t padded,
                                    float *e, float *total) {
  const v8 across = v8_set(u);
  v8 sum = v8_zero();
  for (int64_t k = 0; k < padded; k += LANES) {
    v8 power = v8_exp2_nonpositive(v8_fma(across, v8_load(d + k), v8_load(p + k)));
    v8_store(e + k, power);
    sum = v8_add(sum, power);
  }
  *total = v8_sum(sum);
  return *total > 0x1p-40f ? 0.0f : asl_exact_softmax(p, d, u, padded, e, total);
}

/* The same for a FEW pixels: their chains of dependent steps run side by side. */
enum { FEW = 4 };
static inline void softmax_of_few(const float *p, const float *d, const float *u, int64_t padded,
                                    float *e, float *total, float *shift) {
  v8 sum[FEW];
  UNROLL for (int i = 0; i < FEW; i++) sum[i] = v8_zero();
  for (int64_t k = 0; k < padded; k += LANES) {
    const v8 at = v8_load(p + k), slope = v8_load(d + k);
    UNROLL for (int i = 0; i < FEW; i++) {
      v8 power = v8_exp2_nonpositive(v8_fma(v8_set(u[i]), slope, at));
      v8_store(e + i * padded + k, power);
      sum[i] = v8_add(sum[i], power);
    }
  }
  for (int i = 0; i < FEW; i++) {
    total[i] = v8_sum(sum[i]);
    shift[i] = total[i] > 0x1p-40f
                   ? 0.0f
                   : asl_exact_softmax(p, d, u[i], padded, e + i * padded, total + i);
  }
}

/* A run of n pixels. */
static inline void softmax_of_run(const float *p, const float *d, const float *u, int64_t padded,
                                  int64_t n, float *e, float *total, float *shift) {
  int64_t i = 0;
  for (; i + FEW <= n; i += FEW)
    softmax_of_few(p, d, u + i, padded, e + i * padded, total + i, shift + i);
  for (; i < n; i++) shift[i] = softmax_between(p, d, u[i], padded, e + i * padded, total + i);
}

ALWAYS_INLINE void spread_part(const int vectors, const float *e, int64_t padded,
                               const float *scale, const float *across, int64_t n,
                               float *gradient) {
  v8 left[4], right[4];
  UNROLL for (int k = 0; k < vectors; k++) {
    left[k] = v8_load(gradient + k * LANES);
    right[k] = v8_load(gradient + padded + k * LANES);
  }
  for (int64_t i = 0; i < n; i++) {
    const float to_right = scale[i] * across[i];
    const v8 a = v8_set(scale[i] - to_right), b = v8_set(to_right);
    UNROLL for (int k = 0; k < vectors; k++) {
      v8 power = v8_load(e + i * padded + k * LANES);
      left[k] = v8_fma(power, a, left[k]);
      right[k] = v8_fma(power, b, right[k]);
    }
  }
  UNROLL for (int k = 0; k < vectors; k++) {
    v8_store(gradient + k * LANES, left[k]);
    v8_store(gradient + padded + k * LANES, right[k]);
  }
}

/* Adds the table e of a run, its pixels scaled, to the gradients of its two logit pixels, which
 * stay in registers meanwhile. */
static inline void spread(const float *e, int64_t padded, const float *scale, const float *across,
                          int64_t n, float *gradient) {
  int64_t k = 0;
  for (; k + 4 * LANES <= padded; k += 4 * LANES)
    spread_part(4, e + k, padded, scale, across, n, gradient + k);
  for (; k < padded; k += LANES) spread_part(1, e + k, padded, scale, across, n, gradient + k);
}

#endif
