/* Reverse-mode differentiation.
 *
 * Every call of an op through which a gradient is wanted leaves a node: its parameters and what its
 * rule needs (the `*` slots of ops.def). Nodes form a graph held by the tensors they made; a graph
 * nobody can reach is freed. backward() walks it once from the newest node to the oldest, drops
 * what each node saved as soon as it is passed, and adds to the gradients of the leaves. */
#ifndef ASL_AUTOGRAD_TAPE_H
#define ASL_AUTOGRAD_TAPE_H

#include "ops/ops.h"

/* A gradient rule from outside the table, of one tensor to one tensor. Its owner embeds it. */
typedef struct asl_custom_rule {
  /* From the gradient of y to that of x (a reference, or NULL = zero). Nothing it does is recorded.
   */
  asl_status (*gradient)(struct asl_custom_rule *self, asl_tensor *dy, asl_tensor **dx);
  void (*free)(struct asl_custom_rule *self); /* when the node goes; cannot fail */
} asl_custom_rule;

typedef struct asl_node {
  int refs;
  int64_t number;                     /* nodes are numbered as they are made */
  asl_custom_rule *custom;            /* instead of an op's rule; NULL: the op's */
  asl_call call;                      /* op and parameters; its tensors are these: */
  asl_tensor *saved_in[ASL_MAX_IN];   /* saved inputs, NULL where not saved */
  asl_tensor *saved_out[ASL_MAX_OUT]; /* saved outputs */
  int64_t writes_in[ASL_MAX_IN], writes_out[ASL_MAX_OUT]; /* to their memory, until then */
  asl_shape in_shape[ASL_MAX_IN];                         /* shape of every input */
  asl_dtype in_dtype[ASL_MAX_IN];
  bool has_in[ASL_MAX_IN], need[ASL_MAX_IN]; /* given; gradient wanted */
  struct asl_node *parent[ASL_MAX_IN];       /* the node that made input i ... */
  int parent_out[ASL_MAX_IN];                /* ... as which of its outputs */
  asl_tensor *leaf[ASL_MAX_IN];              /* or the leaf that input i is */
  asl_tensor *dout[ASL_MAX_OUT];             /* gradients gathered during backward */
  int64_t walk;                              /* the backward that passed it, 0: none yet */
} asl_node;

/* A gradient rule: from node->dout to din[i] for every i with node->need[i] (one reference each;
 * NULL = zero). */
typedef asl_status (*asl_rule_fn)(asl_node *node, asl_tensor *din[]);
extern const asl_rule_fn asl_rules[ASL_OP_COUNT];

/* Connects autograd to dispatch; call once. */
void asl_autograd_open(void);

/* Recording is on at first; returns what it was. */
bool asl_grad_enable(bool on);

/* Records that y was made from x, by whatever means, and that `rule`, which passes into its hands,
 * is its gradient. Nothing is recorded, and the rule freed, where no gradient is wanted.
 * ASL_EINVAL: y has a gradient of its own already, or is no f32, f64 or bf16. ASL_ENOMEM. */
asl_status asl_record_custom(asl_tensor *x, asl_tensor *y, asl_custom_rule *rule);

/* Gradients of the scalar `loss` (times `seed`) are added to the grad of every leaf that requires
 * one. ASL_EINVAL: not a scalar, nothing to differentiate, or its graph was used already. */
asl_status asl_backward(asl_tensor *loss, double seed);

#endif
