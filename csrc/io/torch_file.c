#include "io/torch_file.h"

#include <stdlib.h>
#include <string.h>

#include "io/torch_parts.h"

enum {
  MAX_PICKLE = 64 << 20,
  MAX_TEXT = 16, /* bytes of the entries version and byteorder */
  MAX_VERSION = 10,
  SHARING = 16,
  SHARING_FLOOR = 1 << 20,
  TAR_MARK = 257,
};

struct asl_torch {
  char *path;
  asl_input source;
  asl_weights_kind kind;
  char *bytes; /* the pickles */
  size_t byte_count;
  asl_zip *zip;
  asl_pickle *machine;
  asl_torch_met met;
  asl_torch_entry *entries;
  size_t count;
  const asl_torch_storage *loaded; /* whose elements are in `data` */
  char *data;
};

/* ---- what kind of file ---------------------------------------------------------------------- */

static asl_weights_kind kind_of(const unsigned char *head, int64_t n, int64_t size) {
  uint64_t header = 0;
  for (int i = 0; i < 8; i++) header |= (uint64_t)head[i] << (8 * i);
  if (n > 8 && head[8] == '{' && header <= (uint64_t)size - 8) return ASL_WEIGHTS_SAFETENSORS;
  if (n >= 4 && memcmp(head, "PK\3\4", 4) == 0) return ASL_WEIGHTS_TORCH_ZIP;
  if (n >= 2 && head[0] == 0x80) return ASL_WEIGHTS_TORCH_LEGACY;
  if (n >= TAR_MARK + 5 && memcmp(head + TAR_MARK, "ustar", 5) == 0) return ASL_WEIGHTS_TORCH_TAR;
  return ASL_WEIGHTS_UNKNOWN;
}

static asl_status kind_of_source(const asl_input *source, asl_weights_kind *kind) {
  unsigned char head[TAR_MARK + 5] = {0};
  int64_t n = source->size < (int64_t)sizeof head ? source->size : (int64_t)sizeof head;
  ASL_TRY(asl_input_read(source, 0, head, (size_t)n));
  *kind = kind_of(head, n, source->size);
  return ASL_OK;
}

asl_status asl_weights_kind_of(const char *path, asl_weights_kind *kind) {
  asl_input source;
  ASL_TRY(asl_input_open(path, &source));
  asl_status status = kind_of_source(&source, kind);
  asl_input_close(&source);
  return asl_wrap(status, "\"%s\"", path);
}

/* ---- the archive ---------------------------------------------------------------------------- */

/* What stands before "data.pkl" in the one entry of that name: "ROOT/". */
static asl_status find_root(const asl_zip *zip, const char **root, size_t *n) {
  static const char name[] = "/data.pkl";
  size_t length = sizeof name - 1, found = 0;
  *root = NULL;
  *n = 0;
  for (size_t i = 0; i < asl_zip_count(zip); i++) {
    const asl_zip_entry *e = asl_zip_entry_at(zip, i);
    if (e->name_bytes <= length || memcmp(e->name + e->name_bytes - length, name, length) != 0)
      continue;
    *root = e->name;
    *n = e->name_bytes - length + 1;
    found++;
  }
  if (found == 1) return ASL_OK;
  return asl_fail(ASL_EDATA, "%zu of its %zu entries are a data.pkl; PyTorch writes one", found,
                  asl_zip_count(zip));
}

/* The whole of a small entry, NUL-terminated; *there says whether it exists. */
static asl_status read_text(const asl_zip *zip, const char *root, size_t n, const char *name,
                            char text[MAX_TEXT + 1], bool *there) {
  const asl_zip_entry *e = asl_zip_find(zip, root, n, name, strlen(name));
  *there = e != NULL;
  if (!e) return ASL_OK;
  if (e->bytes > MAX_TEXT)
    return asl_fail(ASL_EDATA, "its entry %s has %lld bytes", name, (long long)e->bytes);
  ASL_TRY(asl_zip_read(zip, e, text));
  text[e->bytes] = 0;
  return ASL_OK;
}

static asl_status check_archive(const asl_zip *zip, const char *root, size_t n) {
  static const char program[] = "constants.pkl";
  char text[MAX_TEXT + 1];
  bool there;
  if (asl_zip_find(zip, root, n, program, sizeof program - 1))
    return asl_fail(ASL_ENOTSUP,
                    "it is a TorchScript archive, a program; torch.save the state_dict() instead");
  ASL_TRY(read_text(zip, root, n, "version", text, &there));
  long version = there ? strtol(text, NULL, 10) : 0;
  if (version < 1 || version > MAX_VERSION)
    return asl_fail(ASL_ENOTSUP, "its format version is \"%s\"; 1 to %d are read",
                    there ? asl_show(text, strcspn(text, "\n")).text : "missing", MAX_VERSION);
  ASL_TRY(read_text(zip, root, n, "byteorder", text, &there));
  if (there && strcmp(text, "little") != 0)
    return asl_fail(ASL_ENOTSUP, "its byte order is \"%s\"; little is read",
                    asl_show(text, strlen(text)).text);
  return ASL_OK;
}

