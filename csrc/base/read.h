/* Reading a whole file. */
#ifndef ASL_BASE_READ_H
#define ASL_BASE_READ_H

#include <stddef.h>

#include "base/status.h"

/* The whole of a regular file, to be freed, with a NUL after it. ASL_EIO; ASL_EDATA above `cap`
 * bytes, found before memory is taken; ASL_ENOMEM. Messages name the file. */
asl_status asl_read_file(const char *path, size_t cap, char **bytes, size_t *n);

#endif
