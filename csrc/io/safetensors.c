#include "io/safetensors.h"

#include <stdlib.h>
#include <string.h>

#include "io/file.h"
#include "base/read.h"

enum { HEAD = 8 };

struct asl_safetensors {
  char *path;
  asl_input source;
  char *header;
  size_t header_bytes;
};

static asl_status read_header(asl_safetensors *f) {
  uint64_t n;
  if (f->source.size < HEAD)
    return asl_fail(ASL_EDATA, "it has %lld bytes; the length of its header takes 8",
                    (long long)f->source.size);
  ASL_TRY(asl_input_read(&f->source, 0, &n, sizeof n));
  if (n > (uint64_t)(f->source.size - HEAD))
    return asl_fail(ASL_EDATA, "its header is to have %llu bytes, behind its length are %lld",
                    (unsigned long long)n, (long long)(f->source.size - HEAD));
  if (n > ASL_SAFETENSORS_MAX_HEADER)
    return asl_fail(ASL_ENOTSUP, "its header has %llu bytes; at most %d are read",
                    (unsigned long long)n, ASL_SAFETENSORS_MAX_HEADER);
  f->header_bytes = (size_t)n;
  f->header = malloc(f->header_bytes + 1);
  if (!f->header)
    return asl_fail(ASL_ENOMEM, "out of memory for its header of %zu bytes", f->header_bytes);
  f->header[n] = 0;
  return asl_input_read(&f->source, HEAD, f->header, f->header_bytes);
}

asl_status asl_safetensors_open(const char *path, asl_safetensors **out) {
  *out = NULL;
  asl_safetensors *f = calloc(1, sizeof *f);
  if (!f) return asl_fail(ASL_ENOMEM, "out of memory for a safetensors file");
  f->source.fd = -1;
  f->path = strdup(path);
  asl_status status = f->path ? asl_input_open(path, &f->source)
                              : asl_fail(ASL_ENOMEM, "out of memory for a path");
  if (status == ASL_OK) status = asl_wrap(read_header(f), "\"%s\"", path);
  if (status == ASL_OK) *out = f;
  else asl_safetensors_close(f);
  return status;
}

void asl_safetensors_close(asl_safetensors *f) {
  if (!f) return;
  asl_input_close(&f->source);
  free(f->header);
  free(f->path);
  free(f);
}

const char *asl_safetensors_header(const asl_safetensors *f, size_t *bytes) {
  *bytes = f->header_bytes;
  return f->header;
}

int64_t asl_safetensors_room(const asl_safetensors *f) {
  return f->source.size - HEAD - (int64_t)f->header_bytes;
}

static void set_strides(asl_file_array *array) {
  int64_t stride = 1;
  for (int d = array->shape.rank - 1; d >= 0; d--) {
    array->stride[d] = stride;
    /* With a size of 0 there is nothing to step over. */
    if (array->shape.size[d] > 0 && stride <= INT64_MAX / array->shape.size[d])
      stride *= array->shape.size[d];
  }
}

static asl_status read_tensor(const asl_safetensors *f, asl_file_array *array, int64_t begin,
                              bool narrow, asl_tensor **out) {
  int64_t count, reach, room = asl_safetensors_room(f);
  int64_t each = (int64_t)asl_file_dtype_about(array->dtype)->bytes;
  set_strides(array);
  ASL_TRY(asl_file_array_extent(array, &count, &reach));
  if (begin < 0 || begin > room || count > (room - begin) / each)
    return asl_fail(ASL_EDATA, "%lld elements of %s from byte %lld on, where %lld bytes are",
                    (long long)count, asl_file_dtype_about(array->dtype)->name, (long long)begin,
                    (long long)room);
  size_t bytes = (size_t)(count * each);
  char *data = malloc(bytes + 1);
  if (!data) return asl_fail(ASL_ENOMEM, "out of memory for a tensor of %zu bytes", bytes);
  asl_status status =
      asl_input_read(&f->source, HEAD + (int64_t)f->header_bytes + begin, data, bytes);
  array->data = data;
  if (status == ASL_OK) status = asl_file_array_tensor(array, narrow, out);
  free(data);
  return status;
}

asl_status asl_safetensors_tensor(const asl_safetensors *f, asl_file_dtype dtype, asl_shape shape,
                                  int64_t begin, bool narrow, asl_tensor **out) {
  asl_file_array array = {.dtype = dtype, .shape = shape};
  *out = NULL;
  return asl_wrap(read_tensor(f, &array, begin, narrow, out), "\"%s\"", f->path);
}

/* ---- writing -------------------------------------------------------------------------------- */

static asl_status put_all(asl_file *file, const char *header, size_t bytes,
                          asl_tensor *const tensors[], size_t count) {
  uint64_t n = bytes;
  ASL_TRY(asl_file_write(file, &n, sizeof n));
  ASL_TRY(asl_file_write(file, header, bytes));
  for (size_t i = 0; i < count; i++) {
    if (!asl_tensor_contiguous(tensors[i]) || tensors[i]->storage->device != ASL_CPU)
      return asl_fail(ASL_EINVAL, "a tensor to write is contiguous and in the CPU's memory");
    if (asl_tensor_count(tensors[i]) > 0)
      ASL_TRY(
          asl_file_write(file, asl_tensor_data(tensors[i]), (size_t)asl_tensor_bytes(tensors[i])));
  }
  return ASL_OK;
}

asl_status asl_safetensors_write(const char *path, const char *header, size_t bytes,
                                 asl_tensor *const tensors[], size_t count) {
  if (bytes > ASL_SAFETENSORS_MAX_HEADER)
    return asl_fail(ASL_EINVAL, "cannot write \"%s\": its header has %zu bytes, at most %d fit",
                    path, bytes, ASL_SAFETENSORS_MAX_HEADER);
  asl_file *file;
  ASL_TRY(asl_file_replace(path, &file));
  asl_status status = put_all(file, header, bytes, tensors, count);
  if (status == ASL_OK) return asl_file_commit(file, true);
  asl_file_close(file);
  return status;
}
