/* Eight floats at a time: AVX2 + FMA, or plain C that gives the same bits. */
#ifndef ASL_CPU_SIMD_H
#define ASL_CPU_SIMD_H

#include <math.h>
#include <stdint.h>
#include <string.h>

enum { LANES = 8 };

#if defined(__AVX2__) && defined(__FMA__)
#include <immintrin.h>
typedef __m256 v8;
static inline v8 v8_load(const float *p) { return _mm256_loadu_ps(p); }
static inline void v8_store(float *p, v8 a) { _mm256_storeu_ps(p, a); }
static inline v8 v8_set(float a) { return _mm256_set1_ps(a); }
static inline v8 v8_zero(void) { return _mm256_setzero_ps(); }
static inline v8 v8_add(v8 a, v8 b) { return _mm256_add_ps(a, b); }
static inline v8 v8_sub(v8 a, v8 b) { return _mm256_sub_ps(a, b); }
static inline v8 v8_mul(v8 a, v8 b) { return _mm256_mul_ps(a, b); }
static inline v8 v8_div(v8 a, v8 b) { return _mm256_div_ps(a, b); }
static inline v8 v8_fma(v8 a, v8 b, v8 c) { return _mm256_fmadd_ps(a, b, c); } /* a b + c */
static inline v8 v8_max(v8 a, v8 b) { return _mm256_max_ps(a, b); } /* b when either is NaN */
static inline v8 v8_round(v8 a) { /* to nearest, ties to even */
  return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
/* a where x > 0, else 0 */
static inline v8 v8_where_positive(v8 x, v8 a) {
  return _mm256_and_ps(a, _mm256_cmp_ps(x, _mm256_setzero_ps(), _CMP_GT_OQ));
}
/* 2^n for n holding whole numbers in [-126, 127] */
static inline v8 v8_exp2i(v8 n) {
  __m256i i = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
  return _mm256_castsi256_ps(_mm256_slli_epi32(i, 23));
}
/* The bits of a, moved to those of the exponent: 2^n for a = 3 2^22 + 127 + n. */
static inline v8 v8_exponent(v8 a) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(a), 23));
}
/* x where a < b, else y (also where a or b is NaN) */
static inline v8 v8_if_less(v8 a, v8 b, v8 x, v8 y) {
  return _mm256_blendv_ps(y, x, _mm256_cmp_ps(a, b, _CMP_LT_OQ));
}
/* bit i: lane i of a = lane i of b */
static inline unsigned v8_equal_mask(v8 a, v8 b) {
  return (unsigned)_mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_EQ_OQ));
}
/* Positive normal x = m 2^e with m in [0.5, 1); e as a float. Other x: anything. */
static inline v8 v8_split(v8 x, v8 *e) {
  __m256i bits = _mm256_castps_si256(x);
  *e = _mm256_cvtepi32_ps(_mm256_sub_epi32(_mm256_srli_epi32(bits, 23), _mm256_set1_epi32(126)));
  bits = _mm256_and_si256(bits, _mm256_set1_epi32(0x007FFFFF));
  return _mm256_castsi256_ps(_mm256_or_si256(bits, _mm256_set1_epi32(0x3F000000)));
}
/* Lanes combined in a fixed order. */
static inline float v8_sum(v8 a) {
  __m128 s = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}
static inline float v8_max_lane(v8 a) {
  __m128 m = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  m = _mm_max_ps(m, _mm_movehl_ps(m, m));
  return _mm_cvtss_f32(_mm_max_ss(m, _mm_movehdup_ps(m)));
}
#else
typedef struct {
  float f[8];
} v8;
#define ASL_V8(expression)                      \
  v8 r;                                         \
  for (int i = 0; i < 8; i++) r.f[i] = (expression); \
  return r
