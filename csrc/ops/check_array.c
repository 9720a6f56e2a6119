/* What views, elementwise ops, reductions and row moves demand of their inputs, and what their
 * outputs will be. Checked once, above the backends, so that every device says the same; dispatch.c
 * prefixes messages with the op's name. */
#include <math.h>

#include "ops/check.h"

/* ---- views ----------------------------------------------------------------------------------- */
CHECK(reshape) {
  UNUSED;
  P(reshape);
  char have[96], want[96];
  asl_shape shape = {.rank = (int)p->rank};
  if (p->rank < 0 || p->rank > ASL_MAX_RANK)
    return asl_fail(ASL_EINVAL, "rank must be 0 to %d, not %lld", ASL_MAX_RANK, (long long)p->rank);
  const int64_t *size = &p->d1;
  int64_t count = 1;
  for (int d = 0; d < shape.rank; d++) {
    if (size[d] < 0) return asl_fail(ASL_EINVAL, "size %lld is negative", (long long)size[d]);
    if (__builtin_mul_overflow(count, size[d], &count))
      return asl_fail(ASL_EINVAL, "size %lld is too large", (long long)size[d]);
    shape.size[d] = size[d];
  }
  if (count != asl_tensor_count(IN(0)))
    return asl_fail(ASL_EINVAL, "%s has %lld elements, %s would have %lld",
                    asl_shape_text(IN(0)->shape, have), (long long)asl_tensor_count(IN(0)),
                    asl_shape_text(shape, want), (long long)count);
  return ASL_OK;
}

CHECK(permute) {
  UNUSED;
  P(permute);
  unsigned seen = 0;
  for (int d = 0; d < IN(0)->shape.rank; d++) {
    int64_t axis = (&p->p1)[d];
    if (axis < 1 || axis > IN(0)->shape.rank || (seen >> axis & 1))
      return asl_fail(ASL_EINVAL, "position %d: %lld is no new dimension of 1..%d", d + 1,
                      (long long)axis, IN(0)->shape.rank);
    seen |= 1u << axis;
  }
  return ASL_OK;
}

CHECK(slice) {
  UNUSED;
  P(slice);
  ASL_TRY(need_dim(p->dim, IN(0)));
  int64_t size = IN(0)->shape.size[p->dim - 1];
  if (p->first < 1 || p->last > size || p->first > p->last + 1)
    return asl_fail(ASL_EINVAL, "%lld..%lld is outside 1..%lld of dimension %lld",
                    (long long)p->first, (long long)p->last, (long long)size, (long long)p->dim);
  return ASL_OK;
}

/* ---- elementwise ----------------------------------------------------------------------------- */
static asl_status binary(const asl_call *call, asl_spec out[], bool to_u8) {
  ASL_TRY(need_same_dtype(call, 0, 1));
  ASL_TRY(need_not_bf16_on_cpu(IN(0)));
  asl_shape shape;
  ASL_TRY(broadcast(IN(0)->shape, IN(1)->shape, &shape));
  out[0] = spec(to_u8 ? ASL_U8 : IN(0)->dtype, shape);
  return ASL_OK;
}

static asl_status not_u8(const asl_call *call) {
  ASL_TRY(need_not_bf16_on_cpu(IN(0)));
  if (IN(0)->dtype != ASL_U8) return ASL_OK;
  return asl_fail(ASL_ENOTSUP, "no arithmetic on u8: convert with :to(\"f32\")");
}

static asl_status need_real(const asl_call *call) {
  ASL_TRY(need_not_bf16_on_cpu(IN(0)));
  if (IN(0)->dtype == ASL_F32 || IN(0)->dtype == ASL_F64 || IN(0)->dtype == ASL_BF16) return ASL_OK;
  return asl_fail(ASL_ENOTSUP, "%s must be f32 or f64, it is %s", slot_name(call, 0),
                  asl_dtype_name(IN(0)->dtype));
}

static asl_status check_arithmetic(const asl_call *call, asl_spec out[], int64_t *macs) {
  (void)macs;
  ASL_TRY(not_u8(call));
  return binary(call, out, false);
}
SAME_CHECK(add, check_arithmetic)
SAME_CHECK(sub, check_arithmetic)
SAME_CHECK(mul, check_arithmetic)
SAME_CHECK(maximum, check_arithmetic)
SAME_CHECK(minimum, check_arithmetic)

CHECK(div) {
  (void)macs;
  ASL_TRY(need_real(call));
  return binary(call, out, false);
}

