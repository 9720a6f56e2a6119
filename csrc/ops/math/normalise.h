/* One value of a u8 picture as the network wants it. */
#ifndef ASL_OPS_MATH_NORMALISE_H
#define ASL_OPS_MATH_NORMALISE_H

#include <stdint.h>

#include "base/hd.h"

/* (x / 255 - mean) / std, each step rounded to f32. */
ASL_HD float asl_normalise(uint8_t x, float mean, float std) {
  return ((float)x / 255.0f - mean) / std;
}

#endif
