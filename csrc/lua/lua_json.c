/* JSON: written here (sorted keys, shortest exact numbers), read through jansson. */
#include <jansson.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lua/lua_json.h"

enum { MAX_DEPTH = 100 };
static char null_value; /* its address is JSON's null */
#define ARRAY_META "asl.json_array"
#define OUTPUT_META "asl.json_output"
#define INPUT_META "asl.json_input"

/* ---- writing ---------------------------------------------------------------------------- */

typedef enum { NONFINITE_ERROR, NONFINITE_NULL, NONFINITE_STRING } nonfinite;

typedef struct output { /* a userdata, so that an error frees it */
  char *bytes;
  size_t n, room;
  int indent;
  nonfinite nonfinite;
} output;

/* Where in the value the encoder is, for messages. */
typedef struct place {
  const struct place *parent;
  const char *key; /* NULL: `index` */
  lua_Integer index;
} place;

static void encode(lua_State *L, output *out, const place *at, int depth);

static int output_gc(lua_State *L) {
  output *out = luaL_checkudata(L, 1, OUTPUT_META);
  free(out->bytes);
  out->bytes = NULL;
  return 0;
}

static void add(lua_State *L, output *out, const char *bytes, size_t n) {
  if (n > out->room - out->n) {
    size_t room = 2 * (out->n + n) + 256;
    char *moved = realloc(out->bytes, room);
    if (!moved) luaL_error(L, "json: out of memory for %d bytes", (int)room);
    out->bytes = moved;
    out->room = room;
  }
  memcpy(out->bytes + out->n, bytes, n);
  out->n += n;
}

static void add_text(lua_State *L, output *out, const char *text) {
  add(L, out, text, strlen(text));
}

static void add_line(lua_State *L, output *out, int depth) {
  if (!out->indent) return;
  add(L, out, "\n", 1);
  for (int i = 0; i < depth * out->indent; i++) add(L, out, " ", 1);
}

static void push_place(lua_State *L, const place *at) {
  if (!at->parent) {
    lua_pushliteral(L, "value");
    return;
  }
  push_place(L, at->parent);
  if (at->key) lua_pushfstring(L, "%s.%s", lua_tostring(L, -1), at->key);
  else lua_pushfstring(L, "%s[%I]", lua_tostring(L, -1), at->index);
  lua_remove(L, -2);
}

static void fail(lua_State *L, const place *at, const char *what) {
  if (at->parent) luaL_checkstack(L, MAX_DEPTH + 8, NULL);
  push_place(L, at);
  luaL_error(L, "json: %s is %s", lua_tostring(L, -1), what);
}

/* Length of the UTF-8 sequence at p (Unicode table 3-7), 0 when it is none. */
static size_t utf8_length(const unsigned char *p, size_t n) {
  unsigned char a = p[0];
  if (a < 0x80) return 1;
  size_t length = 0;
  if (a >= 0xC2 && a <= 0xDF) length = 2;
  else if (a >= 0xE0 && a <= 0xEF) length = 3;
  else if (a >= 0xF0 && a <= 0xF4) length = 4;
  if (length == 0 || length > n) return 0;
  for (size_t i = 1; i < length; i++)
    if ((p[i] & 0xC0) != 0x80) return 0;
  if ((a == 0xE0 && p[1] < 0xA0) || (a == 0xED && p[1] > 0x9F) || (a == 0xF0 && p[1] < 0x90) ||
      (a == 0xF4 && p[1] > 0x8F))
    return 0;
  return length;
}

static void encode_string(lua_State *L, output *out, const char *bytes, size_t n, const place *at) {
  const unsigned char *p = (const unsigned char *)bytes;
  add(L, out, "\"", 1);
  for (size_t i = 0; i < n;) {
    size_t length = utf8_length(p + i, n - i);
    if (length == 0) fail(L, at, "a string that is not UTF-8");
    char escape[8] = "";
    if (p[i] == '"' || p[i] == '\\') snprintf(escape, sizeof escape, "\\%c", p[i]);
    else if (p[i] == '\n') strcpy(escape, "\\n");
    else if (p[i] == '\t') strcpy(escape, "\\t");
    else if (p[i] < 0x20 || p[i] == 0x7F) snprintf(escape, sizeof escape, "\\u%04x", p[i]);
    if (*escape) add_text(L, out, escape);
    else add(L, out, bytes + i, length);
    i += length;
  }
  add(L, out, "\"", 1);
}

static void encode_nonfinite(lua_State *L, output *out, double value, const place *at) {
  const char *name = isnan(value) ? "NaN" : value > 0 ? "Infinity" : "-Infinity";
  if (out->nonfinite == NONFINITE_ERROR) fail(L, at, isnan(value) ? "not a number" : "infinite");
  if (out->nonfinite == NONFINITE_NULL) add_text(L, out, "null");
  else encode_string(L, out, name, strlen(name), at);
}

