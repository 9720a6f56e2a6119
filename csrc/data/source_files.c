#include "data/source_files.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/read.h"
#include "data/augment.h"
#include "data/flow.h"
#include "data/matrix.h"
#include "data/png.h"

/* Lists of paths a source may have. */
enum { IMAGES, LABELS, DEPTHS, FLOWS, FLOWS_BACK, POSES, LISTS };

typedef struct source_files {
  asl_source base;
  char **paths[LISTS]; /* `count` each, NULL when there are none */
  float *intrinsics, *depth_intrinsics;
  asl_depth_coding depth_coding;
  char *table;
  int16_t *label_map;
  int label_values;
  int height, width;
} source_files;

enum { MAX_LABEL_BYTES = 1 << 30 };

/* ---- label maps --------------------------------------------------------------------------- */

static asl_status unknown_label(const asl_label_table *table, int value, size_t i, int width) {
  return asl_fail(ASL_EDATA, "the label value %d (row %zu, column %zu) is not in the table %s",
                  value, i / (size_t)width + 1, i % (size_t)width + 1, table->name);
}

static asl_status map_bytes(const asl_label_table *table, asl_picture *label) {
  size_t n = (size_t)label->height * (size_t)label->width;
  for (size_t i = 0; i < n; i++) {
    int value = label->pixels[i];
    int class_id = value < table->values ? table->map[value] : ASL_LABEL_UNKNOWN;
    if (class_id == ASL_LABEL_UNKNOWN) return unknown_label(table, value, i, label->width);
    label->pixels[i] = (uint8_t)class_id;
  }
  return ASL_OK;
}

/* A table of more than 256 values: files hold 8 or 16 bits. */
static asl_status map_values(const asl_label_table *table, const asl_values *values,
                             asl_picture *label) {
  size_t n = (size_t)values->height * (size_t)values->width;
  *label = (asl_picture){values->height, values->width, 1, malloc(n)};
  if (!label->pixels) return asl_fail(ASL_ENOMEM, "no memory for %zu labels", n);
  for (size_t i = 0; i < n; i++) {
    int value = values->values[i];
    int class_id = value < table->values ? table->map[value] : ASL_LABEL_UNKNOWN;
    if (class_id == ASL_LABEL_UNKNOWN) return unknown_label(table, value, i, values->width);
    label->pixels[i] = (uint8_t)class_id;
  }
  return ASL_OK;
}

static asl_status decode_labels(const uint8_t *bytes, size_t n, const asl_label_table *table,
                                asl_picture *out) {
  if (table->values <= 256) {
    ASL_TRY(asl_picture_decode(bytes, n, ASL_LABEL_MAP, out));
    return map_bytes(table, out);
  }
  asl_values values;
  ASL_TRY(asl_png_values(bytes, n, 1, &values));
  asl_status status = map_values(table, &values, out);
  asl_values_free(&values);
  return status;
}

asl_status asl_read_labels(const char *path, const asl_label_table *table, asl_picture *out) {
  char *bytes;
  size_t n;
  *out = (asl_picture){0};
  ASL_TRY(asl_read_file(path, MAX_LABEL_BYTES, &bytes, &n));
  asl_status status = decode_labels((const uint8_t *)bytes, n, table, out);
  free(bytes);
  if (status != ASL_OK) asl_picture_free(out);
  return asl_wrap(status, "%s", path);
}

/* ---- depth -------------------------------------------------------------------------------- */

asl_depth_place asl_depth_place_of(const float *intrinsics, const float *depth_intrinsics,
                                   const asl_depth *depth, int height, int width) {
  if (!intrinsics || !depth_intrinsics) {
    double x = (double)depth->width / width, y = (double)depth->height / height;
    return (asl_depth_place){x, 0.5 * x - 0.5, y, 0.5 * y - 0.5};
  }
  const float *k = intrinsics, *d = depth_intrinsics;
  double x = (double)d[0] / (double)k[0], y = (double)d[4] / (double)k[4];
  return (asl_depth_place){x, (double)d[2] - x * (double)k[2], y, (double)d[5] - y * (double)k[5]};
}

/* The nearest of `side` positions, -1 outside. */
static int nearest(double position, int side) {
  double at = floor(position + 0.5);
  return at >= 0 && at < side ? (int)at : -1;
}

