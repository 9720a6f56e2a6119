/* cross_entropy(resize(logits), labels) and its gradient without the full-size logits. */
#include "cpu/upsample_loss.h"

/* What a run adds to the gradient of its two logit pixels. With q the wanted shares of the classes,
 * the gradient of a pixel is (sum of q) softmax - q, times its weight. */
static void gradient_run(const upsample_loss *j, const loss_rows *r, const loss_run *run,
                         const float *e, const float *hard) {
  const float *across = r->across + run->first;
  const uint8_t *label = r->label + run->first;
  const int64_t left = run->column * j->padded, right = left + j->padded;
  float scale[LOSS_RUN], total = 0, to_right = 0;
  for (int64_t i = 0; i < run->n; i++)
    scale[i] = r->weight[run->first + i] / r->total[run->first + i];
  spread(e, j->padded, scale, across, run->n, r->gradient + left);
  /* The labels' own shares go to the band's rows at once: a lane written into the gradient row
   * would stall the next run's vector loads. Pixels of one label, often all, go together. */
  for (int64_t i = 0; i < run->n; i++) {
    total += hard[i];
    to_right += hard[i] * across[i];
    if (i + 1 < run->n && label[i + 1] == label[i]) continue;
    const float to_left = total - to_right, up = 1.0f - run->down;
    r->d_above[left + label[i]] -= up * to_left;
    r->d_above[right + label[i]] -= up * to_right;
    r->d_below[left + label[i]] -= run->down * to_left;
    r->d_below[right + label[i]] -= run->down * to_right;
    total = to_right = 0;
  }
}

/* The share of smoothing in a run's loss and gradient; pixel_weight is in `weight`. Of the logits
 * only their weighted sum matters, which lies between those of the two logit pixels. */
static void smooth_run(const upsample_loss *j, const loss_rows *r, const loss_run *run,
                       const float *p, const float *d, const float *weight, const float *shift) {
  v8 at_left = v8_zero(), slope = v8_zero();
  for (int64_t k = 0; k < j->padded; k += LANES) {
    const v8 smooth = v8_load(j->smooth + k);
    at_left = v8_fma(smooth, v8_load(p + k), at_left);
    slope = v8_fma(smooth, v8_load(d + k), slope);
  }
  const float sum = v8_sum(at_left), change = v8_sum(slope);
  float to_left = 0, to_right = 0;
  for (int64_t i = 0; i < run->n; i++) {
    const float across = r->across[run->first + i];
    r->gap[run->first + i] += weight[i] * (j->smooth_total * shift[i] - fmaf(across, change, sum));
    to_left += weight[i] * (1.0f - across);
    to_right += weight[i] * across;
  }
  if (!j->dlogits) return;
  float *left = r->gradient + run->column * j->padded, *right = left + j->padded;
  for (int64_t k = 0; k < j->padded; k += LANES) {
    const v8 smooth = v8_load(j->smooth + k);
    v8_store(left + k, v8_fma(smooth, v8_set(-to_left), v8_load(left + k)));
    v8_store(right + k, v8_fma(smooth, v8_set(-to_right), v8_load(right + k)));
  }
}

static void hard_run(const upsample_loss *j, const loss_rows *r, const loss_run *run) {
  const float *p = r->logits.blended + run->column * j->padded;
  const float *class_weight = j->class_weight ? asl_f32(j->class_weight) : NULL;
  const float sure = (float)(1 - j->smoothing);
  float e[LOSS_RUN * LOSS_CLASSES], d[LOSS_CLASSES];
  float hard[LOSS_RUN], pixel_weight[LOSS_RUN], shift[LOSS_RUN];
  differences(p, j->padded, d);
  softmax_of_run(p, d, r->across + run->first, j->padded, run->n, e, r->total + run->first, shift);
  for (int64_t i = 0; i < run->n; i++) {
    const int64_t at = run->first + i, label = r->label[at];
    pixel_weight[i] = r->weight[at];
    hard[i] = pixel_weight[i] * sure * (class_weight ? class_weight[label] : 1.0f);
    r->gap[at] = hard[i] * (shift[i] - fmaf(r->across[at], d[label], p[label]));
    r->weight[at] = fmaf(pixel_weight[i], j->smooth_total, hard[i]);
  }
  if (j->dlogits) gradient_run(j, r, run, e, hard);
  if (j->smooth) smooth_run(j, r, run, p, d, pixel_weight, shift);
}

ASL_KERNEL(upsample_cross_entropy) {
  const asl_upsample_cross_entropy_params *p = ASL_PARAMS(upsample_cross_entropy, call);
  const asl_tensor *labels = call->in[1];
  upsample_loss j = {.logits = call->in[0], .labels = labels, .class_weight = call->in[2],
                     .pixel_weight = call->in[3], .height = labels->shape.size[1],
                     .width = labels->shape.size[2], .normaliser = p->normaliser,
                     .temperature = p->temperature, .smoothing = p->smoothing,
                     .align_corners = p->align_corners, .do_run = hard_run};
  return asl_upsample_loss(&j, call, call->in[0]->shape.size[3]);
}
