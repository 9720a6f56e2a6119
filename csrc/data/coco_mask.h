/* Annotations that are painted to label maps: polygons and run-length masks of COCO's instances,
 * the segments of its panoptic maps; and the source that paints them.
 *
 * Annotations are kept in a form that a loader thread paints from at once: corners in fifths of a
 * pixel, lengths of runs. Those of one picture are painted in the order they were added, later ones
 * over earlier ones. */
#ifndef ASL_DATA_COCO_MASK_H
#define ASL_DATA_COCO_MASK_H

#include <stdint.h>

#include "data/source.h"

typedef struct asl_coco asl_coco;

/* For `pictures` pictures of the given sizes (parallel, copied). References are counted
 * (atomically: sources hold them). ASL_EDATA for a size outside the limits, naming the picture
 * (from 1); ASL_ENOMEM. */
asl_status asl_coco_new(int64_t pictures, const int32_t *heights, const int32_t *widths,
                        asl_coco **out);

asl_coco *asl_coco_retain(asl_coco *coco);
void asl_coco_release(asl_coco *coco); /* NULL allowed; cannot fail */

/* Adding is for the one thread that made it, before a source has it. Pictures count from 0. */

/* A polygon of n corners (x, y) in pixels. ASL_EDATA, see asl_polygon_fifths(); ASL_ENOMEM. */
asl_status asl_coco_polygon(asl_coco *coco, int64_t picture, uint8_t class_id,
                            const double *corners, size_t n);

/* A run-length mask. ASL_EDATA unless its lengths sum to the picture's pixels; ASL_ENOMEM. */
asl_status asl_coco_runs(asl_coco *coco, int64_t picture, uint8_t class_id, const uint32_t *run,
                         size_t n);

/* A segment of a panoptic map: the pixels whose colour is id = R + 256 G + 65536 B. ASL_ENOMEM. */
asl_status asl_coco_segment(asl_coco *coco, int64_t picture, uint8_t class_id, uint32_t id);

int64_t asl_coco_pictures(const asl_coco *coco);

/* Bytes the annotations take. */
int64_t asl_coco_bytes(const asl_coco *coco);

typedef struct asl_source_coco_spec {
  asl_coco *coco;            /* retained */
  const char *const *images; /* paths, one for each picture */
  const char *const *maps;   /* panoptic PNG files, or NULL: labels are painted */
  const char *json;          /* the file of the annotations, only to name it; NULL: none */
  int height, width;         /* every sample is resized to this size when loaded; 0 = not */
} asl_source_coco_spec;

/* The source of picture and label; pixels of no annotation are ASL_IGNORE, as is id 0 of a panoptic
 * map. Decoding checks that files have the size they were said to have and that each id of a
 * panoptic map was added (ASL_EDATA, naming files, sizes, id, place). ASL_EINVAL (size),
 * ASL_ENOMEM.
 */
asl_status asl_source_coco_new(const asl_source_coco_spec *spec, asl_source **out);

#endif