asl_status asl_sample_add_depth(asl_sample *sample, const asl_depth *depth, asl_depth_place place) {
  size_t n = (size_t)sample->height * (size_t)sample->width;
  sample->depth = malloc(n * sizeof *sample->depth);
  if (!sample->depth) return asl_fail(ASL_ENOMEM, "no memory for %zu depths", n);
  sample->planes |= 1u << ASL_PLANE_DEPTH;
  for (int y = 0; y < sample->height; y++) {
    float *to = sample->depth + (size_t)y * (size_t)sample->width;
    int v = nearest(place.fy * y + place.cy, depth->height);
    for (int x = 0; x < sample->width; x++) {
      int u = v < 0 ? -1 : nearest(place.fx * x + place.cx, depth->width);
      to[x] = u < 0 ? 0 : depth->metres[(size_t)v * (size_t)depth->width + (size_t)u];
    }
  }
  return ASL_OK;
}

/* ---- one sample --------------------------------------------------------------------------- */

/* A sample being read: its size is that of the first plane that has one. */
typedef struct reading {
  const source_files *s;
  int64_t index;
  asl_sample *out;
  const char *first; /* the file that gave the size */
} reading;

static asl_status take_size(reading *r, const char *path, const char *what, int height, int width) {
  if (!r->first) {
    r->first = path;
    r->out->height = height;
    r->out->width = width;
  }
  if (r->out->height == height && r->out->width == width) return ASL_OK;
  return asl_fail(ASL_EDATA, "%s is %dx%d but its %s %s is %dx%d (width x height)", r->first,
                  r->out->width, r->out->height, what, path, width, height);
}

static bool wants(uint32_t planes, int plane) { return planes >> plane & 1; }

/* Also when only the size is needed: then the picture is not kept. */
static asl_status read_image(reading *r, bool keep) {
  const char *path = r->s->paths[IMAGES][r->index];
  asl_picture picture;
  ASL_TRY(asl_picture_read(path, ASL_PICTURE, &picture));
  if (keep) {
    r->out->image = picture.pixels;
    r->out->planes |= 1u << ASL_PLANE_IMAGE;
  }
  asl_status status = take_size(r, path, "picture", picture.height, picture.width);
  if (!keep) asl_picture_free(&picture);
  return status;
}

static asl_status read_label(reading *r) {
  const source_files *s = r->s;
  const char *path = s->paths[LABELS][r->index];
  asl_label_table table = {s->label_map, s->label_values, s->table};
  asl_picture label;
  ASL_TRY(asl_read_labels(path, &table, &label));
  r->out->label = label.pixels;
  r->out->planes |= 1u << ASL_PLANE_LABEL;
  return take_size(r, path, "label map", label.height, label.width);
}

/* The flow of one list, and occlusion where it is wanted. */
static asl_status read_flow(reading *r, uint32_t planes, int list, int plane) {
  const char *path = r->s->paths[list][r->index];
  bool occlusion = list == FLOWS && wants(planes, ASL_PLANE_OCCLUSION);
  asl_flow flow;
  ASL_TRY(asl_flow_read(path, &flow));
  asl_status status = take_size(r, path, "flow", flow.height, flow.width);
  if (status != ASL_OK) {
    asl_flow_free(&flow);
    return status;
  }
  if (wants(planes, plane)) {
    *(plane == ASL_PLANE_FLOW ? &r->out->flow : &r->out->flow_back) = flow.vectors;
    r->out->planes |= 1u << plane;
    flow.vectors = NULL;
  }
  if (occlusion) {
    r->out->occlusion = flow.unknown;
    r->out->planes |= 1u << ASL_PLANE_OCCLUSION;
    flow.unknown = NULL;
  }
  asl_flow_free(&flow);
  return ASL_OK;
}

static asl_status read_depth(reading *r) {
  const source_files *s = r->s;
  const float *k = s->depth_intrinsics ? s->intrinsics + 9 * r->index : NULL;
  const float *d = s->depth_intrinsics ? s->depth_intrinsics + 9 * r->index : NULL;
  asl_depth depth;
  ASL_TRY(asl_depth_read(s->paths[DEPTHS][r->index], &s->depth_coding, &depth));
  asl_depth_place place = asl_depth_place_of(k, d, &depth, r->out->height, r->out->width);
  asl_status status = asl_sample_add_depth(r->out, &depth, place);
  asl_depth_free(&depth);
  return status;
}

