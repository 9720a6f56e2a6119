/* The object of a checkpoint as a list of named tensors and plain values. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/torch_parts.h"

enum {
  MAX_DEPTH = 64,      /* of dictionaries and lists in each other */
  MAX_STEPS = 1 << 20, /* values met, counting one that is reached on two ways twice */
  MAX_NAME = 4096,     /* bytes */
  NUMBER_TEXT = 40,
};

typedef struct walk {
  asl_pickle *machine;
  asl_torch_entry *entries;
  size_t count, room, steps;
} walk;

/* Where a value is: in the container called `text`[0, container), under the rest of it. */
typedef struct place {
  const char *text;
  size_t bytes, container;
  int depth;
} place;

static asl_status visit(walk *w, const asl_pickle_value *value, place at);

static asl_status add_entry(walk *w, const asl_pickle_value *value, place at) {
  if (w->count == w->room) {
    size_t room = w->room ? 2 * w->room : 64;
    asl_torch_entry *moved = realloc(w->entries, room * sizeof *moved);
    if (!moved) return asl_fail(ASL_ENOMEM, "out of memory for a list of tensors");
    w->entries = moved;
    w->room = room;
  }
  bool is_array = value->type == ASL_PICKLE_OTHER;
  w->entries[w->count++] = (asl_torch_entry){.name = at.text,
                                             .name_bytes = at.bytes,
                                             .container_bytes = at.container,
                                             .array = is_array ? value->other : NULL,
                                             .value = is_array ? NULL : value};
  return ASL_OK;
}

/* A key as a part of a name. */
static const char *key_text(const asl_pickle_value *key, size_t position, char number[NUMBER_TEXT],
                            size_t *n) {
  const char *text = number;
  number[0] = 0;
  switch (key->type) {
  case ASL_PICKLE_STRING:
  case ASL_PICKLE_BYTES:
  case ASL_PICKLE_OBJECT: *n = key->n; return key->n ? key->text : "";
  case ASL_PICKLE_INT: snprintf(number, NUMBER_TEXT, "%lld", (long long)key->integer); break;
  case ASL_PICKLE_FLOAT: snprintf(number, NUMBER_TEXT, "%.17g", key->number); break;
  case ASL_PICKLE_BOOL: text = key->truth ? "True" : "False"; break;
  case ASL_PICKLE_NONE: text = "None"; break;
  case ASL_PICKLE_GLOBAL: text = key->global->name; break;
  default: snprintf(number, NUMBER_TEXT, "<key %zu>", position);
  }
  *n = strlen(text);
  return text;
}

static asl_status visit_below(walk *w, const asl_pickle_value *value, place at, const char *key,
                              size_t key_bytes) {
  size_t dot = at.depth > 0 ? 1 : 0, bytes = at.bytes + dot + key_bytes;
  if (bytes > MAX_NAME || at.depth == MAX_DEPTH)
    return asl_fail(ASL_EDATA,
                    "\"%s\" has a name of more than %d bytes or lies more than %d levels deep",
                    asl_show(at.text, at.bytes).text, MAX_NAME, MAX_DEPTH);
  void *memory;
  ASL_TRY(asl_pickle_alloc(w->machine, bytes + 1, &memory));
  char *text = memory;
  if (at.bytes) memcpy(text, at.text, at.bytes);
  if (dot) text[at.bytes] = '.';
  memcpy(text + at.bytes + dot, key, key_bytes);
  return visit(w, value, (place){text, bytes, at.bytes, at.depth + 1});
}

static asl_status visit_items(walk *w, const asl_pickle_value *list, place at) {
  char number[NUMBER_TEXT];
  for (size_t i = 0; i < list->n; i++) {
    int n = snprintf(number, sizeof number, "%zu", i);
    ASL_TRY(visit_below(w, list->items[i], at, number, (size_t)n));
  }
  return ASL_OK;
}

static asl_status visit_pairs(walk *w, const asl_pickle_value *dict, place at) {
  char number[NUMBER_TEXT];
  for (size_t i = 0; i < dict->n; i++) {
    size_t n;
    const char *key = key_text(dict->items[2 * i], i, number, &n);
    ASL_TRY(visit_below(w, dict->items[2 * i + 1], at, key, n));
  }
  return ASL_OK;
}

static asl_status visit(walk *w, const asl_pickle_value *value, place at) {
  if (++w->steps > MAX_STEPS) return asl_fail(ASL_EDATA, "it holds more than %d values", MAX_STEPS);
  switch (value->type) {
  case ASL_PICKLE_LIST:
  case ASL_PICKLE_TUPLE: return visit_items(w, value, at);
  case ASL_PICKLE_DICT: return visit_pairs(w, value, at);
  case ASL_PICKLE_OTHER:
    if (value->tag != ASL_TORCH_ARRAY)
      return asl_fail(ASL_EDATA, "\"%s\" is a storage without a tensor",
                      asl_show(at.text, at.bytes).text);
    break;
  default: break;
  }
  if (at.depth == 0) {
    const char *name = value->type == ASL_PICKLE_OTHER ? "tensor" : "value";
    at = (place){name, strlen(name), 0, 1};
  }
  return add_entry(w, value, at);
}

static int by_name(const void *a, const void *b) {
  const asl_torch_entry *x = a, *y = b;
  int order =
      memcmp(x->name, y->name, x->name_bytes < y->name_bytes ? x->name_bytes : y->name_bytes);
  return order ? order : (x->name_bytes > y->name_bytes) - (x->name_bytes < y->name_bytes);
}

/* {"a.b": x, "a": {"b": y}} would give one name to two values. */
static asl_status check_names(walk *w) {
  if (w->count == 0) return ASL_OK;
  asl_torch_entry *sorted = malloc(w->count * sizeof *sorted);
  if (!sorted) return asl_fail(ASL_ENOMEM, "out of memory for a list of tensors");
  memcpy(sorted, w->entries, w->count * sizeof *sorted);
  qsort(sorted, w->count, sizeof *sorted, by_name);
  asl_status status = ASL_OK;
  for (size_t i = 1; i < w->count && status == ASL_OK; i++)
    if (by_name(&sorted[i - 1], &sorted[i]) == 0)
      status = asl_fail(ASL_EDATA, "two values are called \"%s\"",
                        asl_show(sorted[i].name, sorted[i].name_bytes).text);
  free(sorted);
  return status;
}

asl_status asl_torch_flatten(asl_pickle *machine, asl_pickle_value *root, asl_torch_entry **entries,
                             size_t *count) {
  walk w = {.machine = machine};
  *entries = NULL;
  *count = 0;
  asl_status status = visit(&w, root, (place){"", 0, 0, 0});
  if (status == ASL_OK) status = check_names(&w);
  if (status != ASL_OK) {
    free(w.entries);
    return status;
  }
  *entries = w.entries;
  *count = w.count;
  return ASL_OK;
}
