/* cross_entropy(resize(logits), labels) and its gradient without the full-size logits.
 *
 * The unit of work is a band: the label rows that lie between two logit rows, `above` and `below`.
 * For every label row of a band, the two logit rows are blended into one row (so this is done once
 * per pixel of the small picture); for every label pixel, two pixels of that row are blended, the
 * softmax is taken in registers, and its gradient goes back to the two pixels of a gradient row,
 * and from there to the logit rows above and below. A band owns the gradient of the row above; what
 * it has for the row below waits in `carried` and is added in a second, short pass. So sums have a
 * fixed order, and memory is that of two small gradients. */
#include <string.h>

#include "cpu/kernel.h"
#include "cpu/labels.h"
#include "cpu/resample.h"
#include "cpu/simd.h"

enum { MAX_VECTORS = 256 / LANES };

typedef struct job {
  const float *logits, *class_weight; /* class_weight may be NULL */
  const uint8_t *labels;
  float *dlogits; /* NULL: no gradient wanted */
  float *carried; /* (pictures, bands, width, classes): gradients of the rows below */
  double *loss;   /* per band */
  int64_t pictures, classes;
  asl_axis y, x;
  float scale; /* of the gradient: 1 / normaliser */
  float *scratch;
  int64_t shares, scratch_share;
} job;

/* A share's scratch. */
typedef struct rows {
  float *blended, *gradient;   /* padded rows of the current label row */
  float *above, *below;        /* padded rows of the band's gradient */
  float *sum, *gap, *weight;   /* per valid pixel of the label row, see row_loss() */
} rows;

static int64_t padded_width(const job *j) { return asl_padded_row(j->x.in, j->classes); }

static rows rows_of(const job *j, int64_t i) {
  float *p = j->scratch + i * j->scratch_share;
  int64_t width = padded_width(j);
  return (rows){.blended = p, .gradient = p + width, .above = p + 2 * width, .below = p + 3 * width,
                .sum = p + 4 * width, .gap = p + 4 * width + j->x.out,
                .weight = p + 4 * width + 2 * j->x.out};
}

/* One label row at weight t below `above`: returns how many pixels are valid. `vectors` = padded
 * classes / 8, a constant where it matters, so that a pixel's softmax stays in registers. */
static inline __attribute__((always_inline)) int64_t label_row(
    const int vectors, const bool gradient, const job *j, const uint8_t *labels, float t,
    const rows *r) {
  const int64_t padded = vectors * LANES;
  int64_t valid = 0;
  for (int64_t x = 0; x < j->x.out; x++) {
    int label = labels[x];
    if (label == IGNORE) continue;
    asl_interp at = j->x.at[x];
    int64_t left = at.index * padded, right = left + padded;
    const float *p = r->blended + left, *q = r->blended + right;
    v8 e[MAX_VECTORS], max, sum = v8_zero();
    const v8 u = v8_set(at.weight);
    max = e[0] = v8_lerp(v8_load(p), v8_load(q), u);
    for (int k = 1; k < vectors; k++) {
      e[k] = v8_lerp(v8_load(p + k * LANES), v8_load(q + k * LANES), u);
      max = v8_max(max, e[k]);
    }
    const float top = v8_max_lane(max);
    max = v8_set(top);
    for (int k = 0; k < vectors; k++) {
      e[k] = v8_exp_nonpositive(v8_sub(e[k], max));
      sum = v8_add(sum, e[k]);
    }
    const float total = v8_sum(sum), weight = j->class_weight ? j->class_weight[label] : 1.0f;
    r->sum[valid] = total;
    r->gap[valid] = top - asl_lerp(p[label], q[label], at.weight);
    r->weight[valid++] = weight;
    if (!gradient) continue;
    const float to_right = weight * at.weight, to_left = weight - to_right;
    const v8 a = v8_set(to_left / total), b = v8_set(to_right / total);
    float *dp = r->gradient + left, *dq = r->gradient + right;
    for (int k = 0; k < vectors; k++) {
      v8_store(dp + k * LANES, v8_fma(e[k], a, v8_load(dp + k * LANES)));
      v8_store(dq + k * LANES, v8_fma(e[k], b, v8_load(dq + k * LANES)));
    }
    /* The label's own -1 goes to the band's rows at once: one lane written into the gradient row
     * would stall the next pixel's vector loads. */
    r->above[left + label] -= (1.0f - t) * to_left;
    r->above[right + label] -= (1.0f - t) * to_right;
    r->below[left + label] -= t * to_left;
    r->below[right + label] -= t * to_right;
  }
  return valid;
}

#define LABEL_ROW(vectors)                                                  \
  (j->dlogits ? label_row(vectors, true, j, labels, t, r)                   \
              : label_row(vectors, false, j, labels, t, r))
static int64_t any_label_row(const job *j, const uint8_t *labels, float t, const rows *r) {
  int vectors = (int)((j->classes + LANES - 1) / LANES);
  switch (vectors) {
    case 1: return LABEL_ROW(1);
    case 2: return LABEL_ROW(2);
    case 3: return LABEL_ROW(3);
    case 4: return LABEL_ROW(4);
    case 5: return LABEL_ROW(5);
    case 6: return LABEL_ROW(6);
    default: return LABEL_ROW(vectors);
  }
}

/* The sum of weight (gap + log sum) over n pixels: -log softmax of the label, weighted. */
static double row_loss(const rows *r, int64_t n) {
  double loss = 0;
  for (int64_t i = 0; i < n; i += LANES) {
    int m = (int)min_i64(LANES, n - i);
    float nll[LANES];
    v8 log_sum = v8_log(v8_load_n(r->sum + i, m));
    v8_store(nll, v8_mul(v8_add(v8_load_n(r->gap + i, m), log_sum), v8_load_n(r->weight + i, m)));
    for (int k = 0; k < m; k++) loss += nll[k];
  }
  return loss;
}

