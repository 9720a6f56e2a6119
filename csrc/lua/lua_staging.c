/* Unpacking archives to a local disk (lua/asl/staging.lua). */
#include "lua/lua_staging.h"

#include "data/tar.h"
#include "lua/lua_util.h"

#define UNTAR_META "asl.untar"

/* untar(archive, folder or nil, digest): an archive to unpack; without a folder, to count. */
static int untar_open(lua_State *L) {
  const char *archive = luaL_checkstring(L, 1), *folder = luaL_optstring(L, 2, NULL);
  int digest = lua_toboolean(L, 3);
  asl_untar **at = lua_newuserdatauv(L, sizeof(asl_untar *), 0);
  *at = NULL;
  luaL_setmetatable(L, UNTAR_META);
  asl_lua_check(L, asl_untar_open(archive, folder, digest, at));
  return 1;
}

static asl_untar *check_untar(lua_State *L) {
  asl_untar **at = luaL_checkudata(L, 1, UNTAR_META);
  if (!*at) luaL_error(L, "the archive is closed");
  return *at;
}

static int untar_close(lua_State *L) {
  asl_untar **at = luaL_checkudata(L, 1, UNTAR_META);
  asl_untar_close(*at);
  *at = NULL;
  return 0;
}

static void set_integer(lua_State *L, const char *key, int64_t value) {
  lua_pushinteger(L, value);
  lua_setfield(L, -2, key);
}

/* untar:step(bytes): {done, files, bytes, room, read, length}. */
static int untar_step(lua_State *L) {
  asl_untar_state state;
  asl_lua_check(L, asl_untar_step(check_untar(L), luaL_checkinteger(L, 2), &state));
  lua_createtable(L, 0, 6);
  lua_pushboolean(L, state.done);
  lua_setfield(L, -2, "done");
  set_integer(L, "files", state.files);
  set_integer(L, "bytes", state.bytes);
  set_integer(L, "room", state.room);
  set_integer(L, "read", state.read);
  set_integer(L, "length", state.length);
  return 1;
}

static int untar_sync(lua_State *L) {
  asl_lua_check(L, asl_untar_sync(check_untar(L)));
  return 0;
}

static int untar_digest(lua_State *L) {
  char hex[65];
  asl_untar_digest(check_untar(L), hex);
  lua_pushstring(L, hex);
  return 1;
}

static int untar_counts_fast(lua_State *L) {
  lua_pushboolean(L, asl_untar_counts_fast(check_untar(L)));
  return 1;
}

/* free_bytes(folder) */
static int free_bytes(lua_State *L) {
  int64_t bytes;
  asl_lua_check(L, asl_free_bytes(luaL_checkstring(L, 1), &bytes));
  lua_pushinteger(L, bytes);
  return 1;
}

/* tree_size(folder): files, bytes */
static int tree_size(lua_State *L) {
  int64_t files, bytes;
  asl_lua_check(L, asl_tree_size(luaL_checkstring(L, 1), &files, &bytes));
  lua_pushinteger(L, files);
  lua_pushinteger(L, bytes);
  return 2;
}

void asl_lua_open_staging(lua_State *L) {
  static const luaL_Reg meta[] = {{"__gc", untar_close}, {"__close", untar_close}, {NULL, NULL}};
  static const luaL_Reg methods[] = {{"step", untar_step},     {"sync", untar_sync},
                                     {"digest", untar_digest}, {"counts_fast", untar_counts_fast},
                                     {"close", untar_close},   {NULL, NULL}};
  static const luaL_Reg functions[] = {
      {"untar", untar_open}, {"free_bytes", free_bytes}, {"tree_size", tree_size}, {NULL, NULL}};
  luaL_newmetatable(L, UNTAR_META);
  luaL_setfuncs(L, meta, 0);
  lua_newtable(L);
  luaL_setfuncs(L, methods, 0);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
  asl_lua_register(L, NULL, functions);
}
