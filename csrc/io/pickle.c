#include "io/pickle.h"

#include <stdlib.h>
#include <string.h>

#include "io/pickle_parts.h"
#include "base/read.h"

enum {
  MAX_STACK = 1 << 20,
  MAX_MEMO = 1 << 22,
  PROTOCOL = 5, /* the highest */
};

/* ---- stack, marks, memo --------------------------------------------------------------------- */

static asl_status grow(asl_pickle_stack *s, size_t needed) {
  if (needed <= s->room) return ASL_OK;
  size_t room = s->room ? s->room : 64;
  while (room < needed) room *= 2;
  asl_pickle_value **moved = realloc(s->items, room * sizeof *moved);
  if (!moved) return asl_fail(ASL_ENOMEM, "out of memory for a pickle");
  memset(moved + s->room, 0, (room - s->room) * sizeof *moved);
  s->items = moved;
  s->room = room;
  return ASL_OK;
}

static asl_status push(asl_pickle *m, asl_pickle_value *value) {
  if (m->stack.n == MAX_STACK)
    return asl_fail(ASL_EDATA, "more than %d values on its stack", MAX_STACK);
  ASL_TRY(grow(&m->stack, m->stack.n + 1));
  m->stack.items[m->stack.n++] = value;
  return ASL_OK;
}

/* The number of values above the last mark. */
static size_t above_mark(const asl_pickle *m) {
  return m->stack.n - (m->mark_count ? m->marks[m->mark_count - 1] : 0);
}

static asl_status need(const asl_pickle *m, size_t n) {
  if (above_mark(m) >= n) return ASL_OK;
  return asl_fail(ASL_EDATA, "it takes %zu values from the stack, where %zu are", n, above_mark(m));
}

static asl_status push_mark(asl_pickle *m) {
  if (m->mark_count == m->mark_room) {
    size_t room = m->mark_room ? 2 * m->mark_room : 64;
    if (room > MAX_STACK) return asl_fail(ASL_EDATA, "more than %d marks", MAX_STACK);
    size_t *moved = realloc(m->marks, room * sizeof *moved);
    if (!moved) return asl_fail(ASL_ENOMEM, "out of memory for a pickle");
    m->marks = moved;
    m->mark_room = room;
  }
  m->marks[m->mark_count++] = m->stack.n;
  return ASL_OK;
}

/* Takes all values above the last mark, and the mark; they stay valid until the next push. */
static asl_status take_marked(asl_pickle *m, asl_pickle_value ***items, size_t *n) {
  *items = NULL;
  *n = 0;
  if (!m->mark_count) return asl_fail(ASL_EDATA, "there is no mark on the stack");
  *n = above_mark(m);
  m->stack.n -= *n;
  *items = m->stack.items + m->stack.n;
  m->mark_count--;
  return ASL_OK;
}

/* The value that n items below it go into; the items were taken before. */
static asl_status target(const asl_pickle *m, asl_pickle_type type, const char *what,
                         asl_pickle_value **out) {
  *out = NULL;
  ASL_TRY(need(m, 1));
  *out = m->stack.items[m->stack.n - 1];
  if ((*out)->type == type || (*out)->type == ASL_PICKLE_OBJECT) return ASL_OK;
  return asl_fail(ASL_EDATA, "it wants %s and finds %s", what, asl_pickle_describe(*out));
}

static asl_status put_memo(asl_pickle *m, size_t index) {
  ASL_TRY(need(m, 1));
  if (index >= MAX_MEMO || index > (size_t)(m->end - m->bytes))
    return asl_fail(ASL_EDATA, "memo %zu is more than a pickle of %zu bytes has", index,
                    (size_t)(m->end - m->bytes));
  ASL_TRY(grow(&m->memo, index + 1));
  m->memo.items[index] = m->stack.items[m->stack.n - 1];
  if (index >= m->memo.n) m->memo.n = index + 1;
  return ASL_OK;
}

static asl_status get_memo(asl_pickle *m, size_t index) {
  if (index >= m->memo.n || !m->memo.items[index])
    return asl_fail(ASL_EDATA, "there is no memo %zu", index);
  return push(m, m->memo.items[index]);
}

/* ---- arguments in the bytes ----------------------------------------------------------------- */

static asl_status take(asl_pickle *m, size_t n, const unsigned char **out) {
  size_t left = (size_t)(m->end - m->at);
  *out = m->at;
  if (n > left) return asl_fail(ASL_EDATA, "it takes %zu bytes where %zu are left", n, left);
  m->at += n;
  return ASL_OK;
}

