#include "data/source_files.h"

#include <stdlib.h>
#include <string.h>

#include "data/augment.h"
#include "data/image.h"

typedef struct source_files {
  asl_source base;
  char **images, **labels; /* `count` each; labels NULL when there are none */
  char *table;
  int16_t label_map[256];
  int height, width;
} source_files;

static void free_paths(char **paths, int64_t n) {
  if (paths)
    for (int64_t i = 0; i < n; i++) free(paths[i]);
  free(paths);
}

static void free_source(asl_source *source) {
  source_files *s = (source_files *)source;
  free_paths(s->images, s->base.count);
  free_paths(s->labels, s->base.count);
  free(s->table);
  free(s);
}

static asl_status map_labels(const source_files *s, const char *path, asl_picture *label) {
  size_t n = (size_t)label->height * (size_t)label->width, width = (size_t)label->width;
  for (size_t i = 0; i < n; i++) {
    int class_id = s->label_map[label->pixels[i]];
    if (class_id == ASL_LABEL_UNKNOWN)
      return asl_fail(ASL_EDATA,
                      "%s: the label value %d (row %zu, column %zu) is not in the table %s",
                      path, label->pixels[i], i / width + 1, i % width + 1, s->table);
    label->pixels[i] = (uint8_t)class_id;
  }
  return ASL_OK;
}

/* Reads what the mask asks for into a sample of the files' own size. */
static asl_status read_sample(const source_files *s, int64_t index, uint32_t planes,
                              asl_sample *out) {
  asl_picture image = {0}, label = {0};
  asl_status status = ASL_OK;
  if (planes >> ASL_PLANE_IMAGE & 1)
    status = asl_picture_read(s->images[index], ASL_PICTURE, &image);
  if (status == ASL_OK && planes >> ASL_PLANE_LABEL & 1) {
    status = asl_picture_read(s->labels[index], ASL_LABEL_MAP, &label);
    if (status == ASL_OK && image.pixels &&
        (image.height != label.height || image.width != label.width))
      status = asl_fail(ASL_EDATA, "%s is %dx%d but its label map %s is %dx%d (width x height)",
                        s->images[index], image.width, image.height, s->labels[index], label.width,
                        label.height);
    if (status == ASL_OK) status = map_labels(s, s->labels[index], &label);
  }
  if (status != ASL_OK) {
    asl_picture_free(&image);
    asl_picture_free(&label);
    return status;
  }
  *out = (asl_sample){.height = image.pixels ? image.height : label.height,
                      .width = image.pixels ? image.width : label.width,
                      .planes = planes,
                      .image = image.pixels,
                      .label = label.pixels};
  return ASL_OK;
}

static asl_status resize_sample(asl_sample *sample, int height, int width) {
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
  ASL_TRY(read_sample(s, index, planes, out));
  if (s->height == 0 || (s->height == out->height && s->width == out->width)) return ASL_OK;
  asl_status status = resize_sample(out, s->height, s->width);
  if (status != ASL_OK) asl_sample_free(out);
  return status;
}

static char **copy_paths(const char *const *paths, int64_t n) {
  char **copy = calloc((size_t)n + 1, sizeof *copy);
  for (int64_t i = 0; copy && i < n; i++) {
    copy[i] = strdup(paths[i]);
    if (copy[i]) continue;
    free_paths(copy, n);
    return NULL;
  }
  return copy;
}

asl_status asl_source_files_new(const asl_source_files_spec *spec, asl_source **out) {
  static const asl_source_type type = {"files", decode, free_source};
  if (spec->height != 0 || spec->width != 0)
    ASL_TRY(asl_picture_size_check(spec->height, spec->width));
  source_files *s = calloc(1, sizeof *s);
  if (!s) return asl_fail(ASL_ENOMEM, "no memory for a source");
  uint32_t planes = 1u << ASL_PLANE_IMAGE | (spec->labels ? 1u << ASL_PLANE_LABEL : 0);
  asl_source_init(&s->base, &type, spec->count, planes);
  s->height = spec->height;
  s->width = spec->width;
  memcpy(s->label_map, spec->label_map, sizeof s->label_map);
  s->images = copy_paths(spec->images, spec->count);
  s->labels = spec->labels ? copy_paths(spec->labels, spec->count) : NULL;
  s->table = strdup(spec->table);
  if (!s->images || (spec->labels && !s->labels) || !s->table) {
    asl_source_release(&s->base);
    return asl_fail(ASL_ENOMEM, "no memory for %lld paths", (long long)spec->count);
  }
  *out = &s->base;
  return ASL_OK;
}
