/* The gradient of every layer and loss, written with public ops. dy below is the gradient of the
 * first output. */
#include "autograd/rules.h"

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
  asl_tensor *in[] = {X(X_), X(WEIGHT), X(GAMMA), X(BETA), X(RESIDUAL),
                       Y(1),  Y(2),      Y(3),     DY,      DY->norm_sums};
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
  if (call.out[6]) din[X_]->norm_sums = call.out[6];
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
static asl_status shape_only(const asl_node *node, int i, asl_tensor **out) {
  return asl_shape_like(DY, node->in_shape[i], out);
}

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
  asl_tensor *in[] = {X(0), X(1), X(2), X(3), X(4), DY};
  memcpy(call.in, in, sizeof in);
  memcpy(call.param, node->call.param, sizeof call.param); /* the same ones */
  return run1(&call, &din[0]);
}

static asl_status cast_to(const asl_node *node, asl_tensor *x, asl_dtype dtype, asl_tensor **out) {
  asl_call call;
  start(&call, ASL_OP_cast, node);
  call.in[0] = x;
  ASL_PARAMS(cast, &call)->dtype = dtype;
  return run1(&call, out);
}

/* The gradient that came with the loss, times DY, which is f32: a bf16 gradient is rounded after that. */
static asl_status upsampled_gradient(const asl_node *node, asl_tensor **dlogits) {
  asl_tensor *wide, *product;
  if (Y(2)->dtype == ASL_F32) return binary(node, ASL_OP_mul, Y(2), DY, dlogits);
  ASL_TRY(cast_to(node, Y(2), ASL_F32, &wide));
  asl_status status = binary(node, ASL_OP_mul, wide, DY, &product);
  asl_tensor_release(wide);
  ASL_TRY(status);
  status = cast_to(node, product, Y(2)->dtype, dlogits);
  asl_tensor_release(product);
  return status;
}

RULE(upsample_cross_entropy) { return upsampled_gradient(node, &din[0]); }
RULE(upsample_soft_cross_entropy) { return upsampled_gradient(node, &din[0]); }
