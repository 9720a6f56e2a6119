/* A source of pictures and label maps in files. */
#ifndef ASL_DATA_SOURCE_FILES_H
#define ASL_DATA_SOURCE_FILES_H

#include <stdint.h>

#include "data/source.h"

enum { ASL_LABEL_UNKNOWN = -1 };

typedef struct asl_source_files_spec {
  int64_t count;
  const char *const *images; /* paths */
  const char *const *labels; /* paths, parallel; NULL: no labels */
  /* What a value of a label file means: a class id, ASL_IGNORE, or ASL_LABEL_UNKNOWN, which is an
   * error when met. `table` names it in messages. */
  const int16_t *label_map; /* 256 entries */
  const char *table;
  int height, width; /* every sample is resized to this size when loaded; 0 = left as it is */
} asl_source_files_spec;

/* Everything is copied; no file is opened. Decoding checks that picture and label map have the same
 * size and that every label value is in the map (ASL_EDATA, naming files, sizes, value, table).
 * ASL_EINVAL (size), ASL_ENOMEM. */
asl_status asl_source_files_new(const asl_source_files_spec *spec, asl_source **out);

#endif
