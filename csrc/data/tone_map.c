#include "data/tone_map.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double gamma_exponent = 2.2, percentile = 0.9, wanted = 0.8, darkest = 0.0001;

/* ---- the percentile ------------------------------------------------------------------------ */

/* Unsigned numbers in the order of floats. */
static uint32_t key_of(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits >> 31 ? ~bits : bits | 0x80000000u;
}

static float value_of(uint32_t key) {
  uint32_t bits = key >> 31 ? key & 0x7fffffffu : ~key;
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

/* The key of rank k (from 0) among n: the upper half of its bits is found by counting, then the
 * lower half among those that have it. `counts` has 65536 places. */
static uint32_t key_of_rank(const uint32_t *keys, size_t n, size_t k, uint32_t *counts) {
  memset(counts, 0, 65536 * sizeof *counts);
  for (size_t i = 0; i < n; i++) counts[keys[i] >> 16]++;
  uint32_t upper = 0;
  for (; k >= counts[upper]; upper++) k -= counts[upper];
  memset(counts, 0, 65536 * sizeof *counts);
  for (size_t i = 0; i < n; i++)
    if (keys[i] >> 16 == upper) counts[keys[i] & 0xffff]++;
  uint32_t lower = 0;
  for (; k >= counts[lower]; lower++) k -= counts[lower];
  return upper << 16 | lower;
}

/* Between the ranks on both sides of (n - 1) * percentile; n is at least 1. */
static double percentile_of(const uint32_t *keys, size_t n, uint32_t *counts) {
  double at = percentile * (double)(n - 1), below = floor(at);
  size_t k = (size_t)below;
  double a = (double)value_of(key_of_rank(keys, n, k, counts));
  if (k + 1 >= n || at == below) return a;
  double b = (double)value_of(key_of_rank(keys, n, k + 1, counts));
  return a + (b - a) * (at - below);
}

static asl_status find_scale(const float *rgb, const uint8_t *valid, size_t n, double *scale) {
  uint32_t *keys = malloc((n + 1) * sizeof *keys), *counts = malloc(65536 * sizeof *counts);
  size_t found = 0;
  if (!keys || !counts) {
    free(keys);
    free(counts);
    return asl_fail(ASL_ENOMEM, "no memory for the brightness of %zu pixels", n);
  }
  for (size_t i = 0; i < n; i++) {
    const float *p = rgb + 3 * i;
    if (valid && !valid[i]) continue;
    double brightness = 0.3 * (double)p[0] + 0.59 * (double)p[1] + 0.11 * (double)p[2];
    keys[found++] = key_of((float)brightness);
  }
  double now = found ? percentile_of(keys, found, counts) : 0;
  *scale = !found ? 1 : now < darkest ? 0 : pow(wanted, gamma_exponent) / now;
  free(keys);
  free(counts);
  return ASL_OK;
}

/* ---- the curve ----------------------------------------------------------------------------- */

/* The byte of a value is the number of thresholds that do not exceed it. `start` is the byte of the
 * smallest value with given upper 16 bits, from where few steps remain. */
typedef struct curve {
  float threshold[256]; /* [b]: from here on the byte is at least b; [0] is not used */
  uint8_t start[32768];
} curve;

static void make_curve(double scale, curve *c) {
  for (int b = 1; b < 256; b++) {
    double value = scale > 0 ? pow((b - 0.5) / 255, gamma_exponent) / scale : (double)NAN;
    c->threshold[b] = (float)value;
  }
  int byte = 0;
  for (uint32_t upper = 0; upper < 32768; upper++) {
    float value = value_of(upper << 16 | 0x80000000u);
    while (byte < 255 && value >= c->threshold[byte + 1]) byte++;
    c->start[upper] = (uint8_t)byte;
  }
}

static uint8_t byte_of(const curve *c, float value) {
  if (!(value > 0)) return 0;
  int byte = c->start[(key_of(value) & 0x7fffffffu) >> 16];
  while (byte < 255 && value >= c->threshold[byte + 1]) byte++;
  return (uint8_t)byte;
}

asl_status asl_tone_map(const float *rgb, const uint8_t *valid, int height, int width,
                        uint8_t *out) {
  double scale = 0;
  size_t n = (size_t)height * (size_t)width;
  for (size_t i = 0; i < 3 * n; i++)
    if (isnan(rgb[i]))
      return asl_fail(ASL_EDATA, "the colour of row %zu, column %zu is no number",
                      i / 3 / (size_t)width + 1, i / 3 % (size_t)width + 1);
  ASL_TRY(find_scale(rgb, valid, n, &scale));
  curve *c = malloc(sizeof *c);
  if (!c) return asl_fail(ASL_ENOMEM, "no memory for a curve");
  make_curve(scale, c);
  for (size_t i = 0; i < 3 * n; i++) out[i] = byte_of(c, rgb[i]);
  free(c);
  return ASL_OK;
}
