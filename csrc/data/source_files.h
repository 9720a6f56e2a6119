/* A source of samples whose planes lie in files: pictures, label maps, depth, flow, poses. */
#ifndef ASL_DATA_SOURCE_FILES_H
#define ASL_DATA_SOURCE_FILES_H

#include <stdint.h>

#include "data/depth_png.h"
#include "data/image.h"
#include "data/source.h"

enum { ASL_LABEL_UNKNOWN = -1 };

/* Lists are parallel, `count` long, and NULL where samples have no such plane; only pictures must
 * be there. */
typedef struct asl_source_files_spec {
  int64_t count;
  const char *const *images;     /* PNG or JPEG */
  const char *const *labels;     /* PNG of grey values or palette indices */
  const char *const *depths;     /* see data/depth_png.h */
  const char *const *flows;      /* see data/flow.h; with it comes occlusion: 1 = flow not known */
  const char *const *flows_back; /* the same towards the picture before; 0 where not known */
  const char *const *poses;      /* text: 4x4, camera to world */
  const float *intrinsics;       /* 9 for each sample, row-major, upper triangular without skew */
  /* 9 for each sample, of a depth camera whose centre is the picture's (needs `intrinsics`); NULL:
   * depth maps show what pictures show, at whatever size. */
  const float *depth_intrinsics;
  asl_depth_coding depth_coding;
  /* What a value of a label file means: a class id, ASL_IGNORE, or ASL_LABEL_UNKNOWN, which is an
   * error when met. `table` names it in messages. */
  const int16_t *label_map;
  int label_values; /* entries of label_map; 0 = 256 */
  const char *table;
  int height, width; /* every sample is resized to this size when loaded; 0 = left as it is */
} asl_source_files_spec;

/* Everything is copied; no file is opened. A sample has its picture's size. Decoding checks that
 * label map and flow have that size too (depth is brought to it, nearest pixel, 0 where there is
 * none) and that every label value is in the map (ASL_EDATA, naming files, sizes, value, table).
 * ASL_EINVAL (sizes, coding, intrinsics), ASL_ENOMEM. */
asl_status asl_source_files_new(const asl_source_files_spec *spec, asl_source **out);

/* ---- what sources of other kinds share ----------------------------------------------------- */

/* Copies of n paths; NULL without memory. Free with asl_paths_free(), which allows NULL. */
char **asl_paths_copy(const char *const *paths, int64_t n);
void asl_paths_free(char **paths, int64_t n);

/* The meaning of label values, as in the spec. */
typedef struct asl_label_table {
  const int16_t *map;
  int values;
  const char *name;
} asl_label_table;

/* Reads a label map and replaces its values by their classes. ASL_EIO; ASL_EDATA (damaged, a value
 * that is not in the table, with its place); ASL_ENOMEM. */
asl_status asl_read_labels(const char *path, const asl_label_table *table, asl_picture *out);

/* Where the depth camera sees what a picture's pixel shows, both cameras having one centre: u = fx
 * x + cx, v = fy y + cy. */
typedef struct asl_depth_place {
  double fx, cx, fy, cy;
} asl_depth_place;

/* By the matrices of both cameras, or, without them (NULL), by the sizes of both pictures. */
asl_depth_place asl_depth_place_of(const float *intrinsics, const float *depth_intrinsics,
                                   const asl_depth *depth, int height, int width);

/* Adds the depth plane to a sample that has its size: the nearest depth pixel, 0 where there is
 * none. ASL_ENOMEM. */
asl_status asl_sample_add_depth(asl_sample *sample, const asl_depth *depth, asl_depth_place place);

/* Brings every plane of a sample to a size, by the plain resize of data/augment.h; nothing when it
 * has that size or height is 0. On failure the sample is as it was. ASL_ENOMEM. */
asl_status asl_sample_resize(asl_sample *sample, int height, int width);

#endif