static asl_status find_storage(asl_torch *f, asl_torch_storage *s, const char *folder, size_t n) {
  s->entry = asl_zip_find(f->zip, folder, n, s->key, s->key_bytes);
  if (!s->entry)
    return asl_fail(ASL_EDATA, "the archive has no entry for the storage \"%s\"",
                    asl_show(s->key, s->key_bytes).text);
  int64_t bytes = s->count * (int64_t)asl_file_dtype_about(s->dtype)->bytes;
  if (s->entry->bytes != bytes)
    return asl_fail(ASL_EDATA,
                    "the storage \"%s\" has %lld bytes; its %lld elements of %s take %lld",
                    asl_show(s->key, s->key_bytes).text, (long long)s->entry->bytes,
                    (long long)s->count, asl_file_dtype_about(s->dtype)->name, (long long)bytes);
  s->number = (size_t)(s->entry - asl_zip_entry_at(f->zip, 0)) + 1;
  return ASL_OK;
}

static asl_status find_storages(asl_torch *f, const char *root, size_t n) {
  void *memory;
  ASL_TRY(asl_pickle_alloc(f->machine, n + 5, &memory));
  char *folder = memory;
  memcpy(folder, root, n);
  memcpy(folder + n, "data/", 5);
  for (asl_torch_storage *s = f->met.storages; s; s = s->next)
    ASL_TRY(find_storage(f, s, folder, n + 5));
  return ASL_OK;
}

static asl_status allocate(void **out, int64_t bytes, const char *what) {
  *out = malloc((size_t)bytes + 1);
  return *out ? ASL_OK
              : asl_fail(ASL_ENOMEM, "out of memory for the %lld bytes of %s", (long long)bytes,
                         what);
}

static asl_status new_machine(asl_torch *f, bool keep_objects) {
  asl_pickle_rules rules = {.globals = asl_torch_globals,
                            .keep_objects = keep_objects,
                            .persistent = asl_torch_persistent,
                            .context = &f->met};
  return asl_pickle_new(&rules, f->byte_count, &f->machine);
}

static asl_status read_archive(asl_torch *f, bool keep_objects, asl_pickle_value **value) {
  const char *root;
  size_t n, used;
  void *bytes;
  ASL_TRY(asl_zip_open(&f->source, &f->zip));
  ASL_TRY(find_root(f->zip, &root, &n));
  ASL_TRY(check_archive(f->zip, root, n));
  const asl_zip_entry *pickle = asl_zip_find(f->zip, root, n, "data.pkl", 8);
  if (pickle->bytes > MAX_PICKLE)
    return asl_fail(ASL_ENOTSUP, "its data.pkl has %lld bytes; at most %d are read",
                    (long long)pickle->bytes, MAX_PICKLE);
  ASL_TRY(allocate(&bytes, pickle->bytes, "its data.pkl"));
  f->bytes = bytes;
  f->byte_count = (size_t)pickle->bytes;
  ASL_TRY(asl_zip_read(f->zip, pickle, f->bytes));
  ASL_TRY(new_machine(f, keep_objects));
  asl_status status = asl_pickle_run(f->machine, f->bytes, f->byte_count, &used, value);
  if (status != ASL_OK) return asl_wrap(status, "data.pkl");
  if (used != f->byte_count)
    return asl_fail(ASL_EDATA, "data.pkl: %zu bytes follow its end", f->byte_count - used);
  return find_storages(f, root, n);
}

/* ---- opening -------------------------------------------------------------------------------- */

static asl_status read_stream(asl_torch *f, bool keep_objects, asl_pickle_value **value) {
  void *bytes;
  int64_t n = f->source.size < MAX_PICKLE ? f->source.size : MAX_PICKLE;
  ASL_TRY(allocate(&bytes, n, "its pickles"));
  f->bytes = bytes;
  f->byte_count = (size_t)n;
  ASL_TRY(asl_input_read(&f->source, 0, f->bytes, f->byte_count));
  ASL_TRY(new_machine(f, keep_objects));
  return asl_torch_read_legacy(&f->source, f->bytes, f->byte_count, f->machine, &f->met, value);
}

/* Tensors may share storages; all of them together must stay in proportion to the file. */
static asl_status check_sharing(const asl_torch *f) {
  int64_t most = f->source.size > INT64_MAX / SHARING / 2
                     ? INT64_MAX
                     : f->source.size * SHARING + SHARING_FLOOR;
  int64_t left = most;
  for (size_t i = 0; i < f->count; i++) {
    const asl_torch_array *a = f->entries[i].array;
    int64_t each = a ? (int64_t)asl_file_dtype_about(a->dtype)->bytes : 0;
    if (a && a->count > left / each)
      return asl_fail(ASL_EDATA,
                      "its tensors have more than %lld bytes, %d times the file's: they share "
                      "storages too often",
                      (long long)most, SHARING);
    if (a) left -= a->count * each;
  }
  return ASL_OK;
}

