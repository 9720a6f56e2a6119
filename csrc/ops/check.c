/* What each op demands of its inputs and what its outputs will be. Checked once, above the
 * backends, so that every device says the same. dispatch.c prefixes messages with the op's name. */
#include <stdio.h>
#include <string.h>

#include "ops/ops.h"

#define CHECK(name) \
  static asl_status check_##name(const asl_call *call, asl_spec out[], int64_t *macs)
#define P(name) const asl_##name##_params *p = (const void *)call->param
#define IN(i) (call->in[i])
#define UNUSED (void)out, (void)macs

/* ---- vocabulary ----------------------------------------------------------------------------------- */
static asl_spec spec(asl_dtype dtype, asl_shape shape) {
  return (asl_spec){.present = true, .dtype = dtype, .shape = shape};
}
static asl_spec like(const asl_tensor *t) { return spec(t->dtype, t->shape); }
static asl_spec scalar(asl_dtype dtype) { return spec(dtype, (asl_shape){0}); }
static asl_shape shape1(int64_t a) { return (asl_shape){1, {a}}; }
static asl_shape shape4(int64_t a, int64_t b, int64_t c, int64_t d) {
  return (asl_shape){4, {a, b, c, d}};
}
static int64_t last(const asl_tensor *t) { return t->shape.size[t->shape.rank - 1]; }

static const char *slot_name(const asl_call *call, int i) {
  return asl_op_get(call->op)->in[i].name;
}



static asl_status need_dtype(const asl_call *call, int i, asl_dtype dtype) {
  if (!IN(i) || IN(i)->dtype == dtype) return ASL_OK;
  return asl_fail(ASL_EINVAL, "%s must be %s, it is %s", slot_name(call, i), asl_dtype_name(dtype),
                  asl_dtype_name(IN(i)->dtype));
}

static asl_status need_floats(const asl_call *call) {
  for (int i = 0; i < asl_op_get(call->op)->n_in; i++) ASL_TRY(need_dtype(call, i, ASL_F32));
  return ASL_OK;
}

static asl_status need_rank(const asl_call *call, int i, int rank, const char *axes) {
  char text[96];
  if (!IN(i) || IN(i)->shape.rank == rank) return ASL_OK;
  return asl_fail(ASL_EINVAL, "%s must have %d dimensions (%s), it is %s", slot_name(call, i), rank,
                  axes, asl_shape_text(IN(i)->shape, text));
}

static asl_status need_shape(const asl_call *call, int i, asl_shape shape) {
  char have[96], want[96];
  if (!IN(i) || asl_shape_equal(IN(i)->shape, shape)) return ASL_OK;
  return asl_fail(ASL_EINVAL, "%s must be %s, it is %s", slot_name(call, i),
                  asl_shape_text(shape, want), asl_shape_text(IN(i)->shape, have));
}

static asl_status need_same_dtype(const asl_call *call, int i, int j) {
  if (IN(i)->dtype == IN(j)->dtype) return ASL_OK;
  return asl_fail(ASL_EINVAL, "%s is %s but %s is %s: convert one with :to()", slot_name(call, i),
                  asl_dtype_name(IN(i)->dtype), slot_name(call, j), asl_dtype_name(IN(j)->dtype));
}

static asl_status need_picture(const asl_call *call, int i) {
  return need_rank(call, i, 4, "N,H,W,C");
}

static asl_status need_positive(const char *name, int64_t value) {
  if (value > 0) return ASL_OK;
  return asl_fail(ASL_EINVAL, "%s must be at least 1, not %lld", name, (long long)value);
}

static asl_status need_dim(int64_t dim, const asl_tensor *x) {
  if (dim >= 1 && dim <= x->shape.rank) return ASL_OK;
  return asl_fail(ASL_EINVAL, "dim must be between 1 and %d, not %lld", x->shape.rank,
                  (long long)dim);
}

static asl_status broadcast(asl_shape a, asl_shape b, asl_shape *out) {
  char ta[96], tb[96];
  out->rank = a.rank > b.rank ? a.rank : b.rank;
  for (int k = 1; k <= out->rank; k++) {
    int64_t sa = k <= a.rank ? a.size[a.rank - k] : 1, sb = k <= b.rank ? b.size[b.rank - k] : 1;
    if (sa != sb && sa != 1 && sb != 1)
      return asl_fail(ASL_EINVAL, "shapes %s and %s do not broadcast", asl_shape_text(a, ta),
                      asl_shape_text(b, tb));
    out->size[out->rank - k] = sa == 1 ? sb : sa;
  }
  return ASL_OK;
}

