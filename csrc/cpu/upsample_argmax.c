/* argmax(resize(logits)) without the full-size logits: the class map of a segmentation, or straight
 * its confusion matrix.
 *
 * Where one class clearly wins at all four logit pixels around a target pixel, it wins there too,
 * and so it does between two pixels of a blended row: most of a picture needs little work. The
 * outcome is that of blending, bit for bit: a blend is fma(q, t, p w) with weights t, w >= 0 that
 * are the same for all classes, its error below 2^-23 (w |p| + t |q|); so a class that leads every
 * other one by more than 2^-22 (|own| + |other|) at p and at q leads strictly after rounding, by
 * more than half of that margin. CLEAR leaves room for two such steps, down and across. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "cpu/kernel.h"
#include "cpu/labels.h"
#include "cpu/resample.h"
#include "cpu/simd.h"
#include "ops/fault.h"

enum { MAX_VECTORS = 256 / LANES, NOT_CLEAR = 255 };
#define CLEAR 0x1p-19f

typedef struct job {
  const float *logits;
  int64_t pictures, classes, padded;
  asl_axis y, x;
  uint8_t *winner;       /* per logit pixel, or NOT_CLEAR */
  uint8_t *map;          /* what is wanted: the map ... */
  const uint8_t *labels; /* ... or, where it is NULL, the confusion with these */
  int64_t *counts;       /* per share: (classes, classes) */
  float *blended;        /* per share: a padded row */
  uint8_t *predicted;    /* per share: a row of the map */
  int64_t shares;
  first_fault fault;
} job;

/* A vector of a pixel. Padding repeats class 0, so that it is never the first of the greatest. */
static v8 logits_at(const job *j, const float *pixel, int64_t c) {
  int64_t rest = j->classes - c;
  return rest >= LANES ? v8_load(pixel + c) : v8_load_padded(pixel + c, (int)rest, pixel[0]);
}

/* ---- what is clear --------------------------------------------------------------------------- */
static uint8_t clear_winner(const job *j, const float *pixel) {
  v8 best = v8_set(-FLT_MAX), second = best;
  for (int64_t c = 0; c < j->padded; c += LANES) best = v8_max(best, logits_at(j, pixel, c));
  const float top = v8_max_lane(best);
  int64_t winner = NOT_CLEAR;
  for (int64_t c = 0; c < j->padded; c += LANES) {
    v8 z = logits_at(j, pixel, c);
    unsigned mask = v8_equal_mask(z, v8_set(top));
    if (c + LANES > j->classes) mask &= (1u << (j->classes - c)) - 1;
    if (mask && (winner != NOT_CLEAR || (mask & (mask - 1)))) return NOT_CLEAR; /* two of them */
    if (mask) winner = c + __builtin_ctz(mask);
    second = v8_max(second, v8_if_less(z, v8_set(top), z, v8_set(-FLT_MAX)));
  }
  const float next = v8_max_lane(second);
  bool clear = top - next > CLEAR * (fabsf(top) + fabsf(next));
  return clear || j->classes == 1 ? (uint8_t)winner : NOT_CLEAR;
}

static void winners_of_row(void *context, int64_t row) {
  const job *j = context;
  for (int64_t x = row * j->x.in; x < (row + 1) * j->x.in; x++)
    j->winner[x] = clear_winner(j, j->logits + x * j->classes);
}

/* ---- a row of the map ------------------------------------------------------------------------ */
/* The first of the greatest of the blend of two pixels. */
static uint8_t best_of(const float *p, const float *q, float weight, int vectors) {
  v8 z[MAX_VECTORS], max;
  const v8 u = v8_set(weight);
  max = z[0] = v8_lerp(v8_load(p), v8_load(q), u);
  for (int k = 1; k < vectors; k++) {
    z[k] = v8_lerp(v8_load(p + k * LANES), v8_load(q + k * LANES), u);
    max = v8_max(max, z[k]);
  }
  max = v8_set(v8_max_lane(max));
  for (int k = 0; k < vectors; k++) {
    unsigned mask = v8_equal_mask(z[k], max);
    if (mask) return (uint8_t)(k * LANES + __builtin_ctz(mask));
  }
  return 0;
}

/* Logit pixel b below a at weight t. */
static void blend(const job *j, int64_t a, int64_t b, float t, float *pixel) {
  const float *from_a = j->logits + a * j->classes, *from_b = j->logits + b * j->classes;
  for (int64_t c = 0; c < j->padded; c += LANES)
    v8_store(pixel + c, v8_lerp(logits_at(j, from_a, c), logits_at(j, from_b, c), v8_set(t)));
}