/* An unsigned number of n <= 8 bytes, little endian. */
static asl_status take_number(asl_pickle *m, size_t n, uint64_t *out) {
  const unsigned char *p;
  *out = 0;
  ASL_TRY(take(m, n, &p));
  for (size_t i = 0; i < n; i++) *out |= (uint64_t)p[i] << (8 * i);
  return ASL_OK;
}

static asl_status take_line(asl_pickle *m, const char **text, size_t *n) {
  *text = NULL;
  *n = 0;
  const unsigned char *end = memchr(m->at, '\n', (size_t)(m->end - m->at));
  if (!end) return asl_fail(ASL_EDATA, "a line without an end");
  *text = (const char *)m->at;
  *n = (size_t)(end - m->at);
  m->at = end + 1;
  return ASL_OK;
}

/* ---- opcodes: plain values ------------------------------------------------------------------ */

static asl_status push_new(asl_pickle *m, asl_pickle_type type, asl_pickle_value **out) {
  ASL_TRY(asl_pickle_make(m, type, out));
  return push(m, *out);
}

static asl_status push_bool(asl_pickle *m, bool truth) {
  asl_pickle_value *value;
  ASL_TRY(push_new(m, ASL_PICKLE_BOOL, &value));
  value->truth = truth;
  return ASL_OK;
}

static asl_status push_int(asl_pickle *m, size_t bytes, bool is_signed) {
  uint64_t bits;
  asl_pickle_value *value;
  ASL_TRY(take_number(m, bytes, &bits));
  ASL_TRY(push_new(m, ASL_PICKLE_INT, &value));
  if (is_signed && bytes && bytes < 8 && bits >> (8 * bytes - 1)) bits |= ~0ull << (8 * bytes);
  value->integer = (int64_t)bits;
  return ASL_OK;
}

/* LONG1, LONG4: a length, then that many bytes of two's complement. */
static asl_status push_long(asl_pickle *m, size_t length_bytes) {
  uint64_t n;
  const unsigned char *p;
  asl_pickle_value *value;
  ASL_TRY(take_number(m, length_bytes, &n));
  if (n <= 8) return push_int(m, (size_t)n, true);
  ASL_TRY(take(m, (size_t)n, &p));
  ASL_TRY(push_new(m, ASL_PICKLE_LONG, &value));
  value->text = (const char *)p;
  value->n = (size_t)n;
  return ASL_OK;
}

static asl_status push_float(asl_pickle *m) {
  const unsigned char *p;
  asl_pickle_value *value;
  ASL_TRY(take(m, 8, &p));
  uint64_t bits = 0;
  for (int i = 0; i < 8; i++) bits = bits << 8 | p[i]; /* big endian, alone among them all */
  ASL_TRY(push_new(m, ASL_PICKLE_FLOAT, &value));
  memcpy(&value->number, &bits, sizeof bits);
  return ASL_OK;
}

static asl_status push_text(asl_pickle *m, asl_pickle_type type, size_t length_bytes) {
  uint64_t n;
  const unsigned char *p;
  asl_pickle_value *value;
  ASL_TRY(take_number(m, length_bytes, &n));
  if (n > SIZE_MAX / 2) n = SIZE_MAX / 2;
  ASL_TRY(take(m, (size_t)n, &p));
  ASL_TRY(push_new(m, type, &value));
  value->text = (const char *)p;
  value->n = (size_t)n;
  return ASL_OK;
}

/* ---- opcodes: containers -------------------------------------------------------------------- */

static asl_status push_tuple(asl_pickle *m, size_t n) {
  asl_pickle_value *value;
  ASL_TRY(need(m, n));
  m->stack.n -= n;
  ASL_TRY(asl_pickle_make_filled(m, ASL_PICKLE_TUPLE, m->stack.items + m->stack.n, n, &value));
  return push(m, value);
}

static asl_status push_marked(asl_pickle *m, asl_pickle_type type) {
  asl_pickle_value **items, *value;
  size_t n;
  ASL_TRY(take_marked(m, &items, &n));
  ASL_TRY(asl_pickle_make_filled(m, type, items, n, &value));
  return push(m, value);
}

static asl_status append(asl_pickle *m, asl_pickle_value **items, size_t n) {
  asl_pickle_value *list;
  ASL_TRY(target(m, ASL_PICKLE_LIST, "a list", &list));
  return list->type == ASL_PICKLE_LIST ? asl_pickle_append_all(m, list, items, n) : ASL_OK;
}

