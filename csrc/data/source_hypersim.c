#include "data/source_hypersim.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/planes_hdf5.h"
#include "data/tone_map.h"

enum { MOST_FRAME = 9999, ID_OFFSET = 1, MORE_OF_PATH = 64 };

/* A kind of file that a frame has: its names, and the dataset in it. */
typedef struct part {
  const char *folder, *name;
  const char *type; /* of values, as asl_hdf5_expect() takes it; NULL: no HDF5 file */
  int rank;
} part;

static const part colour = {"final_hdf5", "color.hdf5", "f", 3};
static const part preview = {"final_preview", "tonemap.jpg", NULL, 0};
static const part entities = {"geometry_hdf5", "render_entity_id.hdf5", "i16", 2};
static const part semantic = {"geometry_hdf5", "semantic.hdf5", "i16", 2};
static const part distances = {"geometry_hdf5", "depth_meters.hdf5", "f", 2};

typedef struct source_hypersim {
  asl_source base;
  int64_t shots;
  asl_hypersim_shot *shot;
  int32_t *shot_of, *frame;
  float *poses; /* NULL: no geometry */
  asl_label_table table;
  bool preview, all_valid;
  int height, width;
} source_hypersim;

/* A sample being read: its size is that of the first file. */
typedef struct reading {
  const source_hypersim *s;
  const asl_hypersim_shot *shot;
  int32_t frame;
  asl_sample *out;
  char *path; /* of the file being read */
  size_t room;
  char *first; /* of the file that gave the size, "" before */
} reading;

/* ---- files --------------------------------------------------------------------------------- */

static void name_file(const reading *r, part p) {
  snprintf(r->path, r->room, "%s_%s/frame.%04d.%s", r->shot->folder, p.folder, (int)r->frame,
           p.name);
}

/* The first file's size is the sample's. */
static asl_status take_size(reading *r, int64_t height, int64_t width) {
  if (!r->first[0]) {
    if (asl_picture_size_check(height, width) != ASL_OK) return ASL_EDATA;
    r->out->height = (int)height;
    r->out->width = (int)width;
    strcpy(r->first, r->path);
  }
  if (r->out->height == height && r->out->width == width) return ASL_OK;
  return asl_fail(ASL_EDATA, "it is %lldx%lld but %s is %dx%d (width x height)", (long long)width,
                  (long long)height, r->first, r->out->width, r->out->height);
}

/* The file of a part, open, and its dataset, of the sample's size. */
static asl_status open_part(reading *r, part p, asl_hdf5 **file, asl_hdf5_dataset *dataset) {
  name_file(r, p);
  *file = NULL;
  ASL_TRY(asl_hdf5_open(r->path, file));
  asl_status status = asl_hdf5_expect(*file, "dataset", p.type, p.rank,
                                      p.rank == 3 ? "height, width, 3" : "height, width", dataset);
  if (status == ASL_OK && p.rank == 3 && dataset->size[2] != 3)
    status = asl_fail(ASL_EDATA, "%lld channels; expected 3", (long long)dataset->size[2]);
  if (status == ASL_OK) status = take_size(r, dataset->size[0], dataset->size[1]);
  if (status == ASL_OK) return ASL_OK;
  asl_hdf5_close(*file);
  *file = NULL;
  return asl_wrap(status, "%s", r->path);
}

/* All values of a file, to be freed. Floats become f32, integers stay as they are. */
static asl_status read_part(reading *r, part p, void **out) {
  static const int64_t first[ASL_HDF5_MAX_RANK] = {0};
  asl_hdf5 *file;
  asl_hdf5_dataset d;
  ASL_TRY(open_part(r, p, &file, &d));
  bool floats = d.value_class == ASL_HDF5_FLOAT;
  size_t n = (size_t)r->out->height * (size_t)r->out->width * (p.rank == 3 ? 3 : 1);
  size_t bytes = n * (floats ? sizeof(float) : (size_t)d.value_bytes);
  *out = malloc(bytes);
  asl_status status = !*out    ? asl_fail(ASL_ENOMEM, "no memory for %zu bytes", bytes)
                      : floats ? asl_hdf5_read_f32(file, &d, first, d.size, *out)
                               : asl_hdf5_read(file, &d, first, d.size, *out, bytes);
  asl_hdf5_close(file);
  if (status == ASL_OK) return ASL_OK;
  free(*out);
  *out = NULL;
  return asl_wrap(status, "%s", r->path);
}