static inline v8 v8_load(const float *p) { ASL_V8(p[i]); }
static inline void v8_store(float *p, v8 a) { memcpy(p, a.f, sizeof a.f); }
static inline v8 v8_set(float a) { ASL_V8(a); }
static inline v8 v8_zero(void) { ASL_V8(0.0f); }
static inline v8 v8_add(v8 a, v8 b) { ASL_V8(a.f[i] + b.f[i]); }
static inline v8 v8_sub(v8 a, v8 b) { ASL_V8(a.f[i] - b.f[i]); }
static inline v8 v8_mul(v8 a, v8 b) { ASL_V8(a.f[i] * b.f[i]); }
static inline v8 v8_div(v8 a, v8 b) { ASL_V8(a.f[i] / b.f[i]); }
static inline v8 v8_fma(v8 a, v8 b, v8 c) { ASL_V8(fmaf(a.f[i], b.f[i], c.f[i])); }
static inline v8 v8_max(v8 a, v8 b) { ASL_V8(a.f[i] > b.f[i] ? a.f[i] : b.f[i]); }
static inline v8 v8_round(v8 a) { ASL_V8(rintf(a.f[i])); }
static inline v8 v8_where_positive(v8 x, v8 a) { ASL_V8(x.f[i] > 0 ? a.f[i] : 0.0f); }
static inline v8 v8_exp2i(v8 n) {
  v8 r;
  for (int i = 0; i < 8; i++) {
    int32_t whole = n.f[i] == n.f[i] ? (int32_t)n.f[i] : 0; /* what NaN gives does not matter */
    uint32_t bits = (uint32_t)(whole + 127) << 23;
    memcpy(&r.f[i], &bits, 4);
  }
  return r;
}
static inline v8 v8_exponent(v8 a) {
  v8 r;
  for (int i = 0; i < 8; i++) {
    uint32_t bits;
    memcpy(&bits, &a.f[i], 4);
    bits <<= 23;
    memcpy(&r.f[i], &bits, 4);
  }
  return r;
}
static inline v8 v8_if_less(v8 a, v8 b, v8 x, v8 y) { ASL_V8(a.f[i] < b.f[i] ? x.f[i] : y.f[i]); }
static inline unsigned v8_equal_mask(v8 a, v8 b) {
  unsigned mask = 0;
  for (int i = 0; i < 8; i++) mask |= (unsigned)(a.f[i] == b.f[i]) << i;
  return mask;
}
static inline v8 v8_split(v8 x, v8 *e) {
  v8 m;
  for (int i = 0; i < 8; i++) {
    uint32_t bits;
    memcpy(&bits, &x.f[i], 4);
    e->f[i] = (float)((int32_t)(bits >> 23) - 126);
    bits = (bits & 0x007FFFFFu) | 0x3F000000u;
    memcpy(&m.f[i], &bits, 4);
  }
  return m;
}
static inline float v8_sum(v8 a) {
  const float *t = a.f;
  return ((t[0] + t[4]) + (t[2] + t[6])) + ((t[1] + t[5]) + (t[3] + t[7]));
}
static inline float v8_max_lane(v8 a) {
  v8 m = a; /* halves, quarters, lanes: as above, also where NaN is involved */
  for (int n = 4; n > 0; n /= 2)
    for (int i = 0; i < n; i++) m.f[i] = m.f[i] > m.f[i + n] ? m.f[i] : m.f[i + n];
  return m.f[0];
}
#undef ASL_V8
#endif

/* The first n < 8 floats; the others are 0 on load and left alone on store. */
static inline v8 v8_load_n(const float *p, int n) {
  float t[8] = {0};
  memcpy(t, p, (size_t)n * sizeof *p);
  return v8_load(t);
}
static inline void v8_store_n(float *p, v8 a, int n) {
  float t[8];
  v8_store(t, a);
  memcpy(p, t, (size_t)n * sizeof *p);
}
/* The first n floats, at least 1; all 8 when n is more. */
static inline v8 v8_load_some(const float *p, int64_t n) {
  return n >= LANES ? v8_load(p) : v8_load_n(p, (int)n);
}
static inline void v8_store_some(float *p, v8 a, int64_t n) {
  if (n >= LANES) v8_store(p, a);
  else v8_store_n(p, a, (int)n);
}
/* The first n < 8 floats; the others are `pad`. */
static inline v8 v8_load_padded(const float *p, int n, float pad) {
  float t[8] = {pad, pad, pad, pad, pad, pad, pad, pad};
  memcpy(t, p, (size_t)n * sizeof *p);
  return v8_load(t);
}

/* a + t (b - a), exact at t = 0 and t = 1 for finite a and b; one float: asl_lerp(). */
static inline v8 v8_lerp(v8 a, v8 b, v8 t) {
  return v8_fma(b, t, v8_mul(a, v8_sub(v8_set(1.0f), t)));
}

/* ---- exponential and logarithm ------------------------------------------------------------------
 * Own polynomials (Cephes, Moshier 1992), so that the bits do not depend on the C library. */

/* e^x = 2^n e^r, |r| <= ln2 / 2: returns e^r. */
static inline v8 v8_exp_reduced(v8 x, v8 *n) {
  *n = v8_round(v8_mul(x, v8_set(1.44269504f)));
  v8 r = v8_fma(*n, v8_set(-0.693359375f), x);
  r = v8_fma(*n, v8_set(2.12194440e-4f), r);
  v8 p = v8_set(1.9875691500e-4f);
  p = v8_fma(p, r, v8_set(1.3981999507e-3f));
  p = v8_fma(p, r, v8_set(8.3334519073e-3f));
  p = v8_fma(p, r, v8_set(4.1665795894e-2f));
  p = v8_fma(p, r, v8_set(1.6666665459e-1f));
  p = v8_fma(p, r, v8_set(5.0000001201e-1f));
  return v8_fma(p, v8_mul(r, r), v8_add(r, v8_set(1.0f)));
}

