#include "data/pgm.h"

#include <stdlib.h>

#include "data/sample.h"

typedef struct header {
  const uint8_t *bytes;
  size_t n, at;
} header;

static bool is_space(uint8_t c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v';
}

/* Over blanks and comments, which go from # to the end of the line. */
static void skip_blanks(header *h) {
  while (h->at < h->n && (is_space(h->bytes[h->at]) || h->bytes[h->at] == '#')) {
    if (h->bytes[h->at] == '#')
      while (h->at < h->n && h->bytes[h->at] != '\n') h->at++;
    else h->at++;
  }
}

/* A number of at most 9 digits after blanks. */
static asl_status read_number(header *h, const char *what, int *out) {
  skip_blanks(h);
  int value = 0, digits = 0;
  for (; h->at < h->n && h->bytes[h->at] >= '0' && h->bytes[h->at] <= '9'; h->at++, digits++) {
    if (digits == 9) return asl_fail(ASL_EDATA, "PGM: the %s has more than 9 digits", what);
    value = 10 * value + (h->bytes[h->at] - '0');
  }
  if (digits == 0 && h->at == h->n) return asl_fail(ASL_EDATA, "PGM: truncated");
  if (digits == 0)
    return asl_fail(ASL_EDATA, "PGM: the %s is no number (byte %zu is 0x%02x)", what, h->at,
                    h->bytes[h->at]);
  *out = value;
  return ASL_OK;
}

static asl_status read_header(header *h, int *height, int *width, int *maxval) {
  if (h->n < 2 || h->bytes[0] != 'P' || h->bytes[1] != '5')
    return asl_fail(ASL_EDATA, "not a binary PGM (its first bytes must be P5)");
  h->at = 2;
  ASL_TRY(read_number(h, "width", width));
  ASL_TRY(read_number(h, "height", height));
  ASL_TRY(read_number(h, "largest value", maxval));
  if (*maxval < 256 || *maxval > 65535)
    return asl_fail(ASL_EDATA, "PGM: the largest value is %d; 16-bit values have 256 to 65535",
                    *maxval);
  if (asl_picture_size_check(*height, *width) != ASL_OK) return asl_wrap(ASL_EDATA, "PGM");
  if (h->at == h->n) return asl_fail(ASL_EDATA, "PGM: truncated");
  if (!is_space(h->bytes[h->at]))
    return asl_fail(ASL_EDATA, "PGM: after the header stands 0x%02x, not a blank", h->bytes[h->at]);
  h->at++;
  return ASL_OK;
}

static asl_status check_length(const header *h, size_t pixels) {
  size_t there = h->n - h->at;
  if (there == 2 * pixels) return ASL_OK;
  return asl_fail(ASL_EDATA, "PGM: %zu bytes of pixels; the header says %zu%s", there, 2 * pixels,
                  there < 2 * pixels ? " (truncated)" : "");
}

asl_status asl_pgm_values(const uint8_t *bytes, size_t n, bool swapped, asl_values *out) {
  *out = (asl_values){0};
  header h = {bytes, n, 0};
  int height, width, maxval;
  ASL_TRY(read_header(&h, &height, &width, &maxval));
  size_t pixels = (size_t)height * (size_t)width;
  ASL_TRY(check_length(&h, pixels));
  uint16_t *values = malloc(pixels * sizeof *values);
  if (!values) return asl_fail(ASL_ENOMEM, "PGM: no memory for %zu pixels", pixels);
  const uint8_t *from = bytes + h.at;
  int first = swapped ? 1 : 0, largest = 0;
  for (size_t i = 0; i < pixels; i++) {
    values[i] = (uint16_t)(from[2 * i + (size_t)first] << 8 | from[2 * i + 1 - (size_t)first]);
    if (values[i] > largest) largest = values[i];
  }
  if (largest > maxval) {
    free(values);
    return asl_fail(ASL_EDATA, "PGM: holds the value %d; the header says at most %d", largest,
                    maxval);
  }
  *out = (asl_values){height, width, 1, 16, values};
  return ASL_OK;
}