static asl_status check_comparison(const asl_call *call, asl_spec out[], int64_t *macs) {
  (void)macs;
  return binary(call, out, true);
}
SAME_CHECK(equal, check_comparison)
SAME_CHECK(greater, check_comparison)

CHECK(where) {
  (void)macs;
  asl_shape shape;
  ASL_TRY(need_dtype(call, 0, ASL_U8));
  ASL_TRY(need_same_dtype(call, 1, 2));
  ASL_TRY(need_not_bf16_on_cpu(IN(1)));
  ASL_TRY(broadcast(IN(1)->shape, IN(2)->shape, &shape));
  ASL_TRY(broadcast(IN(0)->shape, shape, &shape));
  out[0] = spec(IN(1)->dtype, shape);
  return ASL_OK;
}

static asl_status check_unary(const asl_call *call, asl_spec out[], int64_t *macs) {
  (void)macs;
  ASL_TRY(need_real(call));
  out[0] = like(IN(0));
  return ASL_OK;
}
SAME_CHECK(affine, check_unary)
SAME_CHECK(relu, check_unary)
SAME_CHECK(exp, check_unary)
SAME_CHECK(log, check_unary)
SAME_CHECK(sqrt, check_unary)
SAME_CHECK(abs, check_unary)
SAME_CHECK(sigmoid, check_unary)
SAME_CHECK(sign, check_unary)

CHECK(cast) {
  (void)macs;
  P(cast);
  if (p->dtype < 0 || p->dtype >= ASL_DTYPES)
    return asl_fail(ASL_EINVAL, "%lld is no dtype", (long long)p->dtype);
  out[0] = spec((asl_dtype)p->dtype, IN(0)->shape);
  return ASL_OK;
}

/* ---- reductions and joining ------------------------------------------------------------------ */
static asl_status reduction(const asl_call *call, asl_spec out[], int64_t dim, int64_t keep) {
  ASL_TRY(not_u8(call));
  asl_shape x = IN(0)->shape, y = {0};
  if (dim != 0) ASL_TRY(need_dim(dim, IN(0)));
  for (int d = 0; d < x.rank; d++) {
    bool reduced = dim == 0 || d == dim - 1;
    if (!reduced) y.size[y.rank++] = x.size[d];
    else if (keep) y.size[y.rank++] = 1;
  }
  out[0] = spec(IN(0)->dtype, y);
  return ASL_OK;
}
CHECK(sum) {
  (void)macs;
  P(sum);
  return reduction(call, out, p->dim, p->keep);
}
CHECK(mean) {
  (void)macs;
  P(mean);
  ASL_TRY(need_real(call));
  ASL_TRY(reduction(call, out, p->dim, p->keep));
  if ((p->dim ? IN(0)->shape.size[p->dim - 1] : asl_tensor_count(IN(0))) > 0) return ASL_OK;
  return asl_fail(ASL_EINVAL, "no elements have no mean");
}
CHECK(max) {
  (void)macs;
  P(max);
  if (asl_tensor_count(IN(0)) == 0) return asl_fail(ASL_EINVAL, "an empty tensor has no maximum");
  return reduction(call, out, p->dim, p->keep);
}

CHECK(sum_to) {
  (void)macs;
  char a[96], b[96];
  asl_shape shape;
  ASL_TRY(need_real(call));
  ASL_TRY(broadcast(IN(0)->shape, IN(1)->shape, &shape));
  if (!asl_shape_equal(shape, IN(0)->shape))
    return asl_fail(ASL_EINVAL, "%s is no broadcast of %s", asl_shape_text(IN(0)->shape, a),
                    asl_shape_text(IN(1)->shape, b));
  out[0] = spec(IN(0)->dtype, IN(1)->shape);
  return ASL_OK;
}

CHECK(argmax) {
  (void)macs;
  if (IN(0)->shape.rank < 1 || last(IN(0)) < 1)
    return asl_fail(ASL_EINVAL, "needs at least one element along the last dimension");
  ASL_TRY(need_real(call));
  asl_shape shape = IN(0)->shape;
  shape.rank--;
  out[0] = spec(ASL_I32, shape);
  return ASL_OK;
}

