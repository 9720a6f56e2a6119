/* y of batch normalisation in registers; blocks of pixels of whole arrays. */
#ifndef ASL_CPU_NORM_VALUE_H
#define ASL_CPU_NORM_VALUE_H

#include "cpu/kernel.h"
#include "cpu/norm.h"
#include "cpu/simd.h"

/* y before the activation, of one vector of channels of a pixel. The gradient uses it too, so that
 * it sees the same ReLU mask. */
ALWAYS_INLINE v8 norm_value(const asl_norm *n, const float *z, const float *residual, int64_t c,
                            int64_t lanes) {
  v8 centred = v8_sub(v8_load_some(z + c, lanes), v8_load_some(n->mean + c, lanes));
  v8 y = v8_fma(centred, v8_load_some(n->scale + c, lanes), v8_load_some(n->beta + c, lanes));
  return residual ? v8_add(y, v8_load_some(residual + c, lanes)) : y;
}

/* act((z - mean) scale + beta) of one vector of channels. */
ALWAYS_INLINE v8 norm_act(const asl_norm *n, v8 z, int64_t c, int64_t lanes) {
  v8 y = v8_fma(v8_sub(z, v8_load_some(n->mean + c, lanes)), v8_load_some(n->scale + c, lanes),
                v8_load_some(n->beta + c, lanes));
  return n->relu ? v8_max(v8_zero(), y) : y; /* in this order NaN stays NaN */
}

/* Windows of few channels are read in pieces far apart, which no prefetcher of the processor follows:
 * asks for those of `pixels` pixels some way ahead, in this row or in the next. */
enum { AHEAD_PIXELS = 16, LINE_FLOATS = 16 };
ALWAYS_INLINE void ask_ahead(const float *from, const asl_window *w, int64_t channels,
                             int64_t pixels) {
  from += AHEAD_PIXELS * channels + w->first;
  for (int64_t i = 0; i < pixels; i++, from += channels)
    for (int64_t c = 0; c < w->count; c += LINE_FLOATS) __builtin_prefetch(from + c);
}

/* About 96 KiB, so that what passes over it twice finds it in the cache; at most 256, because sums
 * within a block are in float. */
static inline int64_t norm_block_pixels(int64_t channels) {
  return max_i64(16, min_i64(24576 / channels, 256));
}
static inline int64_t norm_block_count(int64_t pixels, int64_t channels) {
  return ceil_div(pixels, norm_block_pixels(channels));
}
static inline asl_window norm_block(int64_t block, int64_t pixels, int64_t channels) {
  int64_t first = block * norm_block_pixels(channels);
  return (asl_window){first, min_i64(norm_block_pixels(channels), pixels - first), 0, channels};
}

#endif
