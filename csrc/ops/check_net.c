/* What the layers, losses and optimisers demand of their inputs, and what their outputs will be. */
#include "ops/check.h"
#include "ops/math/transform.h"

/* ---- dtypes ---------------------------------------------------------------------------------- */
/* Activations are f32, on devices that compute with it also bf16. */
static asl_status need_activation(const asl_call *call, int i) {
  if (!IN(i) || IN(i)->dtype != ASL_BF16) return need_dtype(call, i, ASL_F32);
  return need_not_bf16_on_cpu(IN(i));
}

/* x, the first input, and the inputs whose bit is set in `activations` have one dtype; the others up to `end` are
 * f32. */
static asl_status need_activations(const asl_call *call, unsigned activations, int end) {
  ASL_TRY(need_activation(call, 0));
  for (int i = 1; i < end; i++)
    ASL_TRY(need_dtype(call, i, activations >> i & 1 ? IN(0)->dtype : ASL_F32));
  return ASL_OK;
}

/* ---- convolution and normalisation ----------------------------------------------------------- */
typedef struct geometry {
  int64_t stride, padding, dilation, groups;
} geometry;

static asl_status convolution(const asl_call *call, geometry g, asl_shape *y, int64_t *macs) {
  char a[96], b[96];
  ASL_TRY(need_picture(call, 0));
  ASL_TRY(need_pixels(call, 0));
  ASL_TRY(need_rank(call, 1, 4, "O,kh,kw,C/groups"));
  ASL_TRY(need_elements(call, 1));
  ASL_TRY(need_positive("stride", g.stride));
  ASL_TRY(need_positive("dilation", g.dilation));
  ASL_TRY(need_positive("groups", g.groups));
  if (g.padding < 0 || g.padding > INT32_MAX)
    return asl_fail(ASL_EINVAL, "padding must be 0 to %d, not %lld", INT32_MAX,
                    (long long)g.padding);
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
                    (long long)(g.dilation * (w[1] - 1) + 1),
                    (long long)(g.dilation * (w[2] - 1) + 1), (long long)(x[1] + 2 * g.padding),
                    (long long)(x[2] + 2 * g.padding));
  *y = shape4(x[0], h / g.stride + 1, v / g.stride + 1, w[0]);
  *macs = asl_shape_count(*y) * w[1] * w[2] * w[3];
  return ASL_OK;
}
#define GEOMETRY(p) ((geometry){(p)->stride, (p)->padding, (p)->dilation, (p)->groups})

CHECK(conv2d) {
  P(conv2d);
  asl_shape y;
  ASL_TRY(need_activations(call, 0, 3));
  ASL_TRY(convolution(call, GEOMETRY(p), &y, macs));
  ASL_TRY(need_shape(call, 2, shape1(y.size[3])));
  out[0] = spec(IN(0)->dtype, y);
  return ASL_OK;
}