static size_t pixels_of(const reading *r) { return (size_t)r->out->height * (size_t)r->out->width; }

/* ---- planes -------------------------------------------------------------------------------- */

static asl_status read_preview(reading *r) {
  asl_picture picture;
  name_file(r, preview);
  ASL_TRY(asl_picture_read(r->path, ASL_PICTURE, &picture));
  r->out->image = picture.pixels;
  r->out->planes |= 1u << ASL_PLANE_IMAGE;
  return asl_wrap(take_size(r, picture.height, picture.width), "%s", r->path);
}

/* A flag per pixel: something was rendered there. */
static asl_status read_valid(reading *r, uint8_t **valid) {
  void *ids;
  ASL_TRY(read_part(r, entities, &ids));
  size_t n = pixels_of(r);
  *valid = malloc(n);
  for (size_t i = 0; *valid && i < n; i++) (*valid)[i] = ((const int16_t *)ids)[i] != -1;
  free(ids);
  return *valid ? ASL_OK : asl_fail(ASL_ENOMEM, "no memory for %zu flags", n);
}

static asl_status map_tones(reading *r, const float *rgb, const uint8_t *valid) {
  r->out->image = malloc(3 * pixels_of(r));
  if (!r->out->image) return asl_fail(ASL_ENOMEM, "no memory for a picture");
  r->out->planes |= 1u << ASL_PLANE_IMAGE;
  name_file(r, colour);
  return asl_wrap(asl_tone_map(rgb, valid, r->out->height, r->out->width, r->out->image), "%s",
                  r->path);
}

static asl_status read_colour(reading *r) {
  void *rgb;
  uint8_t *valid = NULL;
  ASL_TRY(read_part(r, colour, &rgb));
  asl_status status = r->s->all_valid ? ASL_OK : read_valid(r, &valid);
  if (status == ASL_OK) status = map_tones(r, rgb, valid);
  free(valid);
  free(rgb);
  return status;
}

static asl_status map_ids(reading *r, const int16_t *ids) {
  size_t n = pixels_of(r), width = (size_t)r->out->width;
  r->out->label = malloc(n);
  if (!r->out->label) return asl_fail(ASL_ENOMEM, "no memory for %zu labels", n);
  r->out->planes |= 1u << ASL_PLANE_LABEL;
  for (size_t i = 0; i < n; i++)
    ASL_TRY(asl_wrap(asl_label_class(&r->s->table, ids[i], ID_OFFSET, (int)(i / width),
                                     (int)(i % width), &r->out->label[i]),
                     "%s", r->path));
  return ASL_OK;
}

static asl_status read_label(reading *r) {
  void *ids;
  ASL_TRY(read_part(r, semantic, &ids));
  asl_status status = map_ids(r, ids);
  free(ids);
  return status;
}

/* (x, y, 1) of a pixel to its ray (x, y, 1), row-major, upper triangular: K^-1. */
static void pixel_rays(const reading *r, double m[9]) {
  const double *ray = r->shot->rays;
  double sx = 2.0 / r->out->width, sy = 2.0 / r->out->height;
  double u = 1.0 / r->out->width - 1, w = 1.0 / r->out->height - 1; /* of the top-left pixel */
  const double rays[9] = {ray[0] * sx, ray[1] * sy, ray[0] * u + ray[1] * w + ray[2],
                          0,           ray[4] * sy, ray[4] * w + ray[5],
                          0,           0,           1};
  memcpy(m, rays, sizeof rays);
}

static void set_intrinsics(reading *r) {
  double m[9];
  pixel_rays(r, m);
  double fx = 1 / m[0], fy = 1 / m[4], skew = 0 - m[1] * fx * fy;
  const double k[9] = {fx, skew, -(m[2] * fx + m[5] * skew), 0, fy, -m[5] * fy, 0, 0, 1};
  for (int i = 0; i < 9; i++) r->out->intrinsics[i] = (float)k[i];
}

