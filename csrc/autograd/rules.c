/* The gradient of every op, written with public ops. dy below is the gradient of the first output.
 */
#include <string.h>

#include "autograd/tape.h"

#define RULE(name) static asl_status rule_##name(asl_node *node, asl_tensor *din[])
#define DY (node->dout[0])
#define X(i) (node->saved_in[i])
#define Y(i) (node->saved_out[i])
#define NODE_PARAMS(name) ASL_PARAMS(name, &node->call)

/* ---- calling ops ----------------------------------------------------------------------------- */
static void start(asl_call *call, asl_op op, const asl_node *node) {
  asl_call_init(call, op);
  call->at = node->call.at;
}

static asl_status run1(asl_call *call, asl_tensor **out) {
  ASL_TRY(asl_run(call));
  *out = call->out[0];
  return ASL_OK;
}

static asl_status unary(const asl_node *node, asl_op op, asl_tensor *a, asl_tensor **out) {
  asl_call call;
  start(&call, op, node);
  call.in[0] = a;
  return run1(&call, out);
}

static asl_status binary(const asl_node *node, asl_op op, asl_tensor *a, asl_tensor *b,
                         asl_tensor **out) {
  asl_call call;
  start(&call, op, node);
  call.in[0] = a;
  call.in[1] = b;
  return run1(&call, out);
}

static asl_status affine(const asl_node *node, asl_tensor *x, double scale, double shift,
                         asl_tensor **out) {
  asl_call call;
  start(&call, ASL_OP_affine, node);
  call.in[0] = x;
  ASL_PARAMS(affine, &call)->scale = scale;
  ASL_PARAMS(affine, &call)->shift = shift;
  return run1(&call, out);
}

/* op(op2(a, b), c); the intermediate is dropped. */
static asl_status chain(const asl_node *node, asl_op op2, asl_tensor *a, asl_tensor *b, asl_op op,
                        asl_tensor *c, asl_tensor **out) {
  asl_tensor *inner;
  ASL_TRY(binary(node, op2, a, b, &inner));
  asl_status status = binary(node, op, inner, c, out);
  asl_tensor_release(inner);
  return status;
}

static asl_status shape_only(const asl_node *node, int i, asl_tensor **out) {
  return asl_shape_like(DY, node->in_shape[i], out);
}

/* `x` summed down to input i's shape (the inverse of broadcasting); takes over the reference. */
static asl_status sum_to_input(const asl_node *node, int i, asl_tensor *x, asl_tensor **out) {
  if (asl_shape_equal(x->shape, node->in_shape[i])) {
    *out = x;
    return ASL_OK;
  }
  asl_tensor *like;
  asl_status status = asl_shape_like(x, node->in_shape[i], &like);
  if (status == ASL_OK) {
    status = binary(node, ASL_OP_sum_to, x, like, out);
    asl_tensor_release(like);
  }
  asl_tensor_release(x);
  return status;
}

/* dy broadcast to input i's shape, times `scale`. */
static asl_status expand(const asl_node *node, int i, asl_tensor *dy, double scale,
                         asl_tensor **out) {
  asl_tensor *zeros;
  ASL_TRY(asl_tensor_new(node->in_dtype[i], node->in_shape[i], dy->storage->device, &zeros));
  asl_status status = asl_fill(zeros, 0);
  asl_tensor *scaled = NULL;
  if (status == ASL_OK) status = affine(node, dy, scale, 0, &scaled);
  if (status == ASL_OK) status = binary(node, ASL_OP_add, zeros, scaled, out);
  asl_tensor_release(scaled);
  asl_tensor_release(zeros);
  return status;
}

static asl_status reshape_to(const asl_node *node, asl_tensor *x, asl_shape shape,
                             asl_tensor **out) {
  asl_call call;
  start(&call, ASL_OP_reshape, node);
  call.in[0] = x;
  asl_reshape_params *p = ASL_PARAMS(reshape, &call);
  p->rank = shape.rank;
  memcpy(&p->d1, shape.size, sizeof shape.size);
  return run1(&call, out);
}

/* ---- views ----------------------------------------------------------------------------------- */
RULE(reshape) { return reshape_to(node, DY, node->in_shape[0], &din[0]); }

