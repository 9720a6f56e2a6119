/* asl.edit: the line editor of the prompt, for lua/asl/repl.lua. */
#ifndef ASL_HOST_EDIT_H
#define ASL_HOST_EDIT_H

#include <lua.h>

/* Opens the module; its functions are described in edit.c. */
int asl_open_edit(lua_State *L);

#endif
