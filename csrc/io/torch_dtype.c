#include "io/torch_dtype.h"

#include <math.h>
#include <string.h>

#include "base/bf16.h"
#include "base/f16.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "weight files hold little-endian numbers, read as they lie in memory"
#endif

static const asl_file_dtype_info infos[] = {
    [ASL_FILE_F32] = {"f32", "FloatStorage", "float32", "F32", 4, true, ASL_F32},
    [ASL_FILE_F64] = {"f64", "DoubleStorage", "float64", "F64", 8, true, ASL_F64},
    [ASL_FILE_F16] = {"f16", "HalfStorage", "float16", "F16", 2, true, ASL_F32},
    [ASL_FILE_BF16] = {"bf16", "BFloat16Storage", "bfloat16", "BF16", 2, true, ASL_F32},
    [ASL_FILE_I64] = {"i64", "LongStorage", "int64", "I64", 8, true, ASL_I64},
    [ASL_FILE_I32] = {"i32", "IntStorage", "int32", "I32", 4, true, ASL_I32},
    [ASL_FILE_I16] = {"i16", "ShortStorage", "int16", "I16", 2, true, ASL_I32},
    [ASL_FILE_I8] = {"i8", "CharStorage", "int8", "I8", 1, true, ASL_I32},
    [ASL_FILE_U8] = {"u8", "ByteStorage", "uint8", "U8", 1, true, ASL_U8},
    [ASL_FILE_BOOL] = {"bool", "BoolStorage", "bool", "BOOL", 1, true, ASL_U8},
    [ASL_FILE_U16] = {"u16", NULL, "uint16", "U16", 2, true, ASL_I32},
    [ASL_FILE_U32] = {"u32", NULL, "uint32", "U32", 4, true, ASL_I64},
    [ASL_FILE_U64] = {"u64", NULL, "uint64", "U64", 8, true, ASL_I64},
    [ASL_FILE_C64] = {"c64", "ComplexFloatStorage", "complex64", "C64", 8, false, 0},
    [ASL_FILE_C128] = {"c128", "ComplexDoubleStorage", "complex128", "C128", 16, false, 0},
    [ASL_FILE_F8_E4M3] = {"f8_e4m3", NULL, "float8_e4m3fn", "F8_E4M3", 1, false, 0},
    [ASL_FILE_F8_E5M2] = {"f8_e5m2", NULL, "float8_e5m2", "F8_E5M2", 1, false, 0},
};

const asl_file_dtype_info *asl_file_dtype_about(asl_file_dtype dtype) { return &infos[dtype]; }

static asl_file_dtype find(size_t field, const char *name) {
  for (int d = 0; d < ASL_FILE_DTYPES; d++) {
    const char *known;
    memcpy(&known, (const char *)&infos[d] + field, sizeof known);
    if (known && strcmp(known, name) == 0) return (asl_file_dtype)d;
  }
  return ASL_FILE_DTYPES;
}

asl_file_dtype asl_file_dtype_of_storage(const char *name) {
  return find(offsetof(asl_file_dtype_info, storage), name);
}
asl_file_dtype asl_file_dtype_of_torch(const char *name) {
  return find(offsetof(asl_file_dtype_info, torch), name);
}
asl_file_dtype asl_file_dtype_of_safetensors(const char *name) {
  return find(offsetof(asl_file_dtype_info, safetensors), name);
}

asl_file_dtype asl_file_dtype_of(asl_dtype dtype) {
  return find(offsetof(asl_file_dtype_info, name), asl_dtype_name(dtype));
}

asl_status asl_file_array_extent(const asl_file_array *array, int64_t *count, int64_t *reach) {
  const int64_t most = (int64_t)1 << 56;
  int64_t last = 0, step;
  *count = 1;
  for (int d = 0; d < array->shape.rank; d++) {
    int64_t size = array->shape.size[d], stride = array->stride[d];
    if (size < 0 || stride < 0)
      return asl_fail(ASL_EDATA, "dimension %d has size %lld and stride %lld; both are at least 0",
                      d, (long long)size, (long long)stride);
    /* The product over the sizes that are not 0 must fit too: kernels compute it. */
    if (size > most || (size > 0 && *count > most / size))
      return asl_fail(ASL_EDATA, "its shape has more than 2^56 elements");
    if (stride > most ||
        (size > 1 && (__builtin_mul_overflow(size - 1, stride, &step) || step > most - last)))
      return asl_fail(ASL_EDATA, "its strides reach further than 2^56 elements");
    if (size > 1) last += step;
    if (size > 0) *count *= size;
  }
  for (int d = 0; d < array->shape.rank; d++)
    if (array->shape.size[d] == 0) *count = 0;
  *reach = *count > 0 ? last + 1 : 0;
  return ASL_OK;
}

/* ---- conversion ----------------------------------------------------------------------------- */

/* The body of a row's conversion, element by element. */
#define ROW(from_type, to_type, function)                                                          \
  do {                                                                                             \
    to_type *to = (to_type *)out;                                                                  \
    for (int64_t i = 0; i < n; i++) {                                                              \
      from_type x;                                                                                 \
      memcpy(&x, row + i * stride * (int64_t)sizeof x, sizeof x);                                  \
      to[i] = (to_type)function(x);                                                                \
    }                                                                                              \
  } while (0)