/* The shortest text that reads back as the same double, always recognisable as no integer. */
static void encode_double(lua_State *L, output *out, double value, const place *at) {
  if (!isfinite(value)) {
    encode_nonfinite(L, out, value, at);
    return;
  }
  char text[48];
  for (int digits = 15; digits <= 17; digits++) {
    snprintf(text, sizeof text, "%.*g", digits, value);
    if (strtod(text, NULL) == value) break;
  }
  char *point = strchr(text, localeconv()->decimal_point[0]);
  if (point) *point = '.';
  if (!strpbrk(text, ".e")) strcat(text, ".0");
  add_text(L, out, text);
}

/* The length when the table on top is an array, 0 when it is a map or empty, -1 when neither. */
static lua_Integer array_length(lua_State *L, const char **odd) {
  lua_Integer count = 0, last = 0, names = 0;
  lua_pushnil(L);
  while (lua_next(L, -2)) {
    lua_pop(L, 1);
    if (lua_isinteger(L, -1) && lua_tointeger(L, -1) > 0) {
      count++;
      if (lua_tointeger(L, -1) > last) last = lua_tointeger(L, -1);
    } else if (lua_type(L, -1) == LUA_TSTRING) {
      names++;
    } else {
      *odd = "a table with keys that are neither strings nor 1..n";
      lua_pop(L, 1);
      return -1;
    }
  }
  if (count == last && names == 0) return count;
  *odd = count != last ? "a list with holes" : "a table with both names and positions as keys";
  return count == 0 ? 0 : -1;
}

static int holds_table(lua_State *L, lua_Integer n) {
  int found = 0;
  for (lua_Integer i = 1; i <= n && !found; i++) {
    found = lua_rawgeti(L, -1, i) == LUA_TTABLE;
    lua_pop(L, 1);
  }
  return found;
}

/* A list of plain values stays on one line. */
static void encode_array(lua_State *L, output *out, lua_Integer n, const place *at, int depth) {
  int lines = holds_table(L, n);
  add(L, out, "[", 1);
  for (lua_Integer i = 1; i <= n; i++) {
    place here = {at, NULL, i};
    if (i > 1) add_text(L, out, out->indent && !lines ? ", " : ",");
    if (lines) add_line(L, out, depth + 1);
    lua_rawgeti(L, -1, i);
    encode(L, out, &here, depth + 1);
    lua_pop(L, 1);
  }
  if (lines) add_line(L, out, depth);
  add(L, out, "]", 1);
}

typedef struct name {
  const char *bytes;
  size_t n;
} name;

static int by_bytes(const void *a, const void *b) {
  const name *x = a, *y = b;
  int order = memcmp(x->bytes, y->bytes, x->n < y->n ? x->n : y->n);
  return order ? order : (x->n > y->n) - (x->n < y->n);
}

/* Pushes a userdata with the sorted keys of the table that was on top. */
static name *push_names(lua_State *L, size_t *count) {
  *count = 0;
  lua_pushnil(L);
  while (lua_next(L, -2)) {
    (*count)++;
    lua_pop(L, 1);
  }
  name *names = lua_newuserdatauv(L, (*count + 1) * sizeof *names, 0);
  size_t i = 0;
  lua_pushnil(L);
  while (lua_next(L, -3)) {
    names[i].bytes = lua_tolstring(L, -2, &names[i].n);
    i++;
    lua_pop(L, 1);
  }
  qsort(names, *count, sizeof *names, by_bytes);
  return names;
}

