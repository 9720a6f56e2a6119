#include "cuda/strided.h"

/* Lies operand k of the walk so that every group of V elements is one aligned access, or one value? */
static bool takes_vectors(const asl_walk *walk, int k, int64_t element, int vector) {
  int64_t step = walk->step[0][k], bytes = element * vector;
  if (step == 0) return k > 0;
  if (step != element || (uintptr_t)walk->base[k] % (uintptr_t)bytes != 0) return false;
  for (int d = 1; d < walk->rank; d++)
    if (walk->step[d][k] % bytes != 0) return false;
  return true;
}

bool strided_init(strided *s, const asl_walk *walk, const int64_t element[], int vector) {
  if (walk->rank > 1 && walk->size[0] % vector != 0) return false;
  for (int k = 0; vector > 1 && k < walk->operands; k++)
    if (!takes_vectors(walk, k, element[k], vector)) return false;
  *s = (strided){};
  s->count = walk->count;
  s->groups = ceil_div(walk->count, vector);
  s->rank = walk->rank;
  for (int d = 0; d < walk->rank; d++) {
    s->size[d] = divider_of(d == 0 ? ceil_div(walk->size[0], vector) : walk->size[d]);
    for (int k = 0; k < walk->operands; k++) s->step[d][k] = walk->step[d][k];
  }
  for (int k = 0; k < walk->operands; k++) s->base[k] = walk->base[k];
  return true;
}
