/* Checkpoints as torch.save writes them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/torch_parts.h"

enum { MAX_KEY = 64 };

/* A pickle that grows; the first failure stays. */
typedef struct pickle {
  char *bytes;
  size_t n, room;
  asl_status status;
} pickle;

static void put(pickle *p, const void *bytes, size_t n) {
  if (p->status == ASL_OK && n > p->room - p->n) {
    size_t room = 2 * (p->n + n) + 4096;
    char *moved = realloc(p->bytes, room);
    if (moved) {
      p->bytes = moved;
      p->room = room;
    } else {
      p->status = asl_fail(ASL_ENOMEM, "out of memory for a pickle of %zu bytes", room);
    }
  }
  if (p->status != ASL_OK) return;
  memcpy(p->bytes + p->n, bytes, n);
  p->n += n;
}

static void put_code(pickle *p, const char *code) { put(p, code, strlen(code)); }

static void put_number(pickle *p, char opcode, uint64_t value, size_t bytes) {
  char text[9] = {opcode};
  for (size_t i = 0; i < bytes; i++) text[i + 1] = (char)(value >> (8 * i));
  put(p, text, bytes + 1);
}

/* In the shortest form, as the pickler does. */
static void put_int(pickle *p, int64_t value) {
  if (value < 1 << 8) put_number(p, 'K', (uint64_t)value, 1);
  else if (value < 1 << 16) put_number(p, 'M', (uint64_t)value, 2);
  else if (value < (int64_t)1 << 31) put_number(p, 'J', (uint64_t)value, 4);
  else {
    put(p, "\x8a\x08", 2);
    put(p, &value, sizeof value);
  }
}

static void put_text(pickle *p, const char *text) {
  put_number(p, 'X', strlen(text), 4);
  put_code(p, text);
}

static void put_sizes(pickle *p, const int64_t sizes[], int rank) {
  put_code(p, "(");
  for (int d = 0; d < rank; d++) put_int(p, sizes[d]);
  put_code(p, "t");
}

/* Those of row-major order; a dimension of size 1 may have any other in memory. */
static void put_strides(pickle *p, asl_shape shape) {
  int64_t strides[ASL_MAX_RANK], stride = 1;
  for (int d = shape.rank - 1; d >= 0; d--) {
    strides[d] = stride;
    if (shape.size[d] > 0) stride *= shape.size[d];
  }
  put_sizes(p, strides, shape.rank);
}

/* _rebuild_tensor_v2(storage, 0, sizes, strides, False, OrderedDict()) */
static void put_tensor(pickle *p, const asl_tensor *t, const char *class, const char *key) {
  put_code(p, "ctorch._utils\n_rebuild_tensor_v2\n((");
  put_text(p, "storage");
  put_code(p, "ctorch\n");
  put_code(p, class);
  put_code(p, "\n");
  put_text(p, key);
  put_text(p, "cpu");
  put_int(p, asl_tensor_count(t));
  put_code(p, "tQ");
  put_int(p, 0);
  put_sizes(p, t->shape.size, t->shape.rank);
  put_strides(p, t->shape);
  put_code(p, "\x89"
              "ccollections\nOrderedDict\n)RtR");
}

static asl_status check(const char *name, const asl_tensor *t, const char **class) {
  asl_file_dtype dtype = asl_file_dtype_of(t->dtype);
  *class = dtype < ASL_FILE_DTYPES ? asl_file_dtype_about(dtype)->storage : NULL;
  if (!*class)
    return asl_fail(ASL_ENOTSUP, "%s: PyTorch has no storage of %s", name,
                    asl_dtype_name(t->dtype));
  if (!asl_tensor_contiguous(t) || t->storage->device != ASL_CPU)
    return asl_fail(ASL_EINVAL, "%s: a tensor to write is contiguous and in the CPU's memory",
                    name);
  return ASL_OK;
}

static void key_of(size_t i, char key[MAX_KEY]) { snprintf(key, MAX_KEY, "%zu", i); }

static asl_status make_pickle(pickle *p, const char *const names[], asl_tensor *const tensors[],
                              size_t count) {
  char key[MAX_KEY];
  const char *class;
  put_code(p, "\x80\x02"
              "ccollections\nOrderedDict\n)R(");
  for (size_t i = 0; i < count; i++) {
    ASL_TRY(check(names[i], tensors[i], &class));
    key_of(i, key);
    put_text(p, names[i]);
    put_tensor(p, tensors[i], class, key);
  }
  put_code(p, "u.");
  return p->status;
}

static asl_status add_all(asl_zip_writer *zip, const pickle *p, asl_tensor *const tensors[],
                          size_t count) {
  char key[MAX_KEY], name[MAX_KEY + 16];
  ASL_TRY(asl_zip_add(zip, "archive/data.pkl", p->bytes, p->n));
  ASL_TRY(asl_zip_add(zip, "archive/byteorder", "little", 6));
  for (size_t i = 0; i < count; i++) {
    key_of(i, key);
    snprintf(name, sizeof name, "archive/data/%s", key);
    size_t bytes = (size_t)asl_tensor_bytes(tensors[i]);
    ASL_TRY(asl_zip_add(zip, name, bytes ? asl_tensor_data(tensors[i]) : "", bytes));
  }
  return asl_zip_add(zip, "archive/version", "3\n", 2);
}

static asl_status write_archive(const char *path, const pickle *p, asl_tensor *const tensors[],
                                size_t count) {
  asl_zip_writer *zip;
  ASL_TRY(asl_zip_create(path, &zip));
  asl_status status = add_all(zip, p, tensors, count);
  if (status == ASL_OK) return asl_zip_finish(zip);
  asl_zip_abandon(zip);
  return status;
}

asl_status asl_torch_write(const char *path, const char *const names[], asl_tensor *const tensors[],
                           size_t count) {
  pickle p = {0};
  asl_status status = make_pickle(&p, names, tensors, count);
  if (status == ASL_OK) status = write_archive(path, &p, tensors, count);
  free(p.bytes);
  return status == ASL_EIO ? status : asl_wrap(status, "cannot write \"%s\"", path);
}
