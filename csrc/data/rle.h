/* Run-length coded masks, as COCO stores them.
 *
 * The pixels of a mask of height x width are walked column by column; a mask is the lengths of the
 * runs of 0s and 1s in turn, beginning with 0s (the first run may be empty). Files hold the lengths
 * as numbers or as text: each length from the fourth on less the one two before, in groups of 5
 * bits from the least, 48 added to each and 32 to all but the last; the last group's top bit is the
 * sign (Lin et al., ECCV 2014; pycocotools). */
#ifndef ASL_DATA_RLE_H
#define ASL_DATA_RLE_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef struct asl_runs {
  uint32_t *run; /* malloc'ed */
  size_t n, room;
} asl_runs;

/* Frees the runs and clears it; a cleared one is allowed. Cannot fail. */
void asl_runs_free(asl_runs *runs);

/* Appends a run. ASL_ENOMEM. */
asl_status asl_runs_add(asl_runs *runs, uint32_t run);

/* ASL_EDATA, with both numbers, unless the lengths sum to height x width. */
asl_status asl_runs_check(const uint32_t *run, size_t n, int height, int width);

/* Appends the runs of the text form. ASL_EDATA (a character that is none, a length out of range,
 * cut off), ASL_ENOMEM. */
asl_status asl_rle_decode(const char *text, size_t n, asl_runs *out);

/* The text form, malloc'ed, without a NUL. ASL_ENOMEM. */
asl_status asl_rle_encode(const uint32_t *run, size_t n, char **text, size_t *length);

/* The runs of the pixels of u8 (height, width) that are not 0. ASL_ENOMEM. */
asl_status asl_runs_of_mask(const uint8_t *pixels, int height, int width, asl_runs *out);

/* Sets the pixels of u8 (height, width) where the mask is 1 to `value`. The lengths must have been
 * checked. */
void asl_runs_paint(const uint32_t *run, size_t n, int height, int width, uint8_t value,
                    uint8_t *pixels);

#endif
