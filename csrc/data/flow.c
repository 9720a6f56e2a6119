#include "data/flow.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/read.h"
#include "data/png.h"
#include "data/sample.h"

enum { MAX_FILE_BYTES = 1 << 30, HEADER_BYTES = 12 };
static const float known_below = 1e9f; /* of a .flo file */

void asl_flow_free(asl_flow *flow) {
  free(flow->vectors);
  free(flow->unknown);
  *flow = (asl_flow){0};
}

static asl_status take(asl_flow *out, int height, int width) {
  size_t n = (size_t)height * (size_t)width;
  *out = (asl_flow){height, width, malloc(2 * n * sizeof(float)), malloc(n)};
  if (out->vectors && out->unknown) return ASL_OK;
  asl_flow_free(out);
  return asl_fail(ASL_ENOMEM, "no memory for %zu flow vectors", n);
}

static uint32_t little_endian(const uint8_t *p) {
  return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static float float_at(const uint8_t *p) {
  uint32_t bits = little_endian(p);
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

static void set(asl_flow *flow, size_t i, float u, float v, bool known) {
  flow->vectors[2 * i] = known ? u : 0;
  flow->vectors[2 * i + 1] = known ? v : 0;
  flow->unknown[i] = !known;
}

static asl_status decode_flo(const uint8_t *bytes, size_t n, asl_flow *out) {
  if (n < HEADER_BYTES) return asl_fail(ASL_EDATA, ".flo: truncated (%zu bytes)", n);
  int32_t width = (int32_t)little_endian(bytes + 4), height = (int32_t)little_endian(bytes + 8);
  if (asl_picture_size_check(height, width) != ASL_OK) return asl_wrap(ASL_EDATA, ".flo");
  size_t pixels = (size_t)height * (size_t)width, expected = HEADER_BYTES + 8 * pixels;
  if (n != expected)
    return asl_fail(ASL_EDATA, ".flo: %zu bytes; %d x %d vectors (width x height) take %zu%s", n,
                    width, height, expected, n < expected ? " (truncated)" : "");
  ASL_TRY(take(out, height, width));
  for (size_t i = 0; i < pixels; i++) {
    float u = float_at(bytes + HEADER_BYTES + 8 * i),
          v = float_at(bytes + HEADER_BYTES + 8 * i + 4);
    set(out, i, u, v, fabsf(u) <= known_below && fabsf(v) <= known_below);
  }
  return ASL_OK;
}

static asl_status decode_png(const uint8_t *bytes, size_t n, asl_flow *out) {
  asl_values values;
  ASL_TRY(asl_png_values(bytes, n, 3, &values));
  asl_status status =
      values.bits == 16
          ? take(out, values.height, values.width)
          : asl_fail(ASL_EDATA, "%d-bit values; flow in a PNG must have 16 bits", values.bits);
  if (status == ASL_OK)
    for (size_t i = 0; i < (size_t)values.height * (size_t)values.width; i++) {
      const uint16_t *value = values.values + 3 * i;
      set(out, i, (float)(value[0] - 32768) / 64, (float)(value[1] - 32768) / 64, value[2] != 0);
    }
  asl_values_free(&values);
  return status;
}

asl_status asl_flow_decode(const uint8_t *bytes, size_t n, asl_flow *out) {
  *out = (asl_flow){0};
  if (n == 0) return asl_fail(ASL_EDATA, "empty (0 bytes)");
  if (n >= 4 && memcmp(bytes, "PIEH", 4) == 0) return decode_flo(bytes, n, out);
  if (n >= 4 && memcmp(bytes, "\x89PNG", 4) == 0) return decode_png(bytes, n, out);
  return asl_fail(ASL_EDATA, "neither .flo nor PNG (first bytes %02x %02x %02x %02x)", bytes[0],
                  n > 1 ? bytes[1] : 0, n > 2 ? bytes[2] : 0, n > 3 ? bytes[3] : 0);
}

asl_status asl_flow_read(const char *path, asl_flow *out) {
  char *bytes;
  size_t n;
  *out = (asl_flow){0};
  ASL_TRY(asl_read_file(path, MAX_FILE_BYTES, &bytes, &n));
  asl_status status = asl_flow_decode((const uint8_t *)bytes, n, out);
  free(bytes);
  return asl_wrap(status, "%s", path);
}
