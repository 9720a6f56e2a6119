#define _GNU_SOURCE
#include "io/fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static asl_status out_of_memory(const char *what) {
  return asl_fail(ASL_ENOMEM, "out of memory for %s", what);
}

/* ---- names ------------------------------------------------------------------------------ */

static asl_status make_dir(const char *path) {
  if (mkdir(path, 0777) == 0) return ASL_OK;
  int cause = errno;
  struct stat st;
  if (cause == EEXIST && stat(path, &st) == 0 && S_ISDIR(st.st_mode)) return ASL_OK;
  errno = cause == EEXIST ? ENOTDIR : cause;
  return asl_fail(ASL_EIO, "cannot create the directory \"%s\": %m", path);
}

asl_status asl_fs_mkdirs(const char *path) {
  struct stat st;
  if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) return ASL_OK;
  char *part = strdup(path);
  if (!part) return out_of_memory("a path");
  asl_status status = ASL_OK;
  for (char *slash = strchr(part + (*part == '/'), '/'); slash && status == ASL_OK;
       slash = strchr(slash + 1, '/')) {
    *slash = 0;
    status = make_dir(part);
    *slash = '/';
  }
  free(part);
  return status == ASL_OK ? make_dir(path) : status;
}

asl_status asl_fs_sync_parent(const char *path) {
  const char *slash = strrchr(path, '/');
  char *parent = !slash ? strdup(".") : slash == path ? strdup("/")
                                                      : strndup(path, (size_t)(slash - path));
  if (!parent) return out_of_memory("a path");
  asl_status status = ASL_OK;
  int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  /* Some file systems cannot sync a directory (EINVAL): there is nothing more to do then. */
  if (fd < 0 || (fsync(fd) != 0 && errno != EINVAL))
    status = asl_fail(ASL_EIO, "cannot sync the directory \"%s\": %m", parent);
  if (fd >= 0) close(fd);
  free(parent);
  return status;
}

asl_status asl_fs_rename(const char *from, const char *to) {
  if (rename(from, to) != 0)
    return asl_fail(ASL_EIO, "cannot rename \"%s\" to \"%s\": %m", from, to);
  return asl_fs_sync_parent(to);
}

asl_status asl_fs_remove(const char *path) {
  if (remove(path) != 0 && errno != ENOENT)
    return asl_fail(ASL_EIO, "cannot remove \"%s\": %m", path);
  return ASL_OK;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw) {
  (void)st, (void)type, (void)ftw;
  return asl_fs_remove(path) == ASL_OK ? 0 : 1;
}

asl_status asl_fs_remove_tree(const char *path) {
  struct stat st;
  if (lstat(path, &st) != 0 && errno == ENOENT) return ASL_OK;
  int result = nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
  if (result < 0) return asl_fail(ASL_EIO, "cannot walk \"%s\": %m", path);
  return result == 0 ? ASL_OK : ASL_EIO;
}

asl_status asl_fs_stat(const char *path, asl_fs_info *info) {
  struct stat st;
  *info = (asl_fs_info){0};
  if (stat(path, &st) != 0) {
    if (errno == ENOENT || errno == ENOTDIR) return ASL_OK;
    return asl_fail(ASL_EIO, "cannot look at \"%s\": %m", path);
  }
  *info = (asl_fs_info){.exists = true,
                        .is_dir = S_ISDIR(st.st_mode),
                        .size = (int64_t)st.st_size,
                        .mtime = (double)st.st_mtim.tv_sec + 1e-9 * (double)st.st_mtim.tv_nsec};
  return ASL_OK;
}

asl_status asl_fs_realpath(const char *path, char **out) {
  *out = realpath(path, NULL);
  return *out ? ASL_OK : asl_fail(ASL_EIO, "cannot resolve \"%s\": %m", path);
}

asl_status asl_fs_temp_dir(char **out) {
  const char *base = getenv("TMPDIR");
  if (asprintf(out, "%s/asl-XXXXXX", base && *base ? base : "/tmp") < 0) {
    *out = NULL;
    return out_of_memory("a path");
  }
  if (mkdtemp(*out)) return ASL_OK;
  asl_fail(ASL_EIO, "cannot create a temporary directory \"%s\": %m", *out);
  free(*out);
  *out = NULL;
  return ASL_EIO;
}

