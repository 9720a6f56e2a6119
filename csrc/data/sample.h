/* A sample: the planes of one picture, in host memory, all of one size.
 *
 * Positions in pictures are in pixels, x to the right, y down; the centre of the top-left pixel is
 * (0, 0) (the convention of OpenCV, NYUv2 and ScanNet). A camera looks along +z with x right and
 * y down, so a point (X, Y, Z) of the camera frame is seen at K (X/Z, Y/Z, 1)^T.
 *
 * A sample belongs to one thread at a time. Its memory is malloc'ed, not taken from the tensor
 * pool: what loader threads hold at a moment depends on timing, and the pool's peak must not. */
#ifndef ASL_DATA_SAMPLE_H
#define ASL_DATA_SAMPLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "tensor/tensor.h"

enum {
  ASL_IGNORE = 255,              /* a label that is not to be learnt or scored */
  ASL_MAX_SIDE = 16384,          /* of a picture, in pixels */
  ASL_MAX_PIXELS = 1 << 28,
};

/* Kinds of plane; 1 << plane is its bit in a mask. */
enum {
  ASL_PLANE_IMAGE,      /* u8 (H, W, 3), sRGB */
  ASL_PLANE_LABEL,      /* u8 (H, W), class id from 0, ASL_IGNORE = none */
  ASL_PLANE_DEPTH,      /* f32 (H, W), metres along z (planar), 0 = not known */
  ASL_PLANE_FLOW,       /* f32 (H, W, 2), pixels (x, y): where this pixel is in the next frame */
  ASL_PLANE_FLOW_BACK,  /* f32 (H, W, 2), the same towards the previous frame */
  ASL_PLANE_OCCLUSION,  /* u8 (H, W), 1 = not to be seen in the next frame (or not known) */
  ASL_PLANE_INTRINSICS, /* f32 (3, 3), the camera matrix K */
  ASL_PLANE_POSE,       /* f32 (4, 4), camera to world */
  ASL_PLANES
};

typedef struct asl_plane {
  const char *name;
  asl_dtype dtype;
  int rows, columns; /* fixed size of a matrix; 0 = the size of the picture */
  int channels;      /* 1 = no channel dimension */
} asl_plane;

/* The table of planes, in the order of the enumeration. */
extern const asl_plane asl_planes[ASL_PLANES];

/* -1 when `name` is no plane. */
int asl_plane_from_name(const char *name);

/* Shape of one plane of a picture: (H, W), (H, W, channels) or the fixed matrix. */
asl_shape asl_plane_shape(int plane, int height, int width);

/* ASL_EINVAL, with both sides in the message, unless the size is within the limits above. */
asl_status asl_picture_size_check(int64_t height, int64_t width);

/* Bytes of one plane of a picture; sizes within the limits above cannot overflow. */
size_t asl_plane_bytes(int plane, int height, int width);

typedef struct asl_sample {
  int height, width;
  uint32_t planes; /* mask of the planes present */
  uint8_t *image, *label;
  float *depth, *flow, *flow_back;
  uint8_t *occlusion;
  float intrinsics[9]; /* row-major */
  float pose[16];      /* row-major */
} asl_sample;

/* Sets up `sample` (whose old content is not looked at) with uninitialised memory for every plane
 * of the mask. ASL_EINVAL (size outside 1..ASL_MAX_SIDE or too many pixels), ASL_ENOMEM; on failure
 * nothing is held. */
asl_status asl_sample_new(asl_sample *sample, int height, int width, uint32_t planes);

/* Frees the planes and clears the sample. A cleared ({0}) sample is allowed. Cannot fail. */
void asl_sample_free(asl_sample *sample);

/* The memory of a plane, NULL when the sample does not have it. */
void *asl_sample_plane(asl_sample *sample, int plane);

#endif
