#include "autograd/tape.h"

#include <stdlib.h>
#include <string.h>

static bool enabled = true;
static int64_t numbers, walks;

bool asl_grad_enable(bool on) {
  bool before = enabled;
  enabled = on;
  return before;
}

/* ---- recording ------------------------------------------------------------------------------- */
static bool wanted(const asl_call *call) {
  if (!enabled) return false;
  for (int i = 0; i < ASL_MAX_IN; i++)
    if (call->in[i] && call->in[i]->requires_grad) return true;
  return false;
}

/* A node's outputs know it, but a saved output must not keep its own node alive: it is saved as a
 * view of the same memory. */
static asl_status save_output(asl_tensor *t, asl_tensor **saved) {
  return asl_tensor_view(t, t->shape, t->stride, t->offset, saved);
}

static void drop_node(asl_node *node);

static void drop_saved(asl_node *node) {
  for (int i = 0; i < ASL_MAX_IN; i++) {
    asl_tensor_release(node->saved_in[i]);
    asl_tensor_release(node->leaf[i]);
    node->saved_in[i] = node->leaf[i] = NULL;
  }
  for (int i = 0; i < ASL_MAX_OUT; i++) {
    asl_tensor_release(node->saved_out[i]);
    asl_tensor_release(node->dout[i]);
    node->saved_out[i] = node->dout[i] = NULL;
  }
  if (node->custom) node->custom->free(node->custom);
  node->custom = NULL;
}

/* Long chains of nodes are freed in a loop, not by recursion: dropping a node's last reference only
 * puts it on the stack while an outer call empties that. */
static void drop_node(asl_node *node) {
  static asl_node **stack; /* nodes waiting to be freed; grows, is kept */
  static size_t depth, room;
  static bool draining;
  if (!node || --node->refs > 0) return;
  if (depth == room) {
    size_t larger = room ? 2 * room : 256;
    asl_node **grown = realloc(stack, larger * sizeof *stack);
    if (!grown) return; /* leaks this node rather than crash */
    stack = grown;
    room = larger;
  }
  stack[depth++] = node;
  if (draining) return;
  draining = true;
  while (depth > 0) {
    asl_node *n = stack[--depth];
    drop_saved(n);
    for (int i = 0; i < ASL_MAX_IN; i++) drop_node(n->parent[i]);
    free(n);
  }
  draining = false;
}

static void drop_autograd(asl_tensor *t) {
  drop_node(t->node);
  asl_tensor_release(t->grad);
  t->node = NULL;
  t->grad = NULL;
}

/* NULL without memory. */
static asl_node *new_node(void) {
  asl_node *node = calloc(1, sizeof *node);
  if (!node) {
    asl_fail(ASL_ENOMEM, "out of memory for the tape");
    return NULL;
  }
  node->refs = 1; /* until all is recorded: it may be that no output holds it (cast to u8) */
  node->number = ++numbers;
  return node;
}

static void take_input(asl_node *node, int i, asl_tensor *t) {
  node->has_in[i] = true;
  node->in_shape[i] = t->shape;
  node->in_dtype[i] = t->dtype;
  node->writes_in[i] = t->storage->writes;
  if (!t->requires_grad) return;
  node->need[i] = true;
  if (t->node) {
    node->parent[i] = t->node;
    node->parent_out[i] = t->node_out;
    t->node->refs++;
  } else {
    node->leaf[i] = asl_tensor_retain(t);
  }
}

static void give_output(asl_node *node, int i, asl_tensor *t) {
  t->requires_grad = true;
  t->node = node;
  t->node_out = i;
  node->refs++;
}

static asl_status record(asl_call *call) {
  const asl_op_info *info = asl_op_get(call->op);
  asl_node *node = new_node();
  if (!node) return ASL_ENOMEM;
  node->call = *call;
  memset(node->call.in, 0, sizeof node->call.in);
  memset(node->call.out, 0, sizeof node->call.out);
  for (int i = 0; i < info->n_in; i++) {
    asl_tensor *t = call->in[i];
    if (!t) continue;
    take_input(node, i, t);
    if (info->in[i].saved) node->saved_in[i] = asl_tensor_retain(t);
  }
  asl_status status = ASL_OK;
  for (int i = 0; i < info->n_out; i++) {
    asl_tensor *t = call->out[i];
    if (!t) continue;
    node->writes_out[i] = t->storage->writes;
    if (info->out[i].saved) {
      status = save_output(t, &node->saved_out[i]);
      if (status != ASL_OK) break;
    }
    if (info->out[i].saved && info->out[i].optional) continue; /* for the rule only */
    if (asl_dtype_is_real(t->dtype)) give_output(node, i, t);
  }
  drop_node(node);
  return status;
}

