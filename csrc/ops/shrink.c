#include "ops/shrink.h"

#include <stdbool.h>
#include <string.h>

#include "ops/math/shrink.h"
#include "ops/wide.h"

/* Rows are narrowed eight at a time: turned so that the eight bytes of a column lie together, which
 * makes lanes of rows, weighted, and turned back. */
enum { ROWS = 8, STEP = 16 /* bytes of a row that are turned together */ };

typedef struct filter {
  int taps;     /* most weights of one output position */
  int *first;   /* first input position of each output position */
  int *count;   /* weights in use */
  int *weights; /* output positions x taps */
} filter;

static size_t filter_ints(int from, int to) {
  return (size_t)to * (size_t)(asl_shrink_taps(from, to) + 2);
}

/* The filter at output positions [begin, end). */
static filter filter_at(int *memory, int from, int to, int begin, int end) {
  filter f = {asl_shrink_taps(from, to), memory, memory + to, memory + 2 * (size_t)to};
  for (int i = begin; i < end; i++)
    f.count[i] = asl_shrink_weigh(i, from, to, f.weights + (size_t)i * (size_t)f.taps, &f.first[i]);
  return f;
}

/* ---- width --------------------------------------------------------------------------------- */

/* One round of shuffling 8 vectors as a pack of cards. Bytes are numbered by 7 bits, vector and
 * place in it; a round rotates them by one: three take row, column to column, row, four more take
 * them back. */
ASL_BODY shuffle_body(asl_u8x16 v[8]) {
  asl_u8x16 a[8];
  memcpy(a, v, sizeof a);
  for (int i = 0; i < 4; i++) {
    v[2 * i] = __builtin_shufflevector(a[i], a[i + 4], 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6,
                                       22, 7, 23);
    v[2 * i + 1] = __builtin_shufflevector(a[i], a[i + 4], 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13,
                                           29, 14, 30, 15, 31);
  }
}

/* block[8 j + r] = row[r][j]; a multiple of STEP columns is written, whose last may be anything. */
ASL_BODY turn_body(const uint8_t *const row[ROWS], int bytes, uint16_t *block) {
  asl_u8x16 v[8] = {0};
  for (int j = 0; j < bytes; j += STEP) {
    size_t n = bytes - j < STEP ? (size_t)(bytes - j) : STEP;
    if (n == STEP) /* a copy of fixed size is a load */
      for (int r = 0; r < ROWS; r++) memcpy(&v[r], row[r] + j, STEP);
    else
      for (int r = 0; r < ROWS; r++) memcpy(&v[r], row[r] + j, n);
    for (int round = 0; round < 3; round++) shuffle_body(v);
    for (int r = 0; r < ROWS; r++, block += STEP) {
      asl_u16x16 wide = __builtin_convertvector(v[r], asl_u16x16);
      memcpy(block, &wide, sizeof wide);
    }
  }
}

/* The inverse, for the first `rows` rows. */
ASL_BODY turn_back_body(const uint16_t *block, int bytes, uint8_t *const row[ROWS], int rows) {
  asl_u8x16 v[8];
  for (int j = 0; j < bytes; j += STEP) {
    size_t n = bytes - j < STEP ? (size_t)(bytes - j) : STEP;
    for (int r = 0; r < ROWS; r++, block += STEP) {
      asl_u16x16 wide;
      memcpy(&wide, block, sizeof wide);
      v[r] = __builtin_convertvector(wide, asl_u8x16);
    }
    for (int round = 0; round < 4; round++) shuffle_body(v);
    if (n == STEP)
      for (int r = 0; r < rows; r++) memcpy(row[r] + j, &v[r], STEP);
    else
      for (int r = 0; r < rows; r++) memcpy(row[r] + j, &v[r], n);
  }
}

/* The sums are not negative. */
ASL_BODY round_body(asl_i32x8 *sum) {
  asl_i32x8 value = *sum >> ASL_SHRINK_BITS, above = value > 255;
  *sum = (value & ~above) | (above & 255);
}

