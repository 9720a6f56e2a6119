#include "data/depth_png.h"

#include <math.h>
#include <stdlib.h>

#include "base/read.h"
#include "data/pgm.h"
#include "data/png.h"

enum { MAX_FILE_BYTES = 1 << 30, NO_DISPARITY = 2047 };
static const double disparity_scale = 351.3, disparity_offset = 1092.5, farthest = 10;

void asl_depth_free(asl_depth *depth) {
  free(depth->metres);
  *depth = (asl_depth){0};
}

asl_status asl_depth_coding_check(const asl_depth_coding *coding) {
  if (isfinite(coding->per_metre) && coding->per_metre > 0) return ASL_OK;
  return asl_fail(ASL_EINVAL, "depth: %g units per metre; it must be a positive number",
                  coding->per_metre);
}

static float metres_of(const asl_depth_coding *coding, int value) {
  if (value == 0 || value == coding->none) return 0;
  if (coding->rotated) value = (value >> 3 | value << 13) & 0xffff;
  if (!coding->disparity) return (float)(value / coding->per_metre);
  double metres = disparity_scale / (disparity_offset - value);
  return value == NO_DISPARITY || !(metres > 0 && metres <= farthest) ? 0 : (float)metres;
}

void asl_depth_convert(const asl_depth_coding *coding, const uint16_t *values, size_t n,
                       float *metres) {
  for (size_t i = 0; i < n; i++) metres[i] = metres_of(coding, values[i]);
}

static asl_status read_values(const uint8_t *bytes, size_t n, const asl_depth_coding *coding,
                              asl_values *out) {
  if (n >= 2 && bytes[0] == 'P') return asl_pgm_values(bytes, n, coding->swapped, out);
  if (n >= 2 && bytes[0] == 0x89 && bytes[1] == 'P') return asl_png_values(bytes, n, 1, out);
  if (n == 0) return asl_fail(ASL_EDATA, "empty (0 bytes)");
  return asl_fail(ASL_EDATA, "neither PNG nor PGM (first bytes %02x %02x)", bytes[0],
                  n > 1 ? bytes[1] : 0);
}

asl_status asl_depth_decode(const uint8_t *bytes, size_t n, const asl_depth_coding *coding,
                            asl_depth *out) {
  *out = (asl_depth){0};
  ASL_TRY(asl_depth_coding_check(coding));
  asl_values values = {0};
  ASL_TRY(read_values(bytes, n, coding, &values));
  size_t count = (size_t)values.height * (size_t)values.width;
  asl_status status = ASL_OK;
  if (values.bits != 16)
    status = asl_fail(ASL_EDATA, "%d-bit values; a depth map must have 16 bits", values.bits);
  else if (!(out->metres = malloc(count * sizeof *out->metres)))
    status = asl_fail(ASL_ENOMEM, "no memory for %zu depths", count);
  if (status == ASL_OK) {
    out->height = values.height;
    out->width = values.width;
    asl_depth_convert(coding, values.values, count, out->metres);
  }
  asl_values_free(&values);
  return status;
}

asl_status asl_depth_read(const char *path, const asl_depth_coding *coding, asl_depth *out) {
  char *bytes;
  size_t n;
  *out = (asl_depth){0};
  ASL_TRY(asl_read_file(path, MAX_FILE_BYTES, &bytes, &n));
  asl_status status = asl_depth_decode((const uint8_t *)bytes, n, coding, out);
  free(bytes);
  return asl_wrap(status, "%s", path);
}