RULE(permute) {
  asl_call call;
  start(&call, ASL_OP_permute, node);
  call.in[0] = DY;
  const int64_t *axis = &NODE_PARAMS(permute)->p1;
  for (int d = 0; d < node->in_shape[0].rank; d++)
    (&ASL_PARAMS(permute, &call)->p1)[axis[d] - 1] = d + 1;
  return run1(&call, &din[0]);
}

RULE(slice) {
  asl_tensor *zeros;
  ASL_TRY(asl_tensor_new(node->in_dtype[0], node->in_shape[0], DY->storage->device, &zeros));
  asl_call cut, copy;
  asl_status status = asl_fill(zeros, 0);
  start(&cut, ASL_OP_slice, node);
  memcpy(cut.param, node->call.param, sizeof cut.param);
  cut.in[0] = zeros;
  if (status == ASL_OK) status = asl_run(&cut);
  if (status == ASL_OK) {
    start(&copy, ASL_OP_copy, node);
    copy.in[0] = cut.out[0];
    copy.in[1] = DY;
    status = asl_run(&copy);
    asl_tensor_release(cut.out[0]);
  }
  if (status == ASL_OK) din[0] = zeros;
  else asl_tensor_release(zeros);
  return status;
}

/* ---- elementwise ----------------------------------------------------------------------------- */
RULE(add) {
  for (int i = 0; i < 2; i++)
    if (node->need[i]) ASL_TRY(sum_to_input(node, i, asl_tensor_retain(DY), &din[i]));
  return ASL_OK;
}

RULE(sub) {
  asl_tensor *negative;
  if (node->need[0]) ASL_TRY(sum_to_input(node, 0, asl_tensor_retain(DY), &din[0]));
  if (!node->need[1]) return ASL_OK;
  ASL_TRY(affine(node, DY, -1, 0, &negative));
  return sum_to_input(node, 1, negative, &din[1]);
}

RULE(mul) {
  asl_tensor *product;
  for (int i = 0; i < 2; i++) {
    if (!node->need[i]) continue;
    ASL_TRY(binary(node, ASL_OP_mul, DY, X(1 - i), &product));
    ASL_TRY(sum_to_input(node, i, product, &din[i]));
  }
  return ASL_OK;
}

RULE(div) { /* d(a/b) = da/b - (a/b) db/b */
  asl_tensor *quotient, *term, *negative;
  ASL_TRY(binary(node, ASL_OP_div, DY, X(1), &quotient));
  if (node->need[0]) {
    asl_status status = sum_to_input(node, 0, asl_tensor_retain(quotient), &din[0]);
    if (status != ASL_OK) {
      asl_tensor_release(quotient);
      return status;
    }
  }
  asl_status status = ASL_OK;
  if (node->need[1]) {
    status = chain(node, ASL_OP_mul, quotient, X(0), ASL_OP_div, X(1), &term);
    if (status == ASL_OK) {
      status = affine(node, term, -1, 0, &negative);
      asl_tensor_release(term);
    }
    if (status == ASL_OK) status = sum_to_input(node, 1, negative, &din[1]);
  }
  asl_tensor_release(quotient);
  return status;
}

/* din[i] = dy where mask (u8) is `value`, else 0. */
static asl_status masked(asl_node *node, asl_tensor *mask, bool value, int i, asl_tensor *din[]) {
  asl_tensor *zero, *chosen;
  ASL_TRY(asl_tensor_new(DY->dtype, (asl_shape){0}, DY->storage->device, &zero));
  asl_status status = asl_fill(zero, 0);
  if (status == ASL_OK) {
    asl_call call;
    start(&call, ASL_OP_where, node);
    call.in[0] = mask;
    call.in[1] = value ? DY : zero;
    call.in[2] = value ? zero : DY;
    status = run1(&call, &chosen);
  }
  asl_tensor_release(zero);
  ASL_TRY(status);
  return sum_to_input(node, i, chosen, &din[i]);
}

