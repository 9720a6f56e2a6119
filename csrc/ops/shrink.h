/* Making pictures smaller without aliasing, on the host. */
#ifndef ASL_OPS_SHRINK_H
#define ASL_OPS_SHRINK_H

#include <stddef.h>
#include <stdint.h>

/* Resizes u8 RGB `from` (height x width x 3) to `to` (to_height x to_width x 3), neither side
 * larger than before and at most 2^14, by the filter of ops/math/shrink.h: the bytes of Pillow's
 * resize(..., BILINEAR). `scratch` has asl_shrink_scratch() bytes and is aligned for an int. Cannot
 * fail. */
void asl_shrink(const uint8_t *from, int height, int width, uint8_t *to, int to_height,
                int to_width, void *scratch);

size_t asl_shrink_scratch(int height, int width, int to_height, int to_width);

#endif
