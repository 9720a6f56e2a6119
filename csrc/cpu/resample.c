#include "cpu/resample.h"

#include "cpu/kernel.h"
#include "cpu/simd.h"

asl_status asl_axis_new(int64_t in, int64_t out, bool align_corners, asl_axis *axis) {
  void *memory;
  *axis = (asl_axis){.in = in, .out = out};
  int64_t positions = out * (int64_t)sizeof(asl_interp);
  ASL_TRY(take_scratch(positions + (in + 1) * (int64_t)sizeof(int64_t), &memory));
  axis->at = memory;
  axis->start = (int64_t *)(void *)((char *)memory + positions);
  int64_t i = 0;
  for (int64_t target = 0; target < out; target++) {
    axis->at[target] = asl_interp_at(target, in, out, align_corners);
    while (i <= axis->at[target].index) axis->start[i++] = target;
  }
  while (i <= in) axis->start[i++] = out;
  return ASL_OK;
}

void asl_lerp_row(const float *a, const float *b, float t, int64_t n, float *y) {
  int rest = (int)(n % LANES);
  int64_t i = 0;
  for (; i + LANES <= n; i += LANES)
    v8_store(y + i, v8_lerp(v8_load(a + i), v8_load(b + i), v8_set(t)));
  if (rest)
    v8_store_n(y + i, v8_lerp(v8_load_n(a + i, rest), v8_load_n(b + i, rest), v8_set(t)), rest);
}