/* Of equal inputs the second one gets the gradient. */
static asl_status select_rule(asl_node *node, asl_tensor *din[], int greater) {
  asl_tensor *mask; /* 1 where the first input was chosen */
  ASL_TRY(binary(node, ASL_OP_greater, X(greater), X(1 - greater), &mask));
  asl_status status = ASL_OK;
  for (int i = 0; i < 2 && status == ASL_OK; i++)
    if (node->need[i]) status = masked(node, mask, i == 0, i, din);
  asl_tensor_release(mask);
  return status;
}
RULE(maximum) { return select_rule(node, din, 0); }
RULE(minimum) { return select_rule(node, din, 1); }

RULE(where) {
  for (int i = 1; i < 3; i++)
    if (node->need[i]) ASL_TRY(masked(node, X(0), i == 1, i, din));
  return ASL_OK;
}

RULE(affine) { return affine(node, DY, NODE_PARAMS(affine)->scale, 0, &din[0]); }

RULE(relu) {
  asl_tensor *zero, *mask = NULL;
  ASL_TRY(asl_tensor_new(DY->dtype, (asl_shape){0}, DY->storage->device, &zero));
  asl_status status = asl_fill(zero, 0);
  if (status == ASL_OK) status = binary(node, ASL_OP_greater, X(0), zero, &mask);
  if (status == ASL_OK) status = masked(node, mask, true, 0, din);
  asl_tensor_release(mask);
  asl_tensor_release(zero);
  return status;
}

RULE(exp) { return binary(node, ASL_OP_mul, DY, Y(0), &din[0]); }
RULE(log) { return binary(node, ASL_OP_div, DY, X(0), &din[0]); }

RULE(sqrt) { /* dy / (2 y) */
  asl_tensor *twice;
  ASL_TRY(affine(node, Y(0), 2, 0, &twice));
  asl_status status = binary(node, ASL_OP_div, DY, twice, &din[0]);
  asl_tensor_release(twice);
  return status;
}

RULE(abs) {
  asl_tensor *sign;
  ASL_TRY(unary(node, ASL_OP_sign, X(0), &sign));
  asl_status status = binary(node, ASL_OP_mul, DY, sign, &din[0]);
  asl_tensor_release(sign);
  return status;
}

RULE(sigmoid) { /* dy y (1 - y) */
  asl_tensor *rest;
  ASL_TRY(affine(node, Y(0), -1, 1, &rest));
  asl_status status = chain(node, ASL_OP_mul, DY, Y(0), ASL_OP_mul, rest, &din[0]);
  asl_tensor_release(rest);
  return status;
}

RULE(cast) {
  asl_call call;
  if (node->in_dtype[0] != ASL_F32 && node->in_dtype[0] != ASL_F64) return ASL_OK;
  start(&call, ASL_OP_cast, node);
  call.in[0] = DY;
  ASL_PARAMS(cast, &call)->dtype = node->in_dtype[0];
  return run1(&call, &din[0]);
}

/* ---- reductions and joining ------------------------------------------------------------------ */
/* `y` (a reduction's result, keep or not) with the reduced dimensions as size 1, to broadcast. */
static asl_status with_ones(const asl_node *node, asl_tensor *y, int64_t dim, asl_tensor **out) {
  asl_shape shape = node->in_shape[0];
  for (int d = 0; d < shape.rank; d++)
    if (dim == 0 || d == dim - 1) shape.size[d] = 1;
  return reshape_to(node, y, shape, out);
}

static asl_status spread(asl_node *node, asl_tensor *din[], int64_t dim, double scale) {
  asl_tensor *ones;
  ASL_TRY(with_ones(node, DY, dim, &ones));
  asl_status status = expand(node, 0, ones, scale, &din[0]);
  asl_tensor_release(ones);
  return status;
}

RULE(sum) { return spread(node, din, NODE_PARAMS(sum)->dim, 1); }

RULE(mean) {
  int64_t dim = NODE_PARAMS(mean)->dim;
  int64_t n = dim ? node->in_shape[0].size[dim - 1] : asl_shape_count(node->in_shape[0]);
  return spread(node, din, dim, 1.0 / (double)n);
}

