/* The stream that torch.save wrote before PyTorch 1.6. */
#include <stdlib.h>
#include <string.h>

#include "io/torch_parts.h"

enum { PROTOCOL_VERSION = 1001 };
static const char magic[10] =
    "\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"; /* 0x1950a86a20f9469cfc6c */

typedef struct stream {
  const char *bytes;
  size_t n, at;
  asl_pickle *machine;
} stream;

static asl_status next(stream *s, const char *what, asl_pickle_value **out) {
  size_t used, at = s->at;
  asl_status status = asl_pickle_run(s->machine, s->bytes + at, s->n - at, &used, out);
  if (status != ASL_OK) return asl_wrap(status, "the pickle of the %s, from byte %zu on", what, at);
  s->at += used;
  return ASL_OK;
}

static asl_status read_magic(stream *s) {
  asl_pickle_value *value;
  ASL_TRY(next(s, "magic number", &value));
  if (value->type == ASL_PICKLE_LONG && value->n == sizeof magic &&
      memcmp(value->text, magic, sizeof magic) == 0)
    return ASL_OK;
  return asl_fail(ASL_EDATA, "it begins like a pickle, but not with PyTorch's magic number");
}

static asl_status read_protocol(stream *s) {
  asl_pickle_value *value;
  ASL_TRY(next(s, "protocol", &value));
  if (value->type == ASL_PICKLE_INT && value->integer == PROTOCOL_VERSION) return ASL_OK;
  return asl_fail(ASL_EDATA, "its protocol is %s, not %d",
                  value->type == ASL_PICKLE_INT ? "another integer" : asl_pickle_describe(value),
                  PROTOCOL_VERSION);
}

static asl_status read_system(stream *s) {
  static const char key[] = "little_endian";
  asl_pickle_value *value;
  ASL_TRY(next(s, "system", &value));
  if (value->type != ASL_PICKLE_DICT)
    return asl_fail(ASL_EDATA, "its system is %s", asl_pickle_describe(value));
  for (size_t i = 0; i < value->n; i++) {
    const asl_pickle_value *k = value->items[2 * i], *v = value->items[2 * i + 1];
    if (k->type != ASL_PICKLE_STRING || k->n != sizeof key - 1 || memcmp(k->text, key, k->n) != 0)
      continue;
    if (v->type == ASL_PICKLE_BOOL && v->truth) return ASL_OK;
    return asl_fail(ASL_ENOTSUP, "its numbers are big endian");
  }
  return asl_fail(ASL_EDATA, "its system does not say \"little_endian\"");
}

/* ---- storages ------------------------------------------------------------------------------- */

static int compare_keys(const asl_torch_storage *s, const char *key, size_t n) {
  int order = memcmp(s->key, key, s->key_bytes < n ? s->key_bytes : n);
  return order ? order : (s->key_bytes > n) - (s->key_bytes < n);
}

static int by_key(const void *a, const void *b) {
  const asl_torch_storage *x = *(asl_torch_storage *const *)a, *y = *(asl_torch_storage *const *)b;
  return compare_keys(x, y->key, y->key_bytes);
}

/* The first of the sorted storages with this key, or `count`. */
static size_t find(asl_torch_storage *const *sorted, size_t count, const asl_pickle_value *key) {
  size_t low = 0, high = count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (compare_keys(sorted[middle], key->text, key->n) < 0) low = middle + 1;
    else high = middle;
  }
  return low < count && compare_keys(sorted[low], key->text, key->n) == 0 ? low : count;
}

/* All that is said of the storage with the key of sorted[i] agrees; *end: behind the last of them.
 */
static asl_status check_same(asl_torch_storage *const *sorted, size_t count, size_t i,
                             size_t number, size_t *end) {
  const asl_torch_storage *first = sorted[i];
  for (*end = i; *end < count && by_key(&sorted[*end], &sorted[i]) == 0; ++*end)
    if (sorted[*end]->dtype != first->dtype || sorted[*end]->count != first->count)
      return asl_fail(ASL_EDATA, "storage %zu is said to have two types or sizes", number);
  return ASL_OK;
}

