/* Elementwise operations on operands that broadcast. Each is a table of plain loops over
 * contiguous memory, one per dtype; what is not contiguous is packed into small blocks first. */
#include <math.h>

#include "cpu/kernel.h"
#include "cpu/simd.h"
#include "cpu/strided.h"
#include "ops/math/elementwise.h"

enum { BLOCK = 512, MAX_INPUTS = 3 };

/* y[i] = f(x[0][i], x[1][i], ...) for i < n; p: the op's number parameters. */
typedef void (*loop_fn)(void *y, const void *const x[], int64_t n, const double *p);

/* ---- the frame ------------------------------------------------------------------------------- */
typedef struct job {
  asl_walk walk; /* operand 0: the output, contiguous */
  loop_fn loop;
  int64_t element[1 + MAX_INPUTS]; /* bytes */
  const double *param;
} job;

static void pack(void *to, const char *from, int64_t step, int64_t element, int64_t n) {
  switch (element) {
    case 1:
      for (int64_t i = 0; i < n; i++) ((uint8_t *)to)[i] = *(const uint8_t *)(from + i * step);
      break;
    case 4:
      for (int64_t i = 0; i < n; i++)
        ((uint32_t *)to)[i] = *(const uint32_t *)(const void *)(from + i * step);
      break;
    default:
      for (int64_t i = 0; i < n; i++)
        ((uint64_t *)to)[i] = *(const uint64_t *)(const void *)(from + i * step);
  }
}

static void do_row(void *context, char *const at[], const int64_t step[], int64_t n) {
  const job *j = context;
  uint64_t packed[MAX_INPUTS][BLOCK];
  const void *x[MAX_INPUTS];
  int inputs = j->walk.operands - 1;
  bool all_unit = true;
  for (int k = 1; k <= inputs; k++) all_unit = all_unit && step[k] == j->element[k];
  int64_t block = all_unit ? n : BLOCK;
  for (int64_t i = 0; i < n; i += block) {
    int64_t m = min_i64(block, n - i);
    for (int k = 1; k <= inputs; k++) {
      bool unit = step[k] == j->element[k];
      x[k - 1] = unit ? (const void *)(at[k] + i * step[k]) : packed[k - 1];
      bool still_there = step[k] == 0 && i > 0; /* one repeated value */
      if (!unit && !still_there)
        pack(packed[k - 1], at[k] + i * step[k], step[k], j->element[k], m);
    }
    j->loop(at[0] + i * j->element[0], x, m, j->param);
  }
}

static void do_chunk(void *context, int64_t chunk) {
  const job *j = context;
  asl_walk_rows(&j->walk, chunk * CHUNK, min_i64((chunk + 1) * CHUNK, j->walk.count), do_row,
                context);
}

/* `loops` is indexed by the dtype of the last input. */
static asl_status run(const asl_call *call, int inputs, const loop_fn loops[ASL_DTYPES]) {
  asl_tensor *operand[1 + MAX_INPUTS] = {call->out[0]};
  asl_dtype dtype = call->in[inputs - 1]->dtype;
  job j = {.loop = loops[dtype], .param = (const double *)(const void *)call->param};
  if (!j.loop) return asl_fail(ASL_ENOTSUP, "not supported for %s", asl_dtype_name(dtype));
  for (int k = 0; k < inputs; k++) operand[k + 1] = call->in[k];
  for (int k = 0; k <= inputs; k++) j.element[k] = (int64_t)asl_dtype_size(operand[k]->dtype);
  asl_walk_init(&j.walk, call->out[0]->shape, inputs + 1, operand);
  asl_parallel(ceil_div(j.walk.count, CHUNK), do_chunk, &j);
  return ASL_OK;
}

/* ---- the loops ------------------------------------------------------------------------------- */
#define LOOP1(name, TY, TX, expression)                                                    \
  static void name(void *y_, const void *const in[], int64_t n, const double *p) {         \
    TY *restrict y = y_;                                                                   \
    const TX *restrict x = in[0];                                                          \
    (void)p;                                                                               \
    for (int64_t i = 0; i < n; i++) y[i] = (expression);                                   \
  }
#define LOOP2(name, TY, TX, expression)                                                    \
  static void name(void *y_, const void *const in[], int64_t n, const double *p) {         \
    TY *restrict y = y_;                                                                   \
    const TX *a = in[0], *b = in[1]; /* may be the same */                                 \
    (void)p;                                                                               \
    for (int64_t i = 0; i < n; i++) y[i] = (expression);                                   \
  }
#define LOOP_WHERE(name, T)                                                                \
  static void name(void *y_, const void *const in[], int64_t n, const double *p) {         \
    T *restrict y = y_;                                                                    \
    const uint8_t *condition = in[0];                                                      \
    const T *a = in[1], *b = in[2];                                                        \
    (void)p;                                                                               \
    for (int64_t i = 0; i < n; i++) y[i] = condition[i] ? a[i] : b[i];                     \
  }
