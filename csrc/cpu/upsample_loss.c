#include "cpu/upsample_loss.h"

#include <string.h>

#include "cpu/labels.h"

/* For padding, and for logits further down: below all that count, yet blends stay finite. */
static const float below_all = -1e20f;

/* A row of logits, padded and relative to its pixels' maxima. At least two pixels, so that pixel
 * i + 1 may always be read. */
static void prepare(const upsample_loss *j, const float *from, float *to) {
  const v8 lowest = v8_set(below_all), sharpness = v8_set(j->sharpness);
  for (int64_t x = 0; x < j->x.in; x++, from += j->classes) {
    float *pixel = to + x * j->padded;
    v8 top = lowest;
    for (int64_t c = 0; c < j->padded; c += LANES) {
      v8 z = j->classes - c >= LANES ? v8_load(from + c)
                                     : v8_load_padded(from + c, (int)(j->classes - c), below_all);
      z = v8_max(lowest, v8_mul(z, sharpness)); /* in this order NaN stays NaN */
      v8_store(pixel + c, z);
      top = v8_max(z, top);
    }
    top = v8_set(v8_max_lane(top));
    for (int64_t c = 0; c < j->padded; c += LANES)
      v8_store(pixel + c, v8_sub(v8_load(pixel + c), top));
  }
  if (j->x.in == 1) memcpy(to + j->padded, to, (size_t)j->padded * sizeof *to);
}

/* The logit rows of a band. */
static void prepare_band(const upsample_loss *j, const asl_tensor *logits, int64_t n, int64_t band,
                         const logit_rows *r) {
  int64_t size = j->x.in * j->classes;
  const float *above = asl_f32(logits) + (n * j->y.in + band) * size;
  prepare(j, above, r->above);
  prepare(j, j->y.in > 1 ? above + size : above, r->below);
}

/* ---- a label row ----------------------------------------------------------------------------- */
/* Writes down the valid pixels of a label row; returns how many they are. */
static int64_t collect(const upsample_loss *j, int64_t row, const loss_rows *r) {
  const uint8_t *labels = j->labels ? asl_u8(j->labels) + row * j->x.out : NULL;
  const float *weight = j->pixel_weight ? asl_f32(j->pixel_weight) + row * j->x.out : NULL;
  const asl_interp *at = j->x.at;
  loss_rows to = *r; /* a copy, which no store of a label can be taken to change */
  int64_t n = 0;
  for (int64_t x = 0, width = j->x.out; x < width; x++) {
    if (labels && labels[x] == IGNORE) continue;
    to.label[n] = labels ? labels[x] : 0;
    to.weight[n] = weight ? weight[x] : 1.0f;
    to.column[n] = at[x].index;
    to.across[n++] = at[x].weight;
  }
  return n;
}

static double row_loss(const loss_rows *r, int64_t n) {
  double loss = 0;
  for (int64_t i = 0; i < n; i += LANES) {
    int m = (int)min_i64(LANES, n - i);
    float part[LANES];
    v8 log_total = v8_log(v8_load_some(r->total + i, m));
    v8 gap = v8_mul(v8_load_some(r->gap + i, m), v8_set(0.693147181f));
    v8_store(part, v8_fma(v8_load_some(r->weight + i, m), log_total, gap));
    for (int k = 0; k < m; k++) loss += part[k];
  }
  return loss;
}

static void add_scaled(float *to, const float *from, float scale, int64_t n) {
  const v8 s = v8_set(scale);
  for (int64_t i = 0; i < n; i += LANES)
    v8_store(to + i, v8_fma(s, v8_load(from + i), v8_load(to + i)));
}

