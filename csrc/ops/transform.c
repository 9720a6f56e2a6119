#include "ops/transform.h"

#include <math.h>
#include <string.h>

#include "ops/shrink.h"
#include "ops/wide.h"

void asl_covered(const asl_affine *map, asl_size source, int width, int y, int *first, int *end) {
  int x = 0, last = width;
  while (x < last && !asl_affine_inside(map, x, y, source.height, source.width)) x++;
  while (last > x && !asl_affine_inside(map, last - 1, y, source.height, source.width)) last--;
  *first = x;
  *end = last;
}

/* ---- colours ------------------------------------------------------------------------------- */
static void fill_mean(uint8_t *row, int first, int end) {
  for (int x = first; x < end; x++)
    for (int c = 0; c < 3; c++) row[3 * x + c] = asl_mean_colour(c);
}

static int64_t grey_sum(const uint8_t *row, int first, int end) {
  int r = 0, g = 0, b = 0; /* a row has at most 2^14 pixels */
  for (int x = first; x < end; x++) {
    r += row[3 * x];
    g += row[3 * x + 1];
    b += row[3 * x + 2];
  }
  return 299 * (int64_t)r + 587 * (int64_t)g + 114 * (int64_t)b;
}

/* Eight pixels at a time: their 24 bytes are those of a and the last eight of b, which has the last
 * sixteen. A shuffle numbers a's bytes from 0, b's from 16. */

/* Channel c (a constant) of the pixels. */
#define TAKE_CHANNEL(a, b, c)                                                                      \
  __builtin_shufflevector(a, b, c, 3 + c, 6 + c, 9 + c, 12 + c, 23 + c, 26 + c, 29 + c, 0, 0, 0,   \
                          0, 0, 0, 0, 0)

/* The first eight bytes as numbers. */
ASL_BODY widen_eight_body(asl_u8x16 *bytes, asl_i32x8 *to) {
  asl_i32x8 both[2];
  asl_widen_body(bytes, both);
  *to = both[0];
}

ASL_BODY mix_channel_body(const int32_t *m, int32_t offset, const asl_i32x8 rgb[3], asl_i32x8 *to) {
  asl_i32x8 value = (m[0] * rgb[0] + m[1] * rgb[1] + m[2] * rgb[2] + (offset + 32768)) >> 16;
  asl_i32x8 above = value > 255;
  *to = ((value & ~above) | (above & 255)) & (value >= 0);
}

/* asl_colour_apply() to n pixels. */
ASL_BODY change_row_body(const asl_colour_map *map, uint8_t *pixels, int n) {
  for (; n >= 8; n -= 8, pixels += 24) {
    asl_u8x16 a, b;
    asl_i32x8 rgb[3], mixed[4];
    memcpy(&a, pixels, sizeof a);
    memcpy(&b, pixels + 8, sizeof b);
    asl_u8x16 channel[3] = {TAKE_CHANNEL(a, b, 0), TAKE_CHANNEL(a, b, 1), TAKE_CHANNEL(a, b, 2)};
    for (int c = 0; c < 3; c++) widen_eight_body(&channel[c], &rgb[c]);
    for (int c = 0; c < 3; c++) mix_channel_body(map->matrix + 3 * c, map->offset, rgb, &mixed[c]);
    mixed[3] = mixed[2];
    asl_narrow_body(mixed, &a); /* eight reds, eight greens */
    asl_narrow_body(mixed + 2, &b);
    asl_u8x16 first =
        __builtin_shufflevector(a, b, 0, 8, 16, 1, 9, 17, 2, 10, 18, 3, 11, 19, 4, 12, 20, 5);
    asl_u8x16 last =
        __builtin_shufflevector(a, b, 13, 21, 6, 14, 22, 7, 15, 23, 0, 0, 0, 0, 0, 0, 0, 0);
    memcpy(pixels, &first, 16);
    memcpy(pixels + 16, &last, 8);
  }
  for (; n > 0; n--, pixels += 3) asl_colour_apply(map, pixels);
}
ASL_WIDE(change_row, (const asl_colour_map *map, uint8_t *pixels, int n), (map, pixels, n))

