/* What checks are written with. */
#ifndef ASL_OPS_CHECK_H
#define ASL_OPS_CHECK_H

#include "ops/ops.h"

#define ASL_OP(name, flags, inputs, outputs, params)                                               \
  asl_status asl_check_##name(const asl_call *call, asl_spec out[], int64_t *macs);
#include "ops/ops.def"
#undef ASL_OP

/* A check, and its words: its parameters, its inputs, nothing to say of outputs. */
#define CHECK(name) asl_status asl_check_##name(const asl_call *call, asl_spec out[], int64_t *macs)
#define SAME_CHECK(name, function)                                                                 \
  CHECK(name) { return function(call, out, macs); }
#define P(name) const asl_##name##_params *p = (const void *)call->param
#define IN(i) (call->in[i])
#define UNUSED (void)out, (void)macs

static inline asl_spec spec(asl_dtype dtype, asl_shape shape) {
  return (asl_spec){.present = true, .dtype = dtype, .shape = shape};
}
static inline asl_spec like(const asl_tensor *t) { return spec(t->dtype, t->shape); }
static inline asl_spec scalar(asl_dtype dtype) { return spec(dtype, (asl_shape){0}); }
static inline asl_shape shape1(int64_t a) { return (asl_shape){1, {a}}; }
static inline asl_shape shape4(int64_t a, int64_t b, int64_t c, int64_t d) {
  return (asl_shape){4, {a, b, c, d}};
}
static inline int64_t last(const asl_tensor *t) { return t->shape.size[t->shape.rank - 1]; }

static inline const char *slot_name(const asl_call *call, int i) {
  return asl_op_get(call->op)->in[i].name;
}

static inline asl_status need_dtype(const asl_call *call, int i, asl_dtype dtype) {
  if (!call->in[i] || call->in[i]->dtype == dtype) return ASL_OK;
  return asl_fail(ASL_EINVAL, "%s must be %s, it is %s", slot_name(call, i), asl_dtype_name(dtype),
                  asl_dtype_name(call->in[i]->dtype));
}

/* The first n inputs are f32. */
static inline asl_status need_n_floats(const asl_call *call, int n) {
  for (int i = 0; i < n; i++) ASL_TRY(need_dtype(call, i, ASL_F32));
  return ASL_OK;
}

static inline asl_status need_floats(const asl_call *call) {
  return need_n_floats(call, asl_op_get(call->op)->n_in);
}

static inline asl_status need_rank(const asl_call *call, int i, int rank, const char *axes) {
  char text[96];
  if (!call->in[i] || call->in[i]->shape.rank == rank) return ASL_OK;
  return asl_fail(ASL_EINVAL, "%s must have %d dimensions (%s), it is %s", slot_name(call, i), rank,
                  axes, asl_shape_text(call->in[i]->shape, text));
}

static inline asl_status need_shape(const asl_call *call, int i, asl_shape shape) {
  char have[96], want[96];
  if (!call->in[i] || asl_shape_equal(call->in[i]->shape, shape)) return ASL_OK;
  return asl_fail(ASL_EINVAL, "%s must be %s, it is %s", slot_name(call, i),
                  asl_shape_text(shape, want), asl_shape_text(call->in[i]->shape, have));
}

/* bf16 is for devices that compute with it; the CPU only moves and converts it. */
static inline asl_status need_not_bf16_on_cpu(const asl_tensor *x) {
  if (x->dtype != ASL_BF16 || x->storage->device != ASL_CPU) return ASL_OK;
  return asl_fail(ASL_ENOTSUP, "bf16 is not supported on the cpu: convert with :to(\"f32\")");
}

static inline asl_status need_same_dtype(const asl_call *call, int i, int j) {
  if (call->in[i]->dtype == call->in[j]->dtype) return ASL_OK;
  return asl_fail(ASL_EINVAL, "%s is %s but %s is %s: convert one with :to()", slot_name(call, i),
                  asl_dtype_name(call->in[i]->dtype), slot_name(call, j),
                  asl_dtype_name(call->in[j]->dtype));
}

static inline asl_status need_picture(const asl_call *call, int i) {
  return need_rank(call, i, 4, "N,H,W,C");
}

static inline asl_status need_pixels(const asl_call *call, int i) {
  char text[96];
  const asl_tensor *t = call->in[i];
  if (!t || (t->shape.size[1] > 0 && t->shape.size[2] > 0)) return ASL_OK;
  return asl_fail(ASL_EINVAL, "%s has no pixels: %s", slot_name(call, i),
                  asl_shape_text(t->shape, text));
}

static inline asl_status need_elements(const asl_call *call, int i) {
  char text[96];
  if (asl_tensor_count(call->in[i]) > 0) return ASL_OK;
  return asl_fail(ASL_EINVAL, "%s has no elements: %s", slot_name(call, i),
                  asl_shape_text(call->in[i]->shape, text));
}

static inline asl_status need_positive(const char *name, int64_t value) {
  if (value > INT32_MAX)
    return asl_fail(ASL_EINVAL, "%s %lld is too large", name, (long long)value);
  if (value > 0) return ASL_OK;
  return asl_fail(ASL_EINVAL, "%s must be at least 1, not %lld", name, (long long)value);
}

static inline asl_status need_dim(int64_t dim, const asl_tensor *x) {
  if (dim >= 1 && dim <= x->shape.rank) return ASL_OK;
  return asl_fail(ASL_EINVAL, "dim must be between 1 and %d, not %lld", x->shape.rank,
                  (long long)dim);
}

static inline asl_status broadcast(asl_shape a, asl_shape b, asl_shape *out) {
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

#endif
