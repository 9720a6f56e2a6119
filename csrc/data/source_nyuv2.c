#include "data/source_nyuv2.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/planes_hdf5.h"

enum { TILE = 16 }; /* rows written at a time when a block is transposed */

typedef struct source_nyuv2 {
  asl_source base;
  char *path;
  asl_hdf5 *file;
  asl_hdf5_dataset images, labels, depths;
  int64_t *frames;
  asl_label_table table;
  float intrinsics[9];
  int file_height, file_width;
  int height, width;
} source_nyuv2;

/* ---- one frame ---------------------------------------------------------------------------- */

/* The block of a frame, to be freed. */
static asl_status read_block(const source_nyuv2 *s, const asl_hdf5_dataset *dataset, int64_t frame,
                             void **out) {
  int64_t first[ASL_HDF5_MAX_RANK] = {frame}, count[ASL_HDF5_MAX_RANK] = {1};
  size_t bytes = (size_t)dataset->value_bytes;
  for (int i = 1; i < dataset->rank; i++) {
    count[i] = dataset->size[i];
    bytes *= (size_t)count[i];
  }
  *out = malloc(bytes);
  if (!*out) return asl_fail(ASL_ENOMEM, "no memory for %zu bytes", bytes);
  asl_status status = asl_hdf5_read(s->file, dataset, first, count, *out, bytes);
  if (status == ASL_OK) return ASL_OK;
  free(*out);
  *out = NULL;
  return status;
}

/* (channels, width, height) to (height, width, channels), some rows at a time, so that what is
 * written stays in cache. */
static void turn_image(const uint8_t *from, int height, int width, uint8_t *to) {
  for (int top = 0; top < height; top += TILE)
    for (int c = 0; c < 3; c++)
      for (int x = 0; x < width; x++) {
        const uint8_t *column = from + ((size_t)c * (size_t)width + (size_t)x) * (size_t)height;
        for (int y = top; y < height && y < top + TILE; y++)
          to[((size_t)y * (size_t)width + (size_t)x) * 3 + (size_t)c] = column[y];
      }
}

static asl_status turn_labels(const uint16_t *from, int height, int width,
                              const asl_label_table *table, uint8_t *to) {
  for (int top = 0; top < height; top += TILE)
    for (int x = 0; x < width; x++) {
      const uint16_t *column = from + (size_t)x * (size_t)height;
      for (int y = top; y < height && y < top + TILE; y++)
        ASL_TRY(
            asl_label_class(table, column[y], 0, y, x, &to[(size_t)y * (size_t)width + (size_t)x]));
    }
  return ASL_OK;
}

static asl_status turn_depth(const float *from, int height, int width, float *to) {
  for (int top = 0; top < height; top += TILE)
    for (int x = 0; x < width; x++) {
      const float *column = from + (size_t)x * (size_t)height;
      for (int y = top; y < height && y < top + TILE; y++) {
        if (!(column[y] >= 0 && isfinite(column[y])))
          return asl_fail(ASL_EDATA,
                          "the depth %g (row %d, column %d); it must be finite and not negative",
                          (double)column[y], y + 1, x + 1);
        to[(size_t)y * (size_t)width + (size_t)x] = column[y];
      }
    }
  return ASL_OK;
}

static asl_status fill_plane(const source_nyuv2 *s, int plane, int64_t frame, asl_sample *out) {
  int height = s->file_height, width = s->file_width;
  const asl_hdf5_dataset *dataset = plane == ASL_PLANE_IMAGE   ? &s->images
                                    : plane == ASL_PLANE_LABEL ? &s->labels
                                                               : &s->depths;
  void *block;
  ASL_TRY(read_block(s, dataset, frame, &block));
  asl_status status = ASL_OK;
  if (plane == ASL_PLANE_IMAGE) turn_image(block, height, width, out->image);
  else if (plane == ASL_PLANE_LABEL)
    status = turn_labels(block, height, width, &s->table, out->label);
  else status = turn_depth(block, height, width, out->depth);
  free(block);
  return status;
}

static asl_status fill(const source_nyuv2 *s, int64_t frame, uint32_t planes, asl_sample *out) {
  static const int in_file[] = {ASL_PLANE_IMAGE, ASL_PLANE_LABEL, ASL_PLANE_DEPTH};
  for (size_t i = 0; i < sizeof in_file / sizeof *in_file; i++)
    if (planes >> in_file[i] & 1)
      ASL_TRY(asl_wrap(fill_plane(s, in_file[i], frame, out), "%s: frame %lld: its %s", s->path,
                       (long long)frame + 1, asl_planes[in_file[i]].name));
  memcpy(out->intrinsics, s->intrinsics, sizeof out->intrinsics);
  return ASL_OK;
}

