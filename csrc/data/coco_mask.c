#include "data/coco_mask.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "data/image.h"
#include "data/mask.h"
#include "data/source_files.h"

typedef enum kind { POLYGON, RUNS, SEGMENT } kind;

typedef struct annotation {
  int64_t next; /* of the same picture, -1 = none */
  int64_t at;   /* of its numbers; the id of a segment */
  uint32_t n;   /* numbers */
  uint8_t kind, class_id;
} annotation;

typedef struct picture {
  int32_t height, width;
  int64_t first, last; /* annotations, -1 = none */
} picture;

struct asl_coco {
  atomic_int refs;
  int64_t pictures;
  picture *picture;
  annotation *annotation;
  int64_t annotations, annotation_room;
  uint32_t *number; /* corners in fifths (int32_t) or runs */
  int64_t numbers, number_room;
};

asl_status asl_coco_new(int64_t pictures, const int32_t *heights, const int32_t *widths,
                        asl_coco **out) {
  asl_coco *coco = calloc(1, sizeof *coco);
  picture *list = malloc(((size_t)pictures + 1) * sizeof *list);
  if (!coco || !list) {
    free(coco);
    free(list);
    return asl_fail(ASL_ENOMEM, "no memory for the annotations of %lld pictures",
                    (long long)pictures);
  }
  atomic_init(&coco->refs, 1);
  coco->pictures = pictures;
  coco->picture = list;
  for (int64_t i = 0; i < pictures; i++) {
    list[i] = (picture){heights[i], widths[i], -1, -1};
    if (asl_picture_size_check(heights[i], widths[i]) == ASL_OK) continue;
    asl_coco_release(coco);
    return asl_wrap(ASL_EDATA, "picture %lld", (long long)i + 1);
  }
  *out = coco;
  return ASL_OK;
}

asl_coco *asl_coco_retain(asl_coco *coco) {
  atomic_fetch_add_explicit(&coco->refs, 1, memory_order_relaxed);
  return coco;
}

void asl_coco_release(asl_coco *coco) {
  if (!coco || atomic_fetch_sub_explicit(&coco->refs, 1, memory_order_acq_rel) != 1) return;
  free(coco->picture);
  free(coco->annotation);
  free(coco->number);
  free(coco);
}

int64_t asl_coco_pictures(const asl_coco *coco) { return coco->pictures; }

int64_t asl_coco_bytes(const asl_coco *coco) {
  return coco->pictures * (int64_t)sizeof *coco->picture +
         coco->annotation_room * (int64_t)sizeof *coco->annotation +
         coco->number_room * (int64_t)sizeof *coco->number;
}

/* ---- adding ------------------------------------------------------------------------------- */

/* Room for `more` items; *list is unchanged on failure. */
static asl_status grow(void **list, int64_t have, int64_t more, int64_t *room, size_t item) {
  if (more <= *room - have) return ASL_OK;
  int64_t wanted = *room + *room / 2 + more + 64;
  void *grown = realloc(*list, (size_t)wanted * item);
  if (!grown)
    return asl_fail(ASL_ENOMEM, "no memory for annotations (%lld bytes)",
                    (long long)(wanted * (int64_t)item));
  *list = grown;
  *room = wanted;
  return ASL_OK;
}

static asl_status check_picture(const asl_coco *coco, int64_t index, size_t n) {
  if (index < 0 || index >= coco->pictures)
    return asl_fail(ASL_EINVAL, "picture %lld of %lld", (long long)index + 1,
                    (long long)coco->pictures);
  if (n > UINT32_MAX / 2) return asl_fail(ASL_EDATA, "an annotation of %zu numbers", n);
  return ASL_OK;
}

static asl_status add(asl_coco *coco, int64_t index, kind k, uint8_t class_id, int64_t at,
                      size_t n) {
  void *list = coco->annotation;
  ASL_TRY(grow(&list, coco->annotations, 1, &coco->annotation_room, sizeof *coco->annotation));
  coco->annotation = list;
  picture *p = &coco->picture[index];
  int64_t added = coco->annotations++;
  coco->annotation[added] = (annotation){-1, at, (uint32_t)n, (uint8_t)k, class_id};
  if (p->last < 0) p->first = added;
  else coco->annotation[p->last].next = added;
  p->last = added;
  return ASL_OK;
}

/* Room for n more numbers at the end of the list. */
static asl_status take_numbers(asl_coco *coco, size_t n, uint32_t **out) {
  void *list = coco->number;
  ASL_TRY(grow(&list, coco->numbers, (int64_t)n, &coco->number_room, sizeof *coco->number));
  coco->number = list;
  *out = coco->number + coco->numbers;
  return ASL_OK;
}

