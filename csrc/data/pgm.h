/* PGM with 16-bit values (P5, maxval above 255), as depth cameras write it. */
#ifndef ASL_DATA_PGM_H
#define ASL_DATA_PGM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "data/png.h"

/* Decodes one picture, the most significant byte of a value first as the format says, or last when
 * `swapped` (the raw frames of NYUv2). ASL_EDATA (no 16-bit P5, damaged, too large, bytes missing
 * or too many, a value above maxval), ASL_ENOMEM; on failure `out` is cleared. */
asl_status asl_pgm_values(const uint8_t *bytes, size_t n, bool swapped, asl_values *out);

#endif
