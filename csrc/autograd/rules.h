/* What gradient rules are written with. */
#ifndef ASL_AUTOGRAD_RULES_H
#define ASL_AUTOGRAD_RULES_H

#include <string.h>

#include "autograd/tape.h"

#define ASL_OP(name, flags, inputs, outputs, params)                                               \
  asl_status asl_rule_##name(asl_node *node, asl_tensor *din[]);
#include "ops/ops.def"
#undef ASL_OP

/* A rule, and its words: the gradient of the first output, what was saved, the parameters. */
#define RULE(name) asl_status asl_rule_##name(asl_node *node, asl_tensor *din[])
#define DY (node->dout[0])
#define X(i) (node->saved_in[i])
#define Y(i) (node->saved_out[i])
#define NODE_PARAMS(name) ASL_PARAMS(name, &node->call)

static inline void start(asl_call *call, asl_op op, const asl_node *node) {
  asl_call_init(call, op);
  call->at = node->call.at;
}

static inline asl_status run1(asl_call *call, asl_tensor **out) {
  ASL_TRY(asl_run(call));
  *out = call->out[0];
  return ASL_OK;
}

static inline asl_status unary(const asl_node *node, asl_op op, asl_tensor *a, asl_tensor **out) {
  asl_call call;
  start(&call, op, node);
  call.in[0] = a;
  return run1(&call, out);
}

static inline asl_status binary(const asl_node *node, asl_op op, asl_tensor *a, asl_tensor *b,
                                asl_tensor **out) {
  asl_call call;
  start(&call, op, node);
  call.in[0] = a;
  call.in[1] = b;
  return run1(&call, out);
}

/* op(op2(a, b), c); the intermediate is dropped. */
static inline asl_status chain(const asl_node *node, asl_op op2, asl_tensor *a, asl_tensor *b,
                               asl_op op, asl_tensor *c, asl_tensor **out) {
  asl_tensor *inner;
  ASL_TRY(binary(node, op2, a, b, &inner));
  asl_status status = binary(node, op, inner, c, out);
  asl_tensor_release(inner);
  return status;
}

#endif
