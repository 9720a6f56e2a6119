/* From a decoded sample to a row of a batch: geometry and colour.
 *
 * ONE affine map per row takes pixels of the output to positions in the source, and every plane is
 * made from it:
 *   image       bilinear; where the map shrinks, the picture is first shrunk with the antialiasing
 *               triangle filter (what Pillow's BILINEAR resize does), and the map continues from
 *               there. Then colour jitter. Uncovered: the mean colour of ImageNet (124, 116, 104),
 *               about 0 after the usual normalisation.
 *   label       nearest; uncovered: ASL_IGNORE.
 *   depth       nearest, values unchanged (z does not depend on the picture's size); uncovered:
 *               0.
 *   flow        nearest, the vectors turned, mirrored and scaled by the map; uncovered: 0.
 *   occlusion   nearest; 1 where uncovered and where the flow leaves the output.
 *   intrinsics  A K with A the map from source to output pixels: exact for every map, also a mirror
 *               (negative focal length) or a rotation (K is then not upper triangular).
 *   pose        unchanged.
 * Without augmentation the map is the plain resize of the whole picture to the output size. */
#ifndef ASL_DATA_AUGMENT_H
#define ASL_DATA_AUGMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "data/sample.h"
#include "ops/transform.h"

typedef struct asl_augment {
  /* Size of the picture relative to the plain resize, uniform in [scale[0], scale[1]]: at 2 the
   * output shows half its height and width, at 0.5 the picture covers half of the output's. */
  double scale[2];
  bool crop;         /* window (or place of a smaller picture) at random; false: centred */
  double flip;       /* probability of a left-right mirror */
  double rotate;     /* degrees: the angle is uniform in [-rotate, rotate] about the centre */
  double brightness; /* factor uniform in [1 - brightness, 1 + brightness] */
  double contrast;   /* the same; about the row's mean grey */
  double saturation; /* the same; about each pixel's grey */
  double hue;        /* in turns (0.5 = 180 degrees): chroma turned by up to this */
  bool exact;        /* a picture that has another size than the output is an error */
} asl_augment;

/* Draws that change nothing. */
extern const asl_augment asl_augment_none;

/* Checks the settings. ASL_EINVAL naming the setting, its value and its range. */
asl_status asl_augment_check(const asl_augment *augment);

/* The planes to decode so that the planes of the mask can be made: occlusion needs flow where the
 * source has it. */
uint32_t asl_augment_needs(uint32_t planes, uint32_t available);

typedef struct asl_draw { /* where the random numbers of a row come from */
  uint64_t seed, step, row;
} asl_draw;

/* What a picture of size `source` gets in a row of size `size`: all its random numbers, a pure
 * function of the arguments; where its image and label come from. `augment` NULL = the plain
 * resize. */
asl_transform asl_augment_draw(const asl_augment *augment, asl_draw draw, asl_size source,
                               asl_size size);

/* Writes one row: each plane p of the mask to out[p], of size height x width. `augment` NULL = the
 * plain resize. ASL_ENOMEM; ASL_EINVAL (`exact`). */
asl_status asl_augment_row(const asl_sample *sample, const asl_augment *augment, asl_draw draw,
                           uint32_t planes, int height, int width, void *const out[ASL_PLANES]);

#endif
