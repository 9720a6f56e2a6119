#include "data/sens.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/read.h"

enum {
  VERSION = 4,
  MAX_NAME = 4096,
  MATRIX_BYTES = 64,
  FRAME_HEAD = MATRIX_BYTES + 32,
  MAX_FRAME_BYTES = 1 << 28, /* of a picture or a depth map */
};
enum { COLOUR_PNG = 1, COLOUR_JPEG = 2, DEPTH_RAW = 0, DEPTH_DEFLATED = 1 };

struct asl_sens {
  atomic_int refs;
  asl_sens_info info;
  char *path;
  int depth_kind;
  int64_t *at; /* of each frame's head */
};

/* ---- reading bytes ------------------------------------------------------------------------ */

/* n bytes from a place; what is asked for must lie in the file as it was when opened. */
static asl_status read_at(const asl_input *f, int64_t at, void *to, size_t n) {
  if (at > f->size || (int64_t)n > f->size - at)
    return asl_fail(ASL_EDATA, "truncated (%lld bytes)", (long long)f->size);
  return asl_input_read(f, at, to, n);
}

static uint32_t u32(const uint8_t *p) {
  return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint64_t u64(const uint8_t *p) { return u32(p) | (uint64_t)u32(p + 4) << 32; }

static float f32(const uint8_t *p) {
  uint32_t bits = u32(p);
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

/* ---- the head of the file ----------------------------------------------------------------- */

/* The upper left 3x3 of a 4x4 matrix of intrinsics. */
static asl_status read_intrinsics(const uint8_t *p, const char *what, float out[9]) {
  for (int i = 0; i < 3; i++)
    for (int j = 0; j < 3; j++) out[3 * i + j] = f32(p + 16 * i + 4 * j);
  bool simple = out[1] == 0 && out[3] == 0 && out[6] == 0 && out[7] == 0 && out[8] == 1;
  if (simple && out[0] > 0 && out[4] > 0 && isfinite(out[0] + out[2] + out[4] + out[5]))
    return ASL_OK;
  return asl_fail(ASL_EDATA,
                  "the intrinsics of %s are %g %g %g, %g %g %g, ...; expected fx 0 cx, 0 fy cy",
                  what, (double)out[0], (double)out[1], (double)out[2], (double)out[3],
                  (double)out[4], (double)out[5]);
}

static asl_status check_kinds(int colour, int depth) {
  if (colour != COLOUR_PNG && colour != COLOUR_JPEG)
    return asl_fail(ASL_EDATA, "pictures of kind %d; known are 1 (PNG) and 2 (JPEG)", colour);
  if (depth != DEPTH_RAW && depth != DEPTH_DEFLATED)
    return asl_fail(ASL_EDATA, "depth of kind %d; known are 0 (raw) and 1 (deflated)", depth);
  return ASL_OK;
}

static asl_status check_size(uint32_t height, uint32_t width, const char *what, int *to_height,
                             int *to_width) {
  ASL_TRY(
      asl_wrap(asl_picture_size_check(height, width) == ASL_OK ? ASL_OK : ASL_EDATA, "%s", what));
  *to_height = (int)height;
  *to_width = (int)width;
  return ASL_OK;
}

/* What stands behind the name: matrices, kinds, sizes, the number of frames. */
static asl_status read_fields(asl_sens *s, const uint8_t *p) {
  asl_sens_info *info = &s->info;
  ASL_TRY(read_intrinsics(p, "the pictures", info->intrinsics));
  ASL_TRY(read_intrinsics(p + 2 * MATRIX_BYTES, "the depth maps", info->depth_intrinsics));
  p += 4 * MATRIX_BYTES;
  ASL_TRY(check_kinds((int32_t)u32(p), (int32_t)u32(p + 4)));
  s->depth_kind = (int32_t)u32(p + 4);
  ASL_TRY(check_size(u32(p + 12), u32(p + 8), "pictures", &info->height, &info->width));
  ASL_TRY(check_size(u32(p + 20), u32(p + 16), "depth", &info->depth_height, &info->depth_width));
  info->depth_per_metre = (double)f32(p + 24);
  ASL_TRY(asl_depth_coding_check(&(asl_depth_coding){.per_metre = info->depth_per_metre}));
  uint64_t frames = u64(p + 28);
  if (frames < 1 || frames > INT64_MAX / FRAME_HEAD)
    return asl_fail(ASL_EDATA, "%llu frames", (unsigned long long)frames);
  info->frames = (int64_t)frames;
  return ASL_OK;
}

enum { FIELDS_BYTES = 4 * MATRIX_BYTES + 36 };

static asl_status read_head(asl_sens *s, const asl_input *f, int64_t *end) {
  uint8_t head[12], fields[FIELDS_BYTES];
  ASL_TRY(read_at(f, 0, head, sizeof head));
  if (u32(head) != VERSION)
    return asl_fail(ASL_EDATA, "version %u; .sens files have version %d", u32(head), VERSION);
  uint64_t name = u64(head + 4);
  if (name > MAX_NAME)
    return asl_fail(ASL_EDATA, "a sensor's name of %llu bytes", (unsigned long long)name);
  int64_t at = (int64_t)sizeof head + (int64_t)name;
  ASL_TRY(read_at(f, at, fields, sizeof fields));
  *end = at + (int64_t)sizeof fields;
  return read_fields(s, fields);
}

/* ---- frames ------------------------------------------------------------------------------- */

/* Bytes of colour and depth of the frame whose head is at a place. */
static asl_status read_frame_head(const asl_input *f, int64_t at, uint8_t head[FRAME_HEAD],
                                  uint64_t *colour, uint64_t *depth) {
  ASL_TRY(read_at(f, at, head, FRAME_HEAD));
  *colour = u64(head + MATRIX_BYTES + 16);
  *depth = u64(head + MATRIX_BYTES + 24);
  if (*colour < 1 || *colour > MAX_FRAME_BYTES || *depth < 1 || *depth > MAX_FRAME_BYTES)
    return asl_fail(ASL_EDATA, "%llu bytes of picture and %llu of depth",
                    (unsigned long long)*colour, (unsigned long long)*depth);
  return ASL_OK;
}

/* The file is at least as long as its heads, so the list cannot ask for more than 1/12 of it. */
static asl_status index_frames(asl_sens *s, const asl_input *f, int64_t at) {
  int64_t n = s->info.frames;
  if (n > (f->size - at) / FRAME_HEAD)
    return asl_fail(ASL_EDATA, "truncated (%lld bytes cannot hold %lld frames)", (long long)f->size,
                    (long long)n);
  s->at = malloc((size_t)n * sizeof *s->at);
  if (!s->at) return asl_fail(ASL_ENOMEM, "no memory for %lld frames", (long long)n);
  for (int64_t i = 0; i < n; i++) {
    uint8_t head[FRAME_HEAD];
    uint64_t colour = 0, depth = 0;
    ASL_TRY(asl_wrap(read_frame_head(f, at, head, &colour, &depth), "frame %lld", (long long)i));
    s->at[i] = at;
    at += FRAME_HEAD + (int64_t)(colour + depth);
    if (at > f->size)
      return asl_fail(ASL_EDATA, "frame %lld: truncated (%lld bytes)", (long long)i,
                      (long long)f->size);
  }
  return ASL_OK;
}

asl_status asl_sens_open(const char *path, asl_sens **out) {
  asl_input f;
  ASL_TRY(asl_input_open(path, &f));
  int64_t at = 0;
  asl_sens *s = calloc(1, sizeof *s);
  if (s) {
    atomic_init(&s->refs, 1);
    s->path = strdup(path);
    s->info.path = s->path;
  }
  asl_status status = s && s->path ? read_head(s, &f, &at) : asl_fail(ASL_ENOMEM, "no memory");
  if (status == ASL_OK) status = index_frames(s, &f, at);
  asl_input_close(&f);
  if (status == ASL_OK) *out = s;
  else asl_sens_release(s);
  return asl_wrap(status, "%s", path);
}

asl_sens *asl_sens_retain(asl_sens *sens) {
  atomic_fetch_add_explicit(&sens->refs, 1, memory_order_relaxed);
  return sens;
}

void asl_sens_release(asl_sens *sens) {
  if (!sens || atomic_fetch_sub_explicit(&sens->refs, 1, memory_order_acq_rel) != 1) return;
  free(sens->path);
  free(sens->at);
  free(sens);
}

const asl_sens_info *asl_sens_look(const asl_sens *sens) { return &sens->info; }

/* What a frame is read into. */
typedef struct frame {
  uint8_t head[FRAME_HEAD];
  uint64_t colour, depth; /* bytes */
  uint8_t *bytes;         /* of colour, then of depth; only what was asked for is filled */
} frame;

static void read_pose(const uint8_t *head, float pose[16]) {
  for (int i = 0; i < 16; i++) pose[i] = f32(head + 4 * i);
}

/* `bytes` is to be freed, also after a failure. */
static asl_status read_frame(const asl_input *f, int64_t at, bool colour, bool depth, frame *out) {
  ASL_TRY(read_frame_head(f, at, out->head, &out->colour, &out->depth));
  if (!colour && !depth) return ASL_OK;
  out->bytes = malloc((size_t)(out->colour + out->depth));
  if (!out->bytes)
    return asl_fail(ASL_ENOMEM, "no memory for %llu bytes",
                    (unsigned long long)(out->colour + out->depth));
  at += FRAME_HEAD;
  if (colour) ASL_TRY(read_at(f, at, out->bytes, (size_t)out->colour));
  if (depth)
    ASL_TRY(read_at(f, at + (int64_t)out->colour, out->bytes + out->colour, (size_t)out->depth));
  return ASL_OK;
}

/* Opens the file, reads one frame, closes it. */
static asl_status load_frame(const asl_sens *s, int64_t index, bool colour, bool depth,
                             frame *out) {
  asl_input f;
  ASL_TRY(asl_input_open(s->path, &f));
  asl_status status = read_frame(&f, s->at[index], colour, depth, out);
  asl_input_close(&f);
  return asl_wrap(status, "%s: frame %lld", s->path, (long long)index);
}

asl_status asl_sens_pose(const asl_sens *sens, int64_t index, float pose[16]) {
  frame fr = {.bytes = NULL};
  if (index < 0 || index >= sens->info.frames)
    return asl_fail(ASL_EINVAL, "%s: frame %lld of %lld", sens->path, (long long)index,
                    (long long)sens->info.frames);
  ASL_TRY(load_frame(sens, index, false, false, &fr));
  read_pose(fr.head, pose);
  return ASL_OK;
}

/* ---- decoding ----------------------------------------------------------------------------- */

static asl_status inflate_depth(const asl_sens *s, const frame *fr, uint8_t *raw, size_t n) {
  const uint8_t *from = fr->bytes + fr->colour;
  if (s->depth_kind == DEPTH_RAW && fr->depth == n) memcpy(raw, from, n);
  uLongf got = n;
  if (s->depth_kind == DEPTH_RAW) got = (uLongf)fr->depth;
  else if (uncompress(raw, &got, from, (uLong)fr->depth) != Z_OK)
    return asl_fail(ASL_EDATA, "its depth is damaged");
  if (got == n) return ASL_OK;
  return asl_fail(ASL_EDATA, "%llu bytes of depth; %dx%d take %zu (width x height)",
                  (unsigned long long)got, s->info.depth_width, s->info.depth_height, n);
}

/* The depth map of a frame, in its own size. */
static asl_status decode_depth(const asl_sens *s, const frame *fr, asl_depth *out) {
  const asl_sens_info *info = &s->info;
  size_t n = (size_t)info->depth_height * (size_t)info->depth_width;
  uint8_t *raw = malloc(2 * n);
  uint16_t *values = malloc(n * sizeof *values);
  *out = (asl_depth){info->depth_height, info->depth_width, malloc(n * sizeof(float))};
  asl_status status = raw && values && out->metres
                          ? inflate_depth(s, fr, raw, 2 * n)
                          : asl_fail(ASL_ENOMEM, "no memory for %zu depths", n);
  if (status == ASL_OK) {
    for (size_t i = 0; i < n; i++) values[i] = (uint16_t)(raw[2 * i] | raw[2 * i + 1] << 8);
    asl_depth_coding coding = {.per_metre = info->depth_per_metre, .none = -1};
    asl_depth_convert(&coding, values, n, out->metres);
  }
  free(raw);
  free(values);
  if (status != ASL_OK) asl_depth_free(out);
  return status;
}

static asl_status add_depth(const asl_sens *s, const frame *fr, asl_sample *out) {
  asl_depth depth;
  ASL_TRY(decode_depth(s, fr, &depth));
  asl_depth_place place = asl_depth_place_of(s->info.intrinsics, s->info.depth_intrinsics, &depth,
                                             out->height, out->width);
  asl_status status = asl_sample_add_depth(out, &depth, place);
  asl_depth_free(&depth);
  return status;
}

static asl_status add_image(const asl_sens *s, const frame *fr, asl_sample *out) {
  asl_picture picture;
  ASL_TRY(asl_picture_decode(fr->bytes, (size_t)fr->colour, ASL_PICTURE, &picture));
  out->image = picture.pixels;
  out->planes |= 1u << ASL_PLANE_IMAGE;
  if (picture.height == s->info.height && picture.width == s->info.width) return ASL_OK;
  return asl_fail(ASL_EDATA, "a picture of %dx%d; the file says %dx%d (width x height)",
                  picture.width, picture.height, s->info.width, s->info.height);
}

static asl_status add_pose(const frame *fr, asl_sample *out) {
  read_pose(fr->head, out->pose);
  for (int i = 0; i < 16; i++)
    if (!isfinite(out->pose[i]))
      return asl_fail(ASL_EDATA, "the pose is not finite (tracking was lost at this frame)");
  return ASL_OK;
}

/* ---- the source --------------------------------------------------------------------------- */

typedef struct source_sens {
  asl_source base;
  asl_sens *sens;
  int64_t *frames;
  char **labels; /* NULL when there are none */
  int16_t *map;
  char *table;
  int map_values;
  int height, width;
} source_sens;

static asl_status add_label(const source_sens *s, int64_t index, asl_sample *out) {
  asl_label_table table = {s->map, s->map_values, s->table};
  asl_picture label;
  ASL_TRY(asl_read_labels(s->labels[index], &table, &label));
  out->label = label.pixels;
  out->planes |= 1u << ASL_PLANE_LABEL;
  if (label.height == out->height && label.width == out->width) return ASL_OK;
  return asl_fail(ASL_EDATA, "%s is %dx%d; the pictures of %s are %dx%d (width x height)",
                  s->labels[index], label.width, label.height, s->sens->path, out->width,
                  out->height);
}

static asl_status add_planes(const asl_sens *sens, const frame *fr, uint32_t planes,
                             asl_sample *out) {
  if (planes >> ASL_PLANE_IMAGE & 1) ASL_TRY(add_image(sens, fr, out));
  if (planes >> ASL_PLANE_DEPTH & 1) ASL_TRY(add_depth(sens, fr, out));
  if (planes >> ASL_PLANE_POSE & 1) ASL_TRY(add_pose(fr, out));
  if (planes >> ASL_PLANE_INTRINSICS & 1)
    memcpy(out->intrinsics, sens->info.intrinsics, sizeof out->intrinsics);
  return ASL_OK;
}

static asl_status decode(const asl_source *source, int64_t index, uint32_t planes,
                         asl_sample *out) {
  const source_sens *s = (const source_sens *)source;
  const asl_sens *sens = s->sens;
  *out = (asl_sample){.height = sens->info.height, .width = sens->info.width};
  frame fr = {.bytes = NULL};
  asl_status status = load_frame(sens, s->frames[index], planes >> ASL_PLANE_IMAGE & 1,
                                 planes >> ASL_PLANE_DEPTH & 1, &fr);
  if (status == ASL_OK)
    status = asl_wrap(add_planes(sens, &fr, planes, out), "%s: frame %lld", sens->path,
                      (long long)s->frames[index]);
  free(fr.bytes);
  if (status == ASL_OK && planes >> ASL_PLANE_LABEL & 1) status = add_label(s, index, out);
  if (status == ASL_OK) {
    out->planes = planes;
    status = asl_sample_resize(out, s->height, s->width);
  }
  if (status != ASL_OK) asl_sample_free(out);
  return status;
}

static asl_status visit_files(const asl_source *source, int64_t index, asl_path_visit visit,
                              void *context) {
  const source_sens *s = (const source_sens *)source;
  ASL_TRY(visit(context, s->sens->path));
  return s->labels ? visit(context, s->labels[index]) : ASL_OK;
}

static void free_source(asl_source *source) {
  source_sens *s = (source_sens *)source;
  asl_sens_release(s->sens);
  asl_paths_free(s->labels, s->base.count);
  free(s->frames);
  free(s->map);
  free(s->table);
  free(s);
}

static asl_status check_spec(const asl_source_sens_spec *spec) {
  if (spec->height != 0 || spec->width != 0)
    ASL_TRY(asl_picture_size_check(spec->height, spec->width));
  for (int64_t i = 0; i < spec->count; i++)
    if (spec->frames[i] < 0 || spec->frames[i] >= spec->sens->info.frames)
      return asl_fail(ASL_EINVAL, "%s: frame %lld of %lld", spec->sens->path,
                      (long long)spec->frames[i], (long long)spec->sens->info.frames);
  return ASL_OK;
}

/* False without memory. */
static bool copy_spec(source_sens *s, const asl_source_sens_spec *spec) {
  size_t frames = (size_t)spec->count * sizeof *s->frames;
  size_t map = (size_t)spec->table.values * sizeof *s->map;
  s->height = spec->height;
  s->width = spec->width;
  s->map_values = spec->table.values;
  s->frames = malloc(frames + 1);
  s->map = malloc(map + 1);
  s->table = strdup(spec->table.name);
  s->labels = spec->labels ? asl_paths_copy(spec->labels, spec->count) : NULL;
  if (!s->frames || !s->map || !s->table || (spec->labels && !s->labels)) return false;
  memcpy(s->frames, spec->frames, frames);
  memcpy(s->map, spec->table.map, map);
  return true;
}

asl_status asl_source_sens_new(const asl_source_sens_spec *spec, asl_source **out) {
  static const asl_source_type type = {"sens", decode, visit_files, free_source};
  ASL_TRY(check_spec(spec));
  source_sens *s = calloc(1, sizeof *s);
  if (!s) return asl_fail(ASL_ENOMEM, "no memory for a source");
  uint32_t planes = 1u << ASL_PLANE_IMAGE | 1u << ASL_PLANE_DEPTH | 1u << ASL_PLANE_INTRINSICS |
                    1u << ASL_PLANE_POSE | (spec->labels ? 1u << ASL_PLANE_LABEL : 0);
  asl_source_init(&s->base, &type, spec->count, planes);
  s->sens = asl_sens_retain(spec->sens);
  if (!copy_spec(s, spec)) {
    asl_source_release(&s->base);
    return asl_fail(ASL_ENOMEM, "no memory for %lld frames", (long long)spec->count);
  }
  *out = &s->base;
  return ASL_OK;
}
