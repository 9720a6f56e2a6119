#include "tensor/tensor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bf16.h"

static const struct {
  const char *name;
  size_t size;
} dtypes[ASL_DTYPES] = {
    [ASL_F32] = {"f32", 4}, [ASL_F64] = {"f64", 8}, [ASL_U8] = {"u8", 1},
    [ASL_I32] = {"i32", 4}, [ASL_I64] = {"i64", 8}, [ASL_BF16] = {"bf16", 2},
};

size_t asl_dtype_size(asl_dtype dtype) { return dtypes[dtype].size; }
const char *asl_dtype_name(asl_dtype dtype) { return dtypes[dtype].name; }

bool asl_dtype_from_name(const char *name, asl_dtype *dtype) {
  for (int d = 0; d < ASL_DTYPES; d++) {
    if (strcmp(name, dtypes[d].name) == 0) {
      *dtype = (asl_dtype)d;
      return true;
    }
  }
  return false;
}

int64_t asl_shape_count(asl_shape shape) {
  int64_t n = 1;
  for (int d = 0; d < shape.rank; d++) n *= shape.size[d];
  return n;
}

bool asl_shape_equal(asl_shape a, asl_shape b) {
  if (a.rank != b.rank) return false;
  for (int d = 0; d < a.rank; d++)
    if (a.size[d] != b.size[d]) return false;
  return true;
}

const char *asl_shape_text(asl_shape shape, char text[96]) {
  if (shape.rank == 0) return strcpy(text, "scalar");
  size_t n = 0;
  for (int d = 0; d < shape.rank && n < 80; d++)
    n += (size_t)snprintf(text + n, 96 - n, d ? "x%lld" : "%lld", (long long)shape.size[d]);
  return text;
}

const char *asl_tensor_text(const asl_tensor *t, char text[128]) {
  char shape[96];
  snprintf(text, 128, "%s %s", asl_dtype_name(t->dtype), asl_shape_text(t->shape, shape));
  return text;
}

static asl_status check_shape(asl_dtype dtype, asl_shape shape) {
  char text[96];
  if (shape.rank < 0 || shape.rank > ASL_MAX_RANK)
    return asl_fail(ASL_EINVAL, "a tensor has at most %d dimensions, not %d", ASL_MAX_RANK,
                    shape.rank);
  int64_t bytes = (int64_t)asl_dtype_size(dtype);
  for (int d = 0; d < shape.rank; d++) {
    if (shape.size[d] < 0)
      return asl_fail(ASL_EINVAL, "size %lld in shape %s is negative", (long long)shape.size[d],
                      asl_shape_text(shape, text));
    if (__builtin_mul_overflow(bytes, shape.size[d], &bytes) || bytes > (int64_t)1 << 46)
      return asl_fail(ASL_ENOMEM, "a tensor of shape %s is too large", asl_shape_text(shape, text));
  }
  return ASL_OK;
}

asl_status asl_tensor_new_hollow(asl_dtype dtype, asl_shape shape, asl_device device,
                                 asl_tensor **out) {
  *out = NULL;
  ASL_TRY(check_shape(dtype, shape));
  asl_tensor *t = calloc(1, sizeof *t);
  asl_storage *s = calloc(1, sizeof *s);
  if (!t || !s) {
    free(t);
    free(s);
    return asl_fail(ASL_ENOMEM, "out of memory for a tensor");
  }
  *s = (asl_storage){.refs = 1, .device = device,
                     .bytes = (size_t)asl_shape_count(shape) * asl_dtype_size(dtype)};
  t->refs = 1;
  t->dtype = dtype;
  t->shape = shape;
  t->storage = s;
  int64_t stride = 1;
  for (int d = shape.rank - 1; d >= 0; d--) {
    t->stride[d] = stride;
    stride *= shape.size[d];
  }
  *out = t;
  return ASL_OK;
}

asl_status asl_tensor_allocate(asl_tensor *t) {
  char text[128];
  asl_storage *s = t->storage;
  return asl_device_take(s->device, s->bytes, asl_tensor_text(t, text), &s->data);
}