asl_status asl_coco_polygon(asl_coco *coco, int64_t index, uint8_t class_id, const double *corners,
                            size_t n) {
  uint32_t *to;
  ASL_TRY(check_picture(coco, index, n));
  ASL_TRY(take_numbers(coco, 2 * n, &to));
  ASL_TRY(asl_polygon_fifths(corners, n, (int32_t *)to));
  ASL_TRY(add(coco, index, POLYGON, class_id, coco->numbers, 2 * n));
  coco->numbers += 2 * (int64_t)n;
  return ASL_OK;
}

asl_status asl_coco_runs(asl_coco *coco, int64_t index, uint8_t class_id, const uint32_t *run,
                         size_t n) {
  uint32_t *to;
  ASL_TRY(check_picture(coco, index, n));
  ASL_TRY(asl_runs_check(run, n, coco->picture[index].height, coco->picture[index].width));
  ASL_TRY(take_numbers(coco, n, &to));
  ASL_TRY(add(coco, index, RUNS, class_id, coco->numbers, n));
  memcpy(to, run, n * sizeof *to);
  coco->numbers += (int64_t)n;
  return ASL_OK;
}

asl_status asl_coco_segment(asl_coco *coco, int64_t index, uint8_t class_id, uint32_t id) {
  ASL_TRY(check_picture(coco, index, 0));
  return add(coco, index, SEGMENT, class_id, id, 0);
}

/* ---- painting ----------------------------------------------------------------------------- */

static asl_status paint_one(const asl_coco *coco, const annotation *a, const picture *p,
                            uint8_t *label) {
  const uint32_t *number = coco->number + a->at;
  if (a->kind == RUNS) {
    asl_runs_paint(number, a->n, p->height, p->width, a->class_id, label);
    return ASL_OK;
  }
  asl_runs runs = {0};
  asl_status status =
      asl_polygon_runs((const int32_t *)number, a->n / 2, p->height, p->width, &runs);
  if (status == ASL_OK) asl_runs_paint(runs.run, runs.n, p->height, p->width, a->class_id, label);
  asl_runs_free(&runs);
  return status;
}

static asl_status paint_all(const asl_coco *coco, const picture *p, uint8_t *label) {
  memset(label, ASL_IGNORE, (size_t)p->height * (size_t)p->width);
  for (int64_t i = p->first; i >= 0; i = coco->annotation[i].next)
    if (coco->annotation[i].kind != SEGMENT)
      ASL_TRY(paint_one(coco, &coco->annotation[i], p, label));
  return ASL_OK;
}

/* The segments of one picture, by id. */
typedef struct segment {
  uint32_t id;
  uint8_t class_id;
} segment;

static int by_id(const void *a, const void *b) {
  uint32_t x = ((const segment *)a)->id, y = ((const segment *)b)->id;
  return (x > y) - (x < y);
}

/* Id 0, which is no segment, comes first and is ignored. */
static asl_status sort_segments(const asl_coco *coco, const picture *p, segment **out, size_t *n) {
  *n = 1;
  for (int64_t i = p->first; i >= 0; i = coco->annotation[i].next)
    *n += coco->annotation[i].kind == SEGMENT;
  segment *list = malloc(*n * sizeof *list);
  if (!list) return asl_fail(ASL_ENOMEM, "no memory for %zu segments", *n);
  list[0] = (segment){0, ASL_IGNORE};
  size_t k = 1;
  for (int64_t i = p->first; i >= 0; i = coco->annotation[i].next)
    if (coco->annotation[i].kind == SEGMENT)
      list[k++] = (segment){(uint32_t)coco->annotation[i].at, coco->annotation[i].class_id};
  qsort(list, *n, sizeof *list, by_id);
  *out = list;
  for (size_t i = 1; i < *n; i++)
    if (list[i].id == list[i - 1].id)
      return asl_fail(ASL_EDATA, "its annotation has the segment %u twice", list[i].id);
  return ASL_OK;
}

/* Neighbours mostly have the same id, so the last one found is kept. */
static asl_status map_segments(const segment *list, size_t n, const asl_picture *map,
                               uint8_t *label) {
  const segment *found = list;
  size_t width = (size_t)map->width;
  for (size_t i = 0; i < (size_t)map->height * width; i++) {
    const uint8_t *c = map->pixels + 3 * i;
    segment key = {c[0] | (uint32_t)c[1] << 8 | (uint32_t)c[2] << 16, 0};
    if (key.id != found->id) found = bsearch(&key, list, n, sizeof *list, by_id);
    if (!found)
      return asl_fail(ASL_EDATA, "the segment %u (row %zu, column %zu) is not in its annotation",
                      key.id, i / width + 1, i % width + 1);
    label[i] = found->class_id;
  }
  return ASL_OK;
}