RULE(max) { /* shared equally among equal maxima */
  int64_t dim = NODE_PARAMS(max)->dim;
  asl_tensor *y = NULL, *dy = NULL, *mask = NULL, *ones = NULL, *count = NULL, *share = NULL;
  asl_call sum;
  asl_status status = with_ones(node, Y(0), dim, &y);
  if (status == ASL_OK) status = with_ones(node, DY, dim, &dy);
  if (status == ASL_OK) status = binary(node, ASL_OP_equal, X(0), y, &mask);
  if (status == ASL_OK) {
    asl_call cast;
    start(&cast, ASL_OP_cast, node);
    cast.in[0] = mask;
    ASL_PARAMS(cast, &cast)->dtype = node->in_dtype[0];
    status = run1(&cast, &ones);
  }
  if (status == ASL_OK) {
    start(&sum, ASL_OP_sum, node);
    sum.in[0] = ones;
    ASL_PARAMS(sum, &sum)->dim = dim;
    status = run1(&sum, &share);
  }
  if (status == ASL_OK) status = with_ones(node, share, dim, &count);
  if (status == ASL_OK) status = chain(node, ASL_OP_div, ones, count, ASL_OP_mul, dy, &din[0]);
  asl_tensor *made[] = {y, dy, mask, ones, count, share};
  for (int i = 0; i < 6; i++) asl_tensor_release(made[i]);
  return status;
}

RULE(sum_to) { return expand(node, 0, DY, 1, &din[0]); }

RULE(concat) {
  int64_t dim = NODE_PARAMS(concat)->dim, first = 1;
  for (int i = 0; i < 6; i++) {
    if (!node->has_in[i]) continue;
    int64_t size = node->in_shape[i].size[dim - 1];
    if (node->need[i]) {
      asl_call call;
      start(&call, ASL_OP_slice, node);
      call.in[0] = DY;
      *ASL_PARAMS(slice, &call) = (asl_slice_params){dim, first, first + size - 1};
      ASL_TRY(run1(&call, &din[i]));
    }
    first += size;
  }
  return ASL_OK;
}

static asl_status transposed(const asl_node *node, asl_tensor *x, asl_tensor **out) {
  asl_call call;
  start(&call, ASL_OP_permute, node);
  call.in[0] = x;
  ASL_PARAMS(permute, &call)->p1 = 2;
  ASL_PARAMS(permute, &call)->p2 = 1;
  return run1(&call, out);
}

RULE(matmul) { /* dA = dY B', dB = A' dY */
  for (int i = 0; i < 2; i++) {
    if (!node->need[i]) continue;
    asl_tensor *t;
    ASL_TRY(transposed(node, X(1 - i), &t));
    asl_status status = i == 0 ? binary(node, ASL_OP_matmul, DY, t, &din[0])
                               : binary(node, ASL_OP_matmul, t, DY, &din[1]);
    asl_tensor_release(t);
    ASL_TRY(status);
  }
  return ASL_OK;
}

/* ---- convolution and normalisation ----------------------------------------------------------- */
RULE(conv2d) {
  const asl_conv2d_params *f = NODE_PARAMS(conv2d);
  asl_call call;
  start(&call, ASL_OP_conv2d_backward, node);
  call.in[0] = X(0);
  call.in[1] = X(1);
  call.in[2] = DY;
  *ASL_PARAMS(conv2d_backward, &call) = (asl_conv2d_backward_params){.stride = f->stride,
                                                                     .padding = f->padding,
                                                                     .dilation = f->dilation,
                                                                     .groups = f->groups,
                                                                     .need_dx = node->need[0],
                                                                     .need_dweight = node->need[1],
                                                                     .need_dbias = node->need[2]};
  ASL_TRY(asl_run(&call));
  memcpy(din, call.out, 3 * sizeof *din);
  return ASL_OK;
}

RULE(batch_norm) {
  const asl_batch_norm_params *f = NODE_PARAMS(batch_norm);
  asl_call call;
  start(&call, ASL_OP_batch_norm_backward, node);
  asl_tensor *in[] = {X(0), X(1), X(2), Y(1), Y(2), DY};
  memcpy(call.in, in, sizeof in);
  *ASL_PARAMS(batch_norm_backward, &call) = (asl_batch_norm_backward_params){
      .training = f->training, .relu = f->relu, .need_dx = node->need[0]};
  ASL_TRY(asl_run(&call));
  memcpy(din, call.out, 3 * sizeof *din);
  return ASL_OK;
}