/* f32 through eight lanes, so that every element passes the same polynomial. */
#define LOOP_LANES(name, function)                                                         \
  static void name(void *y_, const void *const in[], int64_t n, const double *p) {         \
    float *y = y_;                                                                         \
    const float *x = in[0];                                                                \
    int64_t i = 0;                                                                         \
    (void)p;                                                                               \
    for (; i + LANES <= n; i += LANES) v8_store(y + i, function(v8_load(x + i)));          \
    if (i < n) v8_store_n(y + i, function(v8_load_n(x + i, (int)(n - i))), (int)(n - i));  \
  }
#define REAL(name) {[ASL_F32] = name##_f32, [ASL_F64] = name##_f64}
#define NUMBER(name) \
  {[ASL_F32] = name##_f32, [ASL_F64] = name##_f64, [ASL_I32] = name##_i32, [ASL_I64] = name##_i64}
#define ANY(name)                                                                             \
  {[ASL_F32] = name##_f32, [ASL_F64] = name##_f64, [ASL_U8] = name##_u8, [ASL_I32] = name##_i32, \
   [ASL_I64] = name##_i64}

#define ARITHMETIC(name, op)                                             \
  LOOP2(name##_f32, float, float, a[i] op b[i])                          \
  LOOP2(name##_f64, double, double, a[i] op b[i])                        \
  LOOP2(name##_i32, int32_t, int32_t, asl_##name##_i32(a[i], b[i]))      \
  LOOP2(name##_i64, int64_t, int64_t, asl_##name##_i64(a[i], b[i]))
#define CHOICE(name)                                                     \
  LOOP2(name##_f32, float, float, asl_##name##_f32(a[i], b[i]))          \
  LOOP2(name##_f64, double, double, asl_##name##_f64(a[i], b[i]))        \
  LOOP2(name##_i32, int32_t, int32_t, asl_##name##_i32(a[i], b[i]))      \
  LOOP2(name##_i64, int64_t, int64_t, asl_##name##_i64(a[i], b[i]))
#define COMPARISON(name, op)                                             \
  LOOP2(name##_f32, uint8_t, float, a[i] op b[i])                        \
  LOOP2(name##_f64, uint8_t, double, a[i] op b[i])                       \
  LOOP2(name##_u8, uint8_t, uint8_t, a[i] op b[i])                       \
  LOOP2(name##_i32, uint8_t, int32_t, a[i] op b[i])                      \
  LOOP2(name##_i64, uint8_t, int64_t, a[i] op b[i])

ARITHMETIC(add, +)
ARITHMETIC(sub, -)
ARITHMETIC(mul, *)
CHOICE(maximum)
CHOICE(minimum)
COMPARISON(equal, ==)
COMPARISON(greater, >)
LOOP2(div_f32, float, float, a[i] / b[i])
LOOP2(div_f64, double, double, a[i] / b[i])
LOOP_WHERE(where_f32, float)
LOOP_WHERE(where_f64, double)
LOOP_WHERE(where_u8, uint8_t)
LOOP_WHERE(where_i32, int32_t)
LOOP_WHERE(where_i64, int64_t)

LOOP1(affine_f32, float, float, x[i] * (float)p[0] + (float)p[1])
LOOP1(affine_f64, double, double, x[i] * p[0] + p[1])
LOOP1(relu_f32, float, float, asl_relu_f32(x[i]))
LOOP1(relu_f64, double, double, asl_relu_f64(x[i]))
LOOP1(sqrt_f32, float, float, sqrtf(x[i]))
LOOP1(sqrt_f64, double, double, sqrt(x[i]))
LOOP1(abs_f32, float, float, fabsf(x[i]))
LOOP1(abs_f64, double, double, fabs(x[i]))
LOOP1(sign_f32, float, float, asl_sign_f32(x[i]))
LOOP1(sign_f64, double, double, asl_sign_f64(x[i]))
LOOP_LANES(exp_f32, v8_exp)
LOOP_LANES(log_f32, v8_log)
LOOP_LANES(sigmoid_f32, v8_sigmoid)
LOOP1(exp_f64, double, double, exp(x[i]))
LOOP1(log_f64, double, double, log(x[i]))
LOOP1(sigmoid_f64, double, double, 1.0 / (1.0 + exp(-x[i])))

/* ---- the ops --------------------------------------------------------------------------------- */
#define KERNEL(name, inputs, set)                     \
  ASL_KERNEL(name) {                                  \
    static const loop_fn loops[ASL_DTYPES] = set(name); \
    return run(call, inputs, loops);                  \
  }
KERNEL(add, 2, NUMBER)
KERNEL(sub, 2, NUMBER)
KERNEL(mul, 2, NUMBER)
KERNEL(div, 2, REAL)
KERNEL(maximum, 2, NUMBER)
KERNEL(minimum, 2, NUMBER)
KERNEL(equal, 2, ANY)
KERNEL(greater, 2, ANY)
KERNEL(where, 3, ANY)
KERNEL(affine, 1, REAL)
KERNEL(relu, 1, REAL)
KERNEL(exp, 1, REAL)
KERNEL(log, 1, REAL)
KERNEL(sqrt, 1, REAL)
KERNEL(abs, 1, REAL)
KERNEL(sigmoid, 1, REAL)
KERNEL(sign, 1, REAL)
