#include "cpu/strided.h"

#include <string.h>

/* Bytes from one element to the next along dimension d of the shape, 0 where t broadcasts. */
static int64_t step_along(const asl_tensor *t, asl_shape shape, int d) {
  int own = d - (shape.rank - t->shape.rank);
  if (own < 0 || t->shape.size[own] == 1) return 0;
  return t->stride[own] * (int64_t)asl_dtype_size(t->dtype);
}

/* Can `step`, the steps of a dimension outside walk dimension d, continue that dimension? */
static bool continues(const asl_walk *walk, int d, const int64_t step[]) {
  for (int k = 0; k < walk->operands; k++)
    if (step[k] != walk->step[d][k] * walk->size[d]) return false;
  return true;
}

void asl_walk_init(asl_walk *walk, asl_shape shape, int operands, asl_tensor *const operand[]) {
  memset(walk, 0, sizeof *walk);
  walk->operands = operands;
  walk->count = asl_shape_count(shape);
  for (int k = 0; k < operands; k++) walk->base[k] = asl_tensor_data(operand[k]);
  /* Dimension 0 of the walk is the innermost one. */
  walk->rank = 1;
  walk->size[0] = 1;
  for (int k = 0; k < operands; k++) walk->step[0][k] = (int64_t)asl_dtype_size(operand[k]->dtype);
  for (int d = shape.rank - 1; d >= 0; d--) {
    if (shape.size[d] == 1) continue;
    int64_t step[WALK_OPERANDS] = {0};
    for (int k = 0; k < operands; k++) step[k] = step_along(operand[k], shape, d);
    int inner = walk->rank - 1;
    if (walk->size[inner] == 1 || continues(walk, inner, step)) {
      if (walk->size[inner] == 1) memcpy(walk->step[inner], step, sizeof step);
      walk->size[inner] *= shape.size[d];
    } else {
      memcpy(walk->step[walk->rank], step, sizeof step);
      walk->size[walk->rank++] = shape.size[d];
    }
  }
}

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
