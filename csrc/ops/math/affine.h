/* Affine maps of the plane, in double: (x, y) -> (xx x + xy y + x0, yx x + yy y + y0). */
#ifndef ASL_OPS_MATH_AFFINE_H
#define ASL_OPS_MATH_AFFINE_H

#include <stdbool.h>

#include "ops/math/product.h"

typedef struct asl_affine {
  double xx, xy, x;
  double yx, yy, y;
} asl_affine;

ASL_HD double asl_affine_x(const asl_affine *m, int x, int y) {
  return asl_product(m->xx, x) + (asl_product(m->xy, y) + m->x);
}
ASL_HD double asl_affine_y(const asl_affine *m, int x, int y) {
  return asl_product(m->yx, x) + (asl_product(m->yy, y) + m->y);
}

/* Whether the nearest pixel to the mapped point lies in a picture of this size. False where the map
 * is not a number. */
ASL_HD bool asl_affine_inside(const asl_affine *m, int x, int y, int height, int width) {
  double u = asl_affine_x(m, x, y), v = asl_affine_y(m, x, y);
  return u >= -0.5 && v >= -0.5 && u < width - 0.5 && v < height - 0.5;
}

#endif
