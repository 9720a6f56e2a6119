/* Cross entropy towards another network's softmax, or the divergence from it, both resized, and the gradient, without
 * anything of full size. */
#include "cuda/upsample_loss.h"

/* The gradient of a pixel is softmax(logits) - softmax(target), times its weight. A pixel's record: what the powers of
 * the logits count in the gradient of the run's left and right, then those of the target. */
template <int K, int G> struct soft_part {
  enum { EACH = K, LANES = G, TARGET = 1, MANY = K <= 6 ? 4 : 2, FEW = MANY };

  static __device__ __forceinline__ void weigh_classes(const loss_job &, loss_state<K, G> &) {}

  /* Of the lane's own pixels: the sum over classes of 2^t (t - z), or of 2^t (-z), relative to the pixels' own maxima;
   * f   * holds the powers. */
  template <int S>
  static __device__ __forceinline__ void sum_gaps(const loss_job &j, const loss_state<K, G> &s, int at,
                                                  const float f[K][S], float gap[S]) {
    float p[K], d[K], across[S];
    load_across<S>(s.across + at, across);
    blend_corners<K, G>(s.above, s.below, s.lane, s.down, p, d);
    if (j.divergence) { /* t - z, as a line: that of the differences */
      float tp[K], td[K];
      blend_corners<K, G>(s.t_above, s.t_below, s.lane, s.down, tp, td);
#pragma unroll
      for (int k = 0; k < K; k++) p[k] -= tp[k], d[k] -= td[k];
    }
#pragma unroll
    for (int i = 0; i < S; i++) {
      gap[i] = 0;
#pragma unroll
      for (int k = 0; k < K; k++) gap[i] = fmaf(f[k][i], -fmaf(across[i], d[k], p[k]), gap[i]);
    }
    share_sums<S, G>(gap, s.lane);
  }

  template <int S>
  static __device__ __forceinline__ void add_gradient(loss_state<K, G> &s, const float e[K][S], const float f[K][S]) {
    __syncwarp();
#pragma unroll
    for (int i = 0; i < S; i++) {
      const float4 r = s.records[i];
#pragma unroll
      for (int k = 0; k < K; k++) {
        s.left[k] = fmaf(f[k][i], r.z, fmaf(e[k][i], r.x, s.left[k]));
        s.right[k] = fmaf(f[k][i], r.w, fmaf(e[k][i], r.y, s.right[k]));
      }
    }
    __syncwarp();
  }

  /* Loss and record of a valid pixel. */
  static __device__ __forceinline__ float4 do_pixel(const loss_job &j, int64_t at, float across, float total,
                                                  float shift,
                                                    float t_total, float t_shift, float gap, float *loss) {
    const float given = j.pixel_weight ? j.pixel_weight[at] : 1.0f;
    const float ratio = j.divergence ? total / t_total : total, apart = j.divergence ? shift - t_shift : shift;
    *loss = given * fmaf(gap / t_total + apart, LOSS_LOG_2, logf(ratio));
    const float scale = given / total, t_scale = -given / t_total;
    const float right = scale * across, t_right = t_scale * across;
    return make_float4(scale - right, right, t_scale - t_right, t_right);
  }

  /* S pixels of the run, from its pixel piece + at on. */
  template <int S>
  static __device__ __forceinline__ void run(const loss_job &j, loss_state<K, G> &s, int piece, int at) {
    enum { OWN = own<S, G>::PIXELS };
    const int mine = at + own_pixel<S, G>(s.lane);
    const bool counts = s.lane % own<S, G>::LANES == 0;
    bool valid[OWN], any = false;
#pragma unroll
    for (int o = 0; o < OWN; o++) {
      const int x = piece + mine + o;
      valid[o] = x < s.n && !(j.labels && j.labels[s.row + s.first + x] == LOSS_IGNORE);
      any |= valid[o];
    }
    if (!__any_sync(0xffffffffu, any)) return;
    float e[K][S], f[K][S], total[S], t_total[S], shift[S] = {}, t_shift[S] = {}, gap[S];
    powers<S, K, G>(s.above, s.below, s.down, s.across + at, s.lane, e, total);
    powers<S, K, G>(s.t_above, s.t_below, s.down, s.across + at, s.lane, f, t_total);
    if (any_inexact<S, G>(total) || any_inexact<S, G>(t_total)) {
      exact_powers<S, K, G>(s.above, s.below, s.down, s.across + at, s.lane, e, total, shift);
      exact_powers<S, K, G>(s.t_above, s.t_below, s.down, s.across + at, s.lane, f, t_total, t_shift);
      drop_ignored<S, K, G>(valid, e);
      drop_ignored<S, K, G>(valid, f);
    }
    sum_gaps<S>(j, s, at, f, gap);
#pragma unroll
    for (int o = 0; o < OWN; o++) {
      float4 record = make_float4(0, 0, 0, 0);
      if (valid[o]) {
        float loss;
        record = do_pixel(j, s.row + s.first + piece + mine + o, s.across[mine + o], total[o], shift[o], t_total[o],
                          t_shift[o], gap[o], &loss);
        if (counts) s.loss += loss;
      }
      if (counts) s.records[mine - at + o] = record;
    }
    if (j.dlogits) add_gradient<S>(s, e, f);
  }
};

asl_status k_upsample_soft_cross_entropy(const asl_call *call) {
  static const loss_variant variants[LOSS_VARIANT_COUNT] = LOSS_VARIANTS(soft_part);
  const asl_upsample_soft_cross_entropy_params *p = ASL_PARAMS(upsample_soft_cross_entropy, call);
  const asl_tensor *target = call->in[1];
  loss_job j = {};
  j.target = asl_tensor_data(target), j.half_target = target->dtype == ASL_BF16;
  j.labels = data_of<uint8_t>(call->in[2]), j.pixel_weight = data_of<float>(call->in[3]);
  j.divergence = p->divergence != 0;
  j.count = data_of<const int64_t>(call->in[4]);
  j.normaliser = p->normaliser, j.temperature = p->temperature;
  return run_upsample_loss(&j, call, p->height, p->width, p->align_corners != 0, variants, 256);
}