static asl_status set_items(asl_pickle *m, asl_pickle_value **items, size_t n) {
  asl_pickle_value *dict;
  if (n % 2) return asl_fail(ASL_EDATA, "%zu keys and values: the last key has no value", n);
  ASL_TRY(target(m, ASL_PICKLE_DICT, "a dictionary", &dict));
  return dict->type == ASL_PICKLE_DICT ? asl_pickle_set_all(m, dict, items, n) : ASL_OK;
}

static asl_status take_top(asl_pickle *m, size_t n, asl_pickle_value ***items) {
  *items = NULL;
  ASL_TRY(need(m, n));
  m->stack.n -= n;
  *items = m->stack.items + m->stack.n;
  return ASL_OK;
}

static asl_status append_one(asl_pickle *m) {
  asl_pickle_value **items;
  ASL_TRY(take_top(m, 1, &items));
  return append(m, items, 1);
}

static asl_status append_marked(asl_pickle *m) {
  asl_pickle_value **items;
  size_t n;
  ASL_TRY(take_marked(m, &items, &n));
  return append(m, items, n);
}

static asl_status set_one(asl_pickle *m) {
  asl_pickle_value **items;
  ASL_TRY(take_top(m, 2, &items));
  return set_items(m, items, 2);
}

static asl_status set_marked(asl_pickle *m) {
  asl_pickle_value **items;
  size_t n;
  ASL_TRY(take_marked(m, &items, &n));
  return set_items(m, items, n);
}

/* ---- opcodes: names and calls --------------------------------------------------------------- */

static bool same(const char *known, const char *text, size_t n) {
  return strlen(known) == n && memcmp(known, text, n) == 0;
}

static asl_status push_object(asl_pickle *m, const char *module, size_t nm, const char *name,
                              size_t nn) {
  asl_pickle_value *value;
  void *text;
  ASL_TRY(asl_pickle_alloc(m, nm + 1 + nn, &text));
  memcpy(text, module, nm);
  ((char *)text)[nm] = '.';
  memcpy((char *)text + nm + 1, name, nn);
  ASL_TRY(push_new(m, ASL_PICKLE_OBJECT, &value));
  value->text = text;
  value->n = nm + 1 + nn;
  return ASL_OK;
}

static asl_status push_global(asl_pickle *m, const char *module, size_t nm, const char *name,
                              size_t nn) {
  for (const asl_pickle_global *g = m->rules.globals; g->module; g++) {
    if (!same(g->module, module, nm) || !same(g->name, name, nn)) continue;
    asl_pickle_value *value;
    ASL_TRY(push_new(m, ASL_PICKLE_GLOBAL, &value));
    value->global = g;
    return ASL_OK;
  }
  if (m->rules.keep_objects) return push_object(m, module, nm, name, nn);
  return asl_fail(ASL_EDATA, "%s.%s is none of the names that weights need; nothing was run",
                  asl_show(module, nm).text, asl_show(name, nn).text);
}

static asl_status push_global_lines(asl_pickle *m) {
  const char *module, *name;
  size_t nm, nn;
  ASL_TRY(take_line(m, &module, &nm));
  ASL_TRY(take_line(m, &name, &nn));
  return push_global(m, module, nm, name, nn);
}

static asl_status push_global_stack(asl_pickle *m) {
  asl_pickle_value **pair;
  ASL_TRY(take_top(m, 2, &pair));
  const asl_pickle_value *module = pair[0], *name = pair[1];
  if (module->type != ASL_PICKLE_STRING || name->type != ASL_PICKLE_STRING)
    return asl_fail(ASL_EDATA, "a name is two strings");
  return push_global(m, module->text, module->n, name->text, name->n);
}

/* Calls the second value from the top with the tuple on top. */
static asl_status call(asl_pickle *m) {
  asl_pickle_value **pair, *result;
  ASL_TRY(take_top(m, 2, &pair));
  asl_pickle_value *function = pair[0], *arguments = pair[1];
  if (function->type == ASL_PICKLE_OBJECT) return push(m, function);
  if (function->type != ASL_PICKLE_GLOBAL || !function->global->call)
    return asl_fail(ASL_EDATA, "it calls %s", asl_pickle_describe(function));
  if (arguments->type != ASL_PICKLE_TUPLE)
    return asl_fail(ASL_EDATA, "the arguments of a call are %s, not a tuple",
                    asl_pickle_describe(arguments));
  asl_status status = function->global->call(m, arguments, &result);
  if (status != ASL_OK)
    return asl_wrap(status, "%s.%s", function->global->module, function->global->name);
  return push(m, result);
}

