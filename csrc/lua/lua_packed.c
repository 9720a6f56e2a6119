/* Packs: data sets decoded once, in one file. */
#include "lua/lua_packed.h"

#include <stdio.h>
#include <string.h>

#include "data/packed.h"
#include "lua/lua_data.h"
#include "lua/lua_util.h"

#define WRITER_META "asl.pack_writer"

enum { MAX_ROWS = 1 << 12 };

/* ---- writing ------------------------------------------------------------------------------ */

static asl_pack_writer *check_writer(lua_State *L) {
  asl_pack_writer **box = luaL_checkudata(L, 1, WRITER_META);
  luaL_argcheck(L, *box, 1, "the pack is closed");
  return *box;
}

/* The mask of the names in table.planes. */
static uint32_t check_planes(lua_State *L, int table) {
  uint32_t mask = 0;
  lua_getfield(L, table, "planes");
  luaL_checktype(L, -1, LUA_TTABLE);
  for (lua_Integer i = 1; lua_geti(L, -1, i) != LUA_TNIL; i++) {
    int plane = lua_type(L, -1) == LUA_TSTRING ? asl_plane_from_name(lua_tostring(L, -1)) : -1;
    if (plane < 0) luaL_error(L, "pack_create: planes[%I] is no plane", i);
    mask |= 1u << plane;
    lua_pop(L, 1);
  }
  lua_pop(L, 2);
  return mask;
}

/* pack_create{path =, header = text, count =, planes = names, classes =}: a writer; see
 * data/packed.h. */
static int pack_create(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  asl_pack_spec spec = {.path = asl_lua_field_string(L, 1, "path", ""),
                        .count = asl_lua_field_integer(L, 1, "count", 0),
                        .planes = check_planes(L, 1)};
  lua_Integer classes = asl_lua_field_integer(L, 1, "classes", 0);
  spec.classes = classes < 0 || classes > ASL_IGNORE ? 0 : (int)classes;
  lua_getfield(L, 1, "header");
  spec.header = luaL_checklstring(L, -1, &spec.header_bytes);
  asl_pack_writer **box = lua_newuserdatauv(L, sizeof *box, 0);
  *box = NULL;
  luaL_setmetatable(L, WRITER_META);
  asl_lua_check(L, asl_pack_create(&spec, box));
  return 1;
}

/* writer:done() */
static int writer_done(lua_State *L) {
  lua_pushinteger(L, asl_pack_done(check_writer(L)));
  return 1;
}

/* writer:room(bytes): raises when the disk has less. */
static int writer_room(lua_State *L) {
  asl_pack_writer *writer = check_writer(L);
  lua_Integer bytes = luaL_checkinteger(L, 2);
  asl_lua_check(L, asl_pack_room(writer, bytes < 0 ? 0 : (uint64_t)bytes));
  return 0;
}

/* writer:add{{source, position}, ...}: the next samples. */
static int writer_add(lua_State *L) {
  asl_pack_writer *writer = check_writer(L);
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_Integer n = luaL_len(L, 2);
  if (n < 1 || n > MAX_ROWS) return luaL_error(L, "add: 1 to %d samples, not %I", MAX_ROWS, n);
  asl_pack_row *rows = lua_newuserdatauv(L, (size_t)n * sizeof *rows, 0);
  for (lua_Integer i = 0; i < n; i++) {
    if (lua_geti(L, 2, i + 1) != LUA_TTABLE) return luaL_error(L, "add: {source, position}");
    lua_geti(L, -1, 1);
    lua_geti(L, -2, 2);
    rows[i] = (asl_pack_row){asl_lua_check_source(L, -2), luaL_checkinteger(L, -1) - 1};
    lua_pop(L, 3);
  }
  asl_lua_check(L, asl_pack_add(writer, rows, (int)n));
  return 0;
}

static int writer_finish(lua_State *L) {
  asl_lua_check(L, asl_pack_finish(check_writer(L)));
  return 0;
}

static int writer_close(lua_State *L) {
  asl_pack_writer **box = luaL_checkudata(L, 1, WRITER_META);
  asl_pack_close(*box);
  *box = NULL;
  return 0;
}

/* ---- reading ------------------------------------------------------------------------------ */

/* pack_open(path): its source, its header, its number of classes, its bytes. */
static int pack_open(lua_State *L) {
  asl_source *source;
  asl_lua_check(L, asl_pack_open(luaL_checkstring(L, 1), &source));
  asl_lua_push_source(L, source);
  size_t n;
  const char *header = asl_pack_header(source, &n);
  lua_pushlstring(L, header, n);
  lua_pushinteger(L, asl_pack_classes(source));
  lua_pushinteger(L, asl_pack_file_bytes(source));
  return 4;
}

static const asl_source *check_pack(lua_State *L) {
  const asl_source *source = asl_lua_check_source(L, 1);
  luaL_argcheck(L, asl_pack_is(source), 1, "the source is no pack");
  return source;
}

/* pack_samples(source): lists of the samples' digests (64 digits), heights and widths. */
static int pack_samples(lua_State *L) {
  const asl_source *source = check_pack(L);
  for (int list = 0; list < 3; list++) lua_createtable(L, (int)source->count, 0);
  for (int64_t i = 0; i < source->count; i++) {
    asl_pack_entry entry = asl_pack_look(source, i);
    char hex[65];
    for (int b = 0; b < 32; b++) snprintf(hex + 2 * b, 3, "%02x", entry.sha256[b]);
    lua_pushlstring(L, hex, 64);
    lua_seti(L, -4, i + 1);
    lua_pushinteger(L, entry.height);
    lua_seti(L, -3, i + 1);
    lua_pushinteger(L, entry.width);
    lua_seti(L, -2, i + 1);
  }
  return 3;
}

/* pack_verify(source, first, last): raises when one of these samples is damaged. */
static int pack_verify(lua_State *L) {
  const asl_source *source = check_pack(L);
  lua_Integer first = luaL_checkinteger(L, 2), last = luaL_checkinteger(L, 3);
  asl_lua_check(L, asl_pack_verify(source, first - 1, last));
  return 0;
}

/* ---- registration ------------------------------------------------------------------------- */

void asl_lua_open_packed(lua_State *L) {
  static const luaL_Reg methods[] = {{"done", writer_done},     {"room", writer_room},
                                     {"add", writer_add},       {"finish", writer_finish},
                                     {"close", writer_close},   {"__gc", writer_close},
                                     {"__close", writer_close}, {NULL, NULL}};
  static const luaL_Reg functions[] = {{"pack_create", pack_create},
                                       {"pack_open", pack_open},
                                       {"pack_samples", pack_samples},
                                       {"pack_verify", pack_verify},
                                       {NULL, NULL}};
  luaL_newmetatable(L, WRITER_META);
  luaL_setfuncs(L, methods, 0);
  lua_pushvalue(L, -1);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
  asl_lua_register(L, NULL, functions);
}