/* Metres along the ray to metres along z. */
static asl_status to_planar(reading *r, float *depth) {
  double m[9];
  pixel_rays(r, m);
  for (int y = 0; y < r->out->height; y++)
    for (int x = 0; x < r->out->width; x++) {
      float *d = &depth[(size_t)y * (size_t)r->out->width + (size_t)x];
      if (*d < 0)
        return asl_fail(ASL_EDATA, "%s: the distance %g (row %d, column %d) is negative", r->path,
                        (double)*d, y + 1, x + 1);
      double a = m[0] * x + m[1] * y + m[2], b = m[4] * y + m[5];
      *d = isfinite(*d) ? (float)((double)*d / sqrt(a * a + b * b + 1)) : 0;
    }
  return ASL_OK;
}

static asl_status read_depth(reading *r) {
  void *distance;
  ASL_TRY(read_part(r, distances, &distance));
  r->out->depth = distance;
  r->out->planes |= 1u << ASL_PLANE_DEPTH;
  return to_planar(r, distance);
}

static asl_status set_pose(reading *r, const float *pose) {
  memcpy(r->out->pose, pose, sizeof r->out->pose);
  for (int i = 0; i < 16; i++)
    if (!isfinite(pose[i]))
      return asl_fail(ASL_EDATA, "%s: frame %d has no pose: what its keyframe says is no rotation",
                      r->shot->folder, (int)r->frame);
  return ASL_OK;
}

/* The size of a sample whose planes do not say it. */
static asl_status find_size(reading *r) {
  asl_hdf5 *file;
  asl_hdf5_dataset d;
  if (r->s->preview) {
    ASL_TRY(read_preview(r));
    free(r->out->image);
    r->out->image = NULL;
    r->out->planes = 0;
    return ASL_OK;
  }
  ASL_TRY(open_part(r, colour, &file, &d));
  asl_hdf5_close(file);
  return ASL_OK;
}

static bool wants(uint32_t planes, int plane) { return planes >> plane & 1; }

static asl_status read_planes(reading *r, int64_t index, uint32_t planes) {
  if (wants(planes, ASL_PLANE_IMAGE)) ASL_TRY(r->s->preview ? read_preview(r) : read_colour(r));
  if (wants(planes, ASL_PLANE_LABEL)) ASL_TRY(read_label(r));
  if (wants(planes, ASL_PLANE_DEPTH)) ASL_TRY(read_depth(r));
  if (!r->first[0]) ASL_TRY(find_size(r));
  if (wants(planes, ASL_PLANE_INTRINSICS)) set_intrinsics(r);
  if (wants(planes, ASL_PLANE_POSE)) ASL_TRY(set_pose(r, r->s->poses + 16 * index));
  r->out->planes = planes;
  return asl_sample_resize(r->out, r->s->height, r->s->width);
}

static asl_status decode(const asl_source *source, int64_t index, uint32_t planes,
                         asl_sample *out) {
  const source_hypersim *s = (const source_hypersim *)source;
  const asl_hypersim_shot *shot = &s->shot[s->shot_of[index]];
  size_t room = strlen(shot->folder) + MORE_OF_PATH;
  char *paths = calloc(2, room);
  *out = (asl_sample){0};
  if (!paths) return asl_fail(ASL_ENOMEM, "no memory for a path");
  reading r = {s, shot, s->frame[index], out, paths, room, paths + room};
  asl_status status = read_planes(&r, index, planes);
  if (status != ASL_OK) asl_sample_free(out);
  free(paths);
  return status;
}

static asl_status visit_files(const asl_source *source, int64_t index, asl_path_visit visit,
                              void *context) {
  const source_hypersim *s = (const source_hypersim *)source;
  const asl_hypersim_shot *shot = &s->shot[s->shot_of[index]];
  char path[PATH_MAX];
  reading r = {.s = s, .shot = shot, .frame = s->frame[index], .path = path, .room = sizeof path};
  const struct {
    bool read;
    part part;
  } list[] = {{!s->preview, colour},
              {!s->preview && !s->all_valid, entities},
              {s->preview, preview},
              {wants(s->base.planes, ASL_PLANE_LABEL), semantic},
              {wants(s->base.planes, ASL_PLANE_DEPTH), distances}};
  if (strlen(shot->folder) + MORE_OF_PATH > sizeof path)
    return asl_fail(ASL_EINVAL, "a path of %zu bytes, at most %d can be opened: %s",
                    strlen(shot->folder), PATH_MAX - MORE_OF_PATH, shot->folder);
  for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
    if (!list[i].read) continue;
    name_file(&r, list[i].part);
    ASL_TRY(visit(context, path));
  }
  return ASL_OK;
}

