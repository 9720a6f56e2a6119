/* The procedural data set `rooms`. */
#include "data/rooms.h"

#include "lua/lua_data.h"
#include "lua/lua_util.h"

/* The domain of table.parameters = {{group, name, value}, ...}. */
static asl_rooms_domain check_domain(lua_State *L, int table) {
  asl_rooms_domain domain;
  asl_rooms_domain_init(&domain);
  lua_getfield(L, table, "parameters");
  luaL_checktype(L, -1, LUA_TTABLE);
  lua_Integer n = luaL_len(L, -1);
  for (lua_Integer i = 1; i <= n; i++) {
    if (lua_geti(L, -1, i) != LUA_TTABLE)
      luaL_error(L, "rooms: a parameter is {group, name, value}");
    lua_geti(L, -1, 1);
    lua_geti(L, -2, 2);
    lua_geti(L, -3, 3);
    const char *group = luaL_checkstring(L, -3), *name = luaL_checkstring(L, -2);
    if (lua_type(L, -1) != LUA_TNUMBER)
      luaL_error(L, "rooms: %s.%s must be a number, not a %s", group, name, luaL_typename(L, -1));
    asl_lua_check(L, asl_rooms_domain_set(&domain, group, name, lua_tonumber(L, -1)));
    lua_pop(L, 4);
  }
  lua_pop(L, 1);
  return domain;
}

static int field_int(lua_State *L, const char *key) {
  lua_Integer value = asl_lua_field_integer(L, 1, key, 0);
  return value < 0 || value > INT32_MAX ? 0 : (int)value; /* 0 is refused by the core */
}

/* rooms_source{parameters = {{group, name, value}, ...}, seed =, first_room =, sequences =, frames
 * =, height =, width =, antialias =, cache_bytes =}: a source. */
static int rooms_source(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  asl_rooms_config config = {
      .domain = check_domain(L, 1),
      .seed = (uint64_t)asl_lua_field_integer(L, 1, "seed", 0),
      .first_room = asl_lua_field_integer(L, 1, "first_room", 0),
      .sequences = field_int(L, "sequences"),
      .frames = field_int(L, "frames"),
      .height = field_int(L, "height"),
      .width = field_int(L, "width"),
      .cache_bytes = asl_lua_field_integer(L, 1, "cache_bytes", 0),
      .antialias = asl_lua_field_boolean(L, 1, "antialias", 1),
  };
  asl_source *source;
  asl_lua_check(L, asl_rooms_open(&config, &source));
  asl_lua_push_source(L, source);
  return 1;
}

/* rooms_parameters(): a list of {group =, name =, default =, least =, most =}. */
static int rooms_parameters(lua_State *L) {
  lua_createtable(L, ASL_ROOMS_PARAMETER_COUNT, 0);
  for (int i = 0; i < ASL_ROOMS_PARAMETER_COUNT; i++) {
    const asl_rooms_parameter *p = &asl_rooms_parameters[i];
    lua_createtable(L, 0, 5);
    lua_pushstring(L, p->group);
    lua_setfield(L, -2, "group");
    lua_pushstring(L, p->name);
    lua_setfield(L, -2, "name");
    lua_pushnumber(L, (lua_Number)p->value);
    lua_setfield(L, -2, "default");
    lua_pushnumber(L, (lua_Number)p->least);
    lua_setfield(L, -2, "least");
    lua_pushnumber(L, (lua_Number)p->most);
    lua_setfield(L, -2, "most");
    lua_seti(L, -2, i + 1);
  }
  return 1;
}

void asl_lua_open_rooms(lua_State *L) {
  static const luaL_Reg list[] = {
      {"rooms_source", rooms_source}, {"rooms_parameters", rooms_parameters}, {NULL, NULL}};
  asl_lua_register(L, NULL, list);
}