static asl_status read_file(asl_torch *f, bool keep_objects) {
  asl_pickle_value *root = NULL;
  ASL_TRY(kind_of_source(&f->source, &f->kind));
  switch (f->kind) {
  case ASL_WEIGHTS_TORCH_ZIP: ASL_TRY(read_archive(f, keep_objects, &root)); break;
  case ASL_WEIGHTS_TORCH_LEGACY: ASL_TRY(read_stream(f, keep_objects, &root)); break;
  case ASL_WEIGHTS_TORCH_TAR:
    return asl_fail(ASL_ENOTSUP,
                    "it is a tar file of PyTorch before 0.1.10; load and save it with a "
                    "later one");
  default: return asl_fail(ASL_EDATA, "it is no PyTorch checkpoint: it begins like none of them");
  }
  ASL_TRY(asl_torch_flatten(f->machine, root, &f->entries, &f->count));
  return check_sharing(f);
}

asl_status asl_torch_open(const char *path, bool keep_objects, asl_torch **out) {
  *out = NULL;
  asl_torch *f = calloc(1, sizeof *f);
  if (!f) return asl_fail(ASL_ENOMEM, "out of memory for a checkpoint");
  f->source.fd = -1;
  f->path = strdup(path);
  asl_status status = f->path ? asl_input_open(path, &f->source)
                              : asl_fail(ASL_ENOMEM, "out of memory for a path");
  if (status == ASL_OK) status = asl_wrap(read_file(f, keep_objects), "\"%s\"", path);
  if (status == ASL_OK) *out = f;
  else asl_torch_close(f);
  return status;
}

void asl_torch_close(asl_torch *f) {
  if (!f) return;
  asl_input_close(&f->source);
  asl_zip_close(f->zip);
  asl_pickle_free(f->machine);
  free(f->entries);
  free(f->bytes);
  free(f->data);
  free(f->path);
  free(f);
}

asl_weights_kind asl_torch_kind(const asl_torch *f) { return f->kind; }
int asl_torch_protocol(const asl_torch *f) { return asl_pickle_protocol(f->machine); }
size_t asl_torch_count(const asl_torch *f) { return f->count; }
const asl_torch_entry *asl_torch_entry_at(const asl_torch *f, size_t i) { return &f->entries[i]; }
size_t asl_torch_storage_number(const asl_torch_entry *entry) {
  return entry->array->storage->number;
}

/* ---- tensors -------------------------------------------------------------------------------- */

static asl_status load_storage(asl_torch *f, const asl_torch_storage *s) {
  if (f->loaded && f->loaded->number == s->number) return ASL_OK;
  int64_t bytes = s->count * (int64_t)asl_file_dtype_about(s->dtype)->bytes;
  f->loaded = NULL;
  free(f->data);
  f->data = NULL;
  void *data;
  ASL_TRY(allocate(&data, bytes, "a storage"));
  f->data = data;
  if (s->entry) ASL_TRY(asl_zip_read(f->zip, s->entry, f->data));
  else ASL_TRY(asl_input_read(&f->source, s->at, f->data, (size_t)bytes));
  f->loaded = s;
  return ASL_OK;
}

static asl_status make_tensor(asl_torch *f, const asl_torch_array *a, bool narrow,
                              asl_tensor **out) {
  const asl_torch_storage *s = a->storage;
  /* Said before the storage is read, for it may be large. */
  if (!asl_file_dtype_about(a->dtype)->readable)
    return asl_fail(ASL_ENOTSUP, "it is %s, for which there is no tensor here",
                    asl_file_dtype_about(a->dtype)->name);
  ASL_TRY(load_storage(f, s));
  int64_t begin = s->view * (int64_t)asl_file_dtype_about(s->dtype)->bytes +
                  a->offset * (int64_t)asl_file_dtype_about(a->dtype)->bytes;
  asl_file_array array = {.dtype = a->dtype, .shape = a->shape, .data = f->data + begin};
  memcpy(array.stride, a->stride, sizeof a->stride);
  return asl_file_array_tensor(&array, narrow, out);
}

asl_status asl_torch_tensor(asl_torch *f, size_t i, bool narrow, asl_tensor **out) {
  const asl_torch_entry *e = &f->entries[i];
  asl_shown name = asl_show(e->name, e->name_bytes);
  *out = NULL;
  asl_status status =
      e->array ? make_tensor(f, e->array, narrow, out) : asl_fail(ASL_EINVAL, "it is no tensor");
  return asl_wrap(status, "\"%s\": %s", f->path, name.text);
}
