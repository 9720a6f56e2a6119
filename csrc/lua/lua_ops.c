/* core.ops.NAME for every row of ops.def. */
#include <string.h>

#include "autograd/tape.h"
#include "lua/lua_tensor.h"
#include "ops/ops.h"

/* Reads one entry of the options table: key at -2, value at -1. */
static void read_option(lua_State *L, asl_call *call, const asl_op_info *info) {
  const char *key = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "?";
  if (strcmp(key, "at") == 0) {
    /* Kept in the registry: the tape holds on to the pointer. */
    call->at = luaL_checkstring(L, -1);
    luaL_getsubtable(L, LUA_REGISTRYINDEX, "asl.at");
    lua_pushvalue(L, -2);
    lua_pushboolean(L, 1);
    lua_rawset(L, -3);
    lua_pop(L, 1);
    return;
  }
  for (int i = 0; i < info->n_params; i++) {
    const asl_param_info *p = &info->param[i];
    if (strcmp(p->name, key) != 0) continue;
    int ok = 1;
    if (!p->is_integer) {
      call->param[i].f = lua_tonumberx(L, -1, &ok);
    } else if (lua_isboolean(L, -1)) {
      call->param[i].i = lua_toboolean(L, -1);
    } else if (strcmp(key, "dtype") == 0 && lua_type(L, -1) == LUA_TSTRING) {
      asl_dtype dtype;
      if (!asl_dtype_from_name(lua_tostring(L, -1), &dtype))
        luaL_error(L, "%s: \"%s\" is no dtype (f32, f64, u8, i32, i64, bf16)", info->name,
                   lua_tostring(L, -1));
      call->param[i].i = dtype;
    } else {
      call->param[i].i = lua_tointegerx(L, -1, &ok);
    }
    if (!ok)
      luaL_error(L, "%s: option \"%s\" must be %s, not %s", info->name, key,
                 p->is_integer ? "a whole number" : "a number", luaL_tolstring(L, -1, NULL));
    return;
  }
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  for (int i = 0; i < info->n_params; i++) {
    if (i > 0) luaL_addstring(&b, ", ");
    luaL_addstring(&b, info->param[i].name);
  }
  luaL_pushresult(&b);
  luaL_error(L, "%s: unknown option \"%s\" (known: %s)", info->name, key, lua_tostring(L, -1));
}

static int run_op(lua_State *L) {
  asl_call call;
  asl_op op = (asl_op)lua_tointeger(L, lua_upvalueindex(1));
  const asl_op_info *info = asl_op_get(op);
  int n = lua_gettop(L);
  asl_call_init(&call, op);
  if (n > 0 && lua_istable(L, n)) {
    lua_pushnil(L);
    while (lua_next(L, n)) {
      read_option(L, &call, info);
      lua_pop(L, 1);
    }
    n--;
  }
  if (n > info->n_in)
    return luaL_error(L, "%s takes %d tensors, not %d", info->name, info->n_in, n);
  for (int i = 0; i < n; i++) {
    if (!lua_isnil(L, i + 1) && !luaL_testudata(L, i + 1, ASL_TENSOR_TYPE))
      return luaL_error(L, "%s: %s must be a tensor, not a %s", info->name, info->in[i].name,
                        luaL_typename(L, i + 1));
    call.in[i] = asl_lua_opt_tensor(L, i + 1);
  }
  asl_lua_check(L, asl_run(&call));
  if (info->flags & ASL_OP_INPLACE) {
    lua_settop(L, 1);
    return 1;
  }
  int results = 0;
  for (int i = 0; i < info->n_out; i++) {
    if (info->out[i].saved && info->out[i].optional) {
      asl_tensor_release(call.out[i]); /* for the gradient rule only */
      continue;
    }
    asl_lua_push_tensor(L, call.out[i]);
    results++;
  }
  return results;
}

static int macs(lua_State *L) {
  lua_pushinteger(L, asl_macs());
  return 1;
}

static int check_finite(lua_State *L) {
  asl_check_finite(lua_toboolean(L, 1));
  return 0;
}

static void push_slots(lua_State *L, const asl_slot slots[], int n) {
  lua_createtable(L, n, 0);
  for (int i = 0; i < n; i++) {
    lua_createtable(L, 0, 3);
    lua_pushstring(L, slots[i].name);
    lua_setfield(L, -2, "name");
    lua_pushboolean(L, slots[i].optional);
    lua_setfield(L, -2, "optional");
    lua_pushboolean(L, slots[i].saved && slots[i].optional);
    lua_setfield(L, -2, "hidden"); /* of outputs: not returned */
    lua_seti(L, -2, i + 1);
  }
}

/* op_table() -> array of {name, differentiable, view, in_place, inputs, outputs, params}; for help
 * and for the specs, which must cover every row. */
static int op_table(lua_State *L) {
  lua_createtable(L, ASL_OP_COUNT, 0);
  for (int op = 0; op < ASL_OP_COUNT; op++) {
    const asl_op_info *info = asl_op_get((asl_op)op);
    lua_createtable(L, 0, 7);
    lua_pushstring(L, info->name);
    lua_setfield(L, -2, "name");
    lua_pushboolean(L, (info->flags & ASL_OP_GRAD) != 0);
    lua_setfield(L, -2, "differentiable");
    lua_pushboolean(L, asl_views[op] != NULL);
    lua_setfield(L, -2, "view");
    lua_pushboolean(L, (info->flags & ASL_OP_INPLACE) != 0);
    lua_setfield(L, -2, "in_place");
    lua_pushboolean(L, asl_rules[op] != NULL);
    lua_setfield(L, -2, "has_rule");
    push_slots(L, info->in, info->n_in);
    lua_setfield(L, -2, "inputs");
    push_slots(L, info->out, info->n_out);
    lua_setfield(L, -2, "outputs");
    lua_createtable(L, info->n_params, 0);
    for (int i = 0; i < info->n_params; i++) {
      lua_createtable(L, 0, 2);
      lua_pushstring(L, info->param[i].name);
      lua_setfield(L, -2, "name");
      if (info->param[i].is_integer) lua_pushinteger(L, info->param[i].value.i);
      else lua_pushnumber(L, info->param[i].value.f);
      lua_setfield(L, -2, "default");
      lua_seti(L, -2, i + 1);
    }
    lua_setfield(L, -2, "params");
    lua_seti(L, -2, op + 1);
  }
  return 1;
}

void asl_lua_open_ops(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"macs", macs}, {"check_finite", check_finite}, {"op_table", op_table}, {NULL, NULL}};
  asl_lua_register(L, NULL, functions);
  lua_createtable(L, 0, ASL_OP_COUNT);
  for (int op = 0; op < ASL_OP_COUNT; op++) {
    lua_pushinteger(L, op);
    lua_pushcclosure(L, run_op, 1);
    lua_setfield(L, -2, asl_op_get((asl_op)op)->name);
  }
  lua_setfield(L, -2, "ops");
}
