/* A file of weights that is read at positions, and text from such a file in messages. */
#ifndef ASL_IO_TORCH_SOURCE_H
#define ASL_IO_TORCH_SOURCE_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef struct asl_source {
  int fd;
  int64_t size; /* bytes, when it was opened */
} asl_source;

/* Opens a regular file. ASL_EIO; the message names it. */
asl_status asl_source_open(const char *path, asl_source *out);

/* Reads exactly `n` bytes from position `at`, both within the size. ASL_EIO, ASL_EDATA when the
 * file has become shorter; these messages do not name the file. */
asl_status asl_source_read(const asl_source *source, int64_t at, void *bytes, size_t n);

void asl_source_close(asl_source *source); /* fine when it was never opened (fd < 0) */

/* Text of a file that is not trusted, fit for a message: at most 80 bytes, "?" for what is not
 * printable ASCII, "..." where it was cut. */
typedef struct asl_shown {
  char text[88];
} asl_shown;
asl_shown asl_show(const char *bytes, size_t n);

#endif
