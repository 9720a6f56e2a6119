/* Colour jitter: one affine map of RGB per picture. */
#ifndef ASL_DATA_COLOUR_H
#define ASL_DATA_COLOUR_H

#include "ops/math/transform.h"

typedef struct asl_jitter {
  double brightness, contrast, saturation; /* factors */
  double hue;                              /* radians, |hue| <= pi */
} asl_jitter;

/* Sets the colours of a transform. Brightness scales all, saturation scales and hue turns the
 * chroma (U, V of YUV), contrast scales about the picture's mean grey. Saturation and hue keep Y
 * and nothing is clipped in between, so the order does not matter. */
void asl_jitter_set(const asl_jitter *jitter, asl_transform *transform);

#endif