static double label_row(const upsample_loss *j, int64_t row, float down, const loss_rows *r) {
  int64_t n = collect(j, row, r);
  if (n == 0) return 0;
  asl_lerp_row(r->logits.above, r->logits.below, down, j->row, r->logits.blended);
  if (j->target) asl_lerp_row(r->target.above, r->target.below, down, j->row, r->target.blended);
  if (j->dlogits) memset(r->gradient, 0, (size_t)j->row * sizeof(float));
  for (int64_t first = 0, end; first < n; first = end) {
    for (end = first + 1; end < n && r->column[end] == r->column[first]; end++)
      if (end - first == LOSS_RUN) break;
    loss_run run = {first, end - first, r->column[first], down};
    j->do_run(j, r, &run);
  }
  if (j->dlogits) {
    add_scaled(r->d_above, r->gradient, 1.0f - down, j->row);
    add_scaled(r->d_below, r->gradient, down, j->row);
  }
  return row_loss(r, n);
}

float asl_exact_softmax(const float *p, const float *d, float u, int64_t padded, float *e,
                        float *total) {
  v8 max = v8_set(2 * below_all), sum = v8_zero();
  for (int64_t k = 0; k < padded; k += LANES)
    max = v8_max(v8_fma(v8_set(u), v8_load(d + k), v8_load(p + k)), max);
  const float top = v8_max_lane(max);
  for (int64_t k = 0; k < padded; k += LANES) {
    v8 z = v8_fma(v8_set(u), v8_load(d + k), v8_load(p + k));
    v8 power = v8_exp2_nonpositive(v8_sub(z, v8_set(top)));
    v8_store(e + k, power);
    sum = v8_add(sum, power);
  }
  *total = v8_sum(sum);
  return top;
}

/* ---- bands ----------------------------------------------------------------------------------- */
static loss_rows rows_of(const upsample_loss *j, int64_t i) {
  float *p = j->scratch + i * j->scratch_share, *pixels = p + 9 * j->row;
  int64_t n = j->x.out;
  return (loss_rows){.logits = {p, p + j->row, p + 2 * j->row},
                     .target = {p + 3 * j->row, p + 4 * j->row, p + 5 * j->row},
                     .gradient = p + 6 * j->row,
                     .d_above = p + 7 * j->row,
                     .d_below = p + 8 * j->row,
                     .across = pixels,
                     .weight = pixels + n,
                     .total = pixels + 2 * n,
                     .gap = pixels + 3 * n,
                     .column = (int32_t *)(void *)(pixels + 4 * n),
                     .label = (uint8_t *)(void *)(pixels + 5 * n)};
}

static void store_unpadded(const upsample_loss *j, float *to, const float *padded_row) {
  for (int64_t x = 0; x < j->x.in; x++)
    for (int64_t c = 0; c < j->classes; c++)
      to[x * j->classes + c] = padded_row[x * j->padded + c];
}

static void do_band(const upsample_loss *j, int64_t index, const loss_rows *r) {
  int64_t n = index / j->bands, band = index % j->bands, logit_row = j->x.in * j->classes;
  double loss = 0;
  prepare_band(j, j->logits, n, band, &r->logits);
  if (j->target) prepare_band(j, j->target, n, band, &r->target);
  memset(r->d_above, 0, (size_t)j->row * 2 * sizeof(float)); /* and d_below */
  for (int64_t y = j->y.start[band]; y < j->y.start[band + 1]; y++)
    loss += label_row(j, n * j->y.out + y, j->y.at[y].weight, r);
  j->loss[index] = loss;
  if (!j->dlogits) return;
  store_unpadded(j, j->dlogits + (n * j->y.in + band) * logit_row, r->d_above);
  store_unpadded(j, j->carried + index * logit_row, r->d_below);
}

static void do_share(void *context, int64_t i) {
  const upsample_loss *j = context;
  loss_rows r = rows_of(j, i);
  share bands = share_of(j->pictures * j->bands, j->shares, i);
  for (int64_t b = bands.first; b < bands.end; b++) do_band(j, b, &r);
}

typedef struct finish {
  const upsample_loss *loss;
  float scale; /* of the gradient */
} finish;

