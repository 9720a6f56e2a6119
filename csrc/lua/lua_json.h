/* JSON: core.json_encode, core.json_decode, core.json_array, core.json_null. */
#ifndef ASL_LUA_JSON_H
#define ASL_LUA_JSON_H

#include "lua/lua_util.h"

/* Adds them to the core table on top of the stack. */
void asl_lua_open_json(lua_State *L);

#endif