/* ---- listing ---------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b) {
  return strcmp(*(char *const *)a, *(char *const *)b);
}

void asl_fs_free_list(char **names, size_t count) {
  for (size_t i = 0; i < count; i++) free(names[i]);
  free(names);
}

static asl_status add_name(char ***names, size_t *count, size_t *room, const char *name) {
  if (*count == *room) {
    size_t larger = *room ? 2 * *room : 64;
    char **moved = realloc(*names, larger * sizeof **names);
    if (!moved) return out_of_memory("a directory listing");
    *names = moved;
    *room = larger;
  }
  (*names)[*count] = strdup(name);
  return (*names)[*count] ? ((*count)++, ASL_OK) : out_of_memory("a directory listing");
}

asl_status asl_fs_list(const char *path, char ***names, size_t *count) {
  size_t room = 0;
  *names = NULL;
  *count = 0;
  DIR *dir = opendir(path);
  if (!dir) return asl_fail(ASL_EIO, "cannot list \"%s\": %m", path);
  asl_status status = ASL_OK;
  struct dirent *entry;
  while (status == ASL_OK && (errno = 0, entry = readdir(dir)))
    if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
      status = add_name(names, count, &room, entry->d_name);
  if (status == ASL_OK && errno) status = asl_fail(ASL_EIO, "cannot list \"%s\": %m", path);
  closedir(dir);
  if (status != ASL_OK) {
    asl_fs_free_list(*names, *count);
    *names = NULL;
    *count = 0;
    return status;
  }
  if (*count) qsort(*names, *count, sizeof **names, by_name);
  return ASL_OK;
}

/* Open-file-description locks: they belong to the descriptor, so two opens conflict even inside one
 * process, closing another descriptor of the file does not drop them, and a probe takes nothing. */

static asl_status locked_by_other(int fd, const char *path) {
  char owner[128] = "";
  ssize_t n = pread(fd, owner, sizeof owner - 1, 0);
  owner[n > 0 ? strcspn(owner, "\n") : 0] = 0;
  return asl_fail(ASL_EIO, "\"%s\" is locked by %s", path, *owner ? owner : "another process");
}

static asl_status sign_lock(int fd, const char *path) {
  char host[64] = "", text[128];
  gethostname(host, sizeof host - 1);
  int n = snprintf(text, sizeof text, "process %ld on %s\n", (long)getpid(), host);
  if (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)n, 0) != n)
    return asl_fail(ASL_EIO, "cannot write the lock \"%s\": %m", path);
  return ASL_OK;
}

asl_status asl_fs_lock(const char *path, int *lock) {
  *lock = -1;
  int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (fd < 0) return asl_fail(ASL_EIO, "cannot open the lock \"%s\": %m", path);
  struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
  asl_status status = ASL_OK;
  if (fcntl(fd, F_OFD_SETLK, &whole) != 0)
    status = errno == EAGAIN || errno == EACCES
                 ? locked_by_other(fd, path)
                 : asl_fail(ASL_EIO, "cannot lock \"%s\": %m", path);
  if (status == ASL_OK) status = sign_lock(fd, path);
  if (status != ASL_OK) {
    close(fd);
    return status;
  }
  *lock = fd;
  return ASL_OK;
}

void asl_fs_unlock(int lock) {
  if (lock >= 0) close(lock);
}

asl_status asl_fs_locked(const char *path, bool *locked) {
  *locked = false;
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return errno == ENOENT ? ASL_OK : asl_fail(ASL_EIO, "cannot open the lock \"%s\": %m", path);
  struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
  asl_status status = ASL_OK;
  if (fcntl(fd, F_OFD_GETLK, &whole) != 0)
    status = asl_fail(ASL_EIO, "cannot probe the lock \"%s\": %m", path);
  else
    *locked = whole.l_type != F_UNLCK;
  close(fd);
  return status;
}
