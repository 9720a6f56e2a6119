#include "data/image.h"

#include <stdlib.h>
#include <string.h>

#include "base/read.h"
#include "data/sample.h"

enum { MAX_FILE_BYTES = 1 << 30 };

void asl_picture_free(asl_picture *picture) {
  free(picture->pixels);
  *picture = (asl_picture){0};
}

asl_status asl_picture_decode(const uint8_t *bytes, size_t n, asl_picture_kind kind,
                              asl_picture *out) {
  static const uint8_t png[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
  static const uint8_t jpeg[3] = {0xff, 0xd8, 0xff};
  *out = (asl_picture){0};
  if (n == 0) return asl_fail(ASL_EDATA, "empty (0 bytes)");
  if (n >= sizeof png && memcmp(bytes, png, sizeof png) == 0)
    return asl_png_decode(bytes, n, kind, out);
  if (n >= sizeof jpeg && memcmp(bytes, jpeg, sizeof jpeg) == 0) {
    if (kind == ASL_LABEL_MAP)
      return asl_fail(ASL_EDATA, "a JPEG file cannot hold a label map (its values are not exact); "
                                 "it must be a grey or palette PNG");
    return asl_jpeg_decode(bytes, n, out);
  }
  return asl_fail(ASL_EDATA, "neither PNG nor JPEG (first bytes %02x %02x %02x %02x)", bytes[0],
                  n > 1 ? bytes[1] : 0, n > 2 ? bytes[2] : 0, n > 3 ? bytes[3] : 0);
}

asl_status asl_picture_read(const char *path, asl_picture_kind kind, asl_picture *out) {
  char *bytes;
  size_t n;
  *out = (asl_picture){0};
  ASL_TRY(asl_read_file(path, MAX_FILE_BYTES, &bytes, &n));
  asl_status status = asl_picture_decode((const uint8_t *)bytes, n, kind, out);
  free(bytes);
  return asl_wrap(status, "%s", path);
}
