#include "cpu/strided.h"

#include <string.h>

void asl_walk_rows(const asl_walk *walk, int64_t first, int64_t end, asl_row_fn fn, void *context) {
  if (first >= end) return;
  int64_t index[ASL_MAX_RANK], rest = first;
  char *at[WALK_OPERANDS];
  memcpy(at, walk->base, sizeof at);
  for (int d = 0; d < walk->rank; d++) {
    index[d] = rest % walk->size[d];
    rest /= walk->size[d];
    for (int k = 0; k < walk->operands; k++) at[k] += index[d] * walk->step[d][k];
  }
  while (first < end) {
    int64_t n = walk->size[0] - index[0];
    if (n > end - first) n = end - first;
    fn(context, at, walk->step[0], n);
    first += n;
    for (int k = 0; k < walk->operands; k++) at[k] -= index[0] * walk->step[0][k];
    index[0] = 0;
    for (int d = 1; d < walk->rank; d++) { /* the next row, like an odometer */
      for (int k = 0; k < walk->operands; k++) at[k] += walk->step[d][k];
      if (++index[d] < walk->size[d]) break;
      for (int k = 0; k < walk->operands; k++) at[k] -= walk->size[d] * walk->step[d][k];
      index[d] = 0;
    }
  }
}