static void do_row(const job *j, int64_t row, float *blended, uint8_t *map) {
  const asl_interp at = j->y.at[row % j->y.out];
  const int64_t above = (row / j->y.out * j->y.in + at.index) * j->x.in; /* in logit pixels */
  const int64_t below = j->y.in > 1 ? above + j->x.in : above;
  const uint8_t *up = j->winner + above, *down = j->winner + below;
  int64_t ready = 0; /* pixels that are blended, or were not needed */
  uint8_t left = NOT_CLEAR, right = NOT_CLEAR; /* winners of the last two */
  for (int64_t x = 0; x < asl_bands(&j->x); x++) {
    const int64_t next = j->x.in > 1 ? x + 1 : x, first = j->x.start[x], end = j->x.start[x + 1];
    bool clear = up[x] != NOT_CLEAR && up[next] == up[x] && down[x] == up[x] && down[next] == up[x];
    uint8_t winner = up[x];
    if (!clear) {
      for (ready = max_i64(ready, x); ready <= next; ready++) {
        float *pixel = blended + ready * j->padded;
        blend(j, above + ready, below + ready, at.weight, pixel);
        left = right;
        right = clear_winner(j, pixel);
      }
      winner = right;
      clear = winner != NOT_CLEAR && (next == x || winner == left);
    }
    if (clear) {
      memset(map + first, winner, (size_t)(end - first));
      continue;
    }
    const float *p = blended + x * j->padded, *q = blended + next * j->padded;
    for (int64_t i = first; i < end; i++)
      map[i] = best_of(p, q, j->x.at[i].weight, (int)(j->padded / LANES));
  }
}

static void do_share(void *context, int64_t i) {
  job *j = context;
  const int64_t width = j->x.out, cells = j->classes * j->classes;
  float *blended = j->blended + i * j->x.in * j->padded;
  share rows = share_of(j->pictures * j->y.out, j->shares, i);
  if (!j->map) memset(j->counts + i * cells, 0, (size_t)cells * sizeof *j->counts);
  for (int64_t r = rows.first; r < rows.end; r++) {
    uint8_t *map = j->map ? j->map + r * width : j->predicted + i * width;
    do_row(j, r, blended, map);
    if (j->map) continue;
    int64_t fault = asl_confusion_add(map, j->labels + r * width, width, j->classes,
                                      j->counts + i * cells);
    if (fault != NO_FAULT) note_fault(&j->fault, r * width + fault);
  }
}

/* ---- the ops --------------------------------------------------------------------------------- */
/* A class map cannot say NaN, so it is looked for in the logits. */
static void check_chunk(void *context, int64_t chunk) {
  job *j = context;
  int64_t count = j->pictures * j->y.in * j->x.in * j->classes;
  int64_t first = chunk * CHUNK, end = min_i64(first + CHUNK, count);
  int32_t bad = 0;
  for (int64_t i = first; i < end; i++) bad += !(fabsf(j->logits[i]) <= FLT_MAX);
  for (int64_t i = first; bad > 0 && i < end; i++) {
    if (fabsf(j->logits[i]) <= FLT_MAX) continue;
    note_fault(&j->fault, i);
    return;
  }
}

static asl_status check_logits(job *j, const asl_tensor *logits) {
  asl_parallel(ceil_div(asl_tensor_count(logits), CHUNK), check_chunk, j);
  int64_t bad = j->fault;
  return bad == NO_FAULT ? ASL_OK : asl_fault_logit(logits->shape, bad, j->logits[bad]);
}

/* The map, or the confusion into `confusion`. */
static asl_status compute(job *j, int64_t *confusion) {
  void *memory;
  j->shares = min_i64(SHARES, j->pictures * j->y.out);
  int64_t cells = confusion ? j->classes * j->classes : 0;
  int64_t counts = j->shares * cells * (int64_t)sizeof *j->counts;
  int64_t blended = j->shares * j->x.in * j->padded * (int64_t)sizeof *j->blended;
  int64_t predicted = confusion ? j->shares * j->x.out : 0;
  int64_t winner = j->pictures * j->y.in * j->x.in;
  ASL_TRY(take_scratch(counts + blended + predicted + winner, &memory));
  j->counts = memory;
  j->blended = (float *)(void *)((char *)memory + counts);
  j->predicted = (uint8_t *)memory + counts + blended;
  j->winner = j->predicted + predicted;
  asl_parallel(j->pictures * j->y.in, winners_of_row, j);
  asl_parallel(j->shares, do_share, j);
  if (confusion) asl_confusion_sum(j->counts, j->shares, j->classes, confusion);
  asl_pool_give(memory);
  return ASL_OK;
}

static asl_status run(job *j, const asl_tensor *logits, int64_t height, int64_t width,
                      bool align_corners, int64_t *confusion) {
  const int64_t *in = logits->shape.size;
  j->logits = asl_f32(logits);
  j->pictures = in[0];
  j->classes = in[3];
  j->padded = ceil_div(in[3], LANES) * LANES;
  j->fault = NO_FAULT;
  asl_status status = asl_axis_new(in[1], height, align_corners, &j->y);
  if (status == ASL_OK) status = asl_axis_new(in[2], width, align_corners, &j->x);
  if (status == ASL_OK) status = check_logits(j, logits);
  if (status == ASL_OK) status = compute(j, confusion);
  asl_axis_free(&j->y);
  asl_axis_free(&j->x);
  return status;
}

ASL_KERNEL(upsample_argmax) {
  const asl_upsample_argmax_params *p = ASL_PARAMS(upsample_argmax, call);
  job j = {.map = asl_u8(call->out[0])};
  return run(&j, call->in[0], p->height, p->width, p->align_corners, NULL);
}

ASL_KERNEL(upsample_confusion) {
  const asl_tensor *labels = call->in[1];
  job j = {.labels = asl_u8(labels)};
  ASL_TRY(run(&j, call->in[0], labels->shape.size[1], labels->shape.size[2],
              ASL_PARAMS(upsample_confusion, call)->align_corners, asl_i64(call->out[0])));
  if (j.fault == NO_FAULT) return ASL_OK;
  return asl_label_fail("label", labels, j.fault, j.classes);
}
