/* Reading files that are not trusted: the whole of one, or pieces at positions; and their text in
 * messages. */
#ifndef ASL_BASE_READ_H
#define ASL_BASE_READ_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* The whole of a regular file, to be freed, with a NUL after it. ASL_EIO; ASL_EDATA above `cap`
 * bytes, found before memory is taken; ASL_ENOMEM. Messages name the file. */
asl_status asl_read_file(const char *path, size_t cap, char **bytes, size_t *n);

/* A file that is read at positions, by several threads if need be. */
typedef struct asl_input {
  int fd;
  int64_t size; /* bytes, when it was opened */
} asl_input;

/* Opens a regular file. ASL_EIO; the message names it. */
asl_status asl_input_open(const char *path, asl_input *out);

/* Reads exactly `n` bytes from position `at`, both within the size. ASL_EIO, also when the file has
 * become shorter; these messages do not name the file. */
asl_status asl_input_read(const asl_input *input, int64_t at, void *bytes, size_t n);

void asl_input_close(asl_input *input); /* fine when it was never opened (fd < 0) */

/* Text of a file, fit for a message: at most 80 bytes, "?" for what is not printable ASCII, "..."
 * where it was cut. */
typedef struct asl_shown {
  char text[88];
} asl_shown;
asl_shown asl_show(const char *bytes, size_t n);

#endif
