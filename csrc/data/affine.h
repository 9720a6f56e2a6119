/* Affine maps of the plane (ops/math/affine.h): making them. */
#ifndef ASL_DATA_AFFINE_H
#define ASL_DATA_AFFINE_H

#include "ops/math/affine.h"

static inline asl_affine asl_affine_shift(double x, double y) {
  return (asl_affine){1, 0, x, 0, 1, y};
}
static inline asl_affine asl_affine_scale(double x, double y) {
  return (asl_affine){x, 0, 0, 0, y, 0};
}

/* From pixels of a picture to pixels of the same picture at another size; the centre of pixel i
 * lies at i, its edges at i - 1/2 and i + 1/2. */
static inline asl_affine asl_affine_resize(int height, int width, int to_height, int to_width) {
  double x = (double)to_width / width, y = (double)to_height / height;
  return (asl_affine){x, 0, 0.5 * x - 0.5, 0, y, 0.5 * y - 0.5};
}

/* Sine and cosine for |angle| <= pi by their series, so that no bit depends on the C library. */
static inline void asl_sin_cos(double angle, double *sine, double *cosine) {
  double term = 1;
  *sine = 0;
  *cosine = 1;
  for (int k = 1; k < 28; k += 2) {
    term *= angle / k;
    *sine += term;
    term *= -angle / (k + 1);
    *cosine += term;
  }
}

static inline asl_affine asl_affine_turn(double angle) {
  double s, c;
  asl_sin_cos(angle, &s, &c);
  return (asl_affine){c, s, 0, -s, c, 0};
}

/* First `a`, then `b`. */
static inline asl_affine asl_affine_then(asl_affine a, asl_affine b) {
  return (asl_affine){b.xx * a.xx + b.xy * a.yx,     b.xx * a.xy + b.xy * a.yy,
                      b.xx * a.x + b.xy * a.y + b.x, b.yx * a.xx + b.yy * a.yx,
                      b.yx * a.xy + b.yy * a.yy,     b.yx * a.x + b.yy * a.y + b.y};
}

/* Expects a map that is not singular. */
static inline asl_affine asl_affine_inverse(asl_affine m) {
  double d = m.xx * m.yy - m.xy * m.yx;
  return (asl_affine){m.yy / d,  -m.xy / d, (m.xy * m.y - m.yy * m.x) / d,
                      -m.yx / d, m.xx / d,  (m.yx * m.x - m.xx * m.y) / d};
}

#endif
