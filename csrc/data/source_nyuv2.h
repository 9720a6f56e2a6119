/* NYU Depth V2 (Silberman, Hoiem, Kohli, Fergus, ECCV 2012): the source of the labelled frames in
 * nyu_depth_v2_labeled.mat, a MATLAB v7.3 file, which is HDF5 behind a user block.
 *
 * HDF5 sees MATLAB's dimensions reversed: `images` u8 (frames, 3, width, height), `labels` u16,
 * `depths` and `rawDepths` f32 (frames, width, height), metres along z. The file stays open and is
 * read by all threads, one frame's block at a time. */
#ifndef ASL_DATA_SOURCE_NYUV2_H
#define ASL_DATA_SOURCE_NYUV2_H

#include "data/source_files.h"

typedef struct asl_source_nyuv2_spec {
  const char *path;
  int64_t count;
  const int64_t *frames; /* which frames the samples are, from 0; each checked */
  bool labels;           /* the plane label, from `labels` through `table` (copied) */
  asl_label_table table;
  const char *depth;       /* "depths" or "rawDepths", where 0 means not known; NULL: no depth */
  const float *intrinsics; /* 9, row-major, of every frame; NULL: none */
  int height, width;       /* every sample is resized to this size when loaded; 0 = not */
} asl_source_nyuv2_spec;

/* Opens the file and checks the kinds and sizes of its datasets. Decoding fails (ASL_EDATA) for a
 * label value that is not in the table and for a depth that is negative or not finite, naming file,
 * frame and place. ASL_EINVAL (size, frame), ASL_EIO, ASL_EDATA, ASL_ENOMEM. */
asl_status asl_source_nyuv2_new(const asl_source_nyuv2_spec *spec, asl_source **out);

#endif
