/* The gradient of every op on arrays, written with public ops: views, elementwise, reductions and
 * joining. dy below is the gradient of the first output. */
#include "autograd/rules.h"

static asl_status affine(const asl_node *node, asl_tensor *x, double scale, double shift,
                         asl_tensor **out) {
  asl_call call;
  start(&call, ASL_OP_affine, node);
  call.in[0] = x;
  ASL_PARAMS(affine, &call)->scale = scale;
  ASL_PARAMS(affine, &call)->shift = shift;
  return run1(&call, out);
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
  if (!asl_dtype_is_real(node->in_dtype[0])) return ASL_OK;
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
