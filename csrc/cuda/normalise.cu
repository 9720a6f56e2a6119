/* u8 pictures to normalised f32: (x / 255 - mean) / std per channel. */
#include "cuda/cuda.h"
extern "C" {
#include "ops/math/normalise.h"
}

enum { V = 4 };

typedef struct picture_norm {
  const uint8_t *x;
  int64_t count;
  float mean[3], std[3];
} picture_norm;

__device__ __forceinline__ float of_channel(const float *values, int channel) {
  return channel == 0 ? values[0] : channel == 1 ? values[1] : values[2];
}

template <class T> struct normalise_pixels {
  picture_norm p;
  T *y;
  /* Element 4 i is of channel i mod 3. */
  __device__ __forceinline__ void operator()(int64_t i) const {
    int channel = (int)(i % 3);
    float y4[V];
    vec<uint8_t, V> x = *reinterpret_cast<const vec<uint8_t, V> *>(p.x + i * V);
#pragma unroll
    for (int k = 0; k < V; k++) {
      y4[k] = asl_normalise(x.v[k], of_channel(p.mean, channel), of_channel(p.std, channel));
      channel = channel == 2 ? 0 : channel + 1;
    }
    store_floats<V>(y + i * V, y4);
  }
};

/* Elements from `first` on, one at a time. */
template <class T> struct normalise_rest {
  picture_norm p;
  T *y;
  int64_t first;
  __device__ __forceinline__ void operator()(int64_t i) const {
    i += first;
    int channel = (int)(i % 3);
    y[i] = from_float<T>(asl_normalise(p.x[i], of_channel(p.mean, channel), of_channel(p.std, channel)));
  }
};

template <class T> static asl_status normalise(const picture_norm &p, T *y) {
  bool aligned = (uintptr_t)p.x % V == 0 && (uintptr_t)y % (V * sizeof(T)) == 0;
  int64_t groups = aligned ? p.count / V : 0;
  normalise_pixels<T> most = {p, y};
  normalise_rest<T> rest = {p, y, groups * V};
  ASL_TRY(map(groups, most));
  return map(p.count - groups * V, rest);
}

asl_status k_normalise(const asl_call *call) {
  const asl_normalise_params *params = ASL_PARAMS(normalise, call);
  const double *mean = &params->mean1, *std = &params->std1;
  asl_tensor *y = call->out[0];
  picture_norm p = {};
  p.x = asl_u8(call->in[0]);
  p.count = asl_tensor_count(y);
  for (int c = 0; c < 3; c++) {
    p.mean[c] = (float)mean[c];
    p.std[c] = (float)std[c];
  }
  AS_ACTIVATION(y->dtype, T, return normalise(p, data_of<T>(y)));
}
