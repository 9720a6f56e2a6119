/* Files that are written: replaced as a whole, or appended to.
 *
 * A replacement is written beside its target and takes its place in one step, so a reader, a crash
 * or a full disk never meets half a file. An append is all or nothing as far as this process can
 * help it: a record that does not fit is cut off again. Failures are ASL_EIO with the path, the
 * system's reason and the number of bytes. */
#ifndef ASL_IO_FILE_H
#define ASL_IO_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef struct asl_file asl_file;

/* Starts a replacement of `path`; nothing is seen there before asl_file_commit(). */
asl_status asl_file_replace(const char *path, asl_file **out);

/* Opens `path` for appending, creating it when there is none. */
asl_status asl_file_append(const char *path, asl_file **out);

asl_status asl_file_write(asl_file *file, const void *bytes, size_t n);

/* Bytes in the file now. */
int64_t asl_file_size(const asl_file *file);

/* Cuts an appended file back to `size` bytes, at most its size (ASL_EINVAL). */
asl_status asl_file_truncate(asl_file *file, int64_t size);

/* Returns when the bytes are on the disk. */
asl_status asl_file_sync(asl_file *file);

/* Puts a replacement in place and frees it, also on failure: the old file stays then. When
 * `durable`, bytes and name are on the disk when it returns. */
asl_status asl_file_commit(asl_file *file, bool durable);

/* Frees the file; a replacement that was not committed leaves no trace. NULL allowed. */
void asl_file_close(asl_file *file);

/* Replaces `path` by these bytes. */
asl_status asl_file_put(const char *path, const void *bytes, size_t n, bool durable);

#endif
