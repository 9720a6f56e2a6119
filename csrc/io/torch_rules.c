/* What PyTorch's pickles may mention, and what it means. */
#include <stdio.h>
#include <string.h>

#include "io/torch_parts.h"

enum { TAG_STORAGE = 100, TAG_DTYPE = 200, TAG_UNTYPED = 300 };

/* ---- storages ------------------------------------------------------------------------------- */

static bool is_text(const asl_pickle_value *value, const char *text) {
  return value->type == ASL_PICKLE_STRING && value->n == strlen(text) &&
         memcmp(value->text, text, value->n) == 0;
}

static asl_status want(const asl_pickle_value *value, asl_pickle_type type, const char *what) {
  if (value->type == type) return ASL_OK;
  return asl_fail(ASL_EDATA, "%s is %s", what, asl_pickle_describe(value));
}

static asl_status storage_dtype(const asl_pickle_value *class, asl_file_dtype *dtype) {
  int tag = class->type == ASL_PICKLE_GLOBAL ? class->global->tag : 0;
  if (tag == TAG_UNTYPED) *dtype = ASL_FILE_U8;
  else if (tag >= TAG_STORAGE && tag < TAG_DTYPE) *dtype = (asl_file_dtype)(tag - TAG_STORAGE);
  else return asl_fail(ASL_EDATA, "the class of a storage is %s", asl_pickle_describe(class));
  return ASL_OK;
}

static asl_status positive(const asl_pickle_value *value, const char *what, int64_t *out) {
  const int64_t most = (int64_t)1 << 56;
  ASL_TRY(want(value, ASL_PICKLE_INT, what));
  *out = value->integer;
  if (*out >= 0 && *out <= most) return ASL_OK;
  return asl_fail(ASL_EDATA, "%s is %lld; it must be 0 to 2^56", what, (long long)*out);
}

/* Legacy files may say that a storage is a part of another: (key, offset, size). */
static asl_status read_view(const asl_pickle_value *view, asl_torch_storage *s) {
  s->view = 0;
  s->view_count = s->count;
  if (view->type == ASL_PICKLE_NONE) return ASL_OK;
  ASL_TRY(want(view, ASL_PICKLE_TUPLE, "the view of a storage"));
  if (view->n != 3)
    return asl_fail(ASL_EDATA, "the view of a storage has %zu parts, not 3", view->n);
  ASL_TRY(positive(view->items[1], "the offset of a view", &s->view));
  ASL_TRY(positive(view->items[2], "the size of a view", &s->view_count));
  if (s->view_count > s->count || s->view > s->count - s->view_count)
    return asl_fail(ASL_EDATA, "a view of %lld elements from %lld on, in a storage of %lld",
                    (long long)s->view_count, (long long)s->view, (long long)s->count);
  return ASL_OK;
}

/* ("storage", class, key, location, elements[, view]) */
static asl_status read_storage(const asl_pickle_value *id, asl_torch_storage *s) {
  if (id->type != ASL_PICKLE_TUPLE || id->n < 5 || id->n > 6 || !is_text(id->items[0], "storage"))
    return asl_fail(ASL_EDATA, "a persistent id that is no storage's");
  ASL_TRY(storage_dtype(id->items[1], &s->dtype));
  ASL_TRY(want(id->items[2], ASL_PICKLE_STRING, "the key of a storage"));
  s->key = id->items[2]->text;
  s->key_bytes = id->items[2]->n;
  ASL_TRY(want(id->items[3], ASL_PICKLE_STRING, "the device of a storage"));
  ASL_TRY(positive(id->items[4], "the number of elements of a storage", &s->count));
  s->view_count = s->count;
  return id->n == 6 ? read_view(id->items[5], s) : ASL_OK;
}

static asl_status make_other(asl_pickle *m, int tag, void *other, asl_pickle_value **out) {
  ASL_TRY(asl_pickle_make(m, ASL_PICKLE_OTHER, out));
  (*out)->tag = tag;
  (*out)->other = other;
  return ASL_OK;
}

