/* What the losses and the evaluation share about label maps: u8, 255 = ignore. */
#ifndef ASL_CUDA_LABELS_H
#define ASL_CUDA_LABELS_H

#include "cuda/cuda.h"

enum { IGNORE = 255 };

/* *count (on the device) = how many of n labels differ from `ignore`. */
asl_status labels_count(const uint8_t *labels, int64_t n, int64_t ignore, int64_t *count);

/* Is there a class at this place? A label beyond the classes is a fault and has none. */
__device__ __forceinline__ bool label_is_class(int label, int64_t classes, int64_t position, asl_fault *fault) {
  if (label == IGNORE) return false;
  if (label < classes) return true;
  note_fault(fault, FAULT_LABEL, position, label);
  return false;
}

#endif
