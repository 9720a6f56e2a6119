#include "ops/fault.h"

#include <stdio.h>

enum { IGNORE = 255 };

asl_status asl_fault_logit(asl_shape shape, int64_t position, double value) {
  int64_t height = shape.size[1], width = shape.size[2], classes = shape.size[3], pixel = position / classes;
  return asl_fail(ASL_EDATA, "logits are not finite: %g at picture %lld, row %lld, column %lld, class %lld", value,
                  (long long)(pixel / width / height + 1), (long long)(pixel / width % height + 1),
                  (long long)(pixel % width + 1), (long long)(position % classes));
}

asl_status asl_fault_class(const char *what, asl_shape shape, int64_t position, int value, int64_t classes) {
  char place[96];
  snprintf(place, sizeof place, "element %lld", (long long)position + 1);
  if (shape.rank == 3) {
    int64_t height = shape.size[1], width = shape.size[2];
    snprintf(place, sizeof place, "picture %lld, row %lld, column %lld",
             (long long)(position / width / height + 1), (long long)(position / width % height + 1),
             (long long)(position % width + 1));
  }
  return asl_fail(ASL_EDATA, "%s %d at %s: the classes are 0 to %lld, label %d is ignored", what, value, place,
                  (long long)classes - 1, IGNORE);
}

asl_status asl_fault_indices(const asl_tensor *x, const asl_tensor *index) {
  int64_t rows = x->shape.size[0];
  for (int64_t i = 0, n = index->shape.size[0]; i < n; i++) {
    int64_t row = asl_i64(index)[i];
    if (row < 0 || row >= rows)
      return asl_fail(ASL_EINVAL, "index %lld (element %lld of %lld) is outside the %lld rows of x", (long long)row,
                      (long long)i + 1, (long long)n, (long long)rows);
  }
  return ASL_OK;
}
