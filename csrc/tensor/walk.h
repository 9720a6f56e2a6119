/* Walking several tensors that broadcast against one shape. Dimensions that are adjacent in memory for every operand
 * are merged, so contiguous tensors of equal shape are one long row. */
#ifndef ASL_TENSOR_WALK_H
#define ASL_TENSOR_WALK_H

#include <string.h>

#include "tensor/tensor.h"

enum { WALK_OPERANDS = 4 };

typedef struct asl_walk {
  int operands, rank; /* rank >= 1; dimension 0 is the innermost one */
  int64_t count;
  int64_t size[ASL_MAX_RANK];
  int64_t step[ASL_MAX_RANK][WALK_OPERANDS]; /* bytes; 0 where an operand broadcasts */
  char *base[WALK_OPERANDS];
} asl_walk;

/* Bytes from one element to the next along dimension d of the shape, 0 where t broadcasts. */
static inline int64_t asl_walk_step(const asl_tensor *t, asl_shape shape, int d) {
  int own = d - (shape.rank - t->shape.rank);
  if (own < 0 || t->shape.size[own] == 1) return 0;
  return t->stride[own] * (int64_t)asl_dtype_size(t->dtype);
}

/* Can `step`, the steps of a dimension outside walk dimension d, continue that dimension? */
static inline bool asl_walk_continues(const asl_walk *walk, int d, const int64_t step[]) {
  for (int k = 0; k < walk->operands; k++)
    if (step[k] != walk->step[d][k] * walk->size[d]) return false;
  return true;
}

/* Operands are right-aligned against `shape`, which they must broadcast to. */
static inline void asl_walk_init(asl_walk *walk, asl_shape shape, int operands, asl_tensor *const operand[]) {
  memset(walk, 0, sizeof *walk);
  walk->operands = operands;
  walk->count = asl_shape_count(shape);
  for (int k = 0; k < operands; k++) walk->base[k] = (char *)asl_tensor_data(operand[k]);
  walk->rank = 1;
  walk->size[0] = 1;
  for (int k = 0; k < operands; k++) walk->step[0][k] = (int64_t)asl_dtype_size(operand[k]->dtype);
  for (int d = shape.rank - 1; d >= 0; d--) {
    if (shape.size[d] == 1) continue;
    int64_t step[WALK_OPERANDS] = {0};
    for (int k = 0; k < operands; k++) step[k] = asl_walk_step(operand[k], shape, d);
    int inner = walk->rank - 1;
    if (walk->size[inner] == 1 || asl_walk_continues(walk, inner, step)) {
      if (walk->size[inner] == 1) memcpy(walk->step[inner], step, sizeof step);
      walk->size[inner] *= shape.size[d];
    } else {
      memcpy(walk->step[walk->rank], step, sizeof step);
      walk->size[walk->rank++] = shape.size[d];
    }
  }
}

#endif