asl_status asl_torch_persistent(asl_pickle *m, const asl_pickle_value *id, asl_pickle_value **out) {
  asl_torch_met *met = asl_pickle_context(m);
  void *memory;
  ASL_TRY(asl_pickle_alloc(m, sizeof(asl_torch_storage), &memory));
  asl_torch_storage *s = memory;
  ASL_TRY(read_storage(id, s));
  s->next = met->storages;
  met->storages = s;
  met->count++;
  return make_other(m, ASL_TORCH_STORAGE, s, out);
}

/* ---- tensors -------------------------------------------------------------------------------- */

static asl_status count_of(const asl_pickle_value *arguments, size_t least, size_t most) {
  if (arguments->n >= least && arguments->n <= most) return ASL_OK;
  return asl_fail(ASL_EDATA, "it has %zu arguments, not %zu to %zu", arguments->n, least, most);
}

static asl_status read_sizes(const asl_pickle_value *sizes, const char *what, int64_t out[],
                             int *rank) {
  ASL_TRY(want(sizes, ASL_PICKLE_TUPLE, what));
  if (sizes->n > ASL_MAX_RANK)
    return asl_fail(ASL_ENOTSUP, "a tensor of %zu dimensions; at most %d are read", sizes->n,
                    ASL_MAX_RANK);
  *rank = (int)sizes->n;
  for (int d = 0; d < *rank; d++) ASL_TRY(positive(sizes->items[d], what, &out[d]));
  return ASL_OK;
}

/* The last element that the strides reach lies within the storage. */
static asl_status check_reach(asl_torch_array *a) {
  asl_file_array extent = {.dtype = a->dtype, .shape = a->shape};
  memcpy(extent.stride, a->stride, sizeof a->stride);
  ASL_TRY(asl_file_array_extent(&extent, &a->count, &a->reach));
  const asl_torch_storage *s = a->storage;
  int64_t bytes = s->view_count * (int64_t)asl_file_dtype_about(s->dtype)->bytes;
  int64_t room = bytes / (int64_t)asl_file_dtype_about(a->dtype)->bytes;
  if (a->reach > room || a->offset > room - a->reach)
    return asl_fail(ASL_EDATA, "a tensor from element %lld to %lld of a storage of %lld",
                    (long long)a->offset, (long long)(a->offset + a->reach), (long long)room);
  return ASL_OK;
}

/* (storage, offset, sizes, strides, ...) */
static asl_status make_array(asl_pickle *m, const asl_pickle_value *arguments,
                             const asl_file_dtype *dtype, asl_pickle_value **out) {
  asl_pickle_value *const *item = arguments->items;
  void *memory;
  int strides;
  if (item[0]->type != ASL_PICKLE_OTHER || item[0]->tag != ASL_TORCH_STORAGE)
    return asl_fail(ASL_EDATA, "its storage is %s", asl_pickle_describe(item[0]));
  ASL_TRY(asl_pickle_alloc(m, sizeof(asl_torch_array), &memory));
  asl_torch_array *a = memory;
  a->storage = item[0]->other;
  a->dtype = dtype ? *dtype : a->storage->dtype;
  ASL_TRY(positive(item[1], "its offset", &a->offset));
  ASL_TRY(read_sizes(item[2], "a size", a->shape.size, &a->shape.rank));
  ASL_TRY(read_sizes(item[3], "a stride", a->stride, &strides));
  if (strides != a->shape.rank)
    return asl_fail(ASL_EDATA, "%d sizes and %d strides", a->shape.rank, strides);
  ASL_TRY(check_reach(a));
  return make_other(m, ASL_TORCH_ARRAY, a, out);
}

