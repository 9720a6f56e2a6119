/* Making pictures smaller without aliasing. */
#ifndef ASL_DATA_RESAMPLE_H
#define ASL_DATA_RESAMPLE_H

#include <stdint.h>

#include "base/status.h"

/* Resizes u8 RGB `from` (height x width x 3) to `to` (to_height x to_width x 3), neither side
 * larger than before, by the triangle filter stretched over the pixels that fall together; in
 * integers, so the result is the same everywhere: the bytes of Pillow's resize(..., BILINEAR).
 * ASL_ENOMEM. */
asl_status asl_shrink(const uint8_t *from, int height, int width, uint8_t *to, int to_height,
                      int to_width);

#endif
