/* ML-Hypersim (Roberts et al., ICCV 2021): the source of frames of its scenes, each plane in an
 * HDF5 file of its own with one dataset `dataset`, opened when a sample is decoded.
 *
 *   FOLDER_final_hdf5/frame.IIII.color.hdf5                  f16 (height, width, 3), linear light
 *   FOLDER_final_preview/frame.IIII.tonemap.jpg              the toolkit's picture of it
 *   FOLDER_geometry_hdf5/frame.IIII.semantic.hdf5            i16 (height, width), NYU-40 id, -1
 * none frame.IIII.render_entity_id.hdf5    integers, -1 where nothing was rendered
 *                        frame.IIII.depth_meters.hdf5        f16, metres along the ray, NaN none
 *
 * Cameras. Hypersim gives rays M (u, v, 1)^T in a frame with x right, y up, z backwards, for u, v
 * from -1 to 1 across the picture, v upwards. In many scenes the lens is shifted, so that the
 * picture is not at right angles to that frame's z axis and no matrix K exists in it. M = Q R, Q a
 * rotation and R upper triangular, turns the frame by Q to the one in which it is, exactly; there
 * K = R^-1 (its skew is 0 but in a few scenes), and depth along z and pose are of that frame too.
 */
#ifndef ASL_DATA_SOURCE_HYPERSIM_H
#define ASL_DATA_SOURCE_HYPERSIM_H

#include "data/source_files.h"

/* A trajectory: where its files are, and how its camera sees. */
typedef struct asl_hypersim_shot {
  const char *folder; /* "ROOT/ai_001_001/images/scene_cam_00" */
  /* R above, row-major, upper triangular with 1 last: (u, w, 1) with w = -v, downwards, to the ray
   * (x, y, 1) in a frame with x right, y down, z forward. */
  double rays[9];
} asl_hypersim_shot;

typedef struct asl_source_hypersim_spec {
  int64_t count, shots;
  const asl_hypersim_shot *shot; /* copied */
  const int32_t *shot_of;        /* of each sample, from 0 */
  const int32_t *frame;          /* of each sample, 0 to 9999 */
  const float *poses; /* 16 of each sample, camera to world in metres, not finite where it has none;
                         NULL: no depth, intrinsics, pose */
  bool labels;
  bool preview;          /* the picture is the JPEG, else tone-mapped (data/tone_map.h) */
  bool all_valid;        /* tone mapping looks at all pixels: no render_entity_id is read */
  asl_label_table table; /* of id + 1, so that -1 has a place; copied */
  int height, width;     /* every sample is resized to this size when loaded; 0 = not */
} asl_source_hypersim_spec;

/* Opens no file. Decoding fails (ASL_EDATA), naming the file, where sizes differ, for an id that is
 * not in the table, a negative distance, and a pose that is not finite when it is asked for; a
 * distance that is not finite is depth 0. ASL_EINVAL (size, shot, frame, rays), ASL_ENOMEM. */
asl_status asl_source_hypersim_new(const asl_source_hypersim_spec *spec, asl_source **out);

#endif
