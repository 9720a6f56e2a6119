/* Hypersim's tone mapping (Roberts et al., ICCV 2021, scene_generate_images_tonemap.py): from
 * linear light without an upper bound to 8-bit pictures. */
#ifndef ASL_DATA_TONE_MAP_H
#define ASL_DATA_TONE_MAP_H

#include <stdint.h>

#include "base/status.h"

/* `rgb` and `out` are (height, width, 3), `valid` is NULL (all pixels) or a flag per pixel.
 *   brightness = 0.3 R + 0.59 G + 0.11 B
 *   p = its 90th percentile over the valid pixels, linear between ranks (numpy.percentile)
 *   scale = 0.8^2.2 / p, so that p becomes 0.8; 0 where p < 0.0001; 1 without a valid pixel
 *   out = min(max(scale rgb, 0)^(1/2.2), 1) * 255, to the nearest (the toolkit cuts off)
 * +infinity becomes 255 (0 where the scale is 0). ASL_EDATA, with its place, for a value that is no
 * number; ASL_ENOMEM. */
asl_status asl_tone_map(const float *rgb, const uint8_t *valid, int height, int width,
                        uint8_t *out);

#endif
