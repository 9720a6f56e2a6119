/* Bindings of unpacking (lua_staging.c). */
#ifndef ASL_LUA_STAGING_H
#define ASL_LUA_STAGING_H

#include <lua.h>

/* Adds its functions to the core table on top of the stack. */
void asl_lua_open_staging(lua_State *L);

#endif
