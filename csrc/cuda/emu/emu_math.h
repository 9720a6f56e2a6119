/* Device functions on numbers: minimum and maximum, bits, conversions, and arithmetic with a named
 * rounding. The approximate ones of a GPU (rsqrtf) are exact to rounding here. */
#ifndef ASL_EMU_MATH_H
#define ASL_EMU_MATH_H

#include <math.h>
#include <stdint.h>
#include <string.h>

/* CUDA's overloads; those of floats give the number where one argument is NaN. */
#define ASL_EMU_MIN_MAX(A, B, R)                                                                   \
  static inline R min(A a, B b) { return (R)a < (R)b ? (R)a : (R)b; }                              \
  static inline R max(A a, B b) { return (R)a > (R)b ? (R)a : (R)b; }
ASL_EMU_MIN_MAX(int, int, int)
ASL_EMU_MIN_MAX(unsigned int, unsigned int, unsigned int)
ASL_EMU_MIN_MAX(int, unsigned int, unsigned int)
ASL_EMU_MIN_MAX(unsigned int, int, unsigned int)
ASL_EMU_MIN_MAX(long, long, long)
ASL_EMU_MIN_MAX(unsigned long, unsigned long, unsigned long)
ASL_EMU_MIN_MAX(long, unsigned long, unsigned long)
ASL_EMU_MIN_MAX(unsigned long, long, unsigned long)
ASL_EMU_MIN_MAX(long long, long long, long long)
ASL_EMU_MIN_MAX(unsigned long long, unsigned long long, unsigned long long)
ASL_EMU_MIN_MAX(long long, unsigned long long, unsigned long long)
ASL_EMU_MIN_MAX(unsigned long long, long long, unsigned long long)
#undef ASL_EMU_MIN_MAX

static inline float min(float a, float b) { return fminf(a, b); }
static inline float max(float a, float b) { return fmaxf(a, b); }
static inline double min(double a, double b) { return fmin(a, b); }
static inline double max(double a, double b) { return fmax(a, b); }
static inline double min(float a, double b) { return fmin(a, b); }
static inline double max(float a, double b) { return fmax(a, b); }
static inline double min(double a, float b) { return fmin(a, b); }
static inline double max(double a, float b) { return fmax(a, b); }

/* Loads and stores with a cache hint. */
template <class T> static inline T __ldg(const T *p) { return *p; }
template <class T> static inline T __ldcs(const T *p) { return *p; }
template <class T> static inline T __ldcg(const T *p) { return *p; }
template <class T> static inline void __stcs(T *p, T value) { *p = value; }
template <class T> static inline void __stcg(T *p, T value) { *p = value; }

static inline int __popc(unsigned int x) { return __builtin_popcount(x); }
static inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
static inline int __clz(int x) { return x ? __builtin_clz((unsigned int)x) : 32; }
static inline int __clzll(long long x) { return x ? __builtin_clzll((unsigned long long)x) : 64; }
static inline int __ffs(int x) { return __builtin_ffs(x); }
static inline int __ffsll(long long x) { return __builtin_ffsll(x); }

static inline unsigned int __brev(unsigned int x) {
  x = (x >> 1 & 0x55555555u) | (x & 0x55555555u) << 1;
  x = (x >> 2 & 0x33333333u) | (x & 0x33333333u) << 2;
  x = (x >> 4 & 0x0f0f0f0fu) | (x & 0x0f0f0f0fu) << 4;
  return __builtin_bswap32(x);
}

static inline int __mulhi(int a, int b) { return (int)((int64_t)a * b >> 32); }
static inline unsigned int __umulhi(unsigned int a, unsigned int b) {
  return (unsigned int)((uint64_t)a * b >> 32);
}
static inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
  return (unsigned long long)((unsigned __int128)a * b >> 64);
}

#define ASL_EMU_AS(name, From, To)                                                                 \
  static inline To name(From x) {                                                                  \
    To y;                                                                                          \
    static_assert(sizeof x == sizeof y, "same bits");                                              \
    memcpy(&y, &x, sizeof y);                                                                      \
    return y;                                                                                      \
  }
ASL_EMU_AS(__float_as_int, float, int)
ASL_EMU_AS(__float_as_uint, float, unsigned int)
ASL_EMU_AS(__int_as_float, int, float)
ASL_EMU_AS(__uint_as_float, unsigned int, float)
ASL_EMU_AS(__double_as_longlong, double, long long)
ASL_EMU_AS(__longlong_as_double, long long, double)
#undef ASL_EMU_AS

static inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
static inline double rsqrt(double x) { return 1.0 / sqrt(x); }

static inline float __fadd_rn(float a, float b) { return a + b; }
static inline float __fsub_rn(float a, float b) { return a - b; }
static inline float __fmul_rn(float a, float b) { return a * b; }
static inline float __fdiv_rn(float a, float b) { return a / b; }
static inline float __fsqrt_rn(float x) { return sqrtf(x); }
static inline float __frcp_rn(float x) { return 1.0f / x; }
static inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
static inline double __dadd_rn(double a, double b) { return a + b; }
static inline double __dsub_rn(double a, double b) { return a - b; }
static inline double __dmul_rn(double a, double b) { return a * b; }
static inline double __ddiv_rn(double a, double b) { return a / b; }
static inline double __dsqrt_rn(double x) { return sqrt(x); }
static inline double __fma_rn(double a, double b, double c) { return fma(a, b, c); }

static inline float __int2float_rn(int x) { return (float)x; }
static inline float __uint2float_rn(unsigned int x) { return (float)x; }
static inline float __ll2float_rn(long long x) { return (float)x; }
static inline float __double2float_rn(double x) { return (float)x; }
static inline float __saturatef(float x) { return x > 0.0f ? (x < 1.0f ? x : 1.0f) : 0.0f; }

/* Conversions to whole numbers saturate on a GPU and give 0 for NaN. */
static inline int asl_emu_to_int(float whole) {
  if (!(whole >= -2147483648.0f)) return whole != whole ? 0 : INT32_MIN;
  return whole >= 2147483648.0f ? INT32_MAX : (int)whole;
}
static inline int __float2int_rn(float x) { return asl_emu_to_int(rintf(x)); }
static inline int __float2int_rz(float x) { return asl_emu_to_int(truncf(x)); }
static inline int __float2int_rd(float x) { return asl_emu_to_int(floorf(x)); }
static inline int __float2int_ru(float x) { return asl_emu_to_int(ceilf(x)); }

#endif
