/* Pictures and label maps: PNG (libpng) and JPEG (libjpeg-turbo), from memory or from a file.
 *
 * A picture is u8 RGB; a label map is one u8 value per pixel. What becomes what:
 *   picture  grey -> R = G = B; palette -> its colours; 16 bits -> the upper 8; alpha is dropped,
 *            gamma and colour profiles and EXIF orientation are ignored (as Pillow and OpenCV do).
 *   label    the palette INDEX or the grey value, never a colour; a 16-bit map must hold values
 *            below 256; RGB, alpha and JPEG are refused.
 * Damage (truncated, bad checksum, bad code) is an error even where a decoder could go on.
 *
 * Sizes are checked before memory is taken. All functions may be called by several threads. */
#ifndef ASL_DATA_IMAGE_H
#define ASL_DATA_IMAGE_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef enum asl_picture_kind { ASL_PICTURE, ASL_LABEL_MAP } asl_picture_kind;

typedef struct asl_picture {
  int height, width;
  int channels;    /* 3 of a picture, 1 of a label map */
  uint8_t *pixels; /* malloc'ed, (height, width, channels) */
} asl_picture;

/* Frees the pixels and clears it; a cleared picture is allowed. Cannot fail. */
void asl_picture_free(asl_picture *picture);

/* Decodes PNG or JPEG, told apart by their first bytes. ASL_EDATA (damaged, too large, neither
 * format, or not what `kind` allows), ASL_ENOMEM; on failure `out` is cleared. */
asl_status asl_picture_decode(const uint8_t *bytes, size_t n, asl_picture_kind kind,
                              asl_picture *out);

/* Reads and decodes a file of at most 1 GiB; messages name the file. ASL_EIO too. */
asl_status asl_picture_read(const char *path, asl_picture_kind kind, asl_picture *out);

/* The two formats; called by asl_picture_decode. */
asl_status asl_png_decode(const uint8_t *bytes, size_t n, asl_picture_kind kind, asl_picture *out);
asl_status asl_jpeg_decode(const uint8_t *bytes, size_t n, asl_picture *out);

/* Encodes u8 pixels with 1 (grey) or 3 (RGB) channels as PNG. With `palette` (colours x 3 bytes,
 * 1..256 of them, 1 channel only) the values are palette indices, each below `colours` or
 * ASL_IGNORE, which is black unless it has a colour. The result is malloc'ed. ASL_EINVAL,
 * ASL_ENOMEM. */
asl_status asl_png_encode(const uint8_t *pixels, int height, int width, int channels,
                          const uint8_t *palette, int colours, uint8_t **bytes, size_t *n);

#endif
