#include "cpu/resample.h"

#include <string.h>

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

/* Below any logit, yet blends of two of them stay finite. */
static const float below_all = -1e38f;

void asl_lerp_row_padded(const float *a, const float *b, float t, int64_t pixels, int64_t channels,
                         float *y) {
  int64_t padded = (channels + LANES - 1) / LANES * LANES;
  int rest = (int)(channels % LANES);
  if (rest == 0) {
    asl_lerp_row(a, b, t, pixels * channels, y);
  } else {
    for (int64_t x = 0; x < pixels; x++) {
      const float *from_a = a + x * channels, *from_b = b + x * channels;
      float *to = y + x * padded;
      int64_t c = 0;
      for (; c + LANES <= channels; c += LANES)
        v8_store(to + c, v8_lerp(v8_load(from_a + c), v8_load(from_b + c), v8_set(t)));
      v8_store(to + c, v8_lerp(v8_load_padded(from_a + c, rest, below_all),
                               v8_load_padded(from_b + c, rest, below_all), v8_set(t)));
    }
  }
  if (pixels == 1) memcpy(y + padded, y, (size_t)padded * sizeof *y);
}
