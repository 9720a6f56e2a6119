/* Conversion between dtypes, also the way to make a tensor contiguous. A value either fits its new
 * dtype or is an error; real numbers become whole ones by rounding to nearest, ties to even; bf16 is
 * made from f32. */
#include <math.h>

#include "base/bf16.h"
#include "cpu/kernel.h"
#include "cpu/strided.h"

/* Converts n elements `step` bytes apart; returns how many fitted before the first that did not. */
typedef int64_t (*convert_fn)(void *y, const char *x, int64_t step, int64_t n);

#define GET(T, i) (*(const T *)(const void *)(x + (i) * step))

#define ALWAYS_FITS(name, TY, TX)                                              \
  static int64_t name(void *y_, const char *x, int64_t step, int64_t n) {      \
    TY *restrict y = y_;                                                       \
    if (step == (int64_t)sizeof(TX))                                           \
      for (int64_t i = 0; i < n; i++) y[i] = (TY)((const TX *)(const void *)x)[i]; \
    else                                                                       \
      for (int64_t i = 0; i < n; i++) y[i] = (TY)GET(TX, i);                   \
    return n;                                                                  \
  }
/* The condition is false for NaN. */
#define MAY_FIT(name, TY, TX, value, condition) MAY_FIT_READ(name, TY, TX, value(GET(TX, i)), condition)
#define MAY_FIT_READ(name, TY, TX, value, condition)                           \
  static int64_t name(void *y_, const char *x, int64_t step, int64_t n) {      \
    TY *restrict y = y_;                                                       \
    for (int64_t i = 0; i < n; i++) {                                          \
      TX v = value;                                                            \
      if (!(condition)) return i;                                              \
      y[i] = (TY)v;                                                            \
    }                                                                          \
    return n;                                                                  \
  }
#define TO_BF16(name, TX)                                                      \
  static int64_t name(void *y_, const char *x, int64_t step, int64_t n) {      \
    uint16_t *restrict y = y_;                                                 \
    for (int64_t i = 0; i < n; i++) y[i] = asl_bf16_from_f32((float)GET(TX, i)); \
    return n;                                                                  \
  }
#define FROM_BF16(name, TY)                                                    \
  static int64_t name(void *y_, const char *x, int64_t step, int64_t n) {      \
    TY *restrict y = y_;                                                       \
    for (int64_t i = 0; i < n; i++) y[i] = (TY)asl_bf16_to_f32(GET(uint16_t, i)); \
    return n;                                                                  \
  }
#define IN_U8 v >= 0 && v <= 255
#define IN_I32 v >= -0x1p31 && v < 0x1p31
#define IN_I64 v >= -0x1p63 && v < 0x1p63

ALWAYS_FITS(f32_f32, float, float)
ALWAYS_FITS(f32_f64, float, double)
ALWAYS_FITS(f32_u8, float, uint8_t)
ALWAYS_FITS(f32_i32, float, int32_t)
ALWAYS_FITS(f32_i64, float, int64_t)
ALWAYS_FITS(f64_f32, double, float)
ALWAYS_FITS(f64_f64, double, double)
ALWAYS_FITS(f64_u8, double, uint8_t)
ALWAYS_FITS(f64_i32, double, int32_t)
ALWAYS_FITS(f64_i64, double, int64_t)
MAY_FIT(u8_f32, uint8_t, float, rintf, IN_U8)
MAY_FIT(u8_f64, uint8_t, double, rint, IN_U8)
ALWAYS_FITS(u8_u8, uint8_t, uint8_t)
MAY_FIT(u8_i32, uint8_t, int32_t, , IN_U8)
MAY_FIT(u8_i64, uint8_t, int64_t, , IN_U8)
MAY_FIT(i32_f32, int32_t, float, rintf, IN_I32)
MAY_FIT(i32_f64, int32_t, double, rint, IN_I32)
ALWAYS_FITS(i32_u8, int32_t, uint8_t)
ALWAYS_FITS(i32_i32, int32_t, int32_t)
MAY_FIT(i32_i64, int32_t, int64_t, , v >= INT32_MIN && v <= INT32_MAX)
MAY_FIT(i64_f32, int64_t, float, rintf, IN_I64)
MAY_FIT(i64_f64, int64_t, double, rint, IN_I64)
ALWAYS_FITS(i64_u8, int64_t, uint8_t)
ALWAYS_FITS(i64_i32, int64_t, int32_t)
ALWAYS_FITS(i64_i64, int64_t, int64_t)

TO_BF16(bf16_f32, float)
TO_BF16(bf16_f64, double)
TO_BF16(bf16_u8, uint8_t)
TO_BF16(bf16_i32, int32_t)
TO_BF16(bf16_i64, int64_t)
ALWAYS_FITS(bf16_bf16, uint16_t, uint16_t)
FROM_BF16(f32_bf16, float)
FROM_BF16(f64_bf16, double)
#define ROUNDED_BF16 rintf(asl_bf16_to_f32(GET(uint16_t, i)))
MAY_FIT_READ(u8_bf16, uint8_t, float, ROUNDED_BF16, IN_U8)
MAY_FIT_READ(i32_bf16, int32_t, float, ROUNDED_BF16, IN_I32)
MAY_FIT_READ(i64_bf16, int64_t, float, ROUNDED_BF16, IN_I64)

#define TO(y) \
  {[ASL_F32] = y##_f32, [ASL_F64] = y##_f64, [ASL_U8] = y##_u8, [ASL_I32] = y##_i32, \
   [ASL_I64] = y##_i64, [ASL_BF16] = y##_bf16}
static const convert_fn converts[ASL_DTYPES][ASL_DTYPES] = {
    [ASL_F32] = TO(f32), [ASL_F64] = TO(f64), [ASL_U8] = TO(u8),
    [ASL_I32] = TO(i32), [ASL_I64] = TO(i64), [ASL_BF16] = TO(bf16)};

typedef struct job {
  asl_walk walk; /* y, x */
  convert_fn convert;
  int64_t element; /* bytes of one in y */
  first_fault fault;
} job;

static void do_row(void *context, char *const at[], const int64_t step[], int64_t n) {
  job *j = context;
  int64_t fitted = j->convert(at[0], at[1], step[1], n);
  if (fitted < n) note_fault(&j->fault, (at[0] - j->walk.base[0]) / j->element + fitted);
}

static void do_chunk(void *context, int64_t chunk) {
  job *j = context;
  asl_walk_rows(&j->walk, chunk * CHUNK, min_i64((chunk + 1) * CHUNK, j->walk.count), do_row, j);
}

ASL_KERNEL(cast) {
  asl_tensor *x = call->in[0], *y = call->out[0];
  job j = {.convert = converts[y->dtype][x->dtype],
           .element = (int64_t)asl_dtype_size(y->dtype),
           .fault = NO_FAULT};
  asl_walk_init(&j.walk, y->shape, 2, (asl_tensor *[]){y, x});
  asl_parallel(ceil_div(j.walk.count, CHUNK), do_chunk, &j);
  int64_t bad = j.fault;
  if (bad == NO_FAULT) return ASL_OK;
  return asl_fail(ASL_EINVAL, "%.10g (element %lld) does not fit into %s", asl_tensor_get(x, bad),
                  (long long)bad + 1, asl_dtype_name(y->dtype));
}
