/* Making pictures smaller without aliasing, on the host. */
#ifndef ASL_OPS_SHRINK_H
#define ASL_OPS_SHRINK_H

#include <stddef.h>
#include <stdint.h>

/* A part of a picture: rows [top, bottom), columns [left, right). */
typedef struct asl_window {
  int top, bottom, left, right;
} asl_window;

/* Resizes u8 RGB `from` (height x width x 3) to `to` (to_height x to_width x 3), neither side
 * larger than before and at most 2^14, by the filter of ops/math/shrink.h: the bytes of Pillow's
 * resize(..., BILINEAR). Only the pixels of `window`, which is not empty, are made; the others of
 * `to` stay as they are. `scratch` has asl_shrink_scratch() bytes and is aligned for an int. Cannot
 * fail. */
void asl_shrink(const uint8_t *from, int height, int width, uint8_t *to, int to_height,
                int to_width, asl_window window, void *scratch);

size_t asl_shrink_scratch(int height, int width, int to_height, int to_width);

#endif