RULE(conv_bn_act) {
  enum { X_, WEIGHT, BIAS, GAMMA, BETA, RUNNING_MEAN, RUNNING_VAR, RESIDUAL };
  const asl_conv_bn_act_params *f = NODE_PARAMS(conv_bn_act);
  bool copy_residual = node->need[RESIDUAL] && !f->relu; /* then its gradient is dy itself */
  asl_call call;
  start(&call, ASL_OP_conv_bn_act_backward, node);
  asl_tensor *in[] = {X(X_), X(WEIGHT), X(GAMMA), X(BETA), X(RESIDUAL), Y(1), Y(2), Y(3), DY};
  memcpy(call.in, in, sizeof in);
  *ASL_PARAMS(conv_bn_act_backward, &call) =
      (asl_conv_bn_act_backward_params){.stride = f->stride,
                                        .padding = f->padding,
                                        .dilation = f->dilation,
                                        .groups = f->groups,
                                        .training = f->training,
                                        .relu = f->relu,
                                        .need_dx = node->need[X_],
                                        .need_dweight = node->need[WEIGHT],
                                        .need_dbias = node->need[BIAS],
                                        .need_dgamma = node->need[GAMMA] || node->need[BETA],
                                        .need_dresidual = node->need[RESIDUAL] && f->relu};
  ASL_TRY(asl_run(&call));
  din[X_] = call.out[0];
  din[WEIGHT] = call.out[1];
  din[BIAS] = call.out[2];
  din[GAMMA] = call.out[3];
  din[BETA] = call.out[4];
  din[RESIDUAL] = copy_residual ? asl_tensor_retain(DY) : call.out[5];
  return ASL_OK;
}

RULE(dropout) {
  asl_call call;
  start(&call, ASL_OP_dropout, node);
  memcpy(call.param, node->call.param, sizeof call.param);
  call.in[0] = DY;
  return run1(&call, &din[0]);
}

/* ---- resampling ------------------------------------------------------------------------------ */
static asl_status resample_backward(asl_node *node, asl_op op, asl_tensor *dy, int i,
                                    int64_t align_corners, asl_tensor **out) {
  asl_call call;
  asl_tensor *like;
  ASL_TRY(shape_only(node, i, &like));
  start(&call, op, node);
  call.in[0] = like;
  call.in[1] = dy;
  if (op == ASL_OP_resize_backward)
    ASL_PARAMS(resize_backward, &call)->align_corners = align_corners;
  asl_status status = run1(&call, out);
  asl_tensor_release(like);
  return status;
}

RULE(adaptive_avg_pool) {
  return resample_backward(node, ASL_OP_adaptive_avg_pool_backward, DY, 0, 0, &din[0]);
}

RULE(resize) {
  return resample_backward(node, ASL_OP_resize_backward, DY, 0, NODE_PARAMS(resize)->align_corners,
                           &din[0]);
}

RULE(pyramid_pool) { /* a branch that was not used has a zero gradient */
  asl_call call;
  asl_tensor *any = NULL, *dy[4] = {0}, *like;
  asl_status status = ASL_OK;
  for (int k = 0; k < 4; k++) any = node->dout[k] ? node->dout[k] : any;
  for (int k = 0; k < 4 && status == ASL_OK; k++) {
    int64_t b = (&NODE_PARAMS(pyramid_pool)->b1)[k];
    asl_shape shape = {4, {node->in_shape[0].size[0], b, b, node->in_shape[0].size[3]}};
    if (node->dout[k]) {
      dy[k] = asl_tensor_retain(node->dout[k]);
    } else {
      status = asl_tensor_new(ASL_F32, shape, any->storage->device, &dy[k]);
      if (status == ASL_OK) status = asl_fill(dy[k], 0);
    }
  }
  if (status == ASL_OK) status = asl_shape_like(any, node->in_shape[0], &like);
  if (status == ASL_OK) {
    start(&call, ASL_OP_pyramid_pool_backward, node);
    call.in[0] = like;
    memcpy(call.in + 1, dy, sizeof dy);
    status = run1(&call, &din[0]);
    asl_tensor_release(like);
  }
  for (int k = 0; k < 4; k++) asl_tensor_release(dy[k]);
  return status;
}

