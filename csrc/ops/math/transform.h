/* Pixels of a picture and of its label map on their way into a row of a batch; what the loader, the
 * op `augment` and its kernels share, so that a row has the same bytes whoever makes it. Positions
 * are rounded to 1/2048 pixel, and from there on everything is computed in integers. */
#ifndef ASL_OPS_MATH_TRANSFORM_H
#define ASL_OPS_MATH_TRANSFORM_H

#include <stdint.h>

#include "ops/math/affine.h"

enum {
  ASL_TRANSFORM_SIDE = 1 << 14, /* the longest side of a picture, before and after */
  ASL_NO_LABEL = 255            /* of pixels that nothing covers */
};

/* What is done to one picture: a row of the op's input `transform`. Any values are allowed: sizes
 * are kept within 1 .. the picture's own, positions within the picture, colour factors within +-32.
 */
typedef struct asl_transform {
  double height, width; /* the picture is first shrunk to this size, where it is larger */
  asl_affine to_source; /* from pixels of the result to pixels of the label map */
  asl_affine to_shrunk; /* ... to pixels of the shrunk picture */
  double colour[9];     /* the matrix that colours are multiplied by, row by row, times 65536 */
  double grey;          /* then this times the mean grey of what is covered is added */
} asl_transform;

enum { ASL_TRANSFORM_VALUES = (int)(sizeof(asl_transform) / sizeof(double)) };

/* A side of the shrunk picture. */
ASL_HD int asl_transform_side(double wanted, int side) {
  if (!(wanted > 1)) return 1;
  return wanted < side ? (int)wanted : side;
}

/* ---- places -------------------------------------------------------------------------------- */
/* A position in a side of `last` + 1 pixels, clamped, in steps of 2^-11 pixel. */
ASL_HD uint32_t asl_fine(double position, int last) {
  if (!(position > 0)) return 0;
  return (uint32_t)((position < last ? position : last) * 2048 + 0.5);
}

/* The pixel of the picture `from` at the place that result pixel (x, y) comes from. 255 * 2^22 fits
 * 32 bits. */
ASL_HD void asl_bilinear(const asl_affine *map, const uint8_t *from, int64_t pitch, int height,
                         int width, int x, int y, uint8_t *to) {
  uint32_t u = asl_fine(asl_affine_x(map, x, y), width - 1);
  uint32_t v = asl_fine(asl_affine_y(map, x, y), height - 1);
  const uint8_t *p = from + (v >> 11) * pitch + 3 * (u >> 11);
  uint32_t a = u & 2047, b = v & 2047;
  if (!(a | b)) { /* a whole pixel: common, as shrinking and cropping alone lead to nothing else */
    for (int c = 0; c < 3; c++) to[c] = p[c];
    return;
  }
  int64_t right = a ? 3 : 0, below = b ? pitch : 0; /* at whole pixels the next may not exist */
  for (int c = 0; c < 3; c++, p++) {
    uint32_t upper = p[0] * (2048 - a) + p[right] * a;
    uint32_t lower = p[below] * (2048 - a) + p[below + right] * a;
    to[c] = (uint8_t)((upper * (2048 - b) + lower * b + (1u << 21)) >> 22);
  }
}

/* For a covered position, which is at least -0.5. The sum can round up to the far edge (0.5 - 2^-54
 * + 0.5 is 1), hence the clamp. */
ASL_HD int asl_nearest_side(double position, int side) {
  int at = (int)(position + 0.5);
  return at < side ? at : side - 1;
}

/* Which pixel of the source is nearest to the place that (x, y), which it covers, comes from. */
ASL_HD int64_t asl_nearest(const asl_affine *map, int height, int width, int x, int y) {
  int u = asl_nearest_side(asl_affine_x(map, x, y), width);
  int v = asl_nearest_side(asl_affine_y(map, x, y), height);
  return (int64_t)v * width + u;
}

/* ---- colours ------------------------------------------------------------------------------- */
/* Where nothing covers the result: the mean colour of ImageNet, about 0 once it is normalised. */
ASL_HD uint8_t asl_mean_colour(int channel) {
  return channel == 0 ? 124 : channel == 1 ? 116 : 104;
}

/* The grey value Y = 0.299 R + 0.587 G + 0.114 B, in thousandths. */
ASL_HD int asl_grey(const uint8_t *pixel) {
  return 299 * pixel[0] + 587 * pixel[1] + 114 * pixel[2];
}

typedef struct asl_colour_map {
  int32_t matrix[9], offset; /* with 16 bits of fraction; sums fit 32 bits */
} asl_colour_map;

/* Factors stay below 32 and offsets below 4096, so that sums fit. */
enum { ASL_COLOUR_FACTOR = 32 * 65536, ASL_COLOUR_OFFSET = 4096 * 65536 };

ASL_HD int32_t asl_colour_within(double value, int32_t most) {
  if (!(value > -most)) return -most;
  return value < most ? (int32_t)value : most;
}

/* Cut to a whole number it is the value, rounded, with 16 bits of fraction. */
ASL_HD double asl_colour_fixed(double value) { return value * 65536 + (value < 0 ? -0.5 : 0.5); }

/* Whether the colours change at all. */
ASL_HD bool asl_colours_change(const asl_transform *t) {
  bool change = t->grey != 0;
  for (int i = 0; i < 9; i++) change = change || t->colour[i] != (i % 4 == 0 ? 65536 : 0);
  return change;
}

/* The map for a picture whose covered pixels have these grey values together, in thousandths. */
ASL_HD asl_colour_map asl_colours(const asl_transform *t, int64_t grey, int64_t pixels) {
  asl_colour_map map;
  for (int i = 0; i < 9; i++) map.matrix[i] = asl_colour_within(t->colour[i], ASL_COLOUR_FACTOR);
  double mean = pixels == 0 ? 0 : (double)grey / (double)pixels;
  map.offset = asl_colour_within(asl_colour_fixed(t->grey * mean / 1000), ASL_COLOUR_OFFSET);
  return map;
}

ASL_HD uint8_t asl_colour_clip(int32_t value) {
  int32_t whole = (value + 32768) >> 16;
  return (uint8_t)(whole < 0 ? 0 : (whole > 255 ? 255 : whole));
}

/* Rounds and clips once. */
ASL_HD void asl_colour_apply(const asl_colour_map *map, uint8_t *pixel) {
  const int32_t *m = map->matrix, r = pixel[0], g = pixel[1], b = pixel[2];
  for (int c = 0; c < 3; c++, m += 3)
    pixel[c] = asl_colour_clip(m[0] * r + m[1] * g + m[2] * b + map->offset);
}

#endif
