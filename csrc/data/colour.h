/* Colour jitter: one affine map of RGB per picture. */
#ifndef ASL_DATA_COLOUR_H
#define ASL_DATA_COLOUR_H

#include <stdbool.h>
#include <stdint.h>

typedef struct asl_jitter {
  double brightness, contrast, saturation; /* factors */
  double hue;                              /* radians, |hue| <= pi */
} asl_jitter;

typedef struct asl_colour_map {
  int32_t matrix[9], offset; /* with 16 bits of fraction; sums fit 32 bits */
} asl_colour_map;

bool asl_jitter_changes(const asl_jitter *jitter);

/* The sum of the grey values Y = 0.299 R + 0.587 G + 0.114 B, in thousandths. */
int64_t asl_grey_sum(const uint8_t *pixels, int n);

/* Brightness scales all, saturation scales and hue turns the chroma (U, V of YUV), contrast scales
 * about the picture's mean grey (given in thousandths). Saturation and hue keep Y and nothing is
 * clipped in between, so the order does not matter. */
asl_colour_map asl_jitter_map(const asl_jitter *jitter, double mean_grey);

/* Applies the map in place, rounding and clipping once. */
void asl_colour_apply(const asl_colour_map *map, uint8_t *pixels, int n);

#endif