/* e^x, relative error about 1e-7 where the result is normal; underflows to 0, overflows to
 * infinity, NaN stays NaN. */
static inline v8 v8_exp(v8 x) {
  x = v8_max(v8_set(-104.0f), x); /* in this order NaN stays NaN */
  x = v8_if_less(v8_set(89.0f), x, v8_set(89.0f), x);
  v8 n, p = v8_exp_reduced(x, &n);
  v8 half = v8_round(v8_mul(n, v8_set(0.5f))); /* 2^n in two steps, as n reaches beyond floats */
  return v8_mul(v8_mul(p, v8_exp2i(half)), v8_exp2i(v8_sub(n, half)));
}

/* The same for softmax, whose x <= 0 are distances to the maximum: below -87 it gives e^-87. */
static inline v8 v8_exp_nonpositive(v8 x) {
  x = v8_max(v8_set(-87.0f), x);
  v8 n, p = v8_exp_reduced(x, &n);
  return v8_mul(p, v8_exp2i(n));
}

/* 2^x for x <= 0 (or above by rounding), relative error below 1e-7; below -125 it gives 2^-125. The
 * polynomial is the relative minimax one of 2^r on [-1/2, 1/2] that has p(0) = 1, in an order that
 * makes short chains (Estrin 1960). Added to 3 2^22, x is rounded to the whole number n. */
static inline v8 v8_exp2_nonpositive(v8 x) {
  const v8 whole = v8_set(12582912.0f + 127.0f);
  x = v8_max(v8_set(-125.0f), x); /* in this order NaN stays NaN */
  v8 t = v8_add(x, whole), r = v8_sub(x, v8_sub(t, whole)), r2 = v8_mul(r, r);
  v8 low = v8_fma(v8_set(6.931472029e-1f), r, v8_set(1.0f));
  v8 middle = v8_fma(v8_set(5.550332471e-2f), r, v8_set(2.402264791e-1f));
  v8 high = v8_fma(v8_set(1.339887459e-3f), r, v8_set(9.618437359e-3f));
  high = v8_fma(v8_set(1.535336205e-4f), r2, high);
  return v8_mul(v8_fma(v8_fma(high, r2, middle), r2, low), v8_exponent(t));
}

/* Natural logarithm, relative error below 1e-7; log 0 = -infinity, log of x < 0 and NaN is NaN. */
static inline v8 v8_log(v8 x) {
  const v8 tiny = v8_set(0x1p-126f), infinite = v8_set(INFINITY), one = v8_set(1.0f);
  v8 e, m = v8_split(v8_if_less(x, tiny, v8_mul(x, v8_set(0x1p23f)), x), &e);
  e = v8_if_less(x, tiny, v8_sub(e, v8_set(23.0f)), e);
  const v8 root = v8_set(0.70710678f); /* now to m in [sqrt(1/2), sqrt(2)) */
  e = v8_if_less(m, root, v8_sub(e, one), e);
  m = v8_sub(v8_if_less(m, root, v8_add(m, m), m), one);
  v8 z = v8_mul(m, m), p = v8_set(7.0376836292e-2f);
  p = v8_fma(p, m, v8_set(-1.1514610310e-1f));
  p = v8_fma(p, m, v8_set(1.1676998740e-1f));
  p = v8_fma(p, m, v8_set(-1.2420140846e-1f));
  p = v8_fma(p, m, v8_set(1.4249322787e-1f));
  p = v8_fma(p, m, v8_set(-1.6668057665e-1f));
  p = v8_fma(p, m, v8_set(2.0000714765e-1f));
  p = v8_fma(p, m, v8_set(-2.4999993993e-1f));
  p = v8_fma(p, m, v8_set(3.3333331174e-1f));
  v8 y = v8_mul(v8_mul(p, m), z);
  y = v8_fma(e, v8_set(-2.12194440e-4f), y);
  y = v8_fma(z, v8_set(-0.5f), y);
  y = v8_fma(e, v8_set(0.693359375f), v8_add(m, y));
  y = v8_if_less(v8_zero(), x, y, v8_set(-INFINITY));
  y = v8_if_less(x, v8_zero(), v8_set(NAN), y);
  return v8_if_less(x, infinite, y, x); /* infinity and NaN are their own logarithms */
}

/* 1 / (1 + e^-x) */
static inline v8 v8_sigmoid(v8 x) {
  const v8 one = v8_set(1.0f);
  return v8_div(one, v8_add(one, v8_exp(v8_sub(v8_zero(), x))));
}

/* v8_log of one float. */
static inline float v8_log_lane(float x) {
  float t[8];
  v8_store(t, v8_log(v8_set(x)));
  return t[0];
}

#endif
