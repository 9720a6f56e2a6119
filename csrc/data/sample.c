#include "data/sample.h"

#include <stdlib.h>
#include <string.h>

const asl_plane asl_planes[ASL_PLANES] = {
    [ASL_PLANE_IMAGE] = {"image", ASL_U8, 0, 0, 3},
    [ASL_PLANE_LABEL] = {"label", ASL_U8, 0, 0, 1},
    [ASL_PLANE_DEPTH] = {"depth", ASL_F32, 0, 0, 1},
    [ASL_PLANE_FLOW] = {"flow", ASL_F32, 0, 0, 2},
    [ASL_PLANE_FLOW_BACK] = {"flow_back", ASL_F32, 0, 0, 2},
    [ASL_PLANE_OCCLUSION] = {"occlusion", ASL_U8, 0, 0, 1},
    [ASL_PLANE_INTRINSICS] = {"intrinsics", ASL_F32, 3, 3, 1},
    [ASL_PLANE_POSE] = {"pose", ASL_F32, 4, 4, 1},
};

int asl_plane_from_name(const char *name) {
  for (int p = 0; p < ASL_PLANES; p++)
    if (strcmp(asl_planes[p].name, name) == 0) return p;
  return -1;
}

asl_shape asl_plane_shape(int plane, int height, int width) {
  const asl_plane *p = &asl_planes[plane];
  asl_shape shape = {2, {p->rows ? p->rows : height, p->columns ? p->columns : width}};
  if (p->channels > 1) shape.size[shape.rank++] = p->channels;
  return shape;
}

size_t asl_plane_bytes(int plane, int height, int width) {
  return (size_t)asl_shape_count(asl_plane_shape(plane, height, width)) *
         asl_dtype_size(asl_planes[plane].dtype);
}

asl_status asl_picture_size_check(int64_t height, int64_t width) {
  if (height < 1 || width < 1 || height > ASL_MAX_SIDE || width > ASL_MAX_SIDE ||
      height * width > ASL_MAX_PIXELS)
    return asl_fail(ASL_EINVAL,
                    "a picture of %lldx%lld pixels (width x height); sides must be 1 to %d, pixels "
                    "at most %d",
                    (long long)width, (long long)height, ASL_MAX_SIDE, ASL_MAX_PIXELS);
  return ASL_OK;
}

static void set_plane(asl_sample *sample, int plane, void *memory) {
  switch (plane) {
    case ASL_PLANE_IMAGE: sample->image = memory; break;
    case ASL_PLANE_LABEL: sample->label = memory; break;
    case ASL_PLANE_DEPTH: sample->depth = memory; break;
    case ASL_PLANE_FLOW: sample->flow = memory; break;
    case ASL_PLANE_FLOW_BACK: sample->flow_back = memory; break;
    case ASL_PLANE_OCCLUSION: sample->occlusion = memory; break;
  }
}

void *asl_sample_plane(asl_sample *sample, int plane) {
  if (!(sample->planes >> plane & 1)) return NULL;
  switch (plane) {
    case ASL_PLANE_IMAGE: return sample->image;
    case ASL_PLANE_LABEL: return sample->label;
    case ASL_PLANE_DEPTH: return sample->depth;
    case ASL_PLANE_FLOW: return sample->flow;
    case ASL_PLANE_FLOW_BACK: return sample->flow_back;
    case ASL_PLANE_OCCLUSION: return sample->occlusion;
    case ASL_PLANE_INTRINSICS: return sample->intrinsics;
    case ASL_PLANE_POSE: return sample->pose;
    default: return NULL;
  }
}

asl_status asl_sample_new(asl_sample *sample, int height, int width, uint32_t planes) {
  *sample = (asl_sample){0};
  ASL_TRY(asl_picture_size_check(height, width));
  sample->height = height;
  sample->width = width;
  sample->planes = planes;
  for (int p = 0; p < ASL_PLANES; p++) {
    if (!(planes >> p & 1) || asl_planes[p].rows) continue;
    size_t bytes = asl_plane_bytes(p, height, width);
    void *memory = malloc(bytes);
    if (!memory) {
      asl_sample_free(sample);
      return asl_fail(ASL_ENOMEM, "no memory for the plane \"%s\" (%zu bytes)", asl_planes[p].name,
                      bytes);
    }
    set_plane(sample, p, memory);
  }
  return ASL_OK;
}

void asl_sample_free(asl_sample *sample) {
  for (int p = 0; p < ASL_PLANES; p++)
    if (!asl_planes[p].rows) free(asl_sample_plane(sample, p));
  *sample = (asl_sample){0};
}