static void encode_map(lua_State *L, output *out, const place *at, int depth) {
  size_t count;
  name *names = push_names(L, &count);
  add(L, out, "{", 1);
  for (size_t i = 0; i < count; i++) {
    place here = {at, names[i].bytes, 0};
    if (memchr(names[i].bytes, 0, names[i].n)) fail(L, &here, "a key with a NUL in it");
    if (i) add(L, out, ",", 1);
    add_line(L, out, depth + 1);
    encode_string(L, out, names[i].bytes, names[i].n, &here);
    add_text(L, out, out->indent ? ": " : ":");
    lua_pushlstring(L, names[i].bytes, names[i].n);
    lua_rawget(L, -3);
    encode(L, out, &here, depth + 1);
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
  if (count) add_line(L, out, depth);
  add(L, out, "}", 1);
}

static void encode_table(lua_State *L, output *out, const place *at, int depth) {
  if (depth >= MAX_DEPTH)
    luaL_error(L, "json: the value contains itself, or is nested more than %d levels deep",
               MAX_DEPTH);
  luaL_checkstack(L, 8, "json: nested too deep");
  const char *odd = NULL;
  lua_Integer n = array_length(L, &odd);
  int marked = 0;
  if (n == 0 && lua_getmetatable(L, -1)) {
    luaL_getmetatable(L, ARRAY_META);
    marked = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
  }
  if (n < 0) fail(L, at, odd);
  if (n > 0 || marked) encode_array(L, out, n, at, depth);
  else encode_map(L, out, at, depth);
}

/* The value on top of the stack; leaves it there. */
static void encode(lua_State *L, output *out, const place *at, int depth) {
  size_t n;
  const char *bytes;
  char text[32];
  switch (lua_type(L, -1)) {
    case LUA_TBOOLEAN: add_text(L, out, lua_toboolean(L, -1) ? "true" : "false"); return;
    case LUA_TNUMBER:
      if (lua_isinteger(L, -1)) {
        snprintf(text, sizeof text, "%lld", (long long)lua_tointeger(L, -1));
        add_text(L, out, text);
      } else {
        encode_double(L, out, lua_tonumber(L, -1), at);
      }
      return;
    case LUA_TSTRING:
      bytes = lua_tolstring(L, -1, &n);
      encode_string(L, out, bytes, n, at);
      return;
    case LUA_TTABLE: encode_table(L, out, at, depth); return;
    case LUA_TLIGHTUSERDATA:
      if (lua_touserdata(L, -1) == &null_value) {
        add_text(L, out, "null");
        return;
      } /* fall through */
    default: fail(L, at, lua_pushfstring(L, "a %s, which JSON cannot hold", luaL_typename(L, -1)));
  }
}

/* core.json_encode(value, {indent = true, nonfinite = "error"|"null"|"string"}) */
static int json_encode(lua_State *L) {
  static const char *const modes[] = {"error", "null", "string", NULL};
  luaL_checkany(L, 1);
  output settings = {0};
  if (!lua_isnoneornil(L, 2)) {
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_getfield(L, 2, "indent");
    settings.indent = lua_toboolean(L, -1) ? 2 : 0;
    lua_getfield(L, 2, "nonfinite");
    settings.nonfinite = (nonfinite)luaL_checkoption(L, -1, "error", modes);
  }
  lua_settop(L, 1);
  output *out = lua_newuserdatauv(L, sizeof *out, 0);
  *out = settings;
  luaL_setmetatable(L, OUTPUT_META);
  lua_insert(L, 1);
  place root = {0};
  encode(L, out, &root, 0);
  if (out->indent) add(L, out, "\n", 1);
  lua_pushlstring(L, out->bytes, out->n);
  return 1;
}

/* ---- reading ---------------------------------------------------------------------------- */

static int input_gc(lua_State *L) {
  json_t **box = luaL_checkudata(L, 1, INPUT_META);
  json_decref(*box);
  *box = NULL;
  return 0;
}

static void push_value(lua_State *L, json_t *value, int depth) {
  if (depth > MAX_DEPTH) luaL_error(L, "json: nested more than %d levels deep", MAX_DEPTH);
  luaL_checkstack(L, 8, "json: nested too deep");
  const char *key;
  size_t i;
  json_t *item;
  switch (json_typeof(value)) {
    case JSON_OBJECT:
      lua_createtable(L, 0, (int)json_object_size(value));
      json_object_foreach(value, key, item) {
        push_value(L, item, depth + 1);
        lua_setfield(L, -2, key);
      }
      return;
    case JSON_ARRAY:
      lua_createtable(L, (int)json_array_size(value), 0);
      json_array_foreach(value, i, item) {
        push_value(L, item, depth + 1);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
      }
      if (json_array_size(value) == 0) luaL_setmetatable(L, ARRAY_META);
      return;
    case JSON_STRING:
      lua_pushlstring(L, json_string_value(value), json_string_length(value));
      return;
    case JSON_INTEGER: lua_pushinteger(L, (lua_Integer)json_integer_value(value)); return;
    case JSON_REAL: lua_pushnumber(L, json_real_value(value)); return;
    case JSON_NULL: lua_pushlightuserdata(L, &null_value); return;
    default: lua_pushboolean(L, json_is_true(value)); return;
  }
}

/* core.json_decode(text, [name]): `name` says in messages where the text is from. */
static int json_decode(lua_State *L) {
  size_t n;
  const char *text = luaL_checklstring(L, 1, &n);
  const char *from = luaL_optstring(L, 2, "json");
  json_t **box = lua_newuserdatauv(L, sizeof *box, 0);
  *box = NULL;
  luaL_setmetatable(L, INPUT_META);
  json_error_t error;
  *box = json_loadb(text, n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
  if (!*box)
    return luaL_error(L, "%s: line %d, column %d: %s", from, error.line, error.column, error.text);
  push_value(L, *box, 0);
  return 1;
}

static void new_meta(lua_State *L, const char *meta, lua_CFunction gc) {
  luaL_newmetatable(L, meta);
  lua_pushcfunction(L, gc);
  lua_setfield(L, -2, "__gc");
  lua_pop(L, 1);
}

void asl_lua_open_json(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"json_encode", json_encode}, {"json_decode", json_decode}, {NULL, NULL}};
  new_meta(L, OUTPUT_META, output_gc);
  new_meta(L, INPUT_META, input_gc);
  asl_lua_register(L, NULL, functions);
  luaL_newmetatable(L, ARRAY_META);
  lua_setfield(L, -2, "json_array");
  lua_pushlightuserdata(L, &null_value);
  lua_setfield(L, -2, "json_null");
}
