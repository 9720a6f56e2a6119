/* Tensors: a tensor is a view (shape, strides, offset) of a refcounted storage on a device.
 *
 * Pictures are channels-last, (N, H, W, C). Sizes and strides count elements; positions are
 * 0-based in C and 1-based in Lua. A tensor's shape and storage never change after creation.
 * Tensors are refcounted; the count is not atomic: tensors belong to the thread that runs the
 * script, kernels and loader threads only see their memory. */
#ifndef ASL_TENSOR_TENSOR_H
#define ASL_TENSOR_TENSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "tensor/device.h"

enum { ASL_MAX_RANK = 6 };

/* bf16: the upper half of an f32 (8 bits of precision), for activations on a GPU. */
typedef enum asl_dtype { ASL_F32, ASL_F64, ASL_U8, ASL_I32, ASL_I64, ASL_BF16, ASL_DTYPES } asl_dtype;

size_t asl_dtype_size(asl_dtype dtype);
const char *asl_dtype_name(asl_dtype dtype);
static inline bool asl_dtype_is_real(asl_dtype dtype) { /* gradients can be taken */
  return dtype == ASL_F32 || dtype == ASL_F64 || dtype == ASL_BF16;
}
/* False when `name` is no dtype. */
bool asl_dtype_from_name(const char *name, asl_dtype *dtype);

typedef struct asl_shape {
  int rank; /* 0 = a scalar */
  int64_t size[ASL_MAX_RANK];
} asl_shape;

int64_t asl_shape_count(asl_shape shape);
bool asl_shape_equal(asl_shape a, asl_shape b);
/* "8x32x40x3", or "scalar"; returns `text`. */
const char *asl_shape_text(asl_shape shape, char text[96]);

typedef struct asl_tensor asl_tensor;

/* What the values of a fused block are made from: y = act((z - mean) scale + beta). A consumer that
 * can normalises z as it loads it, and y is never stored; for any other reader y is computed once
 * (asl_settle() of ops.h). It stays after that, because gradients are taken from z. */
typedef struct asl_pending {
  asl_tensor *z;      /* f32 or bf16, the shape of y */
  asl_tensor *affine; /* f32 (3, C): mean, scale, beta */
  bool relu;
} asl_pending;

typedef struct asl_storage {
  int refs;
  asl_device device;
  size_t bytes;
  void *data;           /* NULL until settled */
  asl_pending *pending; /* NULL for ordinary values */
  int64_t writes; /* how often an op changed it in place: a saved tensor must not have changed */
} asl_storage;

struct asl_tensor {
  int refs;
  asl_dtype dtype;
  asl_shape shape;
  int64_t stride[ASL_MAX_RANK];
  int64_t offset; /* of the first element, in elements */
  asl_storage *storage;
  /* PRIVATE: autograd/ only */
  bool requires_grad;    /* a leaf whose gradient is wanted, or the result of one */
  struct asl_node *node; /* what made it, NULL for a leaf */
  int node_out;          /* ... as which output */
  asl_tensor *grad;      /* accumulated gradient of a leaf, or NULL */
  asl_tensor *norm_sums; /* of a gradient dy: what batch norm needs of it, if known (ops.def) */
};

/* A contiguous, uninitialised tensor. ASL_ENOMEM, ASL_ENOTSUP (device). */
asl_status asl_tensor_new(asl_dtype dtype, asl_shape shape, asl_device device, asl_tensor **out);

/* The same without memory, for a result that is pending: until asl_tensor_set_pending() or
 * asl_tensor_allocate() nothing may read it. */
asl_status asl_tensor_new_hollow(asl_dtype dtype, asl_shape shape, asl_device device,
                                 asl_tensor **out);

/* Gives a hollow tensor its memory, uninitialised. ASL_ENOMEM. */
asl_status asl_tensor_allocate(asl_tensor *t);

/* Says what a hollow tensor's values are made from; retains z and affine. ASL_ENOMEM. */
asl_status asl_tensor_set_pending(asl_tensor *t, asl_tensor *z, asl_tensor *affine, bool relu);

/* The values are there and shall stand for themselves. */
void asl_tensor_forget_pending(asl_tensor *t);

/* A view of `base`'s storage; bounds are the caller's duty. ASL_ENOMEM. */
asl_status asl_tensor_view(asl_tensor *base, asl_shape shape, const int64_t stride[],
                           int64_t offset, asl_tensor **out);

asl_tensor *asl_tensor_retain(asl_tensor *t); /* NULL allowed; returns t */
void asl_tensor_release(asl_tensor *t);       /* NULL allowed; cannot fail */

/* Called by release for a tensor with a node or a gradient; set once by autograd/. */
extern void (*asl_tensor_drop_autograd)(asl_tensor *t);

bool asl_tensor_contiguous(const asl_tensor *t);
int64_t asl_tensor_count(const asl_tensor *t);
static inline int64_t asl_tensor_bytes(const asl_tensor *t) {
  return asl_tensor_count(t) * (int64_t)asl_dtype_size(t->dtype);
}

/* The first element. */
static inline void *asl_tensor_data(const asl_tensor *t) {
  return (char *)t->storage->data + (size_t)t->offset * asl_dtype_size(t->dtype);
}
static inline float *asl_f32(const asl_tensor *t) { return (float *)asl_tensor_data(t); }
static inline uint8_t *asl_u8(const asl_tensor *t) { return (uint8_t *)asl_tensor_data(t); }
static inline int64_t *asl_i64(const asl_tensor *t) { return (int64_t *)asl_tensor_data(t); }

/* "f32 8x32x40x3"; returns `text`. */
const char *asl_tensor_text(const asl_tensor *t, char text[128]);

/* Element at a flat row-major position, as a double / written from a double (bf16: to nearest even). For
 * reading results and tests, not for loops. CPU only. */
double asl_tensor_get(const asl_tensor *t, int64_t position);
void asl_tensor_set(asl_tensor *t, int64_t position, double value);

/* Offset of a flat row-major position from the first element, in elements. */
int64_t asl_tensor_at(const asl_tensor *t, int64_t position);

#endif
