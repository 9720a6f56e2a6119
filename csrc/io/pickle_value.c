/* The values of pickles and the memory they are in. */
#include <stdlib.h>
#include <string.h>

#include "io/pickle_parts.h"
#include "base/read.h"

enum {
  BUDGET_FLOOR = 64 << 10,
  BUDGET_FACTOR = 64,
  BUDGET_CEILING = 512 << 20,
  BLOCK = 64 << 10,
  ALIGN = 16,
};

struct asl_pickle_block {
  asl_pickle_block *next;
  size_t used, room;
  max_align_t bytes[];
};

/* ---- memory --------------------------------------------------------------------------------- */

asl_status asl_pickle_new(const asl_pickle_rules *rules, size_t bytes, asl_pickle **out) {
  asl_pickle *m = calloc(1, sizeof *m);
  *out = m;
  if (!m) return asl_fail(ASL_ENOMEM, "out of memory for a pickle");
  m->rules = *rules;
  m->budget = bytes < BUDGET_CEILING / BUDGET_FACTOR ? bytes * BUDGET_FACTOR + BUDGET_FLOOR
                                                     : BUDGET_CEILING;
  m->left = m->budget;
  return ASL_OK;
}

void asl_pickle_free(asl_pickle *m) {
  if (!m) return;
  for (asl_pickle_block *b = m->blocks, *next; b; b = next) {
    next = b->next;
    free(b);
  }
  free(m->stack.items);
  free(m->memo.items);
  free(m->marks);
  free(m);
}

int asl_pickle_protocol(const asl_pickle *m) { return m->protocol; }
void *asl_pickle_context(const asl_pickle *m) { return m->rules.context; }

static asl_status out_of_memory(void) { return asl_fail(ASL_ENOMEM, "out of memory for a pickle"); }

asl_status asl_pickle_alloc(asl_pickle *m, size_t bytes, void **out) {
  size_t size = (bytes + ALIGN - 1) / ALIGN * ALIGN;
  *out = NULL;
  if (bytes > m->left || size > m->left)
    return asl_fail(ASL_EDATA,
                    "its values take more than %zu bytes, the most for a pickle of its length",
                    m->budget);
  if (!m->blocks || size > m->blocks->room - m->blocks->used) {
    size_t room = size > BLOCK ? size : BLOCK;
    asl_pickle_block *b = calloc(1, sizeof *b + room);
    if (!b) return out_of_memory();
    b->next = m->blocks;
    b->room = room;
    m->blocks = b;
  }
  *out = (char *)m->blocks->bytes + m->blocks->used;
  m->blocks->used += size;
  m->left -= size;
  return ASL_OK;
}

asl_status asl_pickle_make(asl_pickle *m, asl_pickle_type type, asl_pickle_value **out) {
  void *memory;
  *out = NULL;
  ASL_TRY(asl_pickle_alloc(m, sizeof **out, &memory));
  *out = memory;
  (*out)->type = type;
  return ASL_OK;
}

/* Room for `more` items behind the `used` there are. */
static asl_status make_room(asl_pickle *m, asl_pickle_value *value, size_t used, size_t more) {
  if (more <= value->room - used) return ASL_OK;
  size_t room = 2 * used > used + more ? 2 * used : used + more;
  void *items;
  ASL_TRY(asl_pickle_alloc(m, room * sizeof *value->items, &items));
  if (used) memcpy(items, value->items, used * sizeof *value->items);
  value->items = items;
  value->room = room;
  return ASL_OK;
}

asl_status asl_pickle_append_all(asl_pickle *m, asl_pickle_value *list, asl_pickle_value **items,
                                 size_t n) {
  ASL_TRY(make_room(m, list, list->n, n));
  if (n) memcpy(list->items + list->n, items, n * sizeof *items);
  list->n += n;
  return ASL_OK;
}

/* `n` keys and values in turn. */
asl_status asl_pickle_set_all(asl_pickle *m, asl_pickle_value *dict, asl_pickle_value **items,
                              size_t n) {
  ASL_TRY(make_room(m, dict, 2 * dict->n, n));
  if (n) memcpy(dict->items + 2 * dict->n, items, n * sizeof *items);
  dict->n += n / 2;
  return ASL_OK;
}

asl_status asl_pickle_set(asl_pickle *m, asl_pickle_value *dict, asl_pickle_value *key,
                          asl_pickle_value *value) {
  asl_pickle_value *pair[] = {key, value};
  return asl_pickle_set_all(m, dict, pair, 2);
}

asl_status asl_pickle_make_filled(asl_pickle *m, asl_pickle_type type, asl_pickle_value **items,
                                  size_t n, asl_pickle_value **out) {
  ASL_TRY(asl_pickle_make(m, type, out));
  return asl_pickle_append_all(m, *out, items, n);
}

const char *asl_pickle_describe(const asl_pickle_value *value) {
  static _Thread_local char text[128];
  static const char *const names[] = {[ASL_PICKLE_NONE] = "None",
                                      [ASL_PICKLE_BOOL] = "a truth value",
                                      [ASL_PICKLE_INT] = "an integer",
                                      [ASL_PICKLE_LONG] = "a long integer",
                                      [ASL_PICKLE_FLOAT] = "a number",
                                      [ASL_PICKLE_STRING] = "a string",
                                      [ASL_PICKLE_BYTES] = "bytes",
                                      [ASL_PICKLE_LIST] = "a list",
                                      [ASL_PICKLE_TUPLE] = "a tuple",
                                      [ASL_PICKLE_DICT] = "a dictionary",
                                      [ASL_PICKLE_GLOBAL] = "a name",
                                      [ASL_PICKLE_OBJECT] = "an object",
                                      [ASL_PICKLE_OTHER] = "a tensor or storage"};
  if (value->type == ASL_PICKLE_OBJECT) {
    strcpy(text, "an object of ");
    strcat(text, asl_show(value->text, value->n).text);
    return text;
  }
  if (value->type == ASL_PICKLE_GLOBAL) {
    strcpy(text, value->global->module);
    strcat(strcat(text, "."), value->global->name);
    return text;
  }
  return names[value->type];
}
