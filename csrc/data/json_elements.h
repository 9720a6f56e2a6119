/* The elements of the top-level arrays of a JSON file, one at a time: files of annotations are
 * larger than what one wants in memory at once.
 *
 * This finds where an element begins and ends; what stands in it is for a JSON parser. Of the rest
 * of the file only strings and brackets are looked at, to its end. Files of any length can be read;
 * an element may have at most ASL_JSON_MAX_ELEMENT bytes, brackets may be nested ASL_JSON_MAX_DEPTH
 * deep.
 */
#ifndef ASL_DATA_JSON_ELEMENTS_H
#define ASL_DATA_JSON_ELEMENTS_H

#include <stddef.h>

#include "base/status.h"

enum { ASL_JSON_MAX_ELEMENT = 256 << 20, ASL_JSON_MAX_DEPTH = 100, ASL_JSON_MAX_KEYS = 8 };

typedef struct asl_json_elements asl_json_elements;

/* Opens a file that holds an object; `keys` (1 to ASL_JSON_MAX_KEYS, plain names) are the members,
 * each an array, whose elements are wanted. ASL_EIO, ASL_ENOMEM, ASL_EINVAL. */
asl_status asl_json_open(const char *path, const char *const *keys, int n, asl_json_elements **out);

/* The next element, in the order of the file: its text, valid until the next call, and which of the
 * keys (0-based) has it. *text is NULL after the last one; then the whole file has been looked at
 * and every key was there. ASL_EIO; ASL_EDATA, naming file and byte. */
asl_status asl_json_next(asl_json_elements *e, const char **text, size_t *n, int *key);

void asl_json_close(asl_json_elements *e); /* NULL allowed; cannot fail */

#endif
