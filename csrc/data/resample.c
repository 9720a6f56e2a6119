#include "data/resample.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BITS = 22 }; /* of the weights' fractions: 255 * 2^22 fits 31 bits */

typedef struct filter {
  int taps;     /* most weights of one output position */
  int *first;   /* first input position of each output position */
  int *count;   /* weights in use */
  int *weights; /* output positions x taps; each position's sum is 2^BITS up to rounding */
} filter;

static void filter_free(filter *f) {
  free(f->first);
  free(f->count);
  free(f->weights);
}

static void weigh(filter *f, int at, int from, double scale) {
  double centre = (at + 0.5) * scale, sum = 0;
  int first = (int)(centre - scale + 0.5), end = (int)(centre + scale + 0.5);
  if (first < 0) first = 0;
  if (end > from) end = from;
  int *weights = f->weights + (size_t)at * (size_t)f->taps;
  for (int i = first; i < end; i++) sum += fmax(0, 1 - fabs(i - centre + 0.5) * (1 / scale));
  for (int i = first; i < end; i++) {
    double weight = fmax(0, 1 - fabs(i - centre + 0.5) * (1 / scale)) / sum;
    weights[i - first] = (int)(0.5 + weight * (1 << BITS));
  }
  f->first[at] = first;
  f->count[at] = end - first;
}

static asl_status filter_new(filter *f, int from, int to) {
  double scale = (double)from / to;
  size_t n = (size_t)to;
  f->taps = 2 * (int)ceil(scale) + 1;
  f->first = malloc(n * sizeof *f->first);
  f->count = malloc(n * sizeof *f->count);
  f->weights = malloc(n * (size_t)f->taps * sizeof *f->weights);
  if (!f->first || !f->count || !f->weights) {
    filter_free(f);
    return asl_fail(ASL_ENOMEM, "no memory for a filter of %d x %d weights", to, f->taps);
  }
  for (int i = 0; i < to; i++) weigh(f, i, from, scale);
  return ASL_OK;
}

static inline uint8_t round_byte(int sum) {
  int value = sum >> BITS;
  return (uint8_t)(value > 255 ? 255 : value);
}

static void shrink_row(const filter *f, const uint8_t *from, uint8_t *to, int to_width) {
  for (int x = 0; x < to_width; x++) {
    const int *weight = f->weights + (size_t)x * (size_t)f->taps;
    const uint8_t *pixel = from + 3 * (size_t)f->first[x];
    int r = 1 << (BITS - 1), g = r, b = r;
    for (int i = 0; i < f->count[x]; i++, pixel += 3) {
      r += pixel[0] * weight[i];
      g += pixel[1] * weight[i];
      b += pixel[2] * weight[i];
    }
    to[3 * x] = round_byte(r);
    to[3 * x + 1] = round_byte(g);
    to[3 * x + 2] = round_byte(b);
  }
}

/* Output row y from whole input rows; `sums` has a place per byte of a row. */
static void shrink_column(const filter *f, int y, const uint8_t *from, size_t row, int *sums,
                          uint8_t *to) {
  const int *weight = f->weights + (size_t)y * (size_t)f->taps;
  for (size_t x = 0; x < row; x++) sums[x] = 1 << (BITS - 1);
  for (int i = 0; i < f->count[y]; i++) {
    const uint8_t *pixels = from + (size_t)(f->first[y] + i) * row;
    for (size_t x = 0; x < row; x++) sums[x] += pixels[x] * weight[i];
  }
  for (size_t x = 0; x < row; x++) to[x] = round_byte(sums[x]);
}

static asl_status shrink_width(const uint8_t *from, int height, int width, uint8_t *to,
                               int to_width) {
  filter f;
  ASL_TRY(filter_new(&f, width, to_width));
  for (int y = 0; y < height; y++)
    shrink_row(&f, from + 3 * (size_t)y * (size_t)width, to + 3 * (size_t)y * (size_t)to_width,
               to_width);
  filter_free(&f);
  return ASL_OK;
}

static asl_status shrink_height(const uint8_t *from, int height, int width, uint8_t *to,
                                int to_height) {
  filter f;
  ASL_TRY(filter_new(&f, height, to_height));
  size_t row = 3 * (size_t)width;
  int *sums = malloc(row * sizeof *sums);
  if (sums)
    for (int y = 0; y < to_height; y++) shrink_column(&f, y, from, row, sums, to + (size_t)y * row);
  filter_free(&f);
  free(sums);
  return sums ? ASL_OK : asl_fail(ASL_ENOMEM, "no memory for a row of %d pixels", width);
}

asl_status asl_shrink(const uint8_t *from, int height, int width, uint8_t *to, int to_height,
                      int to_width) {
  if (to_width == width && to_height == height) {
    memcpy(to, from, 3 * (size_t)height * (size_t)width);
    return ASL_OK;
  }
  if (to_height == height) return shrink_width(from, height, width, to, to_width);
  if (to_width == width) return shrink_height(from, height, width, to, to_height);
  size_t bytes = 3 * (size_t)height * (size_t)to_width;
  uint8_t *between = malloc(bytes);
  if (!between) return asl_fail(ASL_ENOMEM, "no memory for a picture of %zu bytes", bytes);
  asl_status status = shrink_width(from, height, width, between, to_width);
  if (status == ASL_OK) status = shrink_height(between, height, to_width, to, to_height);
  free(between);
  return status;
}
