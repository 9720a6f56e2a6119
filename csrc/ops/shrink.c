#include "ops/shrink.h"

#include <stdbool.h>
#include <string.h>

#include "ops/math/shrink.h"

typedef struct filter {
  int taps;     /* most weights of one output position */
  int *first;   /* first input position of each output position */
  int *count;   /* weights in use */
  int *weights; /* output positions x taps */
} filter;

static size_t filter_ints(int from, int to) {
  return (size_t)to * (size_t)(asl_shrink_taps(from, to) + 2);
}

static filter filter_at(int *memory, int from, int to) {
  filter f = {asl_shrink_taps(from, to), memory, memory + to, memory + 2 * (size_t)to};
  for (int i = 0; i < to; i++)
    f.count[i] = asl_shrink_weigh(i, from, to, f.weights + (size_t)i * (size_t)f.taps, &f.first[i]);
  return f;
}

static void shrink_row(const filter *f, const uint8_t *from, uint8_t *to, int to_width) {
  for (int x = 0; x < to_width; x++) {
    const int *weight = f->weights + (size_t)x * (size_t)f->taps;
    const uint8_t *pixel = from + 3 * (size_t)f->first[x];
    int r = ASL_SHRINK_HALF, g = r, b = r;
    for (int i = 0; i < f->count[x]; i++, pixel += 3) {
      r += pixel[0] * weight[i];
      g += pixel[1] * weight[i];
      b += pixel[2] * weight[i];
    }
    to[3 * x] = asl_shrink_round(r);
    to[3 * x + 1] = asl_shrink_round(g);
    to[3 * x + 2] = asl_shrink_round(b);
  }
}

/* Output row y from whole input rows; `sums` has a place per byte of a row. */
static void shrink_column(const filter *f, int y, const uint8_t *from, size_t row, int *sums,
                          uint8_t *to) {
  const int *weight = f->weights + (size_t)y * (size_t)f->taps;
  for (size_t x = 0; x < row; x++) sums[x] = ASL_SHRINK_HALF;
  for (int i = 0; i < f->count[y]; i++) {
    const uint8_t *pixels = from + (size_t)(f->first[y] + i) * row;
    for (size_t x = 0; x < row; x++) sums[x] += pixels[x] * weight[i];
  }
  for (size_t x = 0; x < row; x++) to[x] = asl_shrink_round(sums[x]);
}

static void shrink_width(const uint8_t *from, int height, int width, uint8_t *to, int to_width,
                         int *memory) {
  filter f = filter_at(memory, width, to_width);
  for (int y = 0; y < height; y++)
    shrink_row(&f, from + 3 * (size_t)y * (size_t)width, to + 3 * (size_t)y * (size_t)to_width,
               to_width);
}

static void shrink_height(const uint8_t *from, int height, int width, uint8_t *to, int to_height,
                          int *memory) {
  size_t row = 3 * (size_t)width;
  filter f = filter_at(memory + row, height, to_height);
  for (int y = 0; y < to_height; y++) shrink_column(&f, y, from, row, memory, to + (size_t)y * row);
}

static size_t larger(size_t a, size_t b) { return a > b ? a : b; }

/* The integers of either pass, then the picture that is narrower but as high as before. */
static size_t scratch_ints(int height, int width, int to_height, int to_width) {
  size_t narrow = to_width < width ? filter_ints(width, to_width) : 0;
  size_t low = to_height < height ? filter_ints(height, to_height) + 3 * (size_t)to_width : 0;
  return larger(narrow, low);
}

size_t asl_shrink_scratch(int height, int width, int to_height, int to_width) {
  bool both = to_width < width && to_height < height;
  return scratch_ints(height, width, to_height, to_width) * sizeof(int) +
         (both ? 3 * (size_t)height * (size_t)to_width : 0);
}

void asl_shrink(const uint8_t *from, int height, int width, uint8_t *to, int to_height,
                int to_width, void *scratch) {
  int *memory = scratch;
  if (to_width < width && to_height < height) {
    uint8_t *between = (uint8_t *)(memory + scratch_ints(height, width, to_height, to_width));
    shrink_width(from, height, width, between, to_width, memory);
    shrink_height(between, height, to_width, to, to_height, memory);
  } else if (to_width < width) {
    shrink_width(from, height, width, to, to_width, memory);
  } else if (to_height < height) {
    shrink_height(from, height, width, to, to_height, memory);
  } else {
    memcpy(to, from, 3 * (size_t)height * (size_t)width);
  }
}
