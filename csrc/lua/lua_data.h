/* Sources as userdata: what the bindings of data sets share. */
#ifndef ASL_LUA_DATA_H
#define ASL_LUA_DATA_H

#include <lua.h>

#include "data/source.h"

/* Pushes a source and takes over the caller's reference. In Lua: #source is its number of samples,
 * source:planes() the list of its planes' names, source:sample(position) a table of tensors,
 * source:files(position) the list of the files the sample is read from. */
void asl_lua_push_source(lua_State *L, asl_source *source);

/* The source at `arg`, not retained; raises when it is none. */
asl_source *asl_lua_check_source(lua_State *L, int arg);

#endif