static asl_status record_custom(asl_tensor *x, asl_tensor *y, asl_custom_rule *rule) {
  if (y->requires_grad || !asl_dtype_is_real(y->dtype))
    return asl_fail(
        ASL_EINVAL,
        "a result that gets a gradient rule is a %s: it must be a float without a gradient of "
        "its own",
        y->requires_grad ? "tensor with a gradient" : asl_dtype_name(y->dtype));
  asl_node *node = new_node();
  if (!node) return ASL_ENOMEM;
  node->custom = rule;
  take_input(node, 0, x);
  give_output(node, 0, y);
  drop_node(node);
  return ASL_OK;
}

asl_status asl_record_custom(asl_tensor *x, asl_tensor *y, asl_custom_rule *rule) {
  asl_status status = ASL_OK;
  bool recorded = enabled && x->requires_grad;
  if (recorded) status = record_custom(x, y, rule);
  if (!recorded || status != ASL_OK) rule->free(rule);
  return status;
}

void asl_autograd_open(void) {
  asl_grad_wanted = wanted;
  asl_record = record;
  asl_tensor_drop_autograd = drop_autograd;
}

/* ---- backward -------------------------------------------------------------------------------- */
/* *sum += term; takes over the caller's reference to term. */
static asl_status add_to(asl_tensor **sum, asl_tensor *term) {
  if (!*sum) {
    *sum = term;
    return ASL_OK;
  }
  asl_tensor *both;
  asl_status status = asl_add(*sum, term, &both);
  asl_tensor_release(term);
  if (status != ASL_OK) return status;
  asl_tensor_release(*sum);
  *sum = both;
  return ASL_OK;
}

/* A leaf's gradient accumulates in place once it has memory of its own (a parameter's gradient is
 * a view of one buffer of all gradients, which must stay where it is). */
static asl_status add_to_leaf(asl_tensor *leaf, asl_tensor *term) {
  asl_status status = ASL_OK;
  if (!leaf->grad && term->refs == 1 && term->storage->refs == 1 && asl_tensor_contiguous(term)) {
    leaf->grad = term; /* nobody else knows it */
    return ASL_OK;
  }
  if (!leaf->grad) {
    status = asl_tensor_new(leaf->dtype, leaf->shape, leaf->storage->device, &leaf->grad);
    if (status == ASL_OK) status = asl_fill(leaf->grad, 0);
  }
  if (status == ASL_OK) {
    asl_call call;
    asl_call_init(&call, ASL_OP_accumulate);
    call.in[0] = leaf->grad;
    call.in[1] = term;
    status = asl_run(&call);
  }
  asl_tensor_release(term);
  return status;
}

static asl_status changed(const asl_slot *slot) {
  return asl_fail(ASL_EINVAL,
                  "%s was changed in place after the op: its gradient needs the value "
                  "of then",
                  slot->name);
}

static asl_status check_saved(const asl_node *node) {
  const asl_op_info *info = asl_op_get(node->call.op);
  for (int i = 0; i < info->n_in; i++)
    if (node->saved_in[i] && node->saved_in[i]->storage->writes != node->writes_in[i])
      return changed(&info->in[i]);
  for (int i = 0; i < info->n_out; i++)
    if (node->saved_out[i] && node->saved_out[i]->storage->writes != node->writes_out[i])
      return changed(&info->out[i]);
  return ASL_OK;
}

/* False where every way to the loss ends at an input that has no gradient, like class weights. */
static bool has_gradient(const asl_node *node) {
  for (int i = 0; i < ASL_MAX_OUT; i++)
    if (node->dout[i]) return true;
  return false;
}

static asl_status apply_rule(asl_node *node, asl_tensor *din[]) {
  if (node->custom) return node->custom->gradient(node->custom, node->dout[0], &din[0]);
  ASL_TRY(check_saved(node));
  return asl_rules[node->call.op](node, din);
}

/* A rule from outside may give anything. */
static asl_status check_custom(const asl_node *node, const asl_tensor *din) {
  char given[128];
  asl_shape shape = node->in_shape[0];
  if (!node->custom || !din) return ASL_OK;
  bool fits = din->dtype == node->in_dtype[0] && din->shape.rank == shape.rank;
  for (int d = 0; fits && d < shape.rank; d++) fits = din->shape.size[d] == shape.size[d];
  if (fits) return ASL_OK;
  return asl_fail(ASL_EINVAL, "the gradient rule gave %s for an input of another shape or dtype",
                  asl_tensor_text(din, given));
}

