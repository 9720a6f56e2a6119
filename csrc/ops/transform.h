/* Pictures and label maps through a transform (ops/math/transform.h), on the host: what the
 * loader's threads and the CPU's kernel of `augment` share. Sides are at most ASL_TRANSFORM_SIDE,
 * before and after. Cannot fail. */
#ifndef ASL_OPS_TRANSFORM_H
#define ASL_OPS_TRANSFORM_H

#include <stddef.h>
#include <stdint.h>

#include "ops/math/transform.h"

typedef struct asl_size {
  int height, width;
} asl_size;

/* The part [*first, *end) of row y of the result that a source of this size covers: positions along
 * a row are monotonic, so it is one interval; *end = *first when it is empty. */
void asl_covered(const asl_affine *map, asl_size source, int width, int y, int *first, int *end);

/* Bilinear; where the picture is to be shrunk, from the shrunk picture. What nothing covers has the
 * mean colour, the rest its colours changed. `scratch` has asl_transform_scratch() bytes, aligned
 * for an int. */
void asl_transform_picture(const asl_transform *t, const uint8_t *from, asl_size source,
                           uint8_t *to, asl_size size, void *scratch);

size_t asl_transform_scratch(const asl_transform *t, asl_size source);

/* A map of bytes, nearest; `uncovered` where nothing covers the result. */
void asl_transform_bytes(const asl_transform *t, const uint8_t *from, asl_size source,
                         uint8_t uncovered, uint8_t *to, asl_size size);

#endif