asl_status asl_tensor_new(asl_dtype dtype, asl_shape shape, asl_device device, asl_tensor **out) {
  ASL_TRY(asl_tensor_new_hollow(dtype, shape, device, out));
  asl_status status = asl_tensor_allocate(*out);
  if (status == ASL_OK) return ASL_OK;
  asl_tensor_release(*out);
  *out = NULL;
  return status;
}

asl_status asl_tensor_set_pending(asl_tensor *t, asl_tensor *z, asl_tensor *affine, bool relu) {
  asl_pending *p = malloc(sizeof *p);
  if (!p) return asl_fail(ASL_ENOMEM, "out of memory for a tensor");
  *p = (asl_pending){asl_tensor_retain(z), asl_tensor_retain(affine), relu};
  t->storage->pending = p;
  return ASL_OK;
}

void asl_tensor_forget_pending(asl_tensor *t) {
  asl_pending *p = t->storage->pending;
  if (!p) return;
  asl_tensor_release(p->z);
  asl_tensor_release(p->affine);
  free(p);
  t->storage->pending = NULL;
}
asl_status asl_tensor_view(asl_tensor *base, asl_shape shape, const int64_t stride[],
                           int64_t offset, asl_tensor **out) {
  asl_tensor *t = calloc(1, sizeof *t);
  *out = t;
  if (!t) return asl_fail(ASL_ENOMEM, "out of memory for a view");
  t->refs = 1;
  t->dtype = base->dtype;
  t->shape = shape;
  memcpy(t->stride, stride, (size_t)shape.rank * sizeof *stride);
  t->offset = offset;
  t->storage = base->storage;
  t->storage->refs++;
  return ASL_OK;
}

void (*asl_tensor_drop_autograd)(asl_tensor *t);

asl_tensor *asl_tensor_retain(asl_tensor *t) {
  if (t) t->refs++;
  return t;
}

void asl_tensor_release(asl_tensor *t) {
  if (!t || --t->refs > 0) return;
  if (t->node || t->grad) asl_tensor_drop_autograd(t);
  asl_tensor_release(t->norm_sums);
  if (--t->storage->refs == 0) {
    asl_tensor_forget_pending(t);
    asl_device_give(t->storage->device, t->storage->data);
    free(t->storage);
  }
  free(t);
}

bool asl_tensor_contiguous(const asl_tensor *t) {
  int64_t expected = 1;
  for (int d = t->shape.rank - 1; d >= 0; d--) {
    if (t->shape.size[d] != 1 && t->stride[d] != expected) return false;
    expected *= t->shape.size[d];
  }
  return true;
}

int64_t asl_tensor_count(const asl_tensor *t) { return asl_shape_count(t->shape); }

int64_t asl_tensor_at(const asl_tensor *t, int64_t position) {
  int64_t at = 0;
  for (int d = t->shape.rank - 1; d >= 0; d--) {
    at += position % t->shape.size[d] * t->stride[d];
    position /= t->shape.size[d];
  }
  return at;
}

double asl_tensor_get(const asl_tensor *t, int64_t position) {
  const void *data = asl_tensor_data(t);
  int64_t at = asl_tensor_at(t, position);
  switch (t->dtype) {
  case ASL_F32: return ((const float *)data)[at];
  case ASL_F64: return ((const double *)data)[at];
  case ASL_U8: return ((const uint8_t *)data)[at];
  case ASL_I32: return ((const int32_t *)data)[at];
  case ASL_BF16: return asl_bf16_to_f32(((const uint16_t *)data)[at]);
  default: return (double)((const int64_t *)data)[at];
  }
}

void asl_tensor_set(asl_tensor *t, int64_t position, double value) {
  void *data = asl_tensor_data(t);
  int64_t at = asl_tensor_at(t, position);
  switch (t->dtype) {
  case ASL_F32: ((float *)data)[at] = (float)value; break;
  case ASL_F64: ((double *)data)[at] = value; break;
  case ASL_U8: ((uint8_t *)data)[at] = (uint8_t)value; break;
  case ASL_I32: ((int32_t *)data)[at] = (int32_t)value; break;
  case ASL_BF16: ((uint16_t *)data)[at] = asl_bf16_from_f32((float)value); break;
  default: ((int64_t *)data)[at] = (int64_t)value; break;
  }
}