/* NEWOBJ_EX has a dictionary of named arguments on top, which no listed name takes. */
static asl_status call_named(asl_pickle *m) {
  asl_pickle_value **named;
  ASL_TRY(take_top(m, 1, &named));
  if (named[0]->type != ASL_PICKLE_DICT || named[0]->n > 0) {
    ASL_TRY(need(m, 2));
    if (m->stack.items[m->stack.n - 2]->type != ASL_PICKLE_OBJECT)
      return asl_fail(ASL_EDATA, "a call with named arguments");
  }
  return call(m);
}

/* The state of an ordered dictionary is its _metadata, of an inert object anything. */
static asl_status build(asl_pickle *m) {
  asl_pickle_value **state, *value;
  ASL_TRY(take_top(m, 1, &state));
  return target(m, ASL_PICKLE_DICT, "a dictionary", &value);
}

static asl_status push_persistent(asl_pickle *m) {
  asl_pickle_value **id, *value;
  ASL_TRY(take_top(m, 1, &id));
  if (!m->rules.persistent) return asl_fail(ASL_EDATA, "a persistent id has no meaning here");
  ASL_TRY(m->rules.persistent(m, id[0], &value));
  return push(m, value);
}

/* ---- opcodes: the machine ------------------------------------------------------------------- */

static asl_status set_protocol(asl_pickle *m) {
  uint64_t protocol;
  ASL_TRY(take_number(m, 1, &protocol));
  if (protocol > PROTOCOL)
    return asl_fail(ASL_EDATA, "protocol %d; 2 to %d are read", (int)protocol, PROTOCOL);
  if ((int)protocol > m->protocol) m->protocol = (int)protocol;
  return ASL_OK;
}

/* A frame only says how many bytes belong together. */
static asl_status begin_frame(asl_pickle *m) {
  uint64_t n;
  ASL_TRY(take_number(m, 8, &n));
  if (n > (uint64_t)(m->end - m->at))
    return asl_fail(ASL_EDATA, "a frame of %llu bytes where %zu are left", (unsigned long long)n,
                    (size_t)(m->end - m->at));
  return ASL_OK;
}

static asl_status pop_marked(asl_pickle *m) {
  asl_pickle_value **items;
  size_t n;
  return take_marked(m, &items, &n);
}

/* POP takes a mark when that is on top. */
static asl_status pop(asl_pickle *m) {
  if (m->mark_count && above_mark(m) == 0) {
    m->mark_count--;
    return ASL_OK;
  }
  ASL_TRY(need(m, 1));
  m->stack.n--;
  return ASL_OK;
}

static asl_status stop(asl_pickle *m) {
  if (m->stack.n != 1 || m->mark_count)
    return asl_fail(ASL_EDATA,
                    "it ends with %zu values and %zu marks on the stack; one value is right",
                    m->stack.n, m->mark_count);
  m->result = m->stack.items[0];
  return ASL_OK;
}

static asl_status memo_by_number(asl_pickle *m, size_t bytes, bool put) {
  uint64_t index;
  ASL_TRY(take_number(m, bytes, &index));
  return put ? put_memo(m, (size_t)index) : get_memo(m, (size_t)index);
}

#define EMPTY(type)                                                                                \
  do {                                                                                             \
    asl_pickle_value *value_;                                                                      \
    return push_new(m, type, &value_);                                                             \
  } while (0)

