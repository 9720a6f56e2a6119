#include "ops/transform.h"

#include <string.h>

#include "ops/shrink.h"

void asl_covered(const asl_affine *map, asl_size source, int width, int y, int *first, int *end) {
  int x = 0, last = width;
  while (x < last && !asl_affine_inside(map, x, y, source.height, source.width)) x++;
  while (last > x && !asl_affine_inside(map, last - 1, y, source.height, source.width)) last--;
  *first = x;
  *end = last;
}

/* ---- pictures ------------------------------------------------------------------------------ */
static void fill_mean(uint8_t *row, int first, int end) {
  for (int x = first; x < end; x++)
    for (int c = 0; c < 3; c++) row[3 * x + c] = asl_mean_colour(c);
}

static int64_t grey_sum(const uint8_t *row, int first, int end) {
  int64_t sum = 0;
  for (int x = first; x < end; x++) sum += asl_grey(row + 3 * x);
  return sum;
}

static void change_colours(asl_colour_map colours, const asl_affine *map, asl_size source,
                           uint8_t *to, asl_size size) {
  int first, end;
  for (int y = 0; y < size.height; y++, to += 3 * (size_t)size.width) {
    asl_covered(map, source, size.width, y, &first, &end);
    for (int x = first; x < end; x++) asl_colour_apply(&colours, to + 3 * x);
  }
}

/* From the shrunk picture. */
static void draw(const asl_transform *t, const uint8_t *from, asl_size source, uint8_t *to,
                 asl_size size) {
  const asl_affine *map = &t->to_shrunk;
  bool change = asl_colours_change(t), mean = t->grey != 0;
  int64_t grey = 0, pixels = 0;
  int first, end;
  for (int y = 0; y < size.height; y++) {
    uint8_t *row = to + 3 * (size_t)y * (size_t)size.width;
    asl_covered(map, source, size.width, y, &first, &end);
    fill_mean(row, 0, first);
    for (int x = first; x < end; x++)
      asl_bilinear(map, from, 3 * (int64_t)source.width, source.height, source.width, x, y,
                   row + 3 * x);
    fill_mean(row, end, size.width);
    if (!mean) continue;
    grey += grey_sum(row, first, end);
    pixels += end - first;
  }
  if (change) change_colours(asl_colours(t, grey, pixels), map, source, to, size);
}

static asl_size shrunk_size(const asl_transform *t, asl_size source) {
  return (asl_size){asl_transform_side(t->height, source.height),
                    asl_transform_side(t->width, source.width)};
}

static bool same(asl_size a, asl_size b) { return a.height == b.height && a.width == b.width; }

/* What shrinking takes comes first, as it is to be aligned; then the shrunk picture. */
size_t asl_transform_scratch(const asl_transform *t, asl_size source) {
  asl_size small = shrunk_size(t, source);
  if (same(small, source)) return 0;
  return asl_shrink_scratch(source.height, source.width, small.height, small.width) +
         3 * (size_t)small.height * (size_t)small.width;
}

void asl_transform_picture(const asl_transform *t, const uint8_t *from, asl_size source,
                           uint8_t *to, asl_size size, void *scratch) {
  asl_size small = shrunk_size(t, source);
  if (same(small, source)) {
    draw(t, from, source, to, size);
    return;
  }
  uint8_t *shrunk = (uint8_t *)scratch +
                    asl_shrink_scratch(source.height, source.width, small.height, small.width);
  asl_shrink(from, source.height, source.width, shrunk, small.height, small.width, scratch);
  draw(t, shrunk, small, to, size);
}

/* ---- maps of bytes ------------------------------------------------------------------------- */
void asl_transform_bytes(const asl_transform *t, const uint8_t *from, asl_size source,
                         uint8_t uncovered, uint8_t *to, asl_size size) {
  const asl_affine *map = &t->to_source;
  int first, end;
  for (int y = 0; y < size.height; y++, to += size.width) {
    asl_covered(map, source, size.width, y, &first, &end);
    memset(to, uncovered, (size_t)size.width);
    for (int x = first; x < end; x++)
      to[x] = from[asl_nearest(map, source.height, source.width, x, y)];
  }
}
