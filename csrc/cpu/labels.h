/* What the losses and the evaluation share about label maps: u8 (N,H,W), 255 = ignore. */
#ifndef ASL_CPU_LABELS_H
#define ASL_CPU_LABELS_H

#include "cpu/cpu.h"

enum { IGNORE = 255 };

#define asl_labels_check ASL_LOCAL(asl_labels_check)
#define asl_label_fail ASL_LOCAL(asl_label_fail)
#define asl_confusion_add ASL_LOCAL(asl_confusion_add)
#define asl_confusion_sum ASL_LOCAL(asl_confusion_sum)

/* Counts the labels that are not IGNORE into *valid. ASL_EDATA when one is not below `classes`:
 * the message has its value and its place. */
asl_status asl_labels_check(const asl_tensor *labels, int64_t classes, int64_t *valid);

/* The message for a value outside the classes at a flat position of a map; ASL_EDATA. */
asl_status asl_label_fail(const char *what, const asl_tensor *map, int64_t position,
                          int64_t classes);

/* Adds n pixels to counts[label][prediction], (classes, classes), without those labelled IGNORE.
 * Returns the position of the first value that is no class, or -1; what follows it is not added. */
int64_t asl_confusion_add(const uint8_t *prediction, const uint8_t *labels, int64_t n,
                          int64_t classes, int64_t *counts);

/* y = the sum of the shares' counts. */
void asl_confusion_sum(const int64_t *counts, int64_t shares, int64_t classes, int64_t *y);

/* What a loss is divided by: count where it is there, else what was given, else the valid pixels; at least 1. */
static inline double loss_normaliser(double given, const asl_tensor *count, int64_t valid) {
  if (count) valid = *asl_i64(count);
  else if (given != 0) return given;
  return valid > 0 ? (double)valid : 1;
}

#endif
