/* Bindings of packs and of the survey of data sets (lua_packed.c, lua_survey.c). */
#ifndef ASL_LUA_PACKED_H
#define ASL_LUA_PACKED_H

#include <lua.h>

/* Add their functions to the core table on top of the stack. */
void asl_lua_open_packed(lua_State *L);
void asl_lua_open_survey(lua_State *L);

#endif