static asl_status check_bool(const uint8_t *x, int64_t stride, int64_t n) {
  for (int64_t i = 0; i < n; i++)
    if (x[i * stride] > 1)
      return asl_fail(ASL_EDATA, "it has the bool %d; a bool is 0 or 1", x[i * stride]);
  return ASL_OK;
}

static asl_status check_u64(const char *x, int64_t stride, int64_t n) {
  for (int64_t i = 0; i < n; i++) {
    uint64_t value;
    memcpy(&value, x + 8 * i * stride, sizeof value);
    if (value > INT64_MAX)
      return asl_fail(ASL_EDATA, "its value %llu does not fit into i64", (unsigned long long)value);
  }
  return ASL_OK;
}

static asl_status check_narrow(const char *x, int64_t stride, int64_t n) {
  for (int64_t i = 0; i < n; i++) {
    double value;
    memcpy(&value, x + 8 * i * stride, sizeof value);
    if (isfinite(value) && !isfinite((float)value))
      return asl_fail(ASL_EDATA, "its value %g does not fit into f32", value);
  }
  return ASL_OK;
}

static asl_status convert_row(asl_file_dtype dtype, bool narrow, const char *row, int64_t stride,
                              int64_t n, void *out) {
  switch (dtype) {
  case ASL_FILE_F32:
  case ASL_FILE_I32: ROW(uint32_t, uint32_t, ); break;
  case ASL_FILE_F64:
    if (narrow) {
      ASL_TRY(check_narrow(row, stride, n));
      ROW(double, float, );
      break;
    } /* fall through */
  case ASL_FILE_I64: ROW(uint64_t, uint64_t, ); break;
  case ASL_FILE_F16: ROW(uint16_t, float, asl_f16_to_f32); break;
  case ASL_FILE_BF16: ROW(uint16_t, float, asl_bf16_to_f32); break;
  case ASL_FILE_I16: ROW(int16_t, int32_t, ); break;
  case ASL_FILE_I8: ROW(int8_t, int32_t, ); break;
  case ASL_FILE_BOOL: ASL_TRY(check_bool((const uint8_t *)row, stride, n)); /* fall through */
  case ASL_FILE_U8: ROW(uint8_t, uint8_t, ); break;
  case ASL_FILE_U16: ROW(uint16_t, int32_t, ); break;
  case ASL_FILE_U32: ROW(uint32_t, int64_t, ); break;
  case ASL_FILE_U64:
    ASL_TRY(check_u64(row, stride, n));
    ROW(uint64_t, int64_t, );
    break;
  default: return asl_fail(ASL_ENOTSUP, "%s is not read", infos[dtype].name);
  }
  return ASL_OK;
}

static bool is_contiguous(const asl_file_array *array) {
  int64_t expected = 1;
  for (int d = array->shape.rank - 1; d >= 0; d--) {
    if (array->shape.size[d] != 1 && array->stride[d] != expected) return false;
    expected *= array->shape.size[d];
  }
  return true;
}

/* Calls convert_row for every row in row-major order. */
static asl_status convert(const asl_file_array *array, bool narrow, int64_t count,
                          asl_tensor *out) {
  if (count == 0) return ASL_OK;
  if (is_contiguous(array))
    return convert_row(array->dtype, narrow, array->data, 1, count, asl_tensor_data(out));
  int rank = array->shape.rank;
  int64_t n = rank ? array->shape.size[rank - 1] : 1, stride = rank ? array->stride[rank - 1] : 1;
  int64_t index[ASL_MAX_RANK] = {0}, at = 0;
  char *to = asl_tensor_data(out);
  size_t from_size = infos[array->dtype].bytes, to_size = asl_dtype_size(out->dtype);
  for (int64_t done = 0; done < count; done += n) {
    const char *row = (const char *)array->data + (size_t)at * from_size;
    ASL_TRY(convert_row(array->dtype, narrow, row, stride, n, to + (size_t)done * to_size));
    for (int d = rank - 2; d >= 0; d--) {
      at += array->stride[d];
      if (++index[d] < array->shape.size[d]) break;
      at -= index[d] * array->stride[d];
      index[d] = 0;
    }
  }
  return ASL_OK;
}

asl_status asl_file_array_tensor(const asl_file_array *array, bool narrow, asl_tensor **out) {
  const asl_file_dtype_info *info = &infos[array->dtype];
  int64_t count, reach;
  *out = NULL;
  if (!info->readable)
    return asl_fail(ASL_ENOTSUP, "it is %s, for which there is no tensor here", info->name);
  ASL_TRY(asl_file_array_extent(array, &count, &reach));
  asl_dtype as = narrow && array->dtype == ASL_FILE_F64 ? ASL_F32 : info->as;
  ASL_TRY(asl_tensor_new(as, array->shape, ASL_CPU, out));
  asl_status status = convert(array, narrow, count, *out);
  if (status != ASL_OK) {
    asl_tensor_release(*out);
    *out = NULL;
  }
  return status;
}