static void add_scaled(float *to, const float *from, float scale, int64_t n) {
  const v8 s = v8_set(scale);
  for (int64_t i = 0; i < n; i += LANES)
    v8_store(to + i, v8_fma(s, v8_load(from + i), v8_load(to + i)));
}

static void store_unpadded(const job *j, float *to, const float *padded_row) {
  int64_t padded = (j->classes + LANES - 1) / LANES * LANES;
  for (int64_t x = 0; x < j->x.in; x++)
    for (int64_t c = 0; c < j->classes; c++)
      to[x * j->classes + c] = padded_row[x * padded + c] * j->scale;
}

static void do_band(const job *j, int64_t index, const rows *r) {
  int64_t bands = asl_bands(&j->y), n = index / bands, band = index % bands;
  int64_t width = padded_width(j), logit_row = j->x.in * j->classes;
  const float *above = j->logits + (n * j->y.in + band) * logit_row;
  const float *below = j->y.in > 1 ? above + logit_row : above;
  double loss = 0;
  memset(r->above, 0, (size_t)width * 2 * sizeof(float)); /* and below */
  for (int64_t y = j->y.start[band]; y < j->y.start[band + 1]; y++) {
    float t = j->y.at[y].weight;
    asl_lerp_row_padded(above, below, t, j->x.in, j->classes, r->blended);
    if (j->dlogits) memset(r->gradient, 0, (size_t)width * sizeof(float));
    loss += row_loss(r, any_label_row(j, j->labels + (n * j->y.out + y) * j->x.out, t, r));
    if (!j->dlogits) continue;
    add_scaled(r->above, r->gradient, 1.0f - t, width);
    add_scaled(r->below, r->gradient, t, width);
  }
  j->loss[index] = loss;
  if (!j->dlogits) return;
  store_unpadded(j, j->dlogits + (n * j->y.in + band) * logit_row, r->above);
  store_unpadded(j, j->carried + index * logit_row, r->below);
}

static void do_share(void *context, int64_t i) {
  const job *j = context;
  rows r = rows_of(j, i);
  share bands = share_of(j->pictures * asl_bands(&j->y), j->shares, i);
  for (int64_t b = bands.first; b < bands.end; b++) do_band(j, b, &r);
}

/* Row y + 1 of a picture's gradient takes what band y carried for it; the last row has no band of
 * its own. */
static void take_carried(void *context, int64_t index) {
  const job *j = context;
  int64_t bands = asl_bands(&j->y), n = index / bands, y = index % bands + 1;
  int64_t logit_row = j->x.in * j->classes;
  const float *carried = j->carried + index * logit_row;
  float *to = j->dlogits + (n * j->y.in + y) * logit_row;
  if (y == bands) memcpy(to, carried, (size_t)logit_row * sizeof(float));
  else for (int64_t i = 0; i < logit_row; i++) to[i] += carried[i];
}

/* ---- the op ---------------------------------------------------------------------------------- */
static asl_status take_memory(job *j, void **memory) {
  int64_t bands = j->pictures * asl_bands(&j->y);
  j->shares = min_i64(SHARES, bands);
  j->scratch_share = ceil_div(4 * padded_width(j) + 3 * j->x.out, 16) * 16;
  int64_t scratch = j->shares * j->scratch_share;
  int64_t carried = j->dlogits ? bands * j->x.in * j->classes : 0;
  ASL_TRY(take_scratch(bands * (int64_t)sizeof *j->loss +
                           (scratch + carried) * (int64_t)sizeof *j->scratch, memory));
  j->loss = *memory;
  j->scratch = (float *)(void *)(j->loss + bands);
  j->carried = j->scratch + scratch;
  return ASL_OK;
}

static asl_status compute(job *j, double *loss) {
  void *memory;
  ASL_TRY(take_memory(j, &memory));
  int64_t bands = j->pictures * asl_bands(&j->y);
  asl_parallel(j->shares, do_share, j);
  if (j->dlogits && j->y.in > 1) asl_parallel(bands, take_carried, j);
  *loss = 0;
  for (int64_t b = 0; b < bands; b++) *loss += j->loss[b];
  asl_pool_give(memory);
  return ASL_OK;
}

ASL_KERNEL(upsample_cross_entropy) {
  const asl_tensor *logits = call->in[0], *labels = call->in[1], *weight = call->in[2];
  const asl_upsample_cross_entropy_params *p = ASL_PARAMS(upsample_cross_entropy, call);
  job j = {.logits = asl_f32(logits), .labels = asl_u8(labels),
           .class_weight = weight ? asl_f32(weight) : NULL,
           .dlogits = call->out[2] ? asl_f32(call->out[2]) : NULL,
           .pictures = logits->shape.size[0], .classes = logits->shape.size[3]};
  const int64_t *in = logits->shape.size, *out = labels->shape.size;
  int64_t valid;
  double loss;
  ASL_TRY(asl_labels_check(labels, j.classes, &valid));
  double normaliser = p->normaliser == 0 ? (double)max_i64(valid, 1) : p->normaliser;
  j.scale = (float)(1.0 / normaliser);
  asl_status status = asl_axis_new(in[1], out[1], p->align_corners, &j.y);
  if (status == ASL_OK) status = asl_axis_new(in[2], out[2], p->align_corners, &j.x);
  if (status == ASL_OK) status = compute(&j, &loss);
  asl_axis_free(&j.y);
  asl_axis_free(&j.x);
  ASL_TRY(status);
  *asl_f32(call->out[0]) = (float)(loss / normaliser);
  *asl_i64(call->out[1]) = valid;
  return ASL_OK;
}
