/* The element types of weight files, and how they become tensors.
 *
 *   in the file            here
 *   f32 f64 i64 i32 u8     the same
 *   f16 bf16               f32   (exact)
 *   i16 i8 u16             i32   (exact)
 *   u32 u64                i64   (a u64 of 2^63 and above is an error)
 *   bool                   u8    0 or 1; another value is an error
 *   c64 c128 f8            known by name and size, not read */
#ifndef ASL_IO_TORCH_DTYPE_H
#define ASL_IO_TORCH_DTYPE_H

#include "tensor/tensor.h"

typedef enum asl_file_dtype {
  ASL_FILE_F32,
  ASL_FILE_F64,
  ASL_FILE_F16,
  ASL_FILE_BF16,
  ASL_FILE_I64,
  ASL_FILE_I32,
  ASL_FILE_I16,
  ASL_FILE_I8,
  ASL_FILE_U8,
  ASL_FILE_BOOL,
  ASL_FILE_U16,
  ASL_FILE_U32,
  ASL_FILE_U64,
  ASL_FILE_C64,
  ASL_FILE_C128,
  ASL_FILE_F8_E4M3,
  ASL_FILE_F8_E5M2,
  ASL_FILE_DTYPES /* also "none" */
} asl_file_dtype;

typedef struct asl_file_dtype_info {
  const char *name;        /* as people see it: "bf16" */
  const char *storage;     /* class of module torch: "BFloat16Storage", or NULL */
  const char *torch;       /* object of module torch: "bfloat16" */
  const char *safetensors; /* "BF16" */
  size_t bytes;
  bool readable;
  asl_dtype as;
} asl_file_dtype_info;

const asl_file_dtype_info *asl_file_dtype_about(asl_file_dtype dtype);

/* ASL_FILE_DTYPES when no type has that name. */
asl_file_dtype asl_file_dtype_of_storage(const char *name);
asl_file_dtype asl_file_dtype_of_torch(const char *name);
asl_file_dtype asl_file_dtype_of_safetensors(const char *name);

/* How a tensor of this dtype is written. ASL_FILE_DTYPES when files know no such type. */
asl_file_dtype asl_file_dtype_of(asl_dtype dtype);

/* Elements somewhere in memory: position 0 is at `data`, the rest by strides (elements, >= 0). */
typedef struct asl_file_array {
  asl_file_dtype dtype;
  asl_shape shape;
  int64_t stride[ASL_MAX_RANK];
  const void *data;
} asl_file_array;

/* The number of elements, and of those that the strides reach (the last one's position + 1, 0 when
 * there are none). ASL_EDATA for negative sizes or strides and numbers beyond 2^56. */
asl_status asl_file_array_extent(const asl_file_array *array, int64_t *count, int64_t *reach);

/* A new contiguous tensor with these elements, converted as above; `narrow` rounds f64 to f32. Its
 * extent has been checked. ASL_ENOTSUP for a type that is not read, ASL_EDATA for a value that does
 * not fit, ASL_ENOMEM. */
asl_status asl_file_array_tensor(const asl_file_array *array, bool narrow, asl_tensor **out);

#endif
