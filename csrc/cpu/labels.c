#include "cpu/labels.h"

#include "ops/fault.h"

#include <stdio.h>
#include <string.h>

#include "cpu/kernel.h"

typedef struct job {
  const uint8_t *labels;
  int64_t count, classes;
  int64_t *valid; /* per chunk */
  first_fault fault;
} job;

static void check_chunk(void *context, int64_t chunk) {
  job *j = context;
  int64_t first = chunk * CHUNK, end = min_i64(first + CHUNK, j->count);
  int32_t valid = 0, bad = 0;
  for (int64_t i = first; i < end; i++) {
    valid += j->labels[i] != IGNORE;
    bad += j->labels[i] != IGNORE && j->labels[i] >= j->classes;
  }
  j->valid[chunk] = valid;
  for (int64_t i = first; bad > 0 && i < end; i++) {
    if (j->labels[i] == IGNORE || j->labels[i] < j->classes) continue;
    note_fault(&j->fault, i);
    return;
  }
}

asl_status asl_labels_check(const asl_tensor *labels, int64_t classes, int64_t *valid) {
  job j = {.labels = asl_u8(labels), .count = asl_tensor_count(labels), .classes = classes,
           .fault = NO_FAULT};
  int64_t chunks = ceil_div(j.count, CHUNK);
  void *scratch;
  ASL_TRY(take_scratch(chunks * (int64_t)sizeof *j.valid, &scratch));
  j.valid = scratch;
  asl_parallel(chunks, check_chunk, &j);
  *valid = 0;
  for (int64_t c = 0; c < chunks; c++) *valid += j.valid[c];
  asl_pool_give(scratch);
  return j.fault == NO_FAULT ? ASL_OK : asl_label_fail("label", labels, j.fault, classes);
}

asl_status asl_label_fail(const char *what, const asl_tensor *map, int64_t position,
                          int64_t classes) {
  return asl_fault_class(what, map->shape, position, asl_u8(map)[position], classes);
}

/* Neighbours mostly belong to the same cell: they are counted before memory is touched. */
int64_t asl_confusion_add(const uint8_t *prediction, const uint8_t *labels, int64_t n,
                          int64_t classes, int64_t *counts) {
  for (int64_t i = 0, end; i < n; i = end) {
    const int label = labels[i], predicted = prediction[i];
    for (end = i + 1; end < n && labels[end] == label && prediction[end] == predicted;) end++;
    if (label == IGNORE) continue;
    if (label >= classes || predicted >= classes) return i;
    counts[label * classes + predicted] += end - i;
  }
  return NO_FAULT;
}

void asl_confusion_sum(const int64_t *counts, int64_t shares, int64_t classes, int64_t *y) {
  const int64_t cells = classes * classes;
  memset(y, 0, (size_t)cells * sizeof *y);
  for (int64_t i = 0; i < shares; i++)
    for (int64_t c = 0; c < cells; c++) y[c] += counts[i * cells + c];
}
