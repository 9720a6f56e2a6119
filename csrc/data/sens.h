/* ScanNet's .sens files: one scan's pictures, depth maps and poses in one file (Dai et al., CVPR
 * 2017), and the source that reads frames from them.
 *
 * Little endian: u32 version 4; u64 length and the sensor's name; four 4x4 f32 matrices (intrinsics
 * and extrinsics of the colour camera, then of the depth camera); i32 kind of colour (1 PNG, 2
 * JPEG) and of depth (0 raw, 1 deflated u16); u32 width, height of colour, then of depth; f32 depth
 * values per metre; u64 frames; for each f32 4x4 camera to world, u64 times of colour and of depth,
 * u64 bytes of colour and of depth, and these bytes. What may follow (inertial data) is not read.
 *
 * Opening walks over the frames' heads, so a file that ends too early is found then; it holds 8
 * bytes for each frame in memory. No file stays open. */
#ifndef ASL_DATA_SENS_H
#define ASL_DATA_SENS_H

#include <stdint.h>

#include "data/source_files.h"

typedef struct asl_sens asl_sens;

/* Opens and indexes a file. ASL_EIO; ASL_EDATA (damaged, truncated, a kind that is not known),
 * naming file and frame; ASL_ENOMEM. */
asl_status asl_sens_open(const char *path, asl_sens **out);

/* References are counted atomically. */
asl_sens *asl_sens_retain(asl_sens *sens);
void asl_sens_release(asl_sens *sens); /* NULL allowed; cannot fail */

typedef struct asl_sens_info {
  const char *path;
  int64_t frames;
  int height, width; /* of the pictures */
  int depth_height, depth_width;
  float intrinsics[9], depth_intrinsics[9]; /* row-major */
  double depth_per_metre;
} asl_sens_info;

/* Valid while the file is held. */
const asl_sens_info *asl_sens_look(const asl_sens *sens);

/* The pose of a frame (from 0), camera to world, as it stands: not finite where tracking was lost.
 */
asl_status asl_sens_pose(const asl_sens *sens, int64_t frame, float pose[16]);

typedef struct asl_source_sens_spec {
  asl_sens *sens; /* retained */
  int64_t count;
  const int64_t *frames;     /* which frames the samples are, from 0; each checked */
  const char *const *labels; /* label maps of the pictures' size, parallel; NULL: none */
  asl_label_table table;     /* of the label maps; copied */
  int height, width;         /* every sample is resized to this size when loaded; 0 = not */
} asl_source_sens_spec;

/* The source of picture, depth (as seen by the colour camera: the maps are aligned, so only the
 * intrinsics differ), intrinsics, pose and, where given, label. A frame whose pose is not finite is
 * an error when its pose is asked for. ASL_EINVAL (size, frame), ASL_ENOMEM. */
asl_status asl_source_sens_new(const asl_source_sens_spec *spec, asl_source **out);

#endif