static asl_status decode(const asl_source *source, int64_t index, uint32_t planes,
                         asl_sample *out) {
  const source_nyuv2 *s = (const source_nyuv2 *)source;
  ASL_TRY(asl_sample_new(out, s->file_height, s->file_width, planes));
  asl_status status = fill(s, s->frames[index], planes, out);
  if (status == ASL_OK) status = asl_sample_resize(out, s->height, s->width);
  if (status != ASL_OK) asl_sample_free(out);
  return status;
}

static asl_status visit_files(const asl_source *source, int64_t index, asl_path_visit visit,
                              void *context) {
  (void)index;
  return visit(context, ((const source_nyuv2 *)source)->path);
}

/* ---- the source --------------------------------------------------------------------------- */

static void free_source(asl_source *source) {
  source_nyuv2 *s = (source_nyuv2 *)source;
  asl_hdf5_close(s->file);
  asl_label_table_free(&s->table);
  free(s->frames);
  free(s->path);
  free(s);
}

/* A dataset of one map per frame must be as large as the pictures. */
static asl_status find_maps(const source_nyuv2 *s, const char *name, const char *type,
                            asl_hdf5_dataset *out) {
  ASL_TRY(asl_hdf5_expect(s->file, name, type, 3, "frames, width, height", out));
  const int64_t *a = s->images.size, *b = out->size;
  if (b[0] == a[0] && b[1] == a[2] && b[2] == a[3]) return ASL_OK;
  return asl_fail(ASL_EDATA,
                  "\"%s\" has %lld frames of %lldx%lld but \"images\" %lld of %lldx%lld (width x "
                  "height)",
                  name, (long long)b[0], (long long)b[1], (long long)b[2], (long long)a[0],
                  (long long)a[2], (long long)a[3]);
}

static asl_status find_datasets(source_nyuv2 *s, const asl_source_nyuv2_spec *spec) {
  asl_hdf5_dataset *images = &s->images;
  ASL_TRY(asl_hdf5_expect(s->file, "images", "u8", 4, "frames, 3, width, height", images));
  if (images->size[1] != 3)
    return asl_fail(ASL_EDATA, "\"images\" has %lld channels; expected 3",
                    (long long)images->size[1]);
  if (asl_picture_size_check(images->size[3], images->size[2]) != ASL_OK)
    return asl_wrap(ASL_EDATA, "\"images\"");
  s->file_height = (int)images->size[3];
  s->file_width = (int)images->size[2];
  if (spec->labels) ASL_TRY(find_maps(s, "labels", "u16", &s->labels));
  if (spec->depth) ASL_TRY(find_maps(s, spec->depth, "f32", &s->depths));
  for (int64_t i = 0; i < spec->count; i++)
    if (spec->frames[i] < 0 || spec->frames[i] >= images->size[0])
      return asl_fail(ASL_EINVAL, "frame %lld of %lld", (long long)spec->frames[i] + 1,
                      (long long)images->size[0]);
  return ASL_OK;
}

/* False without memory. */
static bool copy_spec(source_nyuv2 *s, const asl_source_nyuv2_spec *spec) {
  size_t bytes = (size_t)spec->count * sizeof *s->frames;
  s->path = strdup(spec->path);
  s->frames = malloc(bytes + 1);
  if (!asl_label_table_copy(&spec->table, &s->table) || !s->path || !s->frames) return false;
  memcpy(s->frames, spec->frames, bytes);
  if (spec->intrinsics) memcpy(s->intrinsics, spec->intrinsics, sizeof s->intrinsics);
  s->height = spec->height;
  s->width = spec->width;
  return true;
}

static uint32_t planes_of(const asl_source_nyuv2_spec *spec) {
  return 1u << ASL_PLANE_IMAGE | (spec->labels ? 1u << ASL_PLANE_LABEL : 0) |
         (spec->depth ? 1u << ASL_PLANE_DEPTH : 0) |
         (spec->intrinsics ? 1u << ASL_PLANE_INTRINSICS : 0);
}

asl_status asl_source_nyuv2_new(const asl_source_nyuv2_spec *spec, asl_source **out) {
  static const asl_source_type type = {"nyuv2", decode, visit_files, free_source};
  if (spec->height != 0 || spec->width != 0)
    ASL_TRY(asl_picture_size_check(spec->height, spec->width));
  source_nyuv2 *s = calloc(1, sizeof *s);
  if (!s) return asl_fail(ASL_ENOMEM, "no memory for a source");
  asl_source_init(&s->base, &type, spec->count, planes_of(spec));
  asl_status status = copy_spec(s, spec) ? asl_hdf5_open(spec->path, &s->file)
                                         : asl_fail(ASL_ENOMEM, "no memory for %lld frames",
                                                    (long long)spec->count);
  if (status == ASL_OK) status = asl_wrap(find_datasets(s, spec), "%s", spec->path);
  if (status == ASL_OK) *out = &s->base;
  else asl_source_release(&s->base);
  return status;
}
