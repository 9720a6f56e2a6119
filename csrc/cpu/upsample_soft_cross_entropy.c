/* Cross entropy towards another network's softmax, or the divergence from it, both resized, and the
 * gradient, without anything of full size. */
#include "cpu/upsample_loss.h"

/* The sum over classes of 2^t (t - z), or of 2^t (-z), relative to the pixels' own maxima; e holds
 * the powers. */
ALWAYS_INLINE float weighted_gap(const upsample_loss *j, const float *e, float u, const float *zp,
                                 const float *zd, const float *tp, const float *td) {
  v8 sum = v8_zero();
  for (int64_t k = 0; k < j->padded; k += LANES) {
    v8 z = v8_fma(v8_set(u), v8_load(zd + k), v8_load(zp + k)), t = v8_zero();
    if (j->divergence) t = v8_fma(v8_set(u), v8_load(td + k), v8_load(tp + k));
    sum = v8_fma(v8_load_some(e + k, j->classes - k), v8_sub(t, z), sum); /* not the padding */
  }
  return v8_sum(sum);
}

static void soft_run(const upsample_loss *j, const loss_rows *r, const loss_run *run) {
  const int64_t padded = j->padded;
  const float *zp = r->logits.blended + run->column * padded;
  const float *tp = r->target.blended + run->column * padded;
  float z[LOSS_RUN * LOSS_CLASSES], t[LOSS_RUN * LOSS_CLASSES];
  float zd[LOSS_CLASSES], td[LOSS_CLASSES], to_z[LOSS_RUN], to_t[LOSS_RUN];
  differences(zp, padded, zd);
  differences(tp, padded, td);
  for (int64_t i = 0; i < run->n; i++) {
    const int64_t at = run->first + i;
    const float u = r->across[at], weight = r->weight[at];
    float *ez = z + i * padded, *et = t + i * padded, z_total, t_total;
    float z_shift = softmax_between(zp, zd, u, padded, ez, &z_total);
    float t_shift = softmax_between(tp, td, u, padded, et, &t_total);
    float gap = weighted_gap(j, et, u, zp, zd, tp, td) / t_total;
    r->gap[at] = weight * (j->divergence ? gap + (z_shift - t_shift) : gap + z_shift);
    r->total[at] = j->divergence ? z_total / t_total : z_total;
    to_z[i] = weight / z_total;
    to_t[i] = -weight / t_total;
  }
  if (!j->dlogits) return;
  float *gradient = r->gradient + run->column * padded;
  spread(z, padded, to_z, r->across + run->first, run->n, gradient);
  spread(t, padded, to_t, r->across + run->first, run->n, gradient);
}

ASL_KERNEL(upsample_soft_cross_entropy) {
  const asl_upsample_soft_cross_entropy_params *p = ASL_PARAMS(upsample_soft_cross_entropy, call);
  upsample_loss j = {.logits = call->in[0], .target = call->in[1], .labels = call->in[2],
                     .pixel_weight = call->in[3], .height = p->height, .width = p->width,
                     .normaliser = p->normaliser, .temperature = p->temperature,
                     .divergence = p->divergence, .align_corners = p->align_corners,
                     .do_run = soft_run};
  return asl_upsample_loss(&j, call, LOSS_CLASSES);
}