/* The lazy negation and conjugation of a tensor, which nothing here knows. */
static asl_status no_metadata(const asl_pickle_value *arguments, size_t at) {
  if (arguments->n <= at || arguments->items[at]->type == ASL_PICKLE_NONE) return ASL_OK;
  ASL_TRY(want(arguments->items[at], ASL_PICKLE_DICT, "its metadata"));
  if (arguments->items[at]->n == 0) return ASL_OK;
  return asl_fail(ASL_ENOTSUP, "a tensor with metadata (negated or conjugated); save a copy of it");
}

/* (storage, offset, sizes, strides) */
static asl_status rebuild_tensor(asl_pickle *m, const asl_pickle_value *arguments,
                                 asl_pickle_value **out) {
  ASL_TRY(count_of(arguments, 4, 4));
  return make_array(m, arguments, NULL, out);
}

/* (..., requires_grad, backward_hooks[, metadata]) */
static asl_status rebuild_tensor_v2(asl_pickle *m, const asl_pickle_value *arguments,
                                    asl_pickle_value **out) {
  ASL_TRY(count_of(arguments, 6, 7));
  ASL_TRY(no_metadata(arguments, 6));
  return make_array(m, arguments, NULL, out);
}

/* (..., requires_grad, backward_hooks, dtype[, metadata]), the storage counted in bytes */
static asl_status rebuild_tensor_v3(asl_pickle *m, const asl_pickle_value *arguments,
                                    asl_pickle_value **out) {
  ASL_TRY(count_of(arguments, 7, 8));
  ASL_TRY(no_metadata(arguments, 7));
  const asl_pickle_value *type = arguments->items[6];
  int tag = type->type == ASL_PICKLE_GLOBAL ? type->global->tag : 0;
  if (tag < TAG_DTYPE || tag >= TAG_UNTYPED)
    return asl_fail(ASL_EDATA, "its dtype is %s", asl_pickle_describe(type));
  asl_file_dtype dtype = (asl_file_dtype)(tag - TAG_DTYPE);
  return make_array(m, arguments, &dtype, out);
}

/* (tensor, requires_grad, backward_hooks[, state]) */
static asl_status rebuild_parameter(asl_pickle *m, const asl_pickle_value *arguments,
                                    asl_pickle_value **out) {
  (void)m;
  ASL_TRY(count_of(arguments, 3, 4));
  *out = arguments->items[0];
  if ((*out)->type == ASL_PICKLE_OTHER && (*out)->tag == ASL_TORCH_ARRAY) return ASL_OK;
  return asl_fail(ASL_EDATA, "its tensor is %s", asl_pickle_describe(*out));
}

/* ---- other values --------------------------------------------------------------------------- */

/* OrderedDict() or, by Python 2, OrderedDict([[key, value], ...]) */
static asl_status ordered_dict(asl_pickle *m, const asl_pickle_value *arguments,
                               asl_pickle_value **out) {
  ASL_TRY(count_of(arguments, 0, 1));
  ASL_TRY(asl_pickle_make(m, ASL_PICKLE_DICT, out));
  if (arguments->n == 0) return ASL_OK;
  const asl_pickle_value *pairs = arguments->items[0];
  ASL_TRY(want(pairs, ASL_PICKLE_LIST, "its argument"));
  for (size_t i = 0; i < pairs->n; i++) {
    const asl_pickle_value *pair = pairs->items[i];
    if ((pair->type != ASL_PICKLE_LIST && pair->type != ASL_PICKLE_TUPLE) || pair->n != 2)
      return asl_fail(ASL_EDATA, "item %zu of its argument is no pair", i);
    ASL_TRY(asl_pickle_set(m, *out, pair->items[0], pair->items[1]));
  }
  return ASL_OK;
}

/* torch.Size((n, ...)) */
static asl_status size(asl_pickle *m, const asl_pickle_value *arguments, asl_pickle_value **out) {
  ASL_TRY(count_of(arguments, 0, 1));
  if (arguments->n == 0) return asl_pickle_make(m, ASL_PICKLE_TUPLE, out);
  *out = arguments->items[0];
  return want(*out, ASL_PICKLE_TUPLE, "its argument");
}

