/* Every call of every op passes through asl_run(): check, allocate, kernel, record. */
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/pool.h"
#include "base/trace.h"
#include "ops/check.h"
#include "ops/ops.h"

/* ---- the table, parsed once --------------------------------------------------------------------
 */
static asl_op_info infos[ASL_OP_COUNT];

static int parse_slots(const char *names, asl_slot slots[]) {
  int n = 0;
  while (*names) {
    size_t length = strcspn(names, " ");
    asl_slot *slot = &slots[n++];
    for (size_t i = 0; i < length; i++) {
      if (names[i] == '?') slot->optional = true;
      else if (names[i] == '*') slot->saved = true;
      else if (names[i] == '~') slot->shape_only = true;
      else slot->name[strlen(slot->name)] = names[i];
    }
    names += length;
    while (*names == ' ') names++;
  }
  return n;
}

static void parse_table(void) {
  enum {
    GRAD = ASL_OP_GRAD,
    NONE = ASL_OP_NONE,
    INPLACE = ASL_OP_INPLACE,
    STRIDED = ASL_OP_STRIDED,
    PENDING = ASL_OP_PENDING
  };
  asl_op_info *info;
#define I(name_, value_)                                                                           \
  info->param[info->n_params++] = (asl_param_info){#name_, true, {.i = (int64_t)(value_)}};
#define F(name_, value_)                                                                           \
  info->param[info->n_params++] = (asl_param_info){#name_, false, {.f = (double)(value_)}};
#define NOTHING
#define ASL_OP(name_, flags_, inputs, outputs, params)                                             \
  info = &infos[ASL_OP_##name_];                                                                   \
  info->name = #name_;                                                                             \
  info->flags = flags_;                                                                            \
  info->n_in = parse_slots(inputs, info->in);                                                      \
  info->n_out = parse_slots(outputs, info->out);                                                   \
  params
#include "ops/ops.def"
#undef ASL_OP
#undef I
#undef F
#undef NOTHING
}

const asl_op_info *asl_op_get(asl_op op) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, parse_table);
  return &infos[op];
}

void asl_call_init(asl_call *call, asl_op op) {
  const asl_op_info *info = asl_op_get(op);
  memset(call, 0, sizeof *call);
  call->op = op;
  for (int i = 0; i < info->n_params; i++) call->param[i] = info->param[i].value;
}

static asl_status (*const checks[ASL_OP_COUNT])(const asl_call *, asl_spec[], int64_t *) = {
#define ASL_OP(name, flags, inputs, outputs, params) [ASL_OP_##name] = asl_check_##name,
#include "ops/ops.def"
#undef ASL_OP
};

/* ---- backends and hooks ---------------------------------------------------------------------- */
static const asl_backend *backends[ASL_DEVICES];
bool (*asl_grad_wanted)(const asl_call *call);
asl_status (*asl_record)(asl_call *call);
static int64_t macs_total;
static bool finite_wanted;

const asl_backend *asl_backend_of(asl_device device) { return backends[device]; }
void asl_backend_register(asl_device device, const asl_backend *backend) {
  backends[device] = backend;
}
int64_t asl_macs(void) { return macs_total; }
void asl_check_finite(bool on) { finite_wanted = on; }

/* ---- pending tensors --------------------------------------------------------------------------- */
const asl_pending *asl_pending_of(const asl_tensor *t) {
  const asl_pending *p = t->storage->pending;
  return p && t->offset == 0 && asl_tensor_contiguous(t) &&
                 asl_shape_equal(t->shape, p->z->shape)
             ? p
             : NULL;
}

asl_status asl_settle(asl_tensor *t) {
  asl_storage *s = t->storage;
  if (s->data) return ASL_OK;
  ASL_TRY(asl_tensor_allocate(t));
  asl_status status = backends[s->device]->settle(s->pending, s->data);
  if (status == ASL_OK) return ASL_OK;
  asl_device_give(s->device, s->data);
  s->data = NULL;
  return status;
}

/* What is changed in place is no longer what it was made from. */
static asl_status forget_pending(asl_tensor *t) {
  ASL_TRY(asl_settle(t));
  asl_tensor_forget_pending(t);
  return ASL_OK;
}

static asl_status settle_inputs(const asl_call *call, const asl_op_info *info) {
  for (int i = 0; i < info->n_in; i++) {
    asl_tensor *t = call->in[i];
    bool takes_pending = i == 0 && (info->flags & ASL_OP_PENDING);
    if (!t || !t->storage->pending || info->in[i].shape_only || asl_views[call->op]) continue;
    if (i == 0 && (info->flags & ASL_OP_INPLACE)) ASL_TRY(forget_pending(t));
    else if (!takes_pending || !asl_pending_of(t)) ASL_TRY(asl_settle(t));
  }
  return ASL_OK;
}

/* ---- one call -------------------------------------------------------------------------------- */
static asl_status check_inputs(const asl_call *call, const asl_op_info *info) {
  const asl_tensor *first = call->in[0];
  for (int i = 0; i < info->n_in; i++) {
    const asl_tensor *t = call->in[i];
    if (!t) {
      if (info->in[i].optional) continue;
      return asl_fail(ASL_EINVAL, "input %d (%s) is missing", i + 1, info->in[i].name);
    }
    if (first && t->storage->device != first->storage->device)
      return asl_fail(ASL_EINVAL, "%s is on %s, %s on %s", info->in[0].name,
                      asl_device_name(first->storage->device), info->in[i].name,
                      asl_device_name(t->storage->device));
  }
  return ASL_OK;
}

/* The graph knows how a result was computed; changed in place, it would no longer be that. And what is
 * copied in place is not recorded, so a gradient would silently end there. */
static asl_status check_in_place(const asl_call *call, const asl_op_info *info) {
  if (!(info->flags & ASL_OP_INPLACE)) return ASL_OK;
  if (call->in[0]->node)
    return asl_fail(ASL_EINVAL,
                    "%s is the result of an op a gradient goes through and cannot be "
                    "changed in place: change its :clone() or :detach() it",
                    info->in[0].name);
  for (int i = 1; i < info->n_in; i++)
    if (call->in[i] && call->in[i]->requires_grad && asl_grad_wanted && asl_grad_wanted(call))
      return asl_fail(ASL_EINVAL,
                      "no gradient goes through a change in place: :detach() %s, or compute "
                      "without gradients (asl.no_grad)",
                      info->in[i].name);
  return ASL_OK;
}

/* Replaces inputs that are not contiguous by contiguous copies; `made` owns them. */
static asl_status make_contiguous(asl_call *call, const asl_op_info *info, asl_tensor *made[]) {
  if ((info->flags & ASL_OP_STRIDED) || asl_views[call->op]) return ASL_OK;
  for (int i = 0; i < info->n_in; i++) {
    asl_tensor *t = call->in[i];
    if (!t || info->in[i].shape_only || asl_tensor_contiguous(t)) continue;
    if ((info->flags & ASL_OP_INPLACE) && i == 0)
      return asl_fail(ASL_EINVAL, "%s is written in place and must be contiguous",
                      info->in[0].name);
    ASL_TRY(asl_contiguous(t, &made[i]));
    call->in[i] = made[i];
  }
  return ASL_OK;
}

static asl_status allocate(asl_call *call, const asl_op_info *info, const asl_spec spec[],
                           bool wanted) {
  asl_device device = call->in[0]->storage->device;
  for (int i = 0; i < info->n_out; i++) {
    bool only_for_gradient = info->out[i].saved && info->out[i].optional;
    if (!spec[i].present || (only_for_gradient && !wanted)) continue;
    bool hollow = i == 0 && wanted && (info->flags & ASL_OP_PENDING);
    ASL_TRY((hollow ? asl_tensor_new_hollow : asl_tensor_new)(spec[i].dtype, spec[i].shape, device,
                                                              &call->out[i]));
  }
  return ASL_OK;
}

static asl_status check_finite(asl_tensor *t, const char *name) {
  for (int64_t k = 0, n = asl_tensor_count(t); k < n; k++) {
    double x = asl_tensor_get(t, k);
    if (!isfinite(x))
      return asl_fail(ASL_EINVAL, "%s is not finite (%g at element %lld of %lld)", name,
                      isnan(x) ? (double)NAN : x, (long long)k + 1, (long long)n);
  }
  return ASL_OK;
}

static asl_status check_outputs_finite(const asl_call *call, const asl_op_info *info) {
  for (int i = 0; i < info->n_out; i++) {
    asl_tensor *t = call->out[i], *host;
    if (!t || (t->dtype != ASL_F32 && t->dtype != ASL_BF16)) continue;
    ASL_TRY(asl_to_device(t, ASL_CPU, &host));
    asl_status status = check_finite(host, info->out[i].name);
    asl_tensor_release(host);
    ASL_TRY(status);
  }
  return ASL_OK;
}

/* What a call must move at least: every input and output once; of the table that rows are taken from
 * or put into, only those rows. */
static int64_t bytes_of(const asl_call *call, const asl_op_info *info) {
  int64_t bytes = 0;
  for (int i = 0; i < info->n_in; i++)
    if (call->in[i] && !info->in[i].shape_only) bytes += asl_tensor_bytes(call->in[i]);
  for (int i = 0; i < info->n_out; i++)
    if (call->out[i]) bytes += asl_tensor_bytes(call->out[i]);
  if (call->op == ASL_OP_gather_rows)
    bytes += asl_tensor_bytes(call->out[0]) - asl_tensor_bytes(call->in[0]);
  if (call->op == ASL_OP_scatter_rows)
    bytes += asl_tensor_bytes(call->in[2]) - asl_tensor_bytes(call->in[0]);
  for (int i = 0; call->op == ASL_OP_augment && i < 2; i++) {
    if (!call->in[i]) continue;
    int64_t all = asl_tensor_bytes(call->in[i]), rows = call->in[i]->shape.size[0];
    bytes += (rows ? all / rows * call->in[2]->shape.size[0] : 0) - all;
  }
  return bytes;
}

static asl_status run_kernel(asl_kernel_fn kernel, const asl_call *call, const asl_op_info *info,
                             int64_t macs) {
  if (!asl_trace_on()) return kernel(call);
  asl_device device = call->in[0]->storage->device;
  int64_t span = asl_trace_begin(info->name, call->at);
  asl_status status = kernel(call);
  if (status == ASL_OK && device != ASL_CPU) status = asl_device_api_of(device)->synchronise();
  asl_trace_end(span, macs, bytes_of(call, info));
  return status;
}

static asl_status compute(asl_call *call, const asl_op_info *info, asl_tensor *made[]) {
  asl_spec spec[ASL_MAX_OUT] = {0};
  int64_t macs = 0;
  ASL_TRY(check_inputs(call, info));
  ASL_TRY(check_in_place(call, info));
  ASL_TRY(checks[call->op](call, spec, &macs));
  ASL_TRY(settle_inputs(call, info));
  ASL_TRY(make_contiguous(call, info, made));
  bool wanted = (info->flags & ASL_OP_GRAD) && asl_grad_wanted && asl_grad_wanted(call);
  if (asl_views[call->op]) {
    ASL_TRY(asl_views[call->op](call));
    return wanted ? asl_record(call) : ASL_OK;
  }
  ASL_TRY(allocate(call, info, spec, wanted));
  const asl_backend *backend = backends[call->in[0]->storage->device];
  asl_kernel_fn kernel = backend ? backend->kernel[call->op] : NULL;
  if (!kernel)
    return asl_fail(ASL_ENOTSUP, "not supported on device \"%s\"",
                    asl_device_name(call->in[0]->storage->device));
  if (info->flags & ASL_OP_INPLACE) call->in[0]->storage->writes++;
  ASL_TRY(run_kernel(kernel, call, info, macs));
  macs_total += macs;
  if (finite_wanted) ASL_TRY(check_outputs_finite(call, info));
  return wanted ? asl_record(call) : ASL_OK;
}

asl_status asl_run(asl_call *call) {
  const asl_op_info *info = asl_op_get(call->op);
  asl_tensor *original[ASL_MAX_IN], *made[ASL_MAX_IN] = {0};
  memcpy(original, call->in, sizeof original);
  memset(call->out, 0, sizeof call->out);
  asl_status status = compute(call, info, made);
  for (int i = 0; i < ASL_MAX_IN; i++) asl_tensor_release(made[i]);
  memcpy(call->in, original, sizeof original);
  if (status == ASL_OK) return ASL_OK;
  for (int i = 0; i < ASL_MAX_OUT; i++) {
    asl_tensor_release(call->out[i]);
    call->out[i] = NULL;
  }
  return call->at ? asl_wrap(status, "%s (%s)", info->name, call->at)
                  : asl_wrap(status, "%s", info->name);
}

/* ---- short forms ----------------------------------------------------------------------------- */
asl_status asl_contiguous(asl_tensor *x, asl_tensor **out) {
  if (asl_tensor_contiguous(x)) {
    *out = asl_tensor_retain(x);
    return ASL_OK;
  }
  asl_call call;
  asl_call_init(&call, ASL_OP_cast);
  call.in[0] = x;
  ASL_PARAMS(cast, &call)->dtype = x->dtype;
  ASL_TRY(asl_run(&call));
  *out = call.out[0];
  return ASL_OK;
}

static asl_status transfer(const asl_tensor *x, asl_tensor *y) {
  const asl_device_api *from, *to;
  asl_device source = x->storage->device, target = y->storage->device;
  ASL_TRY(asl_device_open(source, &from));
  ASL_TRY(asl_device_open(target, &to));
  size_t bytes = (size_t)asl_tensor_bytes(x);
  if (source == ASL_CPU) return to->upload(asl_tensor_data(y), asl_tensor_data(x), bytes);
  if (target == ASL_CPU) return from->download(asl_tensor_data(y), asl_tensor_data(x), bytes);
  return asl_fail(ASL_ENOTSUP, "there is no way from %s to %s but over the cpu", asl_device_name(source),
                  asl_device_name(target));
}

asl_status asl_to_device(asl_tensor *x, asl_device device, asl_tensor **out) {
  asl_tensor *whole;
  *out = NULL;
  ASL_TRY(asl_settle(x));
  if (x->storage->device == device) {
    *out = asl_tensor_retain(x);
    return ASL_OK;
  }
  ASL_TRY(asl_contiguous(x, &whole));
  asl_status status = asl_tensor_new(x->dtype, x->shape, device, out);
  if (status == ASL_OK) status = transfer(whole, *out);
  asl_tensor_release(whole);
  if (status == ASL_OK) return ASL_OK;
  asl_tensor_release(*out);
  *out = NULL;
  return status;
}

asl_status asl_fill(asl_tensor *x, double value) {
  asl_call call;
  asl_call_init(&call, ASL_OP_fill);
  call.in[0] = x;
  ASL_PARAMS(fill, &call)->value = value;
  return asl_run(&call);
}

asl_status asl_add(asl_tensor *a, asl_tensor *b, asl_tensor **out) {
  asl_call call;
  asl_call_init(&call, ASL_OP_add);
  call.in[0] = a;
  call.in[1] = b;
  ASL_TRY(asl_run(&call));
  *out = call.out[0];
  return ASL_OK;
}

asl_status asl_shape_like(asl_tensor *base, asl_shape shape, asl_tensor **out) {
  static const int64_t zero[ASL_MAX_RANK];
  return asl_tensor_view(base, shape, zero, base->offset, out);
}