/* ---- places -------------------------------------------------------------------------------- */

/* asl_fine() of the positions start + x step, x from `first`. */
ASL_BODY fine_row_body(double step, double start, int first, int n, int last, int32_t *to) {
  for (int i = 0; i < n; i++) {
    double at = asl_product(step, first + i) + start;
    at = at > 0 ? at : 0;
    at = at < last ? at : last;
    to[i] = (int32_t)(at * 2048 + 0.5);
  }
}
ASL_WIDE(fine_row, (double step, double start, int first, int n, int last, int32_t *to),
         (step, start, first, n, last, to))

/* Columns of row y of the result, in the picture. */
static void fine_columns(const asl_affine *m, int y, int first, int n, int last, int32_t *to) {
  fine_row(m->xx, asl_product(m->xy, y) + m->x, first, n, last, to);
}

/* Whether rows and columns of the result are rows and columns of the source. */
static bool is_straight(const asl_affine *map) { return map->xy == 0 && map->yx == 0; }

/* The distance, in whole pixels, from each of these columns to the next, if it is 1 or -1 and all
 * lie at whole pixels; else 0. */
static int whole_step(const int32_t *fine, int n) {
  int step = n < 2 || fine[1] > fine[0] ? 1 : -1, off = fine[0] & 2047;
  for (int i = 1; i < n; i++) off |= fine[i] - fine[i - 1] - step * 2048;
  return off ? 0 : step;
}

/* ---- pictures ------------------------------------------------------------------------------ */

/* How a picture is drawn; the last four only of a straight map. */
typedef struct drawing {
  const asl_affine *map;
  const uint8_t *from;
  asl_size source;
  size_t pitch;
  uint32_t *sums; /* for a row of the picture and two pixels */
  bool straight;
  int first, end; /* the covered columns, of a row that is covered at all */
  int step;
  int32_t fine[ASL_TRANSFORM_SIDE]; /* the places of these columns */
} drawing;

/* Pixels one by one from the picture's rows, forwards or backwards. */
static void copy_pixels(const uint8_t *from, int step, int n, uint8_t *to) {
  if (step > 0) {
    memcpy(to, from, 3 * (size_t)n);
    return;
  }
  for (int i = 0; i < n; i++, from -= 3, to += 3)
    for (int c = 0; c < 3; c++) to[c] = from[c];
}

/* Bytes of two rows, as they come together in a row between them. */
ASL_BODY mix_rows_body(const uint8_t *upper, const uint8_t *lower, uint32_t b, int n,
                       uint32_t *sums) {
  for (int i = 0; i < n; i++) sums[i] = upper[i] * (2048 - b) + lower[i] * b;
}
ASL_WIDE(mix_rows, (const uint8_t *upper, const uint8_t *lower, uint32_t b, int n, uint32_t *sums),
         (upper, lower, b, n, sums))

/* A pixel between two of mixed rows. Writes 4 bytes. */
ASL_BODY mix_columns_body(const uint32_t *sums, uint32_t a, uint8_t *to) {
  asl_u32x4 left, right;
  memcpy(&left, sums, sizeof left);
  memcpy(&right, sums + 3, sizeof right);
  asl_u32x4 value = (left * (2048 - a) + right * a + (1u << 21)) >> 22;
  asl_store4_body(&value, to);
}

/* Pixels at the places `fine`, less `base` pixels, of mixed rows. A pixel's fourth byte belongs to
 * the next, which comes after it. */
