/* Ops whose result shares their input's memory. */
#include <string.h>

#include "ops/ops.h"

static asl_status view_reshape(asl_call *call) {
  const asl_reshape_params *p = ASL_PARAMS(reshape, call);
  asl_shape shape = {.rank = (int)p->rank};
  memcpy(shape.size, &p->d1, sizeof shape.size);
  int64_t stride[ASL_MAX_RANK], n = 1;
  for (int d = shape.rank - 1; d >= 0; d--) {
    stride[d] = n;
    n *= shape.size[d];
  }
  asl_tensor *x; /* a reshaped view needs contiguous elements */
  ASL_TRY(asl_contiguous(call->in[0], &x));
  asl_status status = asl_tensor_view(x, shape, stride, x->offset, &call->out[0]);
  asl_tensor_release(x);
  return status;
}

static asl_status view_permute(asl_call *call) {
  const asl_permute_params *p = ASL_PARAMS(permute, call);
  const asl_tensor *x = call->in[0];
  asl_shape shape = {.rank = x->shape.rank};
  int64_t stride[ASL_MAX_RANK];
  for (int d = 0; d < shape.rank; d++) {
    int64_t axis = (&p->p1)[d] - 1;
    shape.size[d] = x->shape.size[axis];
    stride[d] = x->stride[axis];
  }
  return asl_tensor_view(call->in[0], shape, stride, x->offset, &call->out[0]);
}

static asl_status view_slice(asl_call *call) {
  const asl_slice_params *p = ASL_PARAMS(slice, call);
  const asl_tensor *x = call->in[0];
  asl_shape shape = x->shape;
  shape.size[p->dim - 1] = p->last - p->first + 1;
  return asl_tensor_view(call->in[0], shape, x->stride,
                         x->offset + (p->first - 1) * x->stride[p->dim - 1], &call->out[0]);
}

const asl_view_fn asl_views[ASL_OP_COUNT] = {
    [ASL_OP_reshape] = view_reshape,
    [ASL_OP_permute] = view_permute,
    [ASL_OP_slice] = view_slice,
};
