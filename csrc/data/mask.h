/* Masks of polygons, as pycocotools rasterises them, to the pixel.
 *
 * A polygon lies in pixels, pixel (x, y) covering [x, x + 1) x [y, y + 1). Its corners are rounded
 * to fifths of a pixel; each edge is a line of such points, one for each step along its longer
 * axis; where the boundary crosses the middle of a column of pixels, the pixels below are turned
 * over. A pixel is inside when it was turned over an odd number of times. */
#ifndef ASL_DATA_MASK_H
#define ASL_DATA_MASK_H

#include "data/rle.h"

enum {
  ASL_MASK_FIFTHS = 5,
  ASL_MASK_FARTHEST = 1 << 24,     /* pixels from 0 */
  ASL_MASK_MAX_CROSSINGS = 1 << 26 /* of one polygon with middles of columns */
};

/* n corners (x, y) in pixels as fifths: out[2 n]. ASL_EDATA for fewer than 3 corners, and for one
 * that is not finite or beyond ASL_MASK_FARTHEST, naming it. */
asl_status asl_polygon_fifths(const double *corners, size_t n, int32_t *out);

/* Appends the runs of the polygon of n corners in fifths. ASL_EDATA beyond ASL_MASK_MAX_CROSSINGS,
 * which only a file made to harm has; ASL_ENOMEM. */
asl_status asl_polygon_runs(const int32_t *fifths, size_t n, int height, int width, asl_runs *out);

#endif
