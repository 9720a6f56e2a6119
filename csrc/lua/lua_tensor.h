/* The userdata behind a Lua tensor; for lua_tensor.c and lua_ops.c. */
#ifndef ASL_LUA_TENSOR_H
#define ASL_LUA_TENSOR_H

#include "lua/lua_util.h"

#define ASL_TENSOR_TYPE "asl.tensor"

/* Boxes made while a scope is open hang in its list, so that closing it releases them. */
typedef struct asl_box {
  asl_tensor *tensor; /* NULL: released */
  struct asl_box *previous, *next;
} asl_box;

/* The device named at `arg`, "cpu" where there is none; raises when the name is no device's. */
asl_device asl_lua_check_device(lua_State *L, int arg);

#endif
