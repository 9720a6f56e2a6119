#include "lua/lua_util.h"

void asl_lua_check(lua_State *L, asl_status status) {
  if (status != ASL_OK) luaL_error(L, "%s", asl_message());
}

static int field(lua_State *L, int table, const char *key) { return lua_getfield(L, table, key); }

static void wrong_type(lua_State *L, const char *key, const char *wanted) {
  luaL_error(L, "option \"%s\" must be %s, not a %s", key, wanted, luaL_typename(L, -1));
}

lua_Integer asl_lua_field_integer(lua_State *L, int table, const char *key, lua_Integer value) {
  if (field(L, table, key) != LUA_TNIL) {
    int ok;
    value = lua_tointegerx(L, -1, &ok);
    if (!ok || lua_type(L, -1) != LUA_TNUMBER) wrong_type(L, key, "a whole number");
  }
  lua_pop(L, 1);
  return value;
}

lua_Number asl_lua_field_number(lua_State *L, int table, const char *key, lua_Number value) {
  if (field(L, table, key) != LUA_TNIL) {
    if (lua_type(L, -1) != LUA_TNUMBER) wrong_type(L, key, "a number");
    value = lua_tonumber(L, -1);
  }
  lua_pop(L, 1);
  return value;
}

int asl_lua_field_boolean(lua_State *L, int table, const char *key, int value) {
  if (field(L, table, key) != LUA_TNIL) {
    if (!lua_isboolean(L, -1)) wrong_type(L, key, "true or false");
    value = lua_toboolean(L, -1);
  }
  lua_pop(L, 1);
  return value;
}

const char *asl_lua_field_string(lua_State *L, int table, const char *key, const char *value) {
  if (field(L, table, key) != LUA_TNIL) {
    if (lua_type(L, -1) != LUA_TSTRING) wrong_type(L, key, "a string");
    value = lua_tostring(L, -1);
  }
  lua_pop(L, 1);
  return value;
}

void asl_lua_register(lua_State *L, const char *name, const luaL_Reg list[]) {
  if (name) {
    luaL_getsubtable(L, -1, name);
    luaL_setfuncs(L, list, 0);
    lua_pop(L, 1);
  } else {
    luaL_setfuncs(L, list, 0);
  }
}
