/* Writing into an existing tensor: fill, copy, accumulate. */
#include <string.h>

#include "cpu/kernel.h"
#include "cpu/strided.h"
#include "ops/math/encode.h"

/* ---- fill ------------------------------------------------------------------------------------ */
typedef struct fill_job {
  char *x;
  int64_t count, element;
  uint64_t value; /* of its low bytes */
} fill_job;

static void fill_chunk(void *context, int64_t chunk) {
  const fill_job *j = context;
  int64_t first = chunk * CHUNK, end = min_i64(first + CHUNK, j->count);
  switch (j->element) {
    case 1: memset(j->x + first, (uint8_t)j->value, (size_t)(end - first)); break;
    case 2:
      for (int64_t i = first; i < end; i++) ((uint16_t *)(void *)j->x)[i] = (uint16_t)j->value;
      break;
    case 4:
      for (int64_t i = first; i < end; i++) ((uint32_t *)(void *)j->x)[i] = (uint32_t)j->value;
      break;
    default:
      for (int64_t i = first; i < end; i++) ((uint64_t *)(void *)j->x)[i] = j->value;
  }
}

ASL_KERNEL(fill) {
  asl_tensor *x = call->in[0];
  fill_job j = {.x = asl_tensor_data(x),
                .count = asl_tensor_count(x),
                .element = (int64_t)asl_dtype_size(x->dtype),
                .value = asl_encode(x->dtype, ASL_PARAMS(fill, call)->value)};
  asl_parallel(ceil_div(j.count, CHUNK), fill_chunk, &j);
  return ASL_OK;
}

/* ---- copy ------------------------------------------------------------------------------------ */
typedef struct copy_job {
  asl_walk walk; /* to, from */
  int64_t element;
} copy_job;

static void copy_row(void *context, char *const at[], const int64_t step[], int64_t n) {
  int64_t element = ((const copy_job *)context)->element, to = step[0], from = step[1];
  if (to == element && from == element) {
    memcpy(at[0], at[1], (size_t)(n * element));
    return;
  }
  for (int64_t i = 0; i < n; i++) {
    switch (element) {
      case 1: *(uint8_t *)(at[0] + i * to) = *(const uint8_t *)(at[1] + i * from); break;
      case 2: memcpy(at[0] + i * to, at[1] + i * from, 2); break;
      case 4: memcpy(at[0] + i * to, at[1] + i * from, 4); break;
      default: memcpy(at[0] + i * to, at[1] + i * from, 8);
    }
  }
}

static void copy_chunk(void *context, int64_t chunk) {
  const copy_job *j = context;
  asl_walk_rows(&j->walk, chunk * CHUNK, min_i64((chunk + 1) * CHUNK, j->walk.count), copy_row,
                context);
}

static void copy_into(asl_tensor *x, asl_tensor *source) {
  copy_job j = {.element = (int64_t)asl_dtype_size(x->dtype)};
  asl_walk_init(&j.walk, x->shape, 2, (asl_tensor *[]){x, source});
  asl_parallel(ceil_div(j.walk.count, CHUNK), copy_chunk, &j);
}

ASL_KERNEL(copy) {
  asl_tensor *x = call->in[0], *source = call->in[1], *apart;
  if (x->storage != source->storage) {
    copy_into(x, source);
    return ASL_OK;
  }
  /* They may overlap: all is read before anything is written. */
  ASL_TRY(asl_tensor_new(source->dtype, source->shape, ASL_CPU, &apart));
  copy_into(apart, source);
  copy_into(x, apart);
  asl_tensor_release(apart);
  return ASL_OK;
}

/* ---- accumulate ------------------------------------------------------------------------------ */
typedef struct accumulate_job {
  void *x;
  const void *y;
  int64_t count;
  asl_dtype dtype;
  double scale;
} accumulate_job;

/* U: the type to compute in; unsigned for whole numbers, which wrap around. */
#define ACCUMULATE(T, U, scale_)                                                      \
  do {                                                                                \
    T *x = j->x;                                                                      \
    const T *y = j->y; /* may be x */                                                 \
    const U scale = (U)(scale_);                                                      \
    for (int64_t i = first; i < end; i++) x[i] = (T)((U)x[i] + scale * (U)y[i]);      \
  } while (0)

static void accumulate_chunk(void *context, int64_t chunk) {
  const accumulate_job *j = context;
  int64_t first = chunk * CHUNK, end = min_i64(first + CHUNK, j->count);
  switch (j->dtype) {
    case ASL_F32: ACCUMULATE(float, float, j->scale); break;
    case ASL_F64: ACCUMULATE(double, double, j->scale); break;
    default: ACCUMULATE(int64_t, uint64_t, (int64_t)j->scale);
  }
}

ASL_KERNEL(accumulate) {
  asl_tensor *x = call->in[0], *y = call->in[1];
  accumulate_job j = {asl_tensor_data(x), asl_tensor_data(y), asl_tensor_count(x), x->dtype,
                      ASL_PARAMS(accumulate, call)->scale};
  asl_parallel(ceil_div(j.count, CHUNK), accumulate_chunk, &j);
  return ASL_OK;
}
