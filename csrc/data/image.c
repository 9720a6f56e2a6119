#include "data/image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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

static asl_status read_all(int file, size_t bytes, uint8_t *to) {
  for (size_t done = 0; done < bytes;) {
    ssize_t got = read(file, to + done, bytes - done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return asl_fail(ASL_EIO, "%s", strerror(errno));
    if (got == 0)
      return asl_fail(ASL_EIO, "the file became shorter while read (%zu of %zu bytes)", done,
                      bytes);
    done += (size_t)got;
  }
  return ASL_OK;
}

/* The whole regular file; O_NONBLOCK so that opening a named pipe does not hang. */
static asl_status read_file(int file, uint8_t **bytes, size_t *n) {
  struct stat info;
  if (fstat(file, &info) != 0) return asl_fail(ASL_EIO, "%s", strerror(errno));
  if (!S_ISREG(info.st_mode)) return asl_fail(ASL_EIO, "not a regular file");
  if (info.st_size > MAX_FILE_BYTES)
    return asl_fail(ASL_EDATA, "%lld bytes; picture files may have at most %d",
                    (long long)info.st_size, MAX_FILE_BYTES);
  *n = (size_t)info.st_size;
  *bytes = malloc(*n + 1);
  if (!*bytes) return asl_fail(ASL_ENOMEM, "no memory for %zu bytes", *n);
  asl_status status = read_all(file, *n, *bytes);
  if (status != ASL_OK) free(*bytes);
  return status;
}

asl_status asl_picture_read(const char *path, asl_picture_kind kind, asl_picture *out) {
  *out = (asl_picture){0};
  int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file < 0) return asl_fail(ASL_EIO, "%s: %s", path, strerror(errno));
  uint8_t *bytes = NULL;
  size_t n = 0;
  asl_status status = read_file(file, &bytes, &n);
  close(file);
  if (status == ASL_OK) {
    status = asl_picture_decode(bytes, n, kind, out);
    free(bytes);
  }
  return asl_wrap(status, "%s", path);
}
