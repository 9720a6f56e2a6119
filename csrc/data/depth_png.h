/* Depth maps in 16-bit files (PNG, PGM), in the codings that data sets use. */
#ifndef ASL_DATA_DEPTH_PNG_H
#define ASL_DATA_DEPTH_PNG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* metres = value / per_metre, after the steps below. 0 always means not known. */
typedef struct asl_depth_coding {
  double per_metre; /* 1000: millimetres (ScanNet, 7-Scenes); 5000: TUM RGB-D; 256: KITTI */
  int none;     /* a second value that means not known (65535 in 7-Scenes); -1 = there is none */
  bool rotated; /* SUN RGB-D: the low 3 bits of the 16 stand above the others */
  bool swapped; /* PGM only: the less significant byte first (raw NYUv2) */
  /* Raw NYUv2: the value is a Kinect disparity code, metres = 351.3 / (1092.5 - value), not known
   * at 2047 and where that is not in 0..10 metres (the toolbox of Silberman et al., ECCV 2012). */
  bool disparity;
} asl_depth_coding;

typedef struct asl_depth {
  int height, width;
  float *metres; /* malloc'ed, (height, width); 0 = not known */
} asl_depth;

/* Frees the metres and clears it; a cleared one is allowed. Cannot fail. */
void asl_depth_free(asl_depth *depth);

/* ASL_EINVAL unless per_metre is a positive number. */
asl_status asl_depth_coding_check(const asl_depth_coding *coding);

/* Metres of raw 16-bit values, for files of other kinds. */
void asl_depth_convert(const asl_depth_coding *coding, const uint16_t *values, size_t n,
                       float *metres);

/* Decodes PNG (16-bit grey) or PGM (16-bit), told apart by their first bytes. ASL_EDATA (damaged,
 * another kind of file, 8-bit values), ASL_ENOMEM; on failure `out` is cleared. */
asl_status asl_depth_decode(const uint8_t *bytes, size_t n, const asl_depth_coding *coding,
                            asl_depth *out);

/* Reads and decodes a file; messages name it. ASL_EIO too. */
asl_status asl_depth_read(const char *path, const asl_depth_coding *coding, asl_depth *out);

#endif