ASL_BODY add_weighted_body(asl_i32x8 *sum, const uint16_t *from, int weight) {
  asl_u16x8 eight;
  memcpy(&eight, from, sizeof eight);
  *sum += __builtin_convertvector(eight, asl_i32x8) * weight;
}

ASL_BODY store_rounded_body(asl_i32x8 *sum, uint16_t *to) {
  round_body(sum);
  asl_u16x8 eight = __builtin_convertvector(*sum, asl_u16x8);
  memcpy(to, &eight, sizeof eight);
}

/* Output columns [left, right) of eight turned rows, whose block begins at input column `base`. */
ASL_BODY weigh_body(const filter *f, int left, int right, const uint16_t *block, int base,
                    uint16_t *to) {
  for (int x = left; x < right; x++, to += 3 * ROWS) {
    const int *weight = f->weights + (size_t)x * (size_t)f->taps;
    const uint16_t *pixel = block + 3 * ROWS * (size_t)(f->first[x] - base);
    asl_i32x8 r = (asl_i32x8){0} + ASL_SHRINK_HALF, g = r, b = r;
    for (int i = 0; i < f->count[x]; i++, pixel += 3 * ROWS) {
      add_weighted_body(&r, pixel, weight[i]);
      add_weighted_body(&g, pixel + ROWS, weight[i]);
      add_weighted_body(&b, pixel + 2 * ROWS, weight[i]);
    }
    store_rounded_body(&r, to);
    store_rounded_body(&g, to + ROWS);
    store_rounded_body(&b, to + 2 * ROWS);
  }
}

ASL_BODY shrink_rows_body(const filter *f, int left, int right, const uint8_t *const from[ROWS],
                          uint8_t *const to[ROWS], int rows, uint16_t *block, uint16_t *narrow) {
  int base = f->first[left], end = f->first[right - 1] + f->count[right - 1];
  turn_body(from, 3 * (end - base), block);
  weigh_body(f, left, right, block, base, narrow);
  turn_back_body(narrow, 3 * (right - left), to, rows);
}
ASL_WIDE(shrink_rows,
         (const filter *f, int left, int right, const uint8_t *const from[ROWS],
          uint8_t *const to[ROWS], int rows, uint16_t *block, uint16_t *narrow),
         (f, left, right, from, to, rows, block, narrow))

/* Turned rows of this many pixels. */
static size_t block_bytes(int pixels) {
  return ROWS * (3 * (size_t)pixels + STEP) * sizeof(uint16_t);
}

/* Rows [top, bottom), columns [left, right) of the result. */
static void shrink_width(const uint8_t *from, int width, uint8_t *to, int to_width, asl_window w,
                         const filter *f, uint16_t *block) {
  size_t pitch = 3 * (size_t)width, to_pitch = 3 * (size_t)to_width;
  uint16_t *narrow = block + block_bytes(width) / sizeof *block;
  for (int y = w.top; y < w.bottom; y += ROWS) {
    const uint8_t *rows[ROWS];
    uint8_t *to_rows[ROWS];
    int n = w.bottom - y < ROWS ? w.bottom - y : ROWS;
    for (int r = 0; r < ROWS; r++) { /* where there are less, the last stands for the others */
      size_t row = (size_t)(r < n ? y + r : w.bottom - 1);
      rows[r] = from + row * pitch + 3 * (size_t)f->first[w.left];
      to_rows[r] = to + row * to_pitch + 3 * (size_t)w.left;
    }
    shrink_rows(f, w.left, w.right, rows, to_rows, n, block, narrow);
  }
}

/* ---- height -------------------------------------------------------------------------------- */