CHECK(concat) {
  (void)macs;
  P(concat);
  char a[96], b[96];
  ASL_TRY(need_dim(p->dim, IN(0)));
  asl_shape shape = IN(0)->shape;
  int dim = (int)p->dim - 1;
  for (int i = 1; i < 6; i++) {
    if (!IN(i)) continue;
    ASL_TRY(need_same_dtype(call, 0, i));
    asl_shape other = IN(i)->shape;
    int64_t along = other.rank == shape.rank ? other.size[dim] : 0;
    if (other.rank == shape.rank) other.size[dim] = shape.size[dim];
    if (!asl_shape_equal(other, shape))
      return asl_fail(ASL_EINVAL, "%s and %s differ in more than dimension %d",
                      asl_shape_text(IN(0)->shape, a), asl_shape_text(IN(i)->shape, b), dim + 1);
    shape.size[dim] += along;
  }
  out[0] = spec(IN(0)->dtype, shape);
  return ASL_OK;
}

CHECK(matmul) {
  char a[96], b[96];
  ASL_TRY(need_floats(call));
  ASL_TRY(need_rank(call, 0, 2, "M,K"));
  ASL_TRY(need_rank(call, 1, 2, "K,N"));
  const int64_t *x = IN(0)->shape.size, *y = IN(1)->shape.size;
  if (x[1] != y[0])
    return asl_fail(ASL_EINVAL, "inner sizes differ: %s times %s", asl_shape_text(IN(0)->shape, a),
                    asl_shape_text(IN(1)->shape, b));
  out[0] = spec(ASL_F32, (asl_shape){2, {x[0], y[1]}});
  *macs = x[0] * x[1] * y[1];
  return ASL_OK;
}

/* ---- in place -------------------------------------------------------------------------------- */
/* Whole numbers must be meant exactly. */
CHECK(fill) {
  UNUSED;
  static const struct {
    double low, end; /* low <= value < end */
  } range[ASL_DTYPES] = {
      [ASL_U8] = {0, 256}, [ASL_I32] = {-0x1p31, 0x1p31}, [ASL_I64] = {-0x1p63, 0x1p63}};
  asl_dtype dtype = IN(0)->dtype;
  double value = ASL_PARAMS(fill, call)->value;
  if (dtype == ASL_F32 || dtype == ASL_F64 || dtype == ASL_BF16) return ASL_OK;
  if (value >= range[dtype].low && value < range[dtype].end && value == rint(value)) return ASL_OK;
  return asl_fail(ASL_EINVAL, "%.10g does not fit into %s", value, asl_dtype_name(dtype));
}
CHECK(copy) {
  UNUSED;
  char a[96], b[96];
  asl_shape shape;
  ASL_TRY(need_same_dtype(call, 0, 1));
  ASL_TRY(broadcast(IN(0)->shape, IN(1)->shape, &shape));
  if (!asl_shape_equal(shape, IN(0)->shape))
    return asl_fail(ASL_EINVAL, "%s does not fit into %s", asl_shape_text(IN(1)->shape, a),
                    asl_shape_text(IN(0)->shape, b));
  return ASL_OK;
}
CHECK(accumulate) {
  UNUSED;
  ASL_TRY(not_u8(call));
  ASL_TRY(need_same_dtype(call, 0, 1));
  ASL_TRY(need_shape(call, 1, IN(0)->shape));
  if (IN(0)->dtype == ASL_I32) return asl_fail(ASL_ENOTSUP, "not supported for i32");
  double scale = ASL_PARAMS(accumulate, call)->scale;
  if (IN(0)->dtype != ASL_I64 || (scale == rint(scale) && fabs(scale) <= 0x1p53)) return ASL_OK;
  return asl_fail(ASL_EINVAL, "scale %.10g is no whole number, x is i64", scale);
}

static asl_status need_index(const asl_call *call) {
  ASL_TRY(need_dtype(call, 1, ASL_I64));
  ASL_TRY(need_rank(call, 1, 1, "rows"));
  if (IN(0)->shape.rank < 1) return asl_fail(ASL_EINVAL, "x is a scalar: it has no rows");
  return ASL_OK;
}
CHECK(gather_rows) {
  (void)macs;
  ASL_TRY(need_index(call));
  asl_shape shape = IN(0)->shape;
  shape.size[0] = IN(1)->shape.size[0];
  out[0] = spec(IN(0)->dtype, shape);
  return ASL_OK;
}
CHECK(scatter_rows) {
  UNUSED;
  ASL_TRY(need_index(call));
  ASL_TRY(need_same_dtype(call, 0, 2));
  asl_shape shape = IN(0)->shape;
  shape.size[0] = IN(1)->shape.size[0];
  return need_shape(call, 2, shape);
}
