/* What the losses and the evaluation share about label maps: u8 (N,H,W), 255 = ignore. */
#ifndef ASL_CPU_LABELS_H
#define ASL_CPU_LABELS_H

#include "cpu/cpu.h"

enum { IGNORE = 255 };

#define asl_labels_check ASL_LOCAL(asl_labels_check)
#define asl_label_fail ASL_LOCAL(asl_label_fail)

/* Counts the labels that are not IGNORE into *valid. ASL_EDATA when one is not below `classes`:
 * the message has its value and its place. */
asl_status asl_labels_check(const asl_tensor *labels, int64_t classes, int64_t *valid);

/* The message for a value outside the classes at a flat position of a map; ASL_EDATA. */
asl_status asl_label_fail(const char *what, const asl_tensor *map, int64_t position,
                          int64_t classes);

#endif