/* Reads what the mask asks for into a sample of the files' own size. The picture is read first,
 * also when it is not asked for but nothing else says the size. */
static asl_status read_planes(reading *r, uint32_t planes) {
  const uint32_t sized = 1u << ASL_PLANE_IMAGE | 1u << ASL_PLANE_LABEL | 1u << ASL_PLANE_FLOW |
                         1u << ASL_PLANE_FLOW_BACK | 1u << ASL_PLANE_OCCLUSION;
  if (wants(planes, ASL_PLANE_IMAGE) || !(planes & sized))
    ASL_TRY(read_image(r, wants(planes, ASL_PLANE_IMAGE)));
  if (wants(planes, ASL_PLANE_LABEL)) ASL_TRY(read_label(r));
  if (wants(planes, ASL_PLANE_FLOW) || wants(planes, ASL_PLANE_OCCLUSION))
    ASL_TRY(read_flow(r, planes, FLOWS, ASL_PLANE_FLOW));
  if (wants(planes, ASL_PLANE_FLOW_BACK))
    ASL_TRY(read_flow(r, planes, FLOWS_BACK, ASL_PLANE_FLOW_BACK));
  if (wants(planes, ASL_PLANE_DEPTH)) ASL_TRY(read_depth(r));
  if (wants(planes, ASL_PLANE_INTRINSICS))
    memcpy(r->out->intrinsics, r->s->intrinsics + 9 * r->index, sizeof r->out->intrinsics);
  if (wants(planes, ASL_PLANE_POSE))
    ASL_TRY(asl_pose_read(r->s->paths[POSES][r->index], r->out->pose));
  r->out->planes = planes;
  return ASL_OK;
}

asl_status asl_sample_resize(asl_sample *sample, int height, int width) {
  if (height == 0 || (height == sample->height && width == sample->width)) return ASL_OK;
  asl_sample resized;
  ASL_TRY(asl_sample_new(&resized, height, width, sample->planes));
  void *out[ASL_PLANES];
  for (int p = 0; p < ASL_PLANES; p++) out[p] = asl_sample_plane(&resized, p);
  asl_status status =
      asl_augment_row(sample, NULL, (asl_draw){0}, sample->planes, height, width, out);
  if (status != ASL_OK) {
    asl_sample_free(&resized);
    return status;
  }
  asl_sample_free(sample);
  *sample = resized;
  return ASL_OK;
}

static asl_status decode(const asl_source *source, int64_t index, uint32_t planes,
                         asl_sample *out) {
  const source_files *s = (const source_files *)source;
  *out = (asl_sample){0};
  reading r = {s, index, out, NULL};
  asl_status status = read_planes(&r, planes);
  if (status == ASL_OK) status = asl_sample_resize(out, s->height, s->width);
  if (status != ASL_OK) asl_sample_free(out);
  return status;
}

static asl_status visit_files(const asl_source *source, int64_t index, asl_path_visit visit,
                              void *context) {
  const source_files *s = (const source_files *)source;
  for (int list = 0; list < LISTS; list++)
    if (s->paths[list]) ASL_TRY(visit(context, s->paths[list][index]));
  return ASL_OK;
}

/* ---- the source --------------------------------------------------------------------------- */

void asl_paths_free(char **paths, int64_t n) {
  if (paths)
    for (int64_t i = 0; i < n; i++) free(paths[i]);
  free(paths);
}

static void free_source(asl_source *source) {
  source_files *s = (source_files *)source;
  for (int list = 0; list < LISTS; list++) asl_paths_free(s->paths[list], s->base.count);
  free(s->intrinsics);
  free(s->depth_intrinsics);
  free(s->label_map);
  free(s->table);
  free(s);
}

char **asl_paths_copy(const char *const *paths, int64_t n) {
  char **copy = calloc((size_t)n + 1, sizeof *copy);
  for (int64_t i = 0; copy && i < n; i++) {
    copy[i] = strdup(paths[i]);
    if (copy[i]) continue;
    asl_paths_free(copy, n);
    return NULL;
  }
  return copy;
}

static void *copy_bytes(const void *from, size_t bytes) {
  void *copy = malloc(bytes + 1);
  if (copy) memcpy(copy, from, bytes);
  return copy;
}