/* Opcode, name, what it does: pickletools.py of Python describes each. */
#define OPCODES(X)                                                                                 \
  X(0x80, PROTO, return set_protocol(m))                                                           \
  X(0x95, FRAME, return begin_frame(m))                                                            \
  X('.', STOP, return stop(m))                                                                     \
  X('(', MARK, return push_mark(m))                                                                \
  X('0', POP, return pop(m))                                                                       \
  X('1', POP_MARK, return pop_marked(m))                                                           \
  X('N', NONE, EMPTY(ASL_PICKLE_NONE))                                                             \
  X(0x88, NEWTRUE, return push_bool(m, true))                                                      \
  X(0x89, NEWFALSE, return push_bool(m, false))                                                    \
  X('J', BININT, return push_int(m, 4, true))                                                      \
  X('K', BININT1, return push_int(m, 1, false))                                                    \
  X('M', BININT2, return push_int(m, 2, false))                                                    \
  X(0x8a, LONG1, return push_long(m, 1))                                                           \
  X(0x8b, LONG4, return push_long(m, 4))                                                           \
  X('G', BINFLOAT, return push_float(m))                                                           \
  X('X', BINUNICODE, return push_text(m, ASL_PICKLE_STRING, 4))                                    \
  X(0x8c, SHORT_BINUNICODE, return push_text(m, ASL_PICKLE_STRING, 1))                             \
  X(0x8d, BINUNICODE8, return push_text(m, ASL_PICKLE_STRING, 8))                                  \
  X('U', SHORT_BINSTRING, return push_text(m, ASL_PICKLE_STRING, 1))                               \
  X('T', BINSTRING, return push_text(m, ASL_PICKLE_STRING, 4))                                     \
  X('C', SHORT_BINBYTES, return push_text(m, ASL_PICKLE_BYTES, 1))                                 \
  X('B', BINBYTES, return push_text(m, ASL_PICKLE_BYTES, 4))                                       \
  X(0x8e, BINBYTES8, return push_text(m, ASL_PICKLE_BYTES, 8))                                     \
  X(0x96, BYTEARRAY8, return push_text(m, ASL_PICKLE_BYTES, 8))                                    \
  X(')', EMPTY_TUPLE, return push_tuple(m, 0))                                                     \
  X(0x85, TUPLE1, return push_tuple(m, 1))                                                         \
  X(0x86, TUPLE2, return push_tuple(m, 2))                                                         \
  X(0x87, TUPLE3, return push_tuple(m, 3))                                                         \
  X('t', TUPLE, return push_marked(m, ASL_PICKLE_TUPLE))                                           \
  X(']', EMPTY_LIST, EMPTY(ASL_PICKLE_LIST))                                                       \
  X('a', APPEND, return append_one(m))                                                             \
  X('e', APPENDS, return append_marked(m))                                                         \
  X(0x8f, EMPTY_SET, EMPTY(ASL_PICKLE_LIST))                                                       \
  X(0x90, ADDITEMS, return append_marked(m))                                                       \
  X(0x91, FROZENSET, return push_marked(m, ASL_PICKLE_LIST))                                       \
  X('}', EMPTY_DICT, EMPTY(ASL_PICKLE_DICT))                                                       \
  X('s', SETITEM, return set_one(m))                                                               \
  X('u', SETITEMS, return set_marked(m))                                                           \
  X('c', GLOBAL, return push_global_lines(m))                                                      \
  X(0x93, STACK_GLOBAL, return push_global_stack(m))                                               \
  X('R', REDUCE, return call(m))                                                                   \
  X(0x81, NEWOBJ, return call(m))                                                                  \
  X(0x92, NEWOBJ_EX, return call_named(m))                                                         \
  X('b', BUILD, return build(m))                                                                   \
  X('Q', BINPERSID, return push_persistent(m))                                                     \
  X('q', BINPUT, return memo_by_number(m, 1, true))                                                \
  X('r', LONG_BINPUT, return memo_by_number(m, 4, true))                                           \
  X(0x94, MEMOIZE, return put_memo(m, m->memo.n))                                                  \
  X('h', BINGET, return memo_by_number(m, 1, false))                                               \
  X('j', LONG_BINGET, return memo_by_number(m, 4, false))

static asl_status execute(asl_pickle *m, unsigned char opcode) {
  switch (opcode) {
#define CASE(code, name, action)                                                                   \
  case code: action;
    OPCODES(CASE)
#undef CASE
  default: break;
  }
  return asl_fail(ASL_EDATA, "no opcode that data needs");
}

static const char *name_of(unsigned char opcode) {
  switch (opcode) {
#define CASE(code, name, action)                                                                   \
  case code: return #name;
    OPCODES(CASE)
#undef CASE
  default: return NULL;
  }
}

static asl_status step(asl_pickle *m) {
  size_t position = (size_t)(m->at - m->bytes);
  if (m->at == m->end) return asl_fail(ASL_EDATA, "byte %zu: it ends without a STOP", position);
  unsigned char opcode = *m->at++;
  asl_status status = execute(m, opcode);
  if (status == ASL_OK) return status;
  const char *name = name_of(opcode);
  return name ? asl_wrap(status, "byte %zu (%s)", position, name)
              : asl_wrap(status, "byte %zu (0x%02x)", position, opcode);
}

asl_status asl_pickle_run(asl_pickle *m, const char *bytes, size_t n, size_t *used,
                          asl_pickle_value **out) {
  m->bytes = m->at = (const unsigned char *)bytes;
  m->end = m->bytes + n;
  if (m->memo.n) memset(m->memo.items, 0, m->memo.n * sizeof *m->memo.items);
  m->stack.n = m->memo.n = m->mark_count = 0;
  m->result = NULL;
  while (!m->result) ASL_TRY(step(m));
  *used = (size_t)(m->at - m->bytes);
  *out = m->result;
  return ASL_OK;
}