ASL_BODY mix_pixels_body(const uint32_t *sums, const int32_t *fine, int base, int n, uint8_t *to) {
  for (int i = 0; i < n - 1; i++)
    mix_columns_body(sums + 3 * (size_t)((fine[i] >> 11) - base), fine[i] & 2047,
                     to + 3 * (size_t)i);
  uint8_t last[4];
  mix_columns_body(sums + 3 * (size_t)((fine[n - 1] >> 11) - base), fine[n - 1] & 2047, last);
  memcpy(to + 3 * (size_t)(n - 1), last, 3);
}
ASL_WIDE(mix_pixels, (const uint32_t *sums, const int32_t *fine, int base, int n, uint8_t *to),
         (sums, fine, base, n, to))

/* Columns [first, end) of a row of a straight map. */
static void draw_straight(const drawing *d, int y, uint8_t *row) {
  const int32_t *fine = d->fine + d->first;
  int n = d->end - d->first, last = d->source.width - 1;
  uint32_t v = asl_fine(asl_affine_y(d->map, 0, y), d->source.height - 1), b = v & 2047;
  const uint8_t *upper = d->from + (v >> 11) * d->pitch;
  uint8_t *to = row + 3 * (size_t)d->first;
  if (b == 0 && d->step) {
    copy_pixels(upper + 3 * (size_t)(fine[0] >> 11), d->step, n, to);
    return;
  }
  int left = fine[0] >> 11, right = fine[n - 1] >> 11;
  if (left > right) left = fine[n - 1] >> 11, right = fine[0] >> 11;
  if (right < last) right++; /* what comes after the last has no weight then */
  const uint8_t *at = upper + 3 * (size_t)left;
  mix_rows(at, b ? at + d->pitch : at, b, 3 * (right + 1 - left), d->sums);
  memset(d->sums + 3 * (size_t)(right + 1 - left), 0, 6 * sizeof *d->sums);
  mix_pixels(d->sums, fine, left, n, to);
}

/* Pixels at the places (u, v), all but the last of the row's: asl_bilinear() with four bytes where
 * it has three, which the caller knows to be there. */
ASL_BODY draw_places_body(const uint8_t *from, size_t pitch, const int32_t *us, const int32_t *vs,
                          int n, uint8_t *to) {
  for (int i = 0; i < n; i++, to += 3) {
    uint32_t u = (uint32_t)us[i], v = (uint32_t)vs[i], a = u & 2047, b = v & 2047;
    const uint8_t *p = from + (v >> 11) * pitch + 3 * (size_t)(u >> 11);
    const uint8_t *q = p + (b ? pitch : 0);
    asl_u32x4 p0, p1, q0, q1;
    asl_load4_body(p, &p0);
    asl_load4_body(p + (a ? 3 : 0), &p1);
    asl_load4_body(q, &q0);
    asl_load4_body(q + (a ? 3 : 0), &q1);
    asl_u32x4 upper = p0 * (2048 - a) + p1 * a, lower = q0 * (2048 - a) + q1 * a;
    asl_u32x4 value = (upper * (2048 - b) + lower * b + (1u << 21)) >> 22;
    asl_store4_body(&value, to);
  }
}
ASL_WIDE(draw_places,
         (const uint8_t *from, size_t pitch, const int32_t *us, const int32_t *vs, int n,
          uint8_t *to),
         (from, pitch, us, vs, n, to))

enum { PLACES = 64 }; /* computed together */

/* Columns [first, end) of a row. The last pixel of the picture has no fourth byte: rows that may
 * need it are made pixel by pixel. */
