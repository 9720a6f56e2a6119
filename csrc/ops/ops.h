/* Operations: the one way to compute with tensors, for Lua, autograd and the rest of the core. */
#ifndef ASL_OPS_OPS_H
#define ASL_OPS_OPS_H

#include "tensor/tensor.h"

enum { ASL_MAX_IN = 10, ASL_MAX_OUT = 7, ASL_MAX_PARAMS = 16 };

/* Parameters: a struct of 8-byte fields per op, so that it is also an array of asl_param. */
typedef union asl_param {
  int64_t i;
  double f;
} asl_param;

#define I(name, value) int64_t name;
#define F(name, value) double name;
#define NOTHING int64_t nothing;
#define ASL_OP(name, flags, inputs, outputs, params)                                               \
  typedef struct __attribute__((may_alias)) {                                                      \
    params                                                                                         \
  } asl_##name##_params;
#include "ops/ops.def"
#undef ASL_OP
#undef I
#undef F
#undef NOTHING

typedef enum asl_op {
#define ASL_OP(name, flags, inputs, outputs, params) ASL_OP_##name,
#include "ops/ops.def"
#undef ASL_OP
  ASL_OP_COUNT
} asl_op;

enum {
  ASL_OP_GRAD = 1,
  ASL_OP_NONE = 2,
  ASL_OP_INPLACE = 4,
  ASL_OP_STRIDED = 8,
  ASL_OP_PENDING = 16
};

typedef struct asl_slot { /* a named input or output */
  char name[16];
  bool optional, saved, shape_only;
} asl_slot;

typedef struct asl_param_info {
  const char *name;
  bool is_integer;
  asl_param value; /* default */
} asl_param_info;

typedef struct asl_op_info {
  const char *name;
  int flags, n_in, n_out, n_params;
  asl_slot in[ASL_MAX_IN], out[ASL_MAX_OUT];
  asl_param_info param[ASL_MAX_PARAMS];
} asl_op_info;

const asl_op_info *asl_op_get(asl_op op);

/* One call of an op, as checks, kernels and gradient rules see it. Absent slots are NULL. */
typedef struct asl_call {
  asl_op op;
  asl_tensor *in[ASL_MAX_IN];
  asl_tensor *out[ASL_MAX_OUT]; /* set by asl_run; the caller owns one reference each */
  asl_param param[ASL_MAX_PARAMS];
  const char *at; /* where: the layer's path for messages, or NULL */
} asl_call;

/* Fills in the op's default parameters; inputs NULL. */
void asl_call_init(asl_call *call, asl_op op);

/* The call's parameters as the op's struct: ASL_PARAMS(conv2d, call)->stride */
#define ASL_PARAMS(name, call) ((asl_##name##_params *)(void *)(call)->param)

/* Checks, allocates outputs, runs the kernel of the inputs' device and records the call for
 * autograd. On failure no output is set and nothing has changed. The message starts with the op's
 * name and the layer's path. */
asl_status asl_run(asl_call *call);

/* ---- for check.h --------------------------------------------------------------------------------
 */
typedef struct asl_spec { /* what an output will be */
  bool present;
  asl_dtype dtype;
  asl_shape shape;
} asl_spec;

/* Ops whose result shares their input's memory: ops/view.c; NULL for the others. */
typedef asl_status (*asl_view_fn)(asl_call *call);
extern const asl_view_fn asl_views[ASL_OP_COUNT];

/* ---- for backends -------------------------------------------------------------------------------
 */
/* Computes call->out from call->in. Shapes, dtypes and devices are checked, outputs allocated
 * (uninitialised), inputs contiguous unless the op is STRIDED, and settled. A PENDING op gets its
 * first input as it is, and its first output hollow when a gradient is wanted. */
typedef asl_status (*asl_kernel_fn)(const asl_call *call);
/* What a device can do at best, as measured: the two roofs of the roofline model (Williams et al.,
 * CACM 2009). */
typedef struct asl_peaks {
  double macs;  /* f32 multiply-adds per second */
  double bytes; /* to and from memory per second */
} asl_peaks;

typedef struct asl_backend {
  const char *name;                   /* "avx2", "portable", "cuda" */
  asl_kernel_fn kernel[ASL_OP_COUNT]; /* NULL: not supported, a clear error */
  /* Computes a pending tensor's values into `y`, a place for all of them. ASL_ENOMEM. */
  asl_status (*settle)(const asl_pending *pending, void *y);
  /* Takes a fraction of a second. ASL_ENOMEM. NULL: not known. */
  asl_status (*measure_peaks)(asl_peaks *peaks);
} asl_backend;

/* The backend in use for a device; NULL when there is none. Backends register themselves. */
const asl_backend *asl_backend_of(asl_device device);
void asl_backend_register(asl_device device, const asl_backend *backend);

/* ---- counters and checks --------------------------------------------------------------------- */
int64_t asl_macs(void);         /* multiply-adds of all calls so far */
void asl_check_finite(bool on); /* outputs that are not finite become errors that name the op */

/* Set once by autograd/: is a gradient through this call wanted; and keep the call for backward. */
extern bool (*asl_grad_wanted)(const asl_call *call);
extern asl_status (*asl_record)(asl_call *call);

/* ---- pending tensors -------------------------------------------------------------------------- */
/* Computes the values of a pending tensor; must come before its data is read. ASL_ENOMEM. */
asl_status asl_settle(asl_tensor *t);

/* What the values of `t` are made from, also after they were computed; NULL when t is an ordinary
 * tensor or only a part of a pending one. */
const asl_pending *asl_pending_of(const asl_tensor *t);

/* ---- short forms for C callers --------------------------------------------------------------- */
asl_status asl_contiguous(asl_tensor *x, asl_tensor **out); /* x itself, retained, when it is */
/* x itself, retained, when it lies there; else its values there, contiguous, without gradient.
 * ASL_ENOMEM, ASL_ENOTSUP. */
asl_status asl_to_device(asl_tensor *x, asl_device device, asl_tensor **out);
asl_status asl_fill(asl_tensor *x, double value);
asl_status asl_add(asl_tensor *a, asl_tensor *b, asl_tensor **out);
/* A tensor that has only a shape (all strides 0), for `~` inputs; shares `base`'s storage. */
asl_status asl_shape_like(asl_tensor *base, asl_shape shape, asl_tensor **out);

#endif
