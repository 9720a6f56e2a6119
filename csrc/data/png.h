/* PNG files whose values are numbers, not colours: label ids, depth, flow. */
#ifndef ASL_DATA_PNG_H
#define ASL_DATA_PNG_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef struct asl_values {
  int height, width;
  int channels;     /* 1 or 3 */
  int bits;         /* of a value in the file: 1, 2, 4, 8 or 16 */
  uint16_t *values; /* malloc'ed, (height, width, channels), unscaled */
} asl_values;

/* Frees the values and clears it; a cleared one is allowed. Cannot fail. */
void asl_values_free(asl_values *values);

/* Decodes a PNG with `channels` 1 (grey values or palette indices) or 3 (RGB without palette).
 * ASL_EDATA (damaged, too large, no PNG, another kind of picture), ASL_ENOMEM; on failure `out` is
 * cleared. */
asl_status asl_png_values(const uint8_t *bytes, size_t n, int channels, asl_values *out);

#endif
