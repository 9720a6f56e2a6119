#define _GNU_SOURCE
#include "io/torch_source.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static asl_status check_file(const char *path, asl_source *source) {
  struct stat st;
  if (fstat(source->fd, &st) != 0) return asl_fail(ASL_EIO, "cannot look at \"%s\": %m", path);
  if (!S_ISREG(st.st_mode))
    return asl_fail(ASL_EIO, "\"%s\" is %s, not a file", path,
                    S_ISDIR(st.st_mode) ? "a directory" : "a device or pipe");
  source->size = (int64_t)st.st_size;
  return ASL_OK;
}

asl_status asl_source_open(const char *path, asl_source *out) {
  /* O_NONBLOCK: a pipe without a writer must not hang us; it means nothing for regular files. */
  *out = (asl_source){.fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  if (out->fd < 0) return asl_fail(ASL_EIO, "cannot open \"%s\": %m", path);
  asl_status status = check_file(path, out);
  if (status != ASL_OK) asl_source_close(out);
  return status;
}

asl_status asl_source_read(const asl_source *source, int64_t at, void *bytes, size_t n) {
  for (size_t done = 0; done < n;) {
    ssize_t got = pread(source->fd, (char *)bytes + done, n - done, (off_t)(at + (int64_t)done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return asl_fail(ASL_EIO, "cannot read: %m");
    if (got == 0)
      return asl_fail(ASL_EDATA, "the file ends at byte %lld; it had %lld bytes when it was opened",
                      (long long)at + (long long)done, (long long)source->size);
    done += (size_t)got;
  }
  return ASL_OK;
}

void asl_source_close(asl_source *source) {
  if (source->fd >= 0) close(source->fd);
  source->fd = -1;
}

asl_shown asl_show(const char *bytes, size_t n) {
  enum { MOST = 80 };
  asl_shown shown;
  size_t length = n < MOST ? n : MOST;
  for (size_t i = 0; i < length; i++)
    shown.text[i] = bytes[i] >= 0x20 && bytes[i] < 0x7F ? bytes[i] : '?';
  strcpy(shown.text + length, n > MOST ? "..." : "");
  return shown;
}