static void draw_slanted(const drawing *d, int first, int end, int y, uint8_t *row) {
  const asl_affine *m = d->map;
  int lowest = d->source.height - 1, x = first;
  int32_t u[PLACES], v[PLACES];
  for (int n; x < end - 1; x += n) {
    n = end - 1 - x < PLACES ? end - 1 - x : PLACES;
    fine_columns(m, y, x, n, d->source.width - 1, u);
    fine_row(m->yx, asl_product(m->yy, y) + m->y, x, n, lowest, v);
    int most = v[0] > v[n - 1] ? v[0] : v[n - 1];
    if (most >> 11 < lowest - 1) draw_places(d->from, d->pitch, u, v, n, row + 3 * (size_t)x);
    else
      for (int i = x; i < x + n; i++)
        asl_bilinear(m, d->from, (int64_t)d->pitch, d->source.height, d->source.width, i, y,
                     row + 3 * (size_t)i);
  }
  if (x < end)
    asl_bilinear(m, d->from, (int64_t)d->pitch, d->source.height, d->source.width, x, y,
                 row + 3 * (size_t)x);
}

static bool column_inside(const drawing *d, int x) {
  double u = asl_affine_x(d->map, x, 0);
  return u >= -0.5 && u < d->source.width - 0.5;
}

static void start_drawing(drawing *d, int width) {
  d->straight = is_straight(d->map);
  if (!d->straight) return;
  for (d->first = 0; d->first < width && !column_inside(d, d->first);) d->first++;
  for (d->end = width; d->end > d->first && !column_inside(d, d->end - 1);) d->end--;
  if (d->first == d->end) return;
  int n = d->end - d->first;
  fine_columns(d->map, 0, d->first, n, d->source.width - 1, d->fine + d->first);
  d->step = whole_step(d->fine + d->first, n);
}

/* The covered columns of row y, the same as asl_covered(). */
static void covered(const drawing *d, int width, int y, int *first, int *end) {
  if (!d->straight) {
    asl_covered(d->map, d->source, width, y, first, end);
    return;
  }
  double v = asl_affine_y(d->map, 0, y);
  bool inside = v >= -0.5 && v < d->source.height - 0.5;
  *first = inside ? d->first : width;
  *end = inside ? d->end : width;
}

static void change_colours(const drawing *d, asl_colour_map colours, uint8_t *to, asl_size size) {
  int first, end;
  for (int y = 0; y < size.height; y++, to += 3 * (size_t)size.width) {
    covered(d, size.width, y, &first, &end);
    if (first < end) change_row(&colours, to + 3 * (size_t)first, end - first);
  }
}

/* From the shrunk picture. */
static void draw(const asl_transform *t, drawing *d, uint8_t *to, asl_size size) {
  bool change = asl_colours_change(t), mean = t->grey != 0;
  int64_t grey = 0, pixels = 0;
  int first, end;
  start_drawing(d, size.width);
  for (int y = 0; y < size.height; y++) {
    uint8_t *row = to + 3 * (size_t)y * (size_t)size.width;
    covered(d, size.width, y, &first, &end);
    fill_mean(row, 0, first);
    if (first < end && d->straight) draw_straight(d, y, row);
    else draw_slanted(d, first, end, y, row);
    fill_mean(row, end, size.width);
    if (!mean) continue;
    grey += grey_sum(row, first, end);
    pixels += end - first;
  }
  if (change) change_colours(d, asl_colours(t, grey, pixels), to, size);
}

/* ---- shrinking ----------------------------------------------------------------------------- */
static asl_size shrunk_size(const asl_transform *t, asl_size source) {
  return (asl_size){asl_transform_side(t->height, source.height),
                    asl_transform_side(t->width, source.width)};
}

static bool same(asl_size a, asl_size b) { return a.height == b.height && a.width == b.width; }

static int within(double position, int last) {
  return position > 0 ? (int)(position < last ? position : last) : 0;
}

/* The pixels of a side that positions from `low` to `high` need, and perhaps some more. */
static void needed(double low, double high, int side, int *begin, int *end) {
  int last = within(high, side - 1) + 2;
  *begin = within(low, side - 1);
  *end = last < side ? last + 1 : side;
}

/* The part of the shrunk picture that a result of this size needs. Positions are monotonic in x and
 * in y, rounded or not, so that the corners' are the outermost. */
