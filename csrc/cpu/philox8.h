/* asl_philox() of eight counters at a time: the same numbers. */
#ifndef ASL_CPU_PHILOX8_H
#define ASL_CPU_PHILOX8_H

#include "base/philox.h"
#include "cpu/simd.h"

#ifdef __AVX2__
/* a times every lane of b: the high and the low halves. */
static inline void multiply_halves(__m256i a, __m256i b, __m256i *high, __m256i *low) {
  __m256i even = _mm256_mul_epu32(a, b), odd = _mm256_mul_epu32(a, _mm256_srli_epi64(b, 32));
  *high = _mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xAA);
  *low = _mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xAA);
}

static inline __m256 uniform8(__m256i bits) {
  __m256 whole = _mm256_cvtepi32_ps(_mm256_srli_epi32(bits, 8));
  return _mm256_mul_ps(whole, _mm256_set1_ps(0x1p-24f));
}

/* (number, counter) to (counter, number) */
static inline void store_transposed(float *to, __m256 a, __m256 b, __m256 c, __m256 d) {
  __m256d ab_low = _mm256_castps_pd(_mm256_unpacklo_ps(a, b));
  __m256d ab_high = _mm256_castps_pd(_mm256_unpackhi_ps(a, b));
  __m256d cd_low = _mm256_castps_pd(_mm256_unpacklo_ps(c, d));
  __m256d cd_high = _mm256_castps_pd(_mm256_unpackhi_ps(c, d));
  __m256 q04 = _mm256_castpd_ps(_mm256_unpacklo_pd(ab_low, cd_low));
  __m256 q15 = _mm256_castpd_ps(_mm256_unpackhi_pd(ab_low, cd_low));
  __m256 q26 = _mm256_castpd_ps(_mm256_unpacklo_pd(ab_high, cd_high));
  __m256 q37 = _mm256_castpd_ps(_mm256_unpackhi_pd(ab_high, cd_high));
  _mm256_storeu_ps(to, _mm256_permute2f128_ps(q04, q15, 0x20));
  _mm256_storeu_ps(to + 8, _mm256_permute2f128_ps(q26, q37, 0x20));
  _mm256_storeu_ps(to + 16, _mm256_permute2f128_ps(q04, q15, 0x31));
  _mm256_storeu_ps(to + 24, _mm256_permute2f128_ps(q26, q37, 0x31));
}
#endif

/* Uniform numbers of counters (hi, lo) .. (hi, lo + 7), four of each: number i of counter q is
 * to[4 q + i]. lo is a multiple of 8. */
static inline void uniform_philox8(uint64_t seed, uint32_t purpose, uint64_t hi, uint64_t lo,
                                   float to[32]) {
#ifdef __AVX2__
  const __m256i a = _mm256_set1_epi32((int)0xD2511F53), b = _mm256_set1_epi32((int)0xCD9E8D57);
  const __m256i step0 = _mm256_set1_epi32((int)0x9E3779B9);
  const __m256i step1 = _mm256_set1_epi32((int)0xBB67AE85);
  __m256i k0 = _mm256_set1_epi32((int)(uint32_t)seed);
  __m256i k1 = _mm256_set1_epi32((int)((uint32_t)(seed >> 32) ^ (purpose * 0x9E3779B9u)));
  __m256i c0 = _mm256_add_epi32(_mm256_set1_epi32((int)(uint32_t)lo),
                                _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
  __m256i c1 = _mm256_set1_epi32((int)(uint32_t)(lo >> 32));
  __m256i c2 = _mm256_set1_epi32((int)(uint32_t)hi);
  __m256i c3 = _mm256_set1_epi32((int)(uint32_t)(hi >> 32));
  for (int round = 0; round < 10; round++) {
    __m256i high0, low0, high1, low1;
    multiply_halves(a, c0, &high0, &low0);
    multiply_halves(b, c2, &high1, &low1);
    c0 = _mm256_xor_si256(_mm256_xor_si256(high1, c1), k0);
    c2 = _mm256_xor_si256(_mm256_xor_si256(high0, c3), k1);
    c1 = low1;
    c3 = low0;
    k0 = _mm256_add_epi32(k0, step0);
    k1 = _mm256_add_epi32(k1, step1);
  }
  store_transposed(to, uniform8(c0), uniform8(c1), uniform8(c2), uniform8(c3));
#else
  for (int q = 0; q < 8; q++) {
    asl_philox4 bits = asl_philox(seed, purpose, hi, lo + (uint64_t)q);
    for (int i = 0; i < 4; i++) to[4 * q + i] = asl_uniform(bits.v[i]);
  }
#endif
}

#endif