/* False without memory. */
static bool copy_spec(source_files *s, const asl_source_files_spec *spec) {
  const char *const *lists[LISTS] = {spec->images, spec->labels,     spec->depths,
                                     spec->flows,  spec->flows_back, spec->poses};
  bool done = true;
  for (int list = 0; list < LISTS; list++)
    if (lists[list]) done = (s->paths[list] = asl_paths_copy(lists[list], spec->count)) && done;
  size_t matrices = (size_t)spec->count * 9 * sizeof(float);
  if (spec->intrinsics) done = (s->intrinsics = copy_bytes(spec->intrinsics, matrices)) && done;
  if (spec->depth_intrinsics)
    done = (s->depth_intrinsics = copy_bytes(spec->depth_intrinsics, matrices)) && done;
  s->label_values = spec->label_values ? spec->label_values : 256;
  s->label_map = copy_bytes(spec->label_map, (size_t)s->label_values * sizeof *s->label_map);
  s->table = strdup(spec->table);
  s->depth_coding = spec->depth_coding;
  s->height = spec->height;
  s->width = spec->width;
  return done && s->label_map && s->table;
}

/* A camera matrix as depth can be placed by: fx 0 cx, 0 fy cy, 0 0 1. */
static asl_status check_intrinsics(const float *k, int64_t i) {
  bool simple = k[1] == 0 && k[3] == 0 && k[6] == 0 && k[7] == 0 && k[8] == 1;
  if (simple && k[0] > 0 && k[4] > 0 && isfinite(k[0] + k[2] + k[4] + k[5])) return ASL_OK;
  return asl_fail(
      ASL_EINVAL,
      "the intrinsics of sample %lld are %g %g %g, %g %g %g, %g %g %g; expected fx 0 cx, "
      "0 fy cy, 0 0 1 with positive fx, fy",
      (long long)i + 1, (double)k[0], (double)k[1], (double)k[2], (double)k[3], (double)k[4],
      (double)k[5], (double)k[6], (double)k[7], (double)k[8]);
}

static asl_status check_spec(const asl_source_files_spec *spec) {
  if (spec->height != 0 || spec->width != 0)
    ASL_TRY(asl_picture_size_check(spec->height, spec->width));
  if (spec->depths) ASL_TRY(asl_depth_coding_check(&spec->depth_coding));
  if (spec->depth_intrinsics && !spec->intrinsics)
    return asl_fail(ASL_EINVAL, "depth_intrinsics without the intrinsics of the pictures");
  for (int64_t i = 0; i < spec->count; i++) {
    if (spec->intrinsics) ASL_TRY(check_intrinsics(spec->intrinsics + 9 * i, i));
    if (spec->depth_intrinsics) ASL_TRY(check_intrinsics(spec->depth_intrinsics + 9 * i, i));
  }
  return ASL_OK;
}

static uint32_t planes_of(const asl_source_files_spec *spec) {
  uint32_t planes = 1u << ASL_PLANE_IMAGE;
  if (spec->labels) planes |= 1u << ASL_PLANE_LABEL;
  if (spec->depths) planes |= 1u << ASL_PLANE_DEPTH;
  if (spec->flows) planes |= 1u << ASL_PLANE_FLOW | 1u << ASL_PLANE_OCCLUSION;
  if (spec->flows_back) planes |= 1u << ASL_PLANE_FLOW_BACK;
  if (spec->intrinsics) planes |= 1u << ASL_PLANE_INTRINSICS;
  if (spec->poses) planes |= 1u << ASL_PLANE_POSE;
  return planes;
}

asl_status asl_source_files_new(const asl_source_files_spec *spec, asl_source **out) {
  static const asl_source_type type = {"files", decode, visit_files, free_source};
  ASL_TRY(check_spec(spec));
  source_files *s = calloc(1, sizeof *s);
  if (!s) return asl_fail(ASL_ENOMEM, "no memory for a source");
  asl_source_init(&s->base, &type, spec->count, planes_of(spec));
  if (!copy_spec(s, spec)) {
    asl_source_release(&s->base);
    return asl_fail(ASL_ENOMEM, "no memory for the paths of %lld samples", (long long)spec->count);
  }
  *out = &s->base;
  return ASL_OK;
}