/* ---- views ------------------------------------------------------------------------------------------- */
CHECK(reshape) {
  UNUSED;
  P(reshape);
  char have[96], want[96];
  asl_shape shape = {.rank = (int)p->rank};
  if (p->rank < 0 || p->rank > ASL_MAX_RANK)
    return asl_fail(ASL_EINVAL, "rank must be 0 to %d, not %lld", ASL_MAX_RANK, (long long)p->rank);
  const int64_t *size = &p->d1;
  for (int d = 0; d < shape.rank; d++) {
    if (size[d] < 0) return asl_fail(ASL_EINVAL, "size %lld is negative", (long long)size[d]);
    shape.size[d] = size[d];
  }
  if (asl_shape_count(shape) != asl_tensor_count(IN(0)))
    return asl_fail(ASL_EINVAL, "%s has %lld elements, %s would have %lld",
                    asl_shape_text(IN(0)->shape, have), (long long)asl_tensor_count(IN(0)),
                    asl_shape_text(shape, want), (long long)asl_shape_count(shape));
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

/* ---- elementwise ---------------------------------------------------------------------------------------- */
static asl_status binary(const asl_call *call, asl_spec out[], bool to_u8) {
  ASL_TRY(need_same_dtype(call, 0, 1));
  asl_shape shape;
  ASL_TRY(broadcast(IN(0)->shape, IN(1)->shape, &shape));
  out[0] = spec(to_u8 ? ASL_U8 : IN(0)->dtype, shape);
  return ASL_OK;
}

static asl_status not_u8(const asl_call *call) {
  if (IN(0)->dtype != ASL_U8) return ASL_OK;
  return asl_fail(ASL_ENOTSUP, "no arithmetic on u8: convert with :to(\"f32\")");
}

static asl_status need_real(const asl_call *call) {
  if (IN(0)->dtype == ASL_F32 || IN(0)->dtype == ASL_F64) return ASL_OK;
  return asl_fail(ASL_ENOTSUP, "%s must be f32 or f64, it is %s", slot_name(call, 0),
                  asl_dtype_name(IN(0)->dtype));
}

static asl_status check_arithmetic(const asl_call *call, asl_spec out[], int64_t *macs) {
  (void)macs;
  ASL_TRY(not_u8(call));
  return binary(call, out, false);
}
#define check_add check_arithmetic
#define check_sub check_arithmetic
#define check_mul check_arithmetic
#define check_maximum check_arithmetic
#define check_minimum check_arithmetic

CHECK(div) {
  (void)macs;
  ASL_TRY(need_real(call));
  return binary(call, out, false);
}

static asl_status check_comparison(const asl_call *call, asl_spec out[], int64_t *macs) {
  (void)macs;
  return binary(call, out, true);
}
#define check_equal check_comparison
#define check_greater check_comparison

CHECK(where) {
  (void)macs;
  asl_shape shape;
  ASL_TRY(need_dtype(call, 0, ASL_U8));
  ASL_TRY(need_same_dtype(call, 1, 2));
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
#define check_affine check_unary
#define check_relu check_unary
#define check_exp check_unary
#define check_log check_unary
#define check_sqrt check_unary
#define check_abs check_unary
#define check_sigmoid check_unary
#define check_sign check_unary

CHECK(cast) {
  (void)macs;
  P(cast);
  if (p->dtype < 0 || p->dtype >= ASL_DTYPES)
    return asl_fail(ASL_EINVAL, "%lld is no dtype", (long long)p->dtype);
  out[0] = spec((asl_dtype)p->dtype, IN(0)->shape);
  return ASL_OK;
}

/* ---- reductions and joining -------------------------------------------------------------------------------- */
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
  return reduction(call, out, p->dim, p->keep);
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

/* ---- in place --------------------------------------------------------------------------------------------------- */
CHECK(fill) {
  UNUSED;
  (void)call;
  return ASL_OK;
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
  return need_shape(call, 1, IN(0)->shape);
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

/* ---- convolution and normalisation ---------------------------------------------------------------------------------- */
typedef struct geometry {
  int64_t stride, padding, dilation, groups;
} geometry;

static asl_status convolution(const asl_call *call, geometry g, asl_shape *y, int64_t *macs) {
  char a[96], b[96];
  ASL_TRY(need_picture(call, 0));
  ASL_TRY(need_rank(call, 1, 4, "O,kh,kw,C/groups"));
  ASL_TRY(need_positive("stride", g.stride));
  ASL_TRY(need_positive("dilation", g.dilation));
  ASL_TRY(need_positive("groups", g.groups));
  if (g.padding < 0)
    return asl_fail(ASL_EINVAL, "padding must not be negative, not %lld", (long long)g.padding);
  const int64_t *x = IN(0)->shape.size, *w = IN(1)->shape.size;
  if (x[3] != w[3] * g.groups)
    return asl_fail(ASL_EINVAL,
                    "weight expects %lld input channels, x has %lld (x %s, weight %s, groups %lld)",
                    (long long)(w[3] * g.groups), (long long)x[3], asl_shape_text(IN(0)->shape, a),
                    asl_shape_text(IN(1)->shape, b), (long long)g.groups);
  if (w[0] % g.groups != 0)
    return asl_fail(ASL_EINVAL, "%lld output channels do not divide into %lld groups",
                    (long long)w[0], (long long)g.groups);
  int64_t h = x[1] + 2 * g.padding - g.dilation * (w[1] - 1) - 1,
          v = x[2] + 2 * g.padding - g.dilation * (w[2] - 1) - 1;
  if (h < 0 || v < 0)
    return asl_fail(ASL_EINVAL, "the %lldx%lld kernel is larger than the padded %lldx%lld picture",
                    (long long)(g.dilation * (w[1] - 1) + 1), (long long)(g.dilation * (w[2] - 1) + 1),
                    (long long)(x[1] + 2 * g.padding), (long long)(x[2] + 2 * g.padding));
  *y = shape4(x[0], h / g.stride + 1, v / g.stride + 1, w[0]);
  *macs = asl_shape_count(*y) * w[1] * w[2] * w[3];
  return ASL_OK;
}
#define GEOMETRY(p) ((geometry){(p)->stride, (p)->padding, (p)->dilation, (p)->groups})

CHECK(conv2d) {
  P(conv2d);
  asl_shape y;
  ASL_TRY(need_floats(call));
  ASL_TRY(convolution(call, GEOMETRY(p), &y, macs));
  ASL_TRY(need_shape(call, 2, shape1(y.size[3])));
  out[0] = spec(ASL_F32, y);
  return ASL_OK;
}

CHECK(conv2d_backward) {
  P(conv2d_backward);
  asl_shape y;
  ASL_TRY(need_floats(call));
  ASL_TRY(convolution(call, GEOMETRY(p), &y, macs));
  ASL_TRY(need_shape(call, 2, y));
  if (p->need_dx) out[0] = like(IN(0));
  if (p->need_dweight) out[1] = like(IN(1));
  if (p->need_dbias) out[2] = spec(ASL_F32, shape1(y.size[3]));
  *macs *= (p->need_dx != 0) + (p->need_dweight != 0);
  return ASL_OK;
}

static asl_status need_channels(const asl_call *call, int first, int end, int64_t channels) {
  for (int i = first; i < end; i++) ASL_TRY(need_shape(call, i, shape1(channels)));
  return ASL_OK;
}

CHECK(batch_norm) {
  (void)macs;
  ASL_TRY(need_floats(call));
  if (IN(0)->shape.rank < 2)
    return asl_fail(ASL_EINVAL, "x needs at least 2 dimensions, channels last");
  ASL_TRY(need_channels(call, 1, 5, last(IN(0))));
  out[0] = like(IN(0));
  out[1] = out[2] = like(IN(1));
  return ASL_OK;
}

CHECK(batch_norm_backward) {
  (void)macs;
  P(batch_norm_backward);
  ASL_TRY(need_floats(call));
  ASL_TRY(need_channels(call, 1, 5, last(IN(0))));
  ASL_TRY(need_shape(call, 5, IN(0)->shape));
  if (p->need_dx) out[0] = like(IN(0));
  out[1] = out[2] = like(IN(1));
  return ASL_OK;
}

CHECK(conv_bn_act) {
  P(conv_bn_act);
  asl_shape y;
  ASL_TRY(need_floats(call));
  ASL_TRY(convolution(call, GEOMETRY(p), &y, macs));
  ASL_TRY(need_channels(call, 2, 7, y.size[3]));
  ASL_TRY(need_shape(call, 7, y));
  out[0] = out[1] = spec(ASL_F32, y);
  out[2] = out[3] = spec(ASL_F32, shape1(y.size[3]));
  return ASL_OK;
}

CHECK(conv_bn_act_backward) {
  P(conv_bn_act_backward);
  asl_shape y;
  ASL_TRY(need_floats(call));
  ASL_TRY(convolution(call, GEOMETRY(p), &y, macs));
  ASL_TRY(need_channels(call, 2, 4, y.size[3]));
  ASL_TRY(need_channels(call, 6, 8, y.size[3]));
  ASL_TRY(need_shape(call, 4, y));
  ASL_TRY(need_shape(call, 5, y));
  ASL_TRY(need_shape(call, 8, y));
  asl_spec channels = spec(ASL_F32, shape1(y.size[3]));
  if (p->need_dx) out[0] = like(IN(0));
  if (p->need_dweight) out[1] = like(IN(1));
  if (p->need_dbias) out[2] = channels;
  if (p->need_dgamma) out[3] = out[4] = channels;
  if (p->need_dresidual) out[5] = spec(ASL_F32, y);
  *macs *= (p->need_dx != 0) + (p->need_dweight != 0);
  return ASL_OK;
}

CHECK(dropout) {
  (void)macs;
  P(dropout);
  ASL_TRY(need_floats(call));
  if (!(p->p >= 0 && p->p < 1))
    return asl_fail(ASL_EINVAL, "p must be in [0, 1), not %g", p->p);
  out[0] = like(IN(0));
  return ASL_OK;
}

/* ---- resampling ---------------------------------------------------------------------------------------------------------- */
static asl_status need_pixels(const asl_call *call, int i) {
  char text[96];
  if (!IN(i) || (IN(i)->shape.size[1] > 0 && IN(i)->shape.size[2] > 0)) return ASL_OK;
  return asl_fail(ASL_EINVAL, "%s has no pixels: %s", slot_name(call, i),
                  asl_shape_text(IN(i)->shape, text));
}

static asl_status resampled(const asl_call *call, int64_t height, int64_t width, asl_shape *y) {
  ASL_TRY(need_dtype(call, 0, ASL_F32));
  ASL_TRY(need_picture(call, 0));
  ASL_TRY(need_pixels(call, 0));
  ASL_TRY(need_positive("height", height));
  ASL_TRY(need_positive("width", width));
  *y = shape4(IN(0)->shape.size[0], height, width, IN(0)->shape.size[3]);
  return ASL_OK;
}

CHECK(adaptive_avg_pool) {
  (void)macs;
  P(adaptive_avg_pool);
  out[0] = spec(ASL_F32, (asl_shape){0});
  return resampled(call, p->height, p->width, &out[0].shape);
}

/* dy of the resamplers: any height and width, x's pictures and channels. */
static asl_status need_resampled(const asl_call *call, int i) {
  ASL_TRY(need_picture(call, i));
  ASL_TRY(need_pixels(call, i));
  const int64_t *y = IN(i)->shape.size, *x = IN(0)->shape.size;
  return need_shape(call, i, shape4(x[0], y[1], y[2], x[3]));
}

static asl_status check_resample_backward(const asl_call *call, asl_spec out[], int64_t *macs) {
  (void)macs;
  ASL_TRY(need_floats(call));
  ASL_TRY(need_picture(call, 0));
  for (int i = 1; i < asl_op_get(call->op)->n_in; i++) ASL_TRY(need_resampled(call, i));
  out[0] = like(IN(0));
  return ASL_OK;
}
#define check_adaptive_avg_pool_backward check_resample_backward
#define check_pyramid_pool_backward check_resample_backward
#define check_resize_backward check_resample_backward

CHECK(pyramid_pool) {
  (void)macs;
  P(pyramid_pool);
  for (int k = 0; k < 4; k++) {
    int64_t b = (&p->b1)[k];
    out[k] = spec(ASL_F32, (asl_shape){0});
    ASL_TRY(resampled(call, b, b, &out[k].shape));
  }
  return ASL_OK;
}

CHECK(resize) {
  (void)macs;
  P(resize);
  out[0] = spec(ASL_F32, (asl_shape){0});
  return resampled(call, p->height, p->width, &out[0].shape);
}

CHECK(resize_concat) {
  (void)macs;
  ASL_TRY(need_floats(call));
  asl_shape y = {0};
  for (int i = 0; i < 5; i++) {
    ASL_TRY(need_picture(call, i));
    if (!IN(i)) continue;
    ASL_TRY(need_pixels(call, i));
    if (IN(i)->shape.size[0] != IN(0)->shape.size[0])
      return asl_fail(ASL_EINVAL, "x has %lld pictures, %s has %lld",
                      (long long)IN(0)->shape.size[0], slot_name(call, i),
                      (long long)IN(i)->shape.size[0]);
    y.size[3] += IN(i)->shape.size[3];
  }
  const int64_t *x = IN(0)->shape.size;
  out[0] = spec(ASL_F32, shape4(x[0], x[1], x[2], y.size[3]));
  return ASL_OK;
}

/* ---- losses and evaluation -------------------------------------------------------------------------------------------------- */
CHECK(softmax) {
  (void)macs;
  ASL_TRY(need_floats(call));
  if (IN(0)->shape.rank < 1) return asl_fail(ASL_EINVAL, "x is a scalar");
  out[0] = like(IN(0));
  return ASL_OK;
}
#define check_log_softmax check_softmax

/* logits (N,h,w,C), labels u8 (N,H,W), class_weight (C); labels of the logits' size if `same`. */
static asl_status need_labelled(const asl_call *call, bool same) {
  ASL_TRY(need_dtype(call, 0, ASL_F32));
  ASL_TRY(need_picture(call, 0));
  ASL_TRY(need_pixels(call, 0));
  ASL_TRY(need_dtype(call, 1, ASL_U8));
  ASL_TRY(need_rank(call, 1, 3, "N,H,W"));
  const int64_t *x = IN(0)->shape.size, *l = IN(1)->shape.size;
  if (x[3] < 1 || x[3] > 255)
    return asl_fail(ASL_EINVAL, "logits have %lld classes; class maps hold 1 to 255",
                    (long long)x[3]);
  asl_shape labels = {3, {x[0], same ? x[1] : l[1], same ? x[2] : l[2]}};
  ASL_TRY(need_shape(call, 1, labels));
  ASL_TRY(need_dtype(call, 2, ASL_F32));
  return need_shape(call, 2, shape1(x[3]));
}

CHECK(cross_entropy) {
  (void)macs;
  ASL_TRY(need_labelled(call, true));
  out[0] = scalar(ASL_F32);
  out[1] = scalar(ASL_I64);
  return ASL_OK;
}

CHECK(cross_entropy_backward) {
  (void)macs;
  ASL_TRY(need_labelled(call, true));
  ASL_TRY(need_dtype(call, 3, ASL_F32));
  ASL_TRY(need_shape(call, 3, (asl_shape){0}));
  out[0] = like(IN(0));
  return ASL_OK;
}

CHECK(upsample_cross_entropy) {
  (void)macs;
  ASL_TRY(need_labelled(call, false));
  out[0] = scalar(ASL_F32);
  out[1] = scalar(ASL_I64);
  out[2] = like(IN(0));
  return ASL_OK;
}

CHECK(upsample_argmax) {
  (void)macs;
  P(upsample_argmax);
  asl_shape y;
  ASL_TRY(resampled(call, p->height, p->width, &y));
  if (y.size[3] < 1 || y.size[3] > 255)
    return asl_fail(ASL_EINVAL, "logits have %lld classes; class maps hold 1 to 255",
                    (long long)y.size[3]);
  y.rank = 3;
  out[0] = spec(ASL_U8, y);
  return ASL_OK;
}

CHECK(confusion) {
  (void)macs;
  P(confusion);
  ASL_TRY(need_dtype(call, 0, ASL_U8));
  ASL_TRY(need_dtype(call, 1, ASL_U8));
  ASL_TRY(need_shape(call, 1, IN(0)->shape));
  if (p->classes < 1 || p->classes > 255)
    return asl_fail(ASL_EINVAL, "classes must be 1 to 255, not %lld", (long long)p->classes);
  out[0] = spec(ASL_I64, (asl_shape){2, {p->classes, p->classes}});
  return ASL_OK;
}

CHECK(count_valid) {
  (void)macs;
  out[0] = scalar(ASL_I64);
  return need_dtype(call, 0, ASL_U8);
}

CHECK(normalise) {
  (void)macs;
  ASL_TRY(need_dtype(call, 0, ASL_U8));
  ASL_TRY(need_picture(call, 0));
  if (last(IN(0)) != 3)
    return asl_fail(ASL_EINVAL, "x must have 3 channels, it has %lld", (long long)last(IN(0)));
  out[0] = spec(ASL_F32, IN(0)->shape);
  return ASL_OK;
}

/* ---- optimisers ---------------------------------------------------------------------------------------------------------------- */
static asl_status check_step(const asl_call *call, asl_spec out[], int64_t *macs) {
  UNUSED;
  ASL_TRY(need_floats(call));
  for (int i = 1; i < asl_op_get(call->op)->n_in; i++) {
    ASL_TRY(need_shape(call, i, IN(0)->shape));
    if (!asl_tensor_contiguous(IN(i)))
      return asl_fail(ASL_EINVAL, "%s is written in place and must be contiguous",
                      slot_name(call, i));
  }
  return ASL_OK;
}
#define check_sgd_step check_step
#define check_adam_step check_step

const asl_check_fn asl_checks[ASL_OP_COUNT] = {
#define ASL_OP(name, flags, inputs, outputs, params) [ASL_OP_##name] = check_##name,
#include "ops/ops.def"
#undef ASL_OP
};