static asl_status pass(asl_node *node) {
  asl_tensor *din[ASL_MAX_IN] = {0};
  if (!has_gradient(node)) {
    drop_saved(node);
    return ASL_OK;
  }
  asl_status status = apply_rule(node, din);
  if (status == ASL_OK) status = check_custom(node, din[0]);
  for (int i = 0; i < ASL_MAX_IN; i++) {
    if (!din[i]) continue;
    if (status != ASL_OK || !node->need[i]) {
      asl_tensor_release(din[i]);
    } else if (node->parent[i]) {
      status = add_to(&node->parent[i]->dout[node->parent_out[i]], din[i]);
    } else {
      status = add_to_leaf(node->leaf[i], din[i]);
    }
  }
  bool custom = node->custom != NULL;
  drop_saved(node);
  if (custom) return status;
  return asl_wrap(status, node->call.at ? "gradient of %s (%s)" : "gradient of %s",
                  asl_op_get(node->call.op)->name, node->call.at);
}

typedef struct heap { /* nodes to pass, the newest on top */
  asl_node **node;
  size_t count, room;
} heap;

static bool newer(const asl_node *a, const asl_node *b) { return a->number > b->number; }

static asl_status push(heap *h, asl_node *node) {
  if (h->count == h->room) {
    size_t room = h->room ? 2 * h->room : 64;
    asl_node **grown = realloc(h->node, room * sizeof *grown);
    if (!grown) return asl_fail(ASL_ENOMEM, "out of memory for backward");
    h->node = grown;
    h->room = room;
  }
  size_t i = h->count++;
  for (; i > 0 && newer(node, h->node[(i - 1) / 2]); i = (i - 1) / 2)
    h->node[i] = h->node[(i - 1) / 2];
  h->node[i] = node;
  node->refs++;
  return ASL_OK;
}

static asl_node *pop(heap *h) {
  asl_node *top = h->node[0], *last = h->node[--h->count];
  size_t i = 0;
  for (;;) {
    size_t child = 2 * i + 1;
    if (child >= h->count) break;
    if (child + 1 < h->count && newer(h->node[child + 1], h->node[child])) child++;
    if (!newer(h->node[child], last)) break;
    h->node[i] = h->node[child];
    i = child;
  }
  h->node[i] = last;
  return top;
}

static asl_status used_already(void) {
  return asl_fail(ASL_EINVAL, "backward: this graph was used already; compute the loss anew");
}

/* A parent may be pushed several times: equal numbers come out of the heap together and are
 * skipped. */
static asl_status walk(heap *h, int64_t number) {
  while (h->count > 0) {
    asl_node *node = pop(h);
    asl_status status = ASL_OK;
    if (node->walk == 0) {
      node->walk = number;
      status = pass(node);
      for (int i = 0; i < ASL_MAX_IN && status == ASL_OK; i++)
        if (node->parent[i] && node->need[i]) status = push(h, node->parent[i]);
    } else if (node->walk != number) {
      status = used_already();
    }
    drop_node(node);
    ASL_TRY(status);
  }
  return ASL_OK;
}

asl_status asl_backward(asl_tensor *loss, double seed) {
  char text[128];
  if (asl_tensor_count(loss) != 1)
    return asl_fail(ASL_EINVAL, "backward starts from one number, not from %s",
                    asl_tensor_text(loss, text));
  if (!loss->node)
    return asl_fail(ASL_EINVAL, "backward: nothing to differentiate: no input required a gradient");
  if (loss->node->walk) return used_already();
  asl_tensor *one;
  ASL_TRY(asl_tensor_new(loss->dtype, loss->shape, loss->storage->device, &one));
  asl_status status = asl_fill(one, seed);
  bool before = asl_grad_enable(false); /* gradients of gradients are not kept */
  heap h = {0};
  if (status == ASL_OK) {
    status = add_to(&loss->node->dout[loss->node_out], one);
    if (status == ASL_OK) status = push(&h, loss->node);
    if (status == ASL_OK) status = walk(&h, ++walks);
  } else {
    asl_tensor_release(one);
  }
  while (h.count > 0) drop_node(pop(&h));
  free(h.node);
  asl_grad_enable(before);
  return status;
}