/* torch.device("cuda"[, 0]): the text "cuda" or "cuda:0" */
static asl_status device(asl_pickle *m, const asl_pickle_value *arguments, asl_pickle_value **out) {
  ASL_TRY(count_of(arguments, 1, 2));
  const asl_pickle_value *kind = arguments->items[0];
  ASL_TRY(want(kind, ASL_PICKLE_STRING, "its argument"));
  *out = arguments->items[0];
  if (arguments->n == 1) return ASL_OK;
  int64_t index;
  void *text;
  ASL_TRY(positive(arguments->items[1], "its index", &index));
  ASL_TRY(asl_pickle_alloc(m, kind->n + 24, &text));
  memcpy(text, kind->text, kind->n);
  int n = snprintf((char *)text + kind->n, 24, ":%lld", (long long)index);
  ASL_TRY(asl_pickle_make(m, ASL_PICKLE_STRING, out));
  (*out)->text = text;
  (*out)->n = kind->n + (size_t)n;
  return ASL_OK;
}

/* ---- the list ------------------------------------------------------------------------------- */

#define STORAGE(name, dtype)                                                                       \
  { "torch", name, NULL, TAG_STORAGE + dtype }
#define DTYPE(name, dtype)                                                                         \
  { "torch", name, NULL, TAG_DTYPE + dtype }

const asl_pickle_global asl_torch_globals[] = {
    {"collections", "OrderedDict", ordered_dict, 0},
    {"torch._utils", "_rebuild_tensor", rebuild_tensor, 0},
    {"torch._utils", "_rebuild_tensor_v2", rebuild_tensor_v2, 0},
    {"torch._utils", "_rebuild_tensor_v3", rebuild_tensor_v3, 0},
    {"torch._utils", "_rebuild_parameter", rebuild_parameter, 0},
    {"torch._utils", "_rebuild_parameter_with_state", rebuild_parameter, 0},
    {"torch", "Size", size, 0},
    {"torch", "device", device, 0},
    STORAGE("FloatStorage", ASL_FILE_F32),
    STORAGE("DoubleStorage", ASL_FILE_F64),
    STORAGE("HalfStorage", ASL_FILE_F16),
    STORAGE("BFloat16Storage", ASL_FILE_BF16),
    STORAGE("LongStorage", ASL_FILE_I64),
    STORAGE("IntStorage", ASL_FILE_I32),
    STORAGE("ShortStorage", ASL_FILE_I16),
    STORAGE("CharStorage", ASL_FILE_I8),
    STORAGE("ByteStorage", ASL_FILE_U8),
    STORAGE("BoolStorage", ASL_FILE_BOOL),
    STORAGE("ComplexFloatStorage", ASL_FILE_C64),
    STORAGE("ComplexDoubleStorage", ASL_FILE_C128),
    {"torch.storage", "UntypedStorage", NULL, TAG_UNTYPED},
    DTYPE("float32", ASL_FILE_F32),
    DTYPE("float64", ASL_FILE_F64),
    DTYPE("float16", ASL_FILE_F16),
    DTYPE("bfloat16", ASL_FILE_BF16),
    DTYPE("int64", ASL_FILE_I64),
    DTYPE("int32", ASL_FILE_I32),
    DTYPE("int16", ASL_FILE_I16),
    DTYPE("int8", ASL_FILE_I8),
    DTYPE("uint8", ASL_FILE_U8),
    DTYPE("bool", ASL_FILE_BOOL),
    DTYPE("uint16", ASL_FILE_U16),
    DTYPE("uint32", ASL_FILE_U32),
    DTYPE("uint64", ASL_FILE_U64),
    DTYPE("complex64", ASL_FILE_C64),
    DTYPE("complex128", ASL_FILE_C128),
    DTYPE("float8_e4m3fn", ASL_FILE_F8_E4M3),
    DTYPE("float8_e5m2", ASL_FILE_F8_E5M2),
    {0}};