RULE(resize_concat) {
  int64_t first = 1;
  for (int i = 0; i < 5; i++) {
    if (!node->has_in[i]) continue;
    int64_t channels = node->in_shape[i].size[3];
    if (node->need[i]) {
      asl_call cut;
      start(&cut, ASL_OP_slice, node);
      cut.in[0] = DY;
      *ASL_PARAMS(slice, &cut) = (asl_slice_params){4, first, first + channels - 1};
      ASL_TRY(asl_run(&cut));
      if (i == 0) {
        din[0] = cut.out[0];
      } else {
        asl_status status =
            resample_backward(node, ASL_OP_resize_backward, cut.out[0], i, 1, &din[i]);
        asl_tensor_release(cut.out[0]);
        ASL_TRY(status);
      }
    }
    first += channels;
  }
  return ASL_OK;
}

/* ---- losses ---------------------------------------------------------------------------------- */
/* sum over the last dimension, kept as size 1 */
static asl_status row_sum(const asl_node *node, asl_tensor *x, asl_tensor **out) {
  asl_call call;
  start(&call, ASL_OP_sum, node);
  call.in[0] = x;
  ASL_PARAMS(sum, &call)->dim = x->shape.rank;
  ASL_PARAMS(sum, &call)->keep = 1;
  return run1(&call, out);
}

RULE(softmax) { /* y (dy - sum(dy y)) */
  asl_tensor *product, *total = NULL;
  ASL_TRY(binary(node, ASL_OP_mul, DY, Y(0), &product));
  asl_status status = row_sum(node, product, &total);
  asl_tensor_release(product);
  if (status == ASL_OK) status = chain(node, ASL_OP_sub, DY, total, ASL_OP_mul, Y(0), &din[0]);
  asl_tensor_release(total);
  return status;
}

RULE(log_softmax) { /* dy - exp(y) sum(dy) */
  asl_tensor *total, *p = NULL, *product = NULL;
  ASL_TRY(row_sum(node, DY, &total));
  asl_status status = unary(node, ASL_OP_exp, Y(0), &p);
  if (status == ASL_OK) status = binary(node, ASL_OP_mul, p, total, &product);
  if (status == ASL_OK) status = binary(node, ASL_OP_sub, DY, product, &din[0]);
  asl_tensor_release(total);
  asl_tensor_release(p);
  asl_tensor_release(product);
  return status;
}

RULE(cross_entropy) {
  asl_call call;
  start(&call, ASL_OP_cross_entropy_backward, node);
  asl_tensor *in[] = {X(0), X(1), X(2), DY};
  memcpy(call.in, in, sizeof in);
  ASL_PARAMS(cross_entropy_backward, &call)->normaliser = NODE_PARAMS(cross_entropy)->normaliser;
  return run1(&call, &din[0]);
}

RULE(upsample_cross_entropy) { return binary(node, ASL_OP_mul, Y(2), DY, &din[0]); }

const asl_rule_fn asl_rules[ASL_OP_COUNT] = {
#define R(name) [ASL_OP_##name] = rule_##name
    R(reshape),
    R(permute),
    R(slice),
    R(add),
    R(sub),
    R(mul),
    R(div),
    R(maximum),
    R(minimum),
    R(where),
    R(affine),
    R(relu),
    R(exp),
    R(log),
    R(sqrt),
    R(abs),
    R(sigmoid),
    R(cast),
    R(sum),
    R(mean),
    R(max),
    R(sum_to),
    R(concat),
    R(matmul),
    R(conv2d),
    R(batch_norm),
    R(conv_bn_act),
    R(dropout),
    R(adaptive_avg_pool),
    R(pyramid_pool),
    R(resize),
    R(resize_concat),
    R(softmax),
    R(log_softmax),
    R(cross_entropy),
    R(upsample_cross_entropy),
#undef R
};
