/* The row of a softmax: shared by softmax, log_softmax and cross_entropy. */
#ifndef ASL_CPU_SOFTMAX_H
#define ASL_CPU_SOFTMAX_H

#include "cpu/simd.h"

typedef struct softmax_row {
  float max, sum; /* of the logits; of e^(scale (logit - max)). NaN in the logits: sum is NaN */
} softmax_row;

/* e[i] = e^(scale (x[i] - max)) for n >= 1 logits; scale > 0; e may be NULL. */
static inline softmax_row softmax_of(const float *x, int64_t n, float scale, float *e) {
  int64_t whole = n - n % LANES;
  int rest = (int)(n - whole);
  v8 m = rest ? v8_load_padded(x + whole, rest, -INFINITY) : v8_load(x);
  for (int64_t i = 0; i < whole; i += LANES) m = v8_max(m, v8_load(x + i));
  softmax_row row = {.max = v8_max_lane(m)};
  v8 sum = v8_zero();
  const v8 s = v8_set(scale);
  m = v8_set(row.max);
  for (int64_t i = 0; i < whole; i += LANES) {
    v8 p = v8_exp_nonpositive(v8_mul(s, v8_sub(v8_load(x + i), m)));
    if (e) v8_store(e + i, p);
    sum = v8_add(sum, p);
  }
  if (rest) { /* the padding adds e^-87, which a sum of at least 1 does not notice */
    v8 p = v8_load_padded(x + whole, rest, -INFINITY);
    p = v8_exp_nonpositive(v8_mul(s, v8_sub(p, m)));
    if (e) v8_store_n(e + whole, p, rest);
    sum = v8_add(sum, p);
  }
  row.sum = v8_sum(sum);
  return row;
}

#endif
