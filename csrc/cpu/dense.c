/* Forward pass and data gradient of convolutions whose groups have several channels, as matrix
 * products over the spans of conv.h: pixels are rows, output channels are columns, and the inner
 * index is (ky, kx, channel). */
#include "cpu/conv.h"
#include "cpu/gemm.h"
#include "cpu/kernel.h"

typedef struct job {
  const float *source, *weight;
  const asl_ends *ends; /* NULL for dx */
  float *packed, *target;
  int64_t taps, groups;
  int64_t from, to;     /* channels of the source and of the target, per group */
  int64_t packed_group; /* floats */
} job;

/* ---- weights --------------------------------------------------------------------------------- */
/* Weight (o, tap, c): forward B[(tap, c)][o]; data gradient B[(tap, o)][c]. */
static void pack_for_y(void *context, int64_t group) {
  const job *k = context;
  int64_t inner = k->taps * k->from;
  gemm_pack(k->weight + group * k->to * inner, 1, inner, 0, inner, inner, k->to,
            k->packed + group * k->packed_group);
}

static void pack_for_dx(void *context, int64_t group) {
  const job *k = context;
  const float *weight = k->weight + group * k->from * k->taps * k->to;
  for (int64_t tap = 0; tap < k->taps; tap++)
    gemm_pack(weight + tap * k->to, k->taps * k->to, 1, tap * k->from, (tap + 1) * k->from,
              k->taps * k->from, k->to, k->packed + group * k->packed_group);
}

/* ---- spans ----------------------------------------------------------------------------------- */
/* Taps whose channels follow each other in the source and in B become one segment. */
static int segments_of(const asl_span *span, int64_t channels, int64_t pixel, asl_segment out[]) {
  int n = 0;
  for (int i = 0; i < span->taps; i++) {
    int64_t a = (span->tap[i].source - span->tap[0].source) * pixel;
    int64_t b = span->tap[i].index * channels;
    asl_segment *last = n ? &out[n - 1] : NULL;
    if (last && last->a + last->length == a && last->b + last->length == b)
      last->length += channels;
    else
      out[n++] = (asl_segment){a, b, channels};
  }
  return n;
}

static void multiply_span(void *context, const asl_span *span) {
  const job *k = context;
  asl_segment segments[ASL_MAX_TAPS];
  int64_t source_pixel = k->from * k->groups, target_pixel = k->to * k->groups;
  int count = segments_of(span, k->from, source_pixel, segments);
  const float *a = count ? k->source + span->tap[0].source * source_pixel : k->source;
  const float *bias = k->ends ? k->ends->bias : NULL;
  asl_product p = {.a_stride = span->source_step * source_pixel, .k = k->taps * k->from,
                   .n = k->to, .segments = segments, .count = count,
                   .c_stride = span->target_step * target_pixel, .accumulate = span->accumulate,
                   .norm = k->ends && span->last ? k->ends->norm : NULL};
  for (int64_t group = 0; group < k->groups; group++) {
    p.a = a + group * k->from;
    p.packed = k->packed + group * k->packed_group;
    p.c = k->target + span->target * target_pixel + group * k->to;
    p.bias = bias ? bias + group * k->to : NULL;
    p.channel = group * k->to;
    gemm_rows(span->count, &p);
  }
}

static asl_status multiply(const asl_conv *g, bool to_dx, job *k) {
  k->taps = g->kh * g->kw;
  k->groups = g->groups;
  k->from = (to_dx ? g->o : g->c) / g->groups;
  k->to = (to_dx ? g->c : g->o) / g->groups;
  k->packed_group = gemm_packed_count(k->taps * k->from, k->to);
  void *packed;
  ASL_TRY(take_scratch(g->groups * k->packed_group * (int64_t)sizeof(float), &packed));
  k->packed = packed;
  asl_parallel(g->groups, to_dx ? pack_for_dx : pack_for_y, k);
  conv_walk(g, to_dx, multiply_span, k, k->ends);
  asl_pool_give(packed);
  return ASL_OK;
}

asl_status dense_forward(const asl_conv *g, const float *x, const float *weight, float *y,
                         const asl_ends *ends) {
  job k = {.source = x, .weight = weight, .target = y, .ends = ends};
  return multiply(g, false, &k);
}

asl_status dense_dx(const asl_conv *g, const float *weight, const float *dy, float *dx) {
  job k = {.source = dy, .weight = weight, .target = dx};
  return multiply(g, true, &k);
}