/* Sixteen bytes of one output row. */
ASL_BODY column_body(const int *weight, int count, const uint8_t *from, size_t pitch, uint8_t *to) {
  asl_i32x8 sum[2], pixels[2];
  asl_u8x16 bytes;
  for (int k = 0; k < 2; k++) sum[k] = (asl_i32x8){0} + ASL_SHRINK_HALF;
  for (int i = 0; i < count; i++, from += pitch) {
    memcpy(&bytes, from, sizeof bytes);
    asl_widen_body(&bytes, pixels);
    for (int k = 0; k < 2; k++) sum[k] += pixels[k] * weight[i];
  }
  for (int k = 0; k < 2; k++) round_body(&sum[k]);
  asl_narrow_body(sum, &bytes);
  memcpy(to, &bytes, sizeof bytes);
}

/* `bytes` of one output row from input rows. */
ASL_BODY shrink_column_body(const int *weight, int count, const uint8_t *from, size_t pitch,
                            size_t bytes, uint8_t *to) {
  size_t x = 0;
  for (; x + STEP <= bytes; x += STEP) column_body(weight, count, from + x, pitch, to + x);
  for (; x < bytes; x++) {
    int sum = ASL_SHRINK_HALF;
    for (int i = 0; i < count; i++) sum += from[(size_t)i * pitch + x] * weight[i];
    to[x] = asl_shrink_round(sum);
  }
}
ASL_WIDE(shrink_column,
         (const int *weight, int count, const uint8_t *from, size_t pitch, size_t bytes,
          uint8_t *to),
         (weight, count, from, pitch, bytes, to))

static void shrink_height(const uint8_t *from, int width, uint8_t *to, asl_window w,
                          const filter *f) {
  size_t pitch = 3 * (size_t)width, left = 3 * (size_t)w.left, right = 3 * (size_t)w.right;
  for (int y = w.top; y < w.bottom; y++)
    shrink_column(f->weights + (size_t)y * (size_t)f->taps, f->count[y],
                  from + (size_t)f->first[y] * pitch + left, pitch, right - left,
                  to + (size_t)y * pitch + left);
}

/* ---- both ---------------------------------------------------------------------------------- */

static size_t scratch_ints(int height, int width, int to_height, int to_width) {
  return (to_width < width ? filter_ints(width, to_width) : 0) +
         (to_height < height ? filter_ints(height, to_height) : 0);
}

/* The filters, the turned rows, then the picture that is narrower but as high as before. */
size_t asl_shrink_scratch(int height, int width, int to_height, int to_width) {
  bool narrower = to_width < width, both = narrower && to_height < height;
  return scratch_ints(height, width, to_height, to_width) * sizeof(int) +
         (narrower ? block_bytes(width) + block_bytes(to_width) : 0) +
         (both ? 3 * (size_t)height * (size_t)to_width : 0);
}

static void copy_window(const uint8_t *from, int width, uint8_t *to, asl_window w) {
  for (int y = w.top; y < w.bottom; y++) {
    size_t at = 3 * ((size_t)y * (size_t)width + (size_t)w.left);
    memcpy(to + at, from + at, 3 * (size_t)(w.right - w.left));
  }
}

void asl_shrink(const uint8_t *from, int height, int width, uint8_t *to, int to_height,
                int to_width, asl_window w, void *scratch) {
  bool narrower = to_width < width, lower = to_height < height;
  int *memory = scratch;
  uint8_t *blocks = (uint8_t *)(memory + scratch_ints(height, width, to_height, to_width));
  uint8_t *between = narrower && lower ? blocks + block_bytes(width) + block_bytes(to_width) : to;
  filter down;
  asl_window wide = w; /* what of the narrower picture is needed */
  if (lower) {
    down = filter_at(memory, height, to_height, w.top, w.bottom);
    memory += filter_ints(height, to_height);
    wide.top = down.first[w.top];
    wide.bottom = down.first[w.bottom - 1] + down.count[w.bottom - 1];
  }
  if (narrower) {
    filter across = filter_at(memory, width, to_width, w.left, w.right);
    shrink_width(from, width, between, to_width, wide, &across, (uint16_t *)blocks);
  }
  if (lower) shrink_height(narrower ? between : from, to_width, to, w, &down);
  else if (!narrower) copy_window(from, width, to, w);
}