static asl_window window_of(const asl_affine *map, asl_size small, asl_size size) {
  double left = INFINITY, right = -INFINITY, top = INFINITY, bottom = -INFINITY;
  for (int corner = 0; corner < 4; corner++) {
    int x = corner & 1 ? size.width - 1 : 0, y = corner & 2 ? size.height - 1 : 0;
    double u = asl_affine_x(map, x, y), v = asl_affine_y(map, x, y);
    if (!isfinite(u) || !isfinite(v)) return (asl_window){0, small.height, 0, small.width};
    left = fmin(left, u), right = fmax(right, u);
    top = fmin(top, v), bottom = fmax(bottom, v);
  }
  asl_window w;
  needed(left, right, small.width, &w.left, &w.right);
  needed(top, bottom, small.height, &w.top, &w.bottom);
  return w;
}

static size_t aligned(size_t bytes) { return (bytes + 15) / 16 * 16; }
static size_t sums_bytes(asl_size small) {
  return aligned((3 * (size_t)small.width + 8) * sizeof(uint32_t));
}

/* The mixed rows, what shrinking takes, the shrunk picture. */
size_t asl_transform_scratch(const asl_transform *t, asl_size source) {
  asl_size small = shrunk_size(t, source);
  if (same(small, source)) return sums_bytes(small);
  return sums_bytes(small) +
         aligned(asl_shrink_scratch(source.height, source.width, small.height, small.width)) +
         3 * (size_t)small.height * (size_t)small.width;
}

void asl_transform_picture(const asl_transform *t, const uint8_t *from, asl_size source,
                           uint8_t *to, asl_size size, void *scratch) {
  asl_size small = shrunk_size(t, source);
  drawing d = {
      .map = &t->to_shrunk, .from = from, .source = small, .pitch = 3 * (size_t)small.width};
  d.sums = scratch;
  if (!same(small, source)) {
    uint8_t *work = (uint8_t *)scratch + sums_bytes(small);
    uint8_t *shrunk =
        work + aligned(asl_shrink_scratch(source.height, source.width, small.height, small.width));
    asl_shrink(from, source.height, source.width, shrunk, small.height, small.width,
               window_of(d.map, small, size), work);
    d.from = shrunk;
  }
  draw(t, &d, to, size);
}

/* ---- maps of bytes ------------------------------------------------------------------------- */

/* The columns of a straight map are the same in every row. */
static void draw_bytes_straight(const asl_affine *map, const uint8_t *from, asl_size source,
                                uint8_t *to, asl_size size) {
  int32_t column[ASL_TRANSFORM_SIDE];
  int first = 0, end = 0;
  bool begun = false;
  for (int y = 0; y < size.height; y++, to += size.width) {
    double v = asl_affine_y(map, 0, y);
    if (!(v >= -0.5 && v < source.height - 0.5)) continue;
    if (!begun) {
      asl_covered(map, source, size.width, y, &first, &end);
      for (int x = first; x < end; x++)
        column[x] = asl_nearest_side(asl_affine_x(map, x, y), source.width);
      begun = true;
    }
    const uint8_t *row = from + (size_t)asl_nearest_side(v, source.height) * (size_t)source.width;
    for (int x = first; x < end; x++) to[x] = row[column[x]];
  }
}

void asl_transform_bytes(const asl_transform *t, const uint8_t *from, asl_size source,
                         uint8_t uncovered, uint8_t *to, asl_size size) {
  const asl_affine *map = &t->to_source;
  int first, end;
  memset(to, uncovered, (size_t)size.height * (size_t)size.width);
  if (is_straight(map)) {
    draw_bytes_straight(map, from, source, to, size);
    return;
  }
  for (int y = 0; y < size.height; y++, to += size.width) {
    asl_covered(map, source, size.width, y, &first, &end);
    for (int x = first; x < end; x++)
      to[x] = from[asl_nearest(map, source.height, source.width, x, y)];
  }
}