/* A row of the gradient: what the bands below and above it have, scaled. */
static void finish_row(void *context, int64_t row) {
  const finish *f = context;
  const upsample_loss *j = f->loss;
  int64_t n = row / j->y.in, y = row % j->y.in, logit_row = j->x.in * j->classes;
  const float *carried = j->carried + (n * j->bands + y - 1) * logit_row;
  float *to = j->dlogits + row * logit_row;
  if (y == 0) for (int64_t i = 0; i < logit_row; i++) to[i] *= f->scale;
  else if (y == j->bands) for (int64_t i = 0; i < logit_row; i++) to[i] = carried[i] * f->scale;
  else for (int64_t i = 0; i < logit_row; i++) to[i] = (to[i] + carried[i]) * f->scale;
}

/* ---- the whole ------------------------------------------------------------------------------- */
static asl_status take_memory(upsample_loss *j, void **memory) {
  int64_t bands = j->pictures * j->bands;
  j->shares = min_i64(SHARES, bands);
  j->scratch_share = ceil_div(9 * j->row + 6 * j->x.out, 16) * 16;
  int64_t scratch = j->shares * j->scratch_share;
  int64_t carried = j->dlogits ? bands * j->x.in * j->classes : 0;
  ASL_TRY(take_scratch(bands * (int64_t)sizeof *j->loss +
                           (scratch + carried) * (int64_t)sizeof *j->scratch, memory));
  j->loss = *memory;
  j->scratch = (float *)(void *)(j->loss + bands);
  j->carried = j->scratch + scratch;
  return ASL_OK;
}

static asl_status compute(upsample_loss *j, double normaliser, float *loss) {
  void *memory;
  ASL_TRY(take_memory(j, &memory));
  asl_parallel(j->shares, do_share, j);
  finish f = {j, (float)(1 / (normaliser * j->temperature))};
  if (j->dlogits) asl_parallel(j->pictures * j->y.in, finish_row, &f);
  double sum = 0;
  for (int64_t b = 0; b < j->pictures * j->bands; b++) sum += j->loss[b];
  *loss = (float)(sum / normaliser);
  asl_pool_give(memory);
  return ASL_OK;
}

/* smooth[c] = smoothing / classes, times the weight of the class. */
static void set_smooth(upsample_loss *j, float smooth[]) {
  if (j->smoothing == 0) return;
  double part = j->smoothing / (double)j->classes;
  memset(smooth, 0, LOSS_CLASSES * sizeof *smooth);
  for (int64_t c = 0; c < j->classes; c++) {
    smooth[c] = (float)(j->class_weight ? part * asl_f32(j->class_weight)[c] : part);
    j->smooth_total += smooth[c];
  }
  j->smooth = smooth;
}

asl_status asl_upsample_loss(upsample_loss *j, const asl_call *call, int64_t label_classes) {
  const int64_t *in = j->logits->shape.size;
  float smooth[LOSS_CLASSES];
  int64_t valid = in[0] * j->height * j->width;
  if (j->labels) ASL_TRY(asl_labels_check(j->labels, label_classes, &valid));
  j->dlogits = call->out[2] ? asl_f32(call->out[2]) : NULL;
  j->pictures = in[0];
  j->classes = in[3];
  j->padded = ceil_div(in[3], LANES) * LANES;
  j->row = max_i64(2, in[2]) * j->padded;
  j->sharpness = (float)(1.44269504088896 / j->temperature);
  set_smooth(j, smooth);
  double normaliser = loss_normaliser(j->normaliser, call->in[4], valid);
  asl_status status = asl_axis_new(in[1], j->height, j->align_corners, &j->y);
  if (status == ASL_OK) status = asl_axis_new(in[2], j->width, j->align_corners, &j->x);
  j->bands = asl_bands(&j->y);
  if (status == ASL_OK) status = compute(j, normaliser, asl_f32(call->out[0]));
  asl_axis_free(&j->y);
  asl_axis_free(&j->x);
  ASL_TRY(status);
  *asl_i64(call->out[1]) = valid;
  return ASL_OK;
}