/* The storage of this key lies at *at; moves *at behind it. */
static asl_status locate(const asl_input *source, asl_torch_storage *const *sorted, size_t count,
                         const asl_pickle_value *key, size_t number, int64_t *at) {
  int64_t elements;
  size_t end = 0;
  if (key->type != ASL_PICKLE_STRING)
    return asl_fail(ASL_EDATA, "the key of storage %zu is %s", number, asl_pickle_describe(key));
  size_t i = find(sorted, count, key);
  if (i == count) return asl_fail(ASL_EDATA, "storage %zu belongs to no tensor", number);
  if (sorted[i]->number) return asl_fail(ASL_EDATA, "storage %zu is there twice", number);
  ASL_TRY(check_same(sorted, count, i, number, &end));
  if (source->size - *at < (int64_t)sizeof elements)
    return asl_fail(ASL_EDATA, "it ends before storage %zu", number);
  ASL_TRY(asl_input_read(source, *at, &elements, sizeof elements));
  *at += (int64_t)sizeof elements;
  int64_t bytes = (int64_t)asl_file_dtype_about(sorted[i]->dtype)->bytes;
  if (elements != sorted[i]->count)
    return asl_fail(ASL_EDATA, "storage %zu has %lld elements, its tensors say %lld", number,
                    (long long)elements, (long long)sorted[i]->count);
  if (elements > (source->size - *at) / bytes)
    return asl_fail(ASL_EDATA, "it ends within storage %zu", number);
  for (; i < end; i++) {
    sorted[i]->number = number;
    sorted[i]->at = *at;
  }
  *at += elements * bytes;
  return ASL_OK;
}

static asl_status locate_all(const asl_input *source, const asl_pickle_value *keys, int64_t at,
                             asl_torch_storage *const *sorted, size_t count) {
  if (keys->type != ASL_PICKLE_LIST)
    return asl_fail(ASL_EDATA, "its list of storages is %s", asl_pickle_describe(keys));
  for (size_t i = 0; i < keys->n; i++)
    ASL_TRY(locate(source, sorted, count, keys->items[i], i + 1, &at));
  for (size_t i = 0; i < count; i++)
    if (!sorted[i]->number)
      return asl_fail(ASL_EDATA, "the storage \"%s\" is not in its list of storages",
                      asl_show(sorted[i]->key, sorted[i]->key_bytes).text);
  if (at != source->size)
    return asl_fail(ASL_EDATA, "%lld bytes follow its last storage",
                    (long long)(source->size - at));
  return ASL_OK;
}

static asl_status find_storages(const asl_input *source, const asl_pickle_value *keys, int64_t at,
                                const asl_torch_met *met) {
  asl_torch_storage **sorted = malloc((met->count + 1) * sizeof(asl_torch_storage *));
  if (!sorted) return asl_fail(ASL_ENOMEM, "out of memory for a list of storages");
  size_t n = 0;
  for (asl_torch_storage *s = met->storages; s; s = s->next) sorted[n++] = s;
  qsort(sorted, n, sizeof *sorted, by_key);
  asl_status status = locate_all(source, keys, at, sorted, n);
  free(sorted);
  return status;
}

asl_status asl_torch_read_legacy(const asl_input *source, const char *bytes, size_t n,
                                 asl_pickle *machine, asl_torch_met *met, asl_pickle_value **root) {
  stream s = {bytes, n, 0, machine};
  asl_pickle_value *keys;
  ASL_TRY(read_magic(&s));
  ASL_TRY(read_protocol(&s));
  ASL_TRY(read_system(&s));
  ASL_TRY(next(&s, "object", root));
  ASL_TRY(next(&s, "list of storages", &keys));
  return find_storages(source, keys, (int64_t)s.at, met);
}