static asl_status paint_segments(const asl_coco *coco, const picture *p, const asl_picture *map,
                                 uint8_t *label) {
  segment *list = NULL;
  size_t n;
  asl_status status = sort_segments(coco, p, &list, &n);
  if (status == ASL_OK) status = map_segments(list, n, map, label);
  free(list);
  return status;
}

/* ---- the source --------------------------------------------------------------------------- */

typedef struct source_coco {
  asl_source base;
  asl_coco *coco;
  char **images, **maps; /* maps NULL when labels are painted */
  char *json;            /* NULL when annotations stand in no file */
  int height, width;
} source_coco;

static asl_status check_size(const picture *p, const char *path, const asl_picture *got) {
  if (p->height == got->height && p->width == got->width) return ASL_OK;
  return asl_fail(ASL_EDATA, "%s is %dx%d; its annotation says %dx%d (width x height)", path,
                  got->width, got->height, p->width, p->height);
}

static asl_status read_map(const source_coco *s, int64_t index, uint8_t *label) {
  const picture *p = &s->coco->picture[index];
  asl_picture map;
  ASL_TRY(asl_picture_read(s->maps[index], ASL_PICTURE, &map));
  asl_status status = check_size(p, s->maps[index], &map);
  if (status == ASL_OK)
    status = asl_wrap(paint_segments(s->coco, p, &map, label), "%s", s->maps[index]);
  asl_picture_free(&map);
  return status;
}

static asl_status read_image(const source_coco *s, int64_t index, asl_sample *out) {
  asl_picture image;
  ASL_TRY(asl_picture_read(s->images[index], ASL_PICTURE, &image));
  out->image = image.pixels;
  out->planes |= 1u << ASL_PLANE_IMAGE;
  return check_size(&s->coco->picture[index], s->images[index], &image);
}

static asl_status read_label(const source_coco *s, int64_t index, asl_sample *out) {
  const picture *p = &s->coco->picture[index];
  out->label = malloc((size_t)p->height * (size_t)p->width);
  if (!out->label) return asl_fail(ASL_ENOMEM, "no memory for a label map");
  out->planes |= 1u << ASL_PLANE_LABEL;
  if (s->maps) return read_map(s, index, out->label);
  return asl_wrap(paint_all(s->coco, p, out->label), "%s", s->images[index]);
}

static asl_status decode(const asl_source *source, int64_t index, uint32_t planes,
                         asl_sample *out) {
  const source_coco *s = (const source_coco *)source;
  const picture *p = &s->coco->picture[index];
  *out = (asl_sample){.height = p->height, .width = p->width};
  asl_status status = ASL_OK;
  if (planes >> ASL_PLANE_IMAGE & 1) status = read_image(s, index, out);
  if (status == ASL_OK && planes >> ASL_PLANE_LABEL & 1) status = read_label(s, index, out);
  if (status == ASL_OK) status = asl_sample_resize(out, s->height, s->width);
  if (status != ASL_OK) asl_sample_free(out);
  return status;
}

static asl_status visit_files(const asl_source *source, int64_t index, asl_path_visit visit,
                              void *context) {
  const source_coco *s = (const source_coco *)source;
  ASL_TRY(visit(context, s->images[index]));
  if (s->maps) ASL_TRY(visit(context, s->maps[index]));
  return s->json ? visit(context, s->json) : ASL_OK;
}

static void free_source(asl_source *source) {
  source_coco *s = (source_coco *)source;
  asl_coco_release(s->coco);
  asl_paths_free(s->images, s->base.count);
  asl_paths_free(s->maps, s->base.count);
  free(s->json);
  free(s);
}

asl_status asl_source_coco_new(const asl_source_coco_spec *spec, asl_source **out) {
  static const asl_source_type type = {"coco", decode, visit_files, free_source};
  if (spec->height != 0 || spec->width != 0)
    ASL_TRY(asl_picture_size_check(spec->height, spec->width));
  source_coco *s = calloc(1, sizeof *s);
  if (!s) return asl_fail(ASL_ENOMEM, "no memory for a source");
  uint32_t planes = 1u << ASL_PLANE_IMAGE | 1u << ASL_PLANE_LABEL;
  asl_source_init(&s->base, &type, spec->coco->pictures, planes);
  s->coco = asl_coco_retain(spec->coco);
  s->height = spec->height;
  s->width = spec->width;
  s->images = asl_paths_copy(spec->images, s->base.count);
  s->maps = spec->maps ? asl_paths_copy(spec->maps, s->base.count) : NULL;
  s->json = spec->json ? strdup(spec->json) : NULL;
  if (!s->images || (spec->maps && !s->maps) || (spec->json && !s->json)) {
    asl_source_release(&s->base);
    return asl_fail(ASL_ENOMEM, "no memory for the paths of %lld pictures",
                    (long long)spec->coco->pictures);
  }
  *out = &s->base;
  return ASL_OK;
}
