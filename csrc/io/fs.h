/* Paths and directories. Every failure is ASL_EIO with the path and the system's reason, unless
 * said otherwise. */
#ifndef ASL_IO_FS_H
#define ASL_IO_FS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* Creates a directory and its missing parents; fine when it exists. */
asl_status asl_fs_mkdirs(const char *path);

/* Replaces `to` when it exists; durable when it returns. */
asl_status asl_fs_rename(const char *from, const char *to);

/* Removes a file or an empty directory; fine when there is none. */
asl_status asl_fs_remove(const char *path);

/* Removes a directory with everything in it; does not follow links. Fine when there is none. */
asl_status asl_fs_remove_tree(const char *path);

typedef struct asl_fs_info {
  bool exists;
  bool is_dir;
  int64_t size;  /* bytes */
  double mtime;  /* seconds since 1970 */
} asl_fs_info;

/* What lies at `path`; a missing file is no failure (`exists` false). Follows links. */
asl_status asl_fs_stat(const char *path, asl_fs_info *info);

/* Names in a directory without "." and "..", sorted by bytes. Free with asl_fs_free_list(). */
asl_status asl_fs_list(const char *path, char ***names, size_t *count);
void asl_fs_free_list(char **names, size_t count);

/* The absolute path without links, to be freed; `path` must exist. */
asl_status asl_fs_realpath(const char *path, char **out);

/* A fresh directory below TMPDIR or /tmp, its path to be freed. */
asl_status asl_fs_temp_dir(char **out);

/* Makes renames and new names in the directory that holds `path` durable. */
asl_status asl_fs_sync_parent(const char *path);

/* Takes an exclusive lock by creating the file `path`, which then names this process. Fails at once
 * when another open lock has it, of this process or another, saying whose it is. The lock lasts
 * until asl_fs_unlock() or the end of the process, whatever ends it. */
asl_status asl_fs_lock(const char *path, int *lock);
void asl_fs_unlock(int lock);

/* Whether someone holds the lock; a missing file is not locked. */
asl_status asl_fs_locked(const char *path, bool *locked);

#endif