CHECK(conv2d_backward) {
  P(conv2d_backward);
  asl_shape y;
  ASL_TRY(need_activations(call, 1u << 2, 3)); /* dy */
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

/* x (..., C) with C >= 1, and the next four inputs (C). */
static asl_status need_normalisable(const asl_call *call, unsigned activations) {
  ASL_TRY(need_activations(call, activations, asl_op_get(call->op)->n_in));
  if (IN(0)->shape.rank < 2)
    return asl_fail(ASL_EINVAL, "x needs at least 2 dimensions, channels last");
  ASL_TRY(need_elements(call, 1));
  return need_channels(call, 1, 5, last(IN(0)));
}

CHECK(batch_norm) {
  (void)macs;
  ASL_TRY(need_normalisable(call, 0));
  out[0] = like(IN(0));
  out[1] = out[2] = like(IN(1));
  return ASL_OK;
}

CHECK(batch_norm_backward) {
  (void)macs;
  P(batch_norm_backward);
  ASL_TRY(need_normalisable(call, 1u << 5)); /* dy */
  ASL_TRY(need_shape(call, 5, IN(0)->shape));
  if (p->need_dx) out[0] = like(IN(0));
  out[1] = out[2] = like(IN(1));
  return ASL_OK;
}

CHECK(conv_bn_act) {
  P(conv_bn_act);
  asl_shape y;
  ASL_TRY(need_activations(call, 1u << 7, 8)); /* residual */
  ASL_TRY(convolution(call, GEOMETRY(p), &y, macs));
  ASL_TRY(need_channels(call, 2, 7, y.size[3]));
  ASL_TRY(need_shape(call, 7, y));
  out[0] = out[1] = spec(IN(0)->dtype, y);
  out[2] = out[3] = spec(ASL_F32, shape1(y.size[3]));
  return ASL_OK;
}

CHECK(conv_bn_act_backward) {
  P(conv_bn_act_backward);
  asl_shape y;
  ASL_TRY(need_activations(call, 1u << 4 | 1u << 5 | 1u << 8, 9)); /* residual, z, dy */
  ASL_TRY(need_dtype(call, 9, ASL_F64));
  ASL_TRY(convolution(call, GEOMETRY(p), &y, macs));
  ASL_TRY(need_channels(call, 2, 4, y.size[3]));
  ASL_TRY(need_channels(call, 6, 8, y.size[3]));
  ASL_TRY(need_shape(call, 4, y));
  ASL_TRY(need_shape(call, 5, y));
  ASL_TRY(need_shape(call, 8, y));
  ASL_TRY(need_shape(call, 9, (asl_shape){2, {2, y.size[3]}}));
  asl_spec channels = spec(ASL_F32, shape1(y.size[3]));
  if (p->need_dx) out[0] = like(IN(0));
  if (p->need_dweight) out[1] = like(IN(1));
  if (p->need_dbias) out[2] = channels;
  if (p->need_dgamma) out[3] = out[4] = channels;
  if (p->need_dresidual) out[5] = spec(IN(0)->dtype, y);
  if (p->need_dx && asl_pending_of(IN(0)))
    out[6] = spec(ASL_F64, (asl_shape){2, {2, IN(0)->shape.size[3]}});
  *macs *= (p->need_dx != 0) + (p->need_dweight != 0);
  return ASL_OK;
}

CHECK(dropout) {
  (void)macs;
  P(dropout);
  ASL_TRY(need_activation(call, 0));
  if (!(p->p >= 0 && p->p < 1)) return asl_fail(ASL_EINVAL, "p must be in [0, 1), not %g", p->p);
  out[0] = like(IN(0));
  return ASL_OK;
}

/* ---- resampling ------------------------------------------------------------------------------ */
static asl_status resampled(const asl_call *call, int64_t height, int64_t width, asl_shape *y) {
  ASL_TRY(need_activation(call, 0));
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
  out[0] = spec(IN(0)->dtype, (asl_shape){0});
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
  ASL_TRY(need_activations(call, ~0u, asl_op_get(call->op)->n_in));
  ASL_TRY(need_picture(call, 0));
  for (int i = 1; i < asl_op_get(call->op)->n_in; i++) ASL_TRY(need_resampled(call, i));
  out[0] = like(IN(0));
  return ASL_OK;
}
SAME_CHECK(adaptive_avg_pool_backward, check_resample_backward)
SAME_CHECK(pyramid_pool_backward, check_resample_backward)
SAME_CHECK(resize_backward, check_resample_backward)

CHECK(pyramid_pool) {
  (void)macs;
  P(pyramid_pool);
  for (int k = 0; k < 4; k++) {
    int64_t b = (&p->b1)[k];
    out[k] = spec(IN(0)->dtype, (asl_shape){0});
    ASL_TRY(resampled(call, b, b, &out[k].shape));
  }
  return ASL_OK;
}

CHECK(resize) {
  (void)macs;
  P(resize);
  out[0] = spec(IN(0)->dtype, (asl_shape){0});
  return resampled(call, p->height, p->width, &out[0].shape);
}

CHECK(resize_concat) {
  (void)macs;
  ASL_TRY(need_activations(call, ~0u, 5));
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
  out[0] = spec(IN(0)->dtype, shape4(x[0], x[1], x[2], y.size[3]));
  return ASL_OK;
}

/* ---- losses and evaluation ------------------------------------------------------------------- */
CHECK(softmax) {
  (void)macs;
  ASL_TRY(need_activation(call, 0));
  if (IN(0)->shape.rank < 1) return asl_fail(ASL_EINVAL, "x is a scalar");
  out[0] = like(IN(0));
  return ASL_OK;
}
SAME_CHECK(log_softmax, asl_check_softmax)

/* logits (N,h,w,C) of classes that fit into class maps. */
static asl_status need_logits(const asl_call *call) {
  ASL_TRY(need_activation(call, 0));
  ASL_TRY(need_picture(call, 0));
  ASL_TRY(need_pixels(call, 0));
  if (last(IN(0)) >= 1 && last(IN(0)) <= 255) return ASL_OK;
  return asl_fail(ASL_EINVAL, "logits have %lld classes; class maps hold 1 to 255",
                  (long long)last(IN(0)));
}

/* A map (N,H,W) for every pixel of the logits' pictures, at any size or at the logits' own. */
static asl_status need_map(const asl_call *call, int i, asl_dtype dtype, bool same) {
  ASL_TRY(need_dtype(call, i, dtype));
  ASL_TRY(need_rank(call, i, 3, "N,H,W"));
  const int64_t *x = IN(0)->shape.size, *map = IN(i)->shape.size;
  return need_shape(call, i, (asl_shape){3, {x[0], same ? x[1] : map[1], same ? x[2] : map[2]}});
}

static asl_status need_temperature(double temperature) {
  if (temperature >= 1e-3 && temperature <= 1e3) return ASL_OK;
  return asl_fail(ASL_EINVAL, "temperature must be 0.001 to 1000, not %g", temperature);
}

static asl_status need_count(const asl_call *call) {
  ASL_TRY(need_dtype(call, 4, ASL_I64));
  return need_shape(call, 4, (asl_shape){0});
}

/* logits, labels u8 (N,H,W), class_weight (C), pixel_weight like the labels, count. */
static asl_status need_labelled(const asl_call *call, bool same, double smoothing,
                                double temperature) {
  ASL_TRY(need_logits(call));
  ASL_TRY(need_map(call, 1, ASL_U8, same));
  ASL_TRY(need_dtype(call, 2, ASL_F32));
  ASL_TRY(need_shape(call, 2, shape1(last(IN(0)))));
  ASL_TRY(need_dtype(call, 3, ASL_F32));
  ASL_TRY(need_shape(call, 3, IN(1)->shape));
  ASL_TRY(need_count(call));
  if (!(smoothing >= 0 && smoothing <= 1))
    return asl_fail(ASL_EINVAL, "smoothing must be in [0, 1], not %g", smoothing);
  return need_temperature(temperature);
}

static void loss_specs(const asl_call *call, asl_spec out[]) {
  out[0] = scalar(ASL_F32);
  out[1] = scalar(ASL_I64);
  out[2] = like(IN(0)); /* dlogits, of those ops that have it */
}

CHECK(cross_entropy) {
  (void)macs;
  P(cross_entropy);
  ASL_TRY(need_labelled(call, true, p->smoothing, p->temperature));
  loss_specs(call, out);
  return ASL_OK;
}

CHECK(cross_entropy_backward) {
  (void)macs;
  P(cross_entropy_backward);
  ASL_TRY(need_labelled(call, true, p->smoothing, p->temperature));
  ASL_TRY(need_dtype(call, 5, ASL_F32));
  ASL_TRY(need_shape(call, 5, (asl_shape){0}));
  out[0] = like(IN(0));
  return ASL_OK;
}

CHECK(upsample_cross_entropy) {
  (void)macs;
  P(upsample_cross_entropy);
  ASL_TRY(need_labelled(call, false, p->smoothing, p->temperature));
  loss_specs(call, out);
  return ASL_OK;
}

CHECK(upsample_soft_cross_entropy) {
  (void)macs;
  P(upsample_soft_cross_entropy);
  ASL_TRY(need_logits(call));
  ASL_TRY(need_activation(call, 1));
  ASL_TRY(need_shape(call, 1, IN(0)->shape));
  ASL_TRY(need_positive("height", p->height));
  ASL_TRY(need_positive("width", p->width));
  asl_shape map = {3, {IN(0)->shape.size[0], p->height, p->width}};
  ASL_TRY(need_dtype(call, 2, ASL_U8));
  ASL_TRY(need_shape(call, 2, map));
  ASL_TRY(need_dtype(call, 3, ASL_F32));
  ASL_TRY(need_shape(call, 3, map));
  ASL_TRY(need_count(call));
  ASL_TRY(need_temperature(p->temperature));
  loss_specs(call, out);
  return ASL_OK;
}

CHECK(upsample_argmax) {
  (void)macs;
  P(upsample_argmax);
  ASL_TRY(need_logits(call));
  ASL_TRY(need_positive("height", p->height));
  ASL_TRY(need_positive("width", p->width));
  out[0] = spec(ASL_U8, (asl_shape){3, {IN(0)->shape.size[0], p->height, p->width}});
  return ASL_OK;
}

CHECK(upsample_confusion) {
  (void)macs;
  ASL_TRY(need_logits(call));
  ASL_TRY(need_map(call, 1, ASL_U8, false));
  out[0] = spec(ASL_I64, (asl_shape){2, {last(IN(0)), last(IN(0))}});
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
  P(normalise);
  ASL_TRY(need_dtype(call, 0, ASL_U8));
  if (p->dtype != ASL_F32 && (p->dtype != ASL_BF16 || IN(0)->storage->device == ASL_CPU))
    return asl_fail(ASL_EINVAL, "dtype must be f32, or on a GPU bf16");
  ASL_TRY(need_picture(call, 0));
  if (last(IN(0)) != 3)
    return asl_fail(ASL_EINVAL, "x must have 3 channels, it has %lld", (long long)last(IN(0)));
  out[0] = spec((asl_dtype)p->dtype, IN(0)->shape);
  return ASL_OK;
}

static asl_status need_side(const char *name, int64_t side) {
  if (side >= 1 && side <= ASL_TRANSFORM_SIDE) return ASL_OK;
  return asl_fail(ASL_EINVAL, "%s must be 1 to %d, not %lld", name, ASL_TRANSFORM_SIDE, (long long)side);
}

CHECK(augment) {
  (void)macs;
  P(augment);
  ASL_TRY(need_dtype(call, 0, ASL_U8));
  ASL_TRY(need_picture(call, 0));
  const int64_t *x = IN(0)->shape.size;
  if (x[3] != 3)
    return asl_fail(ASL_EINVAL, "x must have 3 channels, it has %lld", (long long)x[3]);
  ASL_TRY(need_side("the height of x", x[1]));
  ASL_TRY(need_side("the width of x", x[2]));
  ASL_TRY(need_dtype(call, 1, ASL_U8));
  ASL_TRY(need_shape(call, 1, (asl_shape){3, {x[0], x[1], x[2]}}));
  ASL_TRY(need_dtype(call, 2, ASL_I64));
  ASL_TRY(need_rank(call, 2, 1, "rows"));
  int64_t rows = IN(2)->shape.size[0];
  ASL_TRY(need_dtype(call, 3, ASL_F64));
  ASL_TRY(need_shape(call, 3, (asl_shape){2, {rows, ASL_TRANSFORM_VALUES}}));
  ASL_TRY(need_side("height", p->height));
  ASL_TRY(need_side("width", p->width));
  out[0] = spec(ASL_U8, shape4(rows, p->height, p->width, 3));
  if (IN(1)) out[1] = spec(ASL_U8, (asl_shape){3, {rows, p->height, p->width}});
  return ASL_OK;
}

/* ---- optimisers ------------------------------------------------------------------------------ */
static asl_status check_step(const asl_call *call, asl_spec out[], int64_t *macs) {
  UNUSED;
  int guard = asl_op_get(call->op)->n_in - 1;
  ASL_TRY(need_floats(call));
  if (IN(guard)) ASL_TRY(need_shape(call, guard, (asl_shape){0}));
  for (int i = 1; i < guard; i++) {
    ASL_TRY(need_shape(call, i, IN(0)->shape));
    if (i > 1 && !asl_tensor_contiguous(IN(i))) /* all but the gradient */
      return asl_fail(ASL_EINVAL, "%s is written in place and must be contiguous",
                      slot_name(call, i));
  }
  return ASL_OK;
}
SAME_CHECK(sgd_step, check_step)
SAME_CHECK(adam_step, check_step)
