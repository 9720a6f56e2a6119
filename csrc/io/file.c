#define _GNU_SOURCE
#include "io/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/fs.h"

struct asl_file {
  int fd;
  int64_t size;
  char *path; /* the name people know */
  char *temp; /* where a replacement grows; NULL for an appended file */
};

static asl_status open_file(asl_file *file, int flags) {
  const char *name = file->temp ? file->temp : file->path;
  file->fd = open(name, O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0666);
  if (file->fd < 0) return asl_fail(ASL_EIO, "cannot create \"%s\": %m", file->path);
  struct stat st;
  if (fstat(file->fd, &st) != 0)
    return asl_fail(ASL_EIO, "cannot look at \"%s\": %m", file->path);
  file->size = (int64_t)st.st_size;
  return ASL_OK;
}

static asl_status new_file(const char *path, bool replace, asl_file **out) {
  *out = NULL;
  asl_file *file = calloc(1, sizeof *file);
  if (!file) return asl_fail(ASL_ENOMEM, "out of memory for a file");
  file->fd = -1;
  file->path = strdup(path);
  if (replace && asprintf(&file->temp, "%s.tmp-%ld", path, (long)getpid()) < 0) file->temp = NULL;
  asl_status status = !file->path || (replace && !file->temp)
                          ? asl_fail(ASL_ENOMEM, "out of memory for a path")
                          : open_file(file, replace ? O_TRUNC : O_APPEND);
  if (status != ASL_OK) asl_file_close(file);
  else *out = file;
  return status;
}

asl_status asl_file_replace(const char *path, asl_file **out) { return new_file(path, true, out); }
asl_status asl_file_append(const char *path, asl_file **out) { return new_file(path, false, out); }

asl_status asl_file_write(asl_file *file, const void *bytes, size_t n) {
  for (size_t done = 0; done < n;) {
    ssize_t put = write(file->fd, (const char *)bytes + done, n - done);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) {
      asl_fail(ASL_EIO, "cannot write \"%s\": %m (%zu bytes at position %lld)", file->path, n,
               (long long)file->size);
      /* Freeing space always works; should it not, the reader finds the torn record. */
      if (ftruncate(file->fd, (off_t)file->size) != 0) file->size += (int64_t)done;
      return ASL_EIO;
    }
    done += (size_t)put;
  }
  file->size += (int64_t)n;
  return ASL_OK;
}

int64_t asl_file_size(const asl_file *file) { return file->size; }

asl_status asl_file_truncate(asl_file *file, int64_t size) {
  if (size < 0 || size > file->size)
    return asl_fail(ASL_EINVAL, "cannot cut \"%s\" of %lld bytes to %lld", file->path,
                    (long long)file->size, (long long)size);
  if (ftruncate(file->fd, (off_t)size) != 0)
    return asl_fail(ASL_EIO, "cannot cut \"%s\" to %lld bytes: %m", file->path, (long long)size);
  file->size = size;
  return ASL_OK;
}

asl_status asl_file_sync(asl_file *file) {
  if (fsync(file->fd) != 0)
    return asl_fail(ASL_EIO, "cannot bring \"%s\" (%lld bytes) to the disk: %m", file->path,
                    (long long)file->size);
  return ASL_OK;
}

static asl_status put_in_place(asl_file *file, bool durable) {
  if (durable) ASL_TRY(asl_file_sync(file));
  /* Network file systems report a full disk only here. */
  int fd = file->fd;
  file->fd = -1;
  if (close(fd) != 0) return asl_fail(ASL_EIO, "cannot finish \"%s\": %m", file->path);
  if (rename(file->temp, file->path) != 0)
    return asl_fail(ASL_EIO, "cannot put \"%s\" in place: %m", file->path);
  free(file->temp);
  file->temp = NULL;
  return durable ? asl_fs_sync_parent(file->path) : ASL_OK;
}

asl_status asl_file_commit(asl_file *file, bool durable) {
  asl_status status = put_in_place(file, durable);
  asl_file_close(file);
  return status;
}

void asl_file_close(asl_file *file) {
  if (!file) return;
  if (file->fd >= 0) close(file->fd);
  if (file->temp) unlink(file->temp);
  free(file->temp);
  free(file->path);
  free(file);
}

asl_status asl_file_put(const char *path, const void *bytes, size_t n, bool durable) {
  asl_file *file;
  ASL_TRY(asl_file_replace(path, &file));
  asl_status status = asl_file_write(file, bytes, n);
  if (status == ASL_OK) return asl_file_commit(file, durable);
  asl_file_close(file);
  return status;
}
