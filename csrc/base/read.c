#define _GNU_SOURCE
#include "base/read.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- at positions ------------------------------------------------------------------------- */

static asl_status check_file(const char *path, asl_input *input) {
  struct stat st;
  if (fstat(input->fd, &st) != 0) return asl_fail(ASL_EIO, "cannot look at \"%s\": %m", path);
  if (!S_ISREG(st.st_mode))
    return asl_fail(ASL_EIO, "\"%s\" is %s, not a file", path,
                    S_ISDIR(st.st_mode) ? "a directory" : "a device or pipe");
  input->size = (int64_t)st.st_size;
  return ASL_OK;
}

asl_status asl_input_open(const char *path, asl_input *out) {
  /* O_NONBLOCK: a pipe without a writer must not hang us; it means nothing for regular files. */
  *out = (asl_input){.fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  if (out->fd < 0) return asl_fail(ASL_EIO, "cannot open \"%s\": %m", path);
  asl_status status = check_file(path, out);
  if (status != ASL_OK) asl_input_close(out);
  return status;
}

asl_status asl_input_read(const asl_input *input, int64_t at, void *bytes, size_t n) {
  for (size_t done = 0; done < n;) {
    ssize_t got = pread(input->fd, (char *)bytes + done, n - done, (off_t)(at + (int64_t)done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return asl_fail(ASL_EIO, "cannot read: %m");
    if (got == 0)
      return asl_fail(ASL_EIO, "the file ends at byte %lld; it had %lld bytes when it was opened",
                      (long long)at + (long long)done, (long long)input->size);
    done += (size_t)got;
  }
  return ASL_OK;
}

void asl_input_close(asl_input *input) {
  if (input->fd >= 0) close(input->fd);
  input->fd = -1;
}

/* ---- as a whole --------------------------------------------------------------------------- */

static asl_status read_all(const asl_input *input, const char *path, size_t cap, char **bytes) {
  if ((uint64_t)input->size > cap)
    return asl_fail(ASL_EDATA, "\"%s\" has %lld bytes; at most %zu are read", path,
                    (long long)input->size, cap);
  size_t n = (size_t)input->size;
  char *all = malloc(n + 1);
  if (!all) return asl_fail(ASL_ENOMEM, "out of memory for the %zu bytes of \"%s\"", n, path);
  all[n] = 0;
  asl_status status = asl_wrap(asl_input_read(input, 0, all, n), "\"%s\"", path);
  if (status == ASL_OK) *bytes = all;
  else free(all);
  return status;
}

asl_status asl_read_file(const char *path, size_t cap, char **bytes, size_t *n) {
  asl_input input;
  *bytes = NULL;
  *n = 0;
  ASL_TRY(asl_input_open(path, &input));
  asl_status status = read_all(&input, path, cap, bytes);
  if (status == ASL_OK) *n = (size_t)input.size;
  asl_input_close(&input);
  return status;
}

/* ---- in messages -------------------------------------------------------------------------- */

asl_shown asl_show(const char *bytes, size_t n) {
  enum { MOST = 80 };
  asl_shown shown;
  size_t length = n < MOST ? n : MOST;
  for (size_t i = 0; i < length; i++)
    shown.text[i] = bytes[i] >= 0x20 && bytes[i] < 0x7F ? bytes[i] : '?';
  strcpy(shown.text + length, n > MOST ? "..." : "");
  return shown;
}
