/* cross_entropy(resize(logits), labels) and its gradient without the full-size logits. */
#include "cuda/upsample_loss.h"

/* With q the wanted shares of the classes, the gradient of a pixel is (sum of q) softmax - q, times its weight.
 * A pixel's record: what its powers count in the gradient of the run's left and right, what is to be taken off the
 * power of the label's class before, and the label. */
template <int K, int G> struct hard_part {
  enum { EACH = K, LANES = G, TARGET = 0, MANY = K <= 6 ? 8 : 4, FEW = 4 };

  static __device__ __forceinline__ void weigh_classes(const loss_job &j, loss_state<K, G> &s) {
    if (j.smoothing == 0) return;
    float sum = 0;
#pragma unroll
    for (int k = 0; k < K; k++) {
      const int c = k * G + s.lane;
      if (c < j.classes) sum += j.smoothing * (j.class_weight ? j.class_weight[c] : 1.0f);
    }
    s.whole = group_sum<G>(sum);
  }

  /* At the pixel, of what the corners have at `above` and `below`. */
  static __device__ __forceinline__ float between(const float *above, const float *below, int pitch, float down,
                                                  float across) {
    const float left = asl_lerp(above[0], below[0], down), right = asl_lerp(above[pitch], below[pitch], down);
    return fmaf(across, right - left, left);
  }

  /* Loss and record of a valid pixel. */
  static __device__ __forceinline__ float4 do_pixel(const loss_job &j, loss_state<K, G> &s, int64_t at, float across,
                                                    int label, float total, float shift, float *loss) {
    const float given = j.pixel_weight ? j.pixel_weight[at] : 1.0f;
    const float hard = given * j.sure * (j.class_weight ? j.class_weight[label] : 1.0f);
    const float weight = fmaf(given, s.whole, hard);
    float gap = hard * (shift - between(s.above + label, s.below + label, loss_state<K, G>::PITCH, s.down, across));
    if (j.smoothing != 0) gap += given * (s.whole * shift - between(s.smooth_above, s.smooth_below, 1, s.down, across));
    *loss = fmaf(weight, logf(total), gap * LOSS_LOG_2);
    /* Where weights cancel out, what is taken off is divided by a weight too small to be noticed. */
    const float least = hard * 0x1p-30f, part = fabsf(weight) < fabsf(least) ? least : weight;
    const float scale = part / total, right = scale * across;
    const float off = hard == part ? total : hard / part * total; /* part is 0 only where hard is */
    return make_float4(scale - right, right, off, __int_as_float(label));
  }

  static __device__ __forceinline__ void note_smoothing(const loss_job &j, loss_state<K, G> &s, int64_t at,
                                                        float across) {
    const float given = j.pixel_weight ? j.pixel_weight[at] : 1.0f, right = given * across, left = given - right;
    s.smooth[0] = fmaf(1.0f - s.down, left, s.smooth[0]);
    s.smooth[1] = fmaf(1.0f - s.down, right, s.smooth[1]);
    s.smooth[2] = fmaf(s.down, left, s.smooth[2]);
    s.smooth[3] = fmaf(s.down, right, s.smooth[3]);
  }

  template <int S>
  static __device__ __forceinline__ void add_gradient(loss_state<K, G> &s, const float e[K][S]) {
    __syncwarp();
#pragma unroll
    for (int i = 0; i < S; i++) {
      const float4 r = s.records[i];
      const int label = __float_as_int(r.w) - s.lane;
#pragma unroll
      for (int k = 0; k < K; k++) {
        float power = e[k][i];
        if (label == k * G) power -= r.z;
        s.left[k] = fmaf(power, r.x, s.left[k]);
        s.right[k] = fmaf(power, r.y, s.right[k]);
      }
    }
    __syncwarp();
  }

  /* S pixels of the run, from its pixel piece + at on. */
  template <int S>
  static __device__ __forceinline__ void run(const loss_job &j, loss_state<K, G> &s, int piece, int at) {
    enum { OWN = own<S, G>::PIXELS };
    const int mine = at + own_pixel<S, G>(s.lane);
    const bool counts = s.lane % own<S, G>::LANES == 0;
    int label[OWN];
    bool valid[OWN], any = false;
#pragma unroll
    for (int o = 0; o < OWN; o++) {
      const int x = piece + mine + o;
      label[o] = x < s.n ? (int)j.labels[s.row + s.first + x] : (int)LOSS_IGNORE;
      valid[o] = label[o] < j.classes; /* the count has noted labels that are neither */
      any |= valid[o];
    }
    if (!__any_sync(0xffffffffu, any)) return;
    float e[K][S], total[S], shift[S] = {};
    powers<S, K, G>(s.above, s.below, s.down, s.across + at, s.lane, e, total);
    if (any_inexact<S, G>(total)) {
      exact_powers<S, K, G>(s.above, s.below, s.down, s.across + at, s.lane, e, total, shift);
      drop_ignored<S, K, G>(valid, e);
    }
#pragma unroll
    for (int o = 0; o < OWN; o++) {
      float4 record = make_float4(0, 0, 0, __int_as_float(LOSS_IGNORE));
      const int64_t pixel = s.row + s.first + piece + mine + o;
      if (valid[o]) {
        float loss, place = s.across[mine + o];
        record = do_pixel(j, s, pixel, place, label[o], total[o], shift[o], &loss);
        if (counts) s.loss += loss;
        if (counts && j.smoothing != 0) note_smoothing(j, s, pixel, place);
      }
      if (counts) s.records[mine - at + o] = record;
    }
    if (j.dlogits) add_gradient<S>(s, e);
  }
};

asl_status k_upsample_cross_entropy(const asl_call *call) {
  static const loss_variant variants[LOSS_VARIANT_COUNT] = LOSS_VARIANTS(hard_part);
  const asl_upsample_cross_entropy_params *p = ASL_PARAMS(upsample_cross_entropy, call);
  const asl_tensor *logits = call->in[0], *labels = call->in[1];
  const int64_t classes = logits->shape.size[3];
  loss_job j = {};
  j.labels = data_of<uint8_t>(labels);
  j.class_weight = data_of<float>(call->in[2]), j.pixel_weight = data_of<float>(call->in[3]);
  j.smoothing = (float)(p->smoothing / (double)classes), j.sure = (float)(1 - p->smoothing);
  j.count = data_of<const int64_t>(call->in[4]);
  j.normaliser = p->normaliser, j.temperature = p->temperature;
  return run_upsample_loss(&j, call, labels->shape.size[1], labels->shape.size[2], p->align_corners != 0, variants,
                           classes);
}