/* ---- the source ---------------------------------------------------------------------------- */

static void free_source(asl_source *source) {
  source_hypersim *s = (source_hypersim *)source;
  for (int64_t i = 0; s->shot && i < s->shots; i++) free((void *)(uintptr_t)s->shot[i].folder);
  free(s->shot);
  free(s->shot_of);
  free(s->frame);
  free(s->poses);
  asl_label_table_free(&s->table);
  free(s);
}

static asl_status check_rays(const asl_hypersim_shot *shot) {
  const double *r = shot->rays;
  bool upper = r[3] == 0 && r[6] == 0 && r[7] == 0 && r[8] == 1 && r[0] > 0 && r[4] > 0;
  if (upper && isfinite(r[0] + r[1] + r[2] + r[4] + r[5])) return ASL_OK;
  return asl_fail(ASL_EINVAL, "%s: its camera's matrix is not that of a camera", shot->folder);
}

static asl_status check_spec(const asl_source_hypersim_spec *spec) {
  if (spec->height != 0 || spec->width != 0)
    ASL_TRY(asl_picture_size_check(spec->height, spec->width));
  for (int64_t i = 0; spec->poses && i < spec->shots; i++) ASL_TRY(check_rays(&spec->shot[i]));
  for (int64_t i = 0; i < spec->count; i++)
    if (spec->shot_of[i] < 0 || spec->shot_of[i] >= spec->shots || spec->frame[i] < 0 ||
        spec->frame[i] > MOST_FRAME)
      return asl_fail(ASL_EINVAL, "sample %lld: frame %d of trajectory %d of %lld",
                      (long long)i + 1, (int)spec->frame[i], (int)spec->shot_of[i] + 1,
                      (long long)spec->shots);
  return ASL_OK;
}

static void *copy_of(const void *from, size_t bytes) {
  void *copy = malloc(bytes + 1);
  if (copy) memcpy(copy, from, bytes);
  return copy;
}

/* False without memory. */
static bool copy_spec(source_hypersim *s, const asl_source_hypersim_spec *spec) {
  size_t n = (size_t)spec->count;
  s->preview = spec->preview;
  s->all_valid = spec->all_valid;
  s->height = spec->height;
  s->width = spec->width;
  s->shots = spec->shots;
  s->shot = calloc((size_t)spec->shots + 1, sizeof *s->shot);
  bool done = s->shot != NULL;
  for (int64_t i = 0; s->shot && i < spec->shots; i++) {
    s->shot[i] = spec->shot[i];
    s->shot[i].folder = strdup(spec->shot[i].folder);
    done = done && s->shot[i].folder;
  }
  s->shot_of = copy_of(spec->shot_of, n * sizeof *s->shot_of);
  s->frame = copy_of(spec->frame, n * sizeof *s->frame);
  s->poses = spec->poses ? copy_of(spec->poses, 16 * n * sizeof *s->poses) : NULL;
  return asl_label_table_copy(&spec->table, &s->table) && done && s->shot_of && s->frame &&
         (s->poses || !spec->poses);
}

static uint32_t planes_of(const asl_source_hypersim_spec *spec) {
  const uint32_t geometry =
      1u << ASL_PLANE_DEPTH | 1u << ASL_PLANE_INTRINSICS | 1u << ASL_PLANE_POSE;
  return 1u << ASL_PLANE_IMAGE | (spec->labels ? 1u << ASL_PLANE_LABEL : 0) |
         (spec->poses ? geometry : 0);
}

asl_status asl_source_hypersim_new(const asl_source_hypersim_spec *spec, asl_source **out) {
  static const asl_source_type type = {"hypersim", decode, visit_files, free_source};
  ASL_TRY(check_spec(spec));
  source_hypersim *s = calloc(1, sizeof *s);
  if (!s) return asl_fail(ASL_ENOMEM, "no memory for a source");
  asl_source_init(&s->base, &type, spec->count, planes_of(spec));
  if (!copy_spec(s, spec)) {
    asl_source_release(&s->base);
    return asl_fail(ASL_ENOMEM, "no memory for %lld frames", (long long)spec->count);
  }
  *out = &s->base;
  return ASL_OK;
}
