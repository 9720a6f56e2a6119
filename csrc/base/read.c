#define _GNU_SOURCE
#include "base/read.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static asl_status read_all(int fd, const char *path, char *bytes, size_t n) {
  for (size_t done = 0; done < n;) {
    ssize_t got = read(fd, bytes + done, n - done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return asl_fail(ASL_EIO, "cannot read \"%s\": %m", path);
    if (got == 0)
      return asl_fail(ASL_EIO, "\"%s\" shrank from %zu to %zu bytes while it was read", path, n,
                      done);
    done += (size_t)got;
  }
  return ASL_OK;
}

static asl_status read_open_file(int fd, const char *path, size_t cap, char **bytes, size_t *n) {
  struct stat st;
  if (fstat(fd, &st) != 0) return asl_fail(ASL_EIO, "cannot look at \"%s\": %m", path);
  if (!S_ISREG(st.st_mode))
    return asl_fail(ASL_EIO, "\"%s\" is %s, not a file", path,
                    S_ISDIR(st.st_mode) ? "a directory" : "a device or pipe");
  if ((uint64_t)st.st_size > cap)
    return asl_fail(ASL_EDATA, "\"%s\" has %lld bytes; at most %zu are read", path,
                    (long long)st.st_size, cap);
  *n = (size_t)st.st_size;
  *bytes = malloc(*n + 1);
  if (!*bytes)
    return asl_fail(ASL_ENOMEM, "out of memory for the %zu bytes of \"%s\"", *n, path);
  (*bytes)[*n] = 0;
  asl_status status = read_all(fd, path, *bytes, *n);
  if (status != ASL_OK) {
    free(*bytes);
    *bytes = NULL;
  }
  return status;
}

asl_status asl_read_file(const char *path, size_t cap, char **bytes, size_t *n) {
  *bytes = NULL;
  *n = 0;
  /* O_NONBLOCK: a pipe without a writer must not hang us; it means nothing for regular files. */
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return asl_fail(ASL_EIO, "cannot open \"%s\": %m", path);
  asl_status status = read_open_file(fd, path, cap, bytes, n);
  close(fd);
  return status;
}
