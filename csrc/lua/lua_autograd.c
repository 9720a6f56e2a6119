/* Gradients: backward, whether to record, rules written in Lua. */
#include <stdlib.h>

#include "autograd/tape.h"
#include "lua/lua_tensor.h"

/* ---- rules written in Lua -------------------------------------------------------------------- */
/* Called in the midst of the core's backward, which no error may jump out of: what a rule raises is
 * kept and raised again when backward has cleaned up. */
static lua_State *caller; /* of the backward that is going on */
static const char raised; /* its address: where in the registry the error waits */

typedef struct lua_rule {
  asl_custom_rule base;
  lua_State *main; /* what the function is registered with; lives as long as the program's Lua */
  int function;
} lua_rule;

typedef struct rule_call {
  int function;
  asl_tensor *dy, *dx;
} rule_call;

/* (rule_call) with errors caught around it */
static int call_rule(lua_State *L) {
  rule_call *call = lua_touserdata(L, 1);
  lua_rawgeti(L, LUA_REGISTRYINDEX, call->function);
  asl_lua_push_tensor(L, asl_tensor_retain(call->dy));
  lua_call(L, 1, 1);
  if (lua_isnil(L, -1)) return 0;
  call->dx = asl_tensor_retain(asl_lua_check_tensor(L, -1));
  return 0;
}

static asl_status gradient(asl_custom_rule *self, asl_tensor *dy, asl_tensor **dx) {
  rule_call call = {((lua_rule *)self)->function, dy, NULL};
  if (!lua_checkstack(caller, 8)) return asl_fail(ASL_ENOMEM, "no memory to call a gradient rule");
  lua_pushcfunction(caller, call_rule);
  lua_pushlightuserdata(caller, &call);
  if (lua_pcall(caller, 1, 0, 0) != LUA_OK) {
    lua_rawsetp(caller, LUA_REGISTRYINDEX, &raised);
    return asl_fail(ASL_EINVAL, "a gradient rule failed");
  }
  *dx = call.dx;
  return ASL_OK;
}

static void free_rule(asl_custom_rule *self) {
  lua_rule *rule = (lua_rule *)self;
  luaL_unref(rule->main, LUA_REGISTRYINDEX, rule->function);
  free(rule);
}

/* record_custom(x, y, fn): y was made from x; fn(dy) -> dx, or nil for zero, is its gradient. */
static int record_custom(lua_State *L) {
  asl_tensor *x = asl_lua_check_tensor(L, 1), *y = asl_lua_check_tensor(L, 2);
  luaL_checktype(L, 3, LUA_TFUNCTION);
  lua_settop(L, 3);
  lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
  lua_State *main = lua_tothread(L, -1);
  lua_pop(L, 1);
  int function = luaL_ref(L, LUA_REGISTRYINDEX);
  lua_rule *rule = malloc(sizeof *rule);
  if (!rule) {
    luaL_unref(L, LUA_REGISTRYINDEX, function);
    return luaL_error(L, "no memory for a gradient rule");
  }
  *rule = (lua_rule){{gradient, free_rule}, main, function};
  asl_lua_check(L, asl_record_custom(x, y, &rule->base));
  return 0;
}

/* ---- backward -------------------------------------------------------------------------------- */
/* backward(loss, seed). On the CPU it collects garbage first: what the script can no longer reach
 * is then held by the tape alone, so that memory falls while backward passes. A GPU would wait for
 * that. */
static int backward(lua_State *L) {
  asl_tensor *loss = asl_lua_check_tensor(L, 1);
  double seed = luaL_optnumber(L, 2, 1);
  lua_State *outer = caller;
  if (loss->storage->device == ASL_CPU) lua_gc(L, LUA_GCCOLLECT);
  caller = L;
  asl_status status = asl_backward(loss, seed);
  caller = outer;
  if (status != ASL_OK && lua_rawgetp(L, LUA_REGISTRYINDEX, &raised) != LUA_TNIL) {
    lua_pushnil(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &raised);
    return lua_error(L);
  }
  asl_lua_check(L, status);
  return 0;
}

static int grad_enable(lua_State *L) {
  luaL_checktype(L, 1, LUA_TBOOLEAN);
  lua_pushboolean(L, asl_grad_enable(lua_toboolean(L, 1)));
  return 1;
}

void asl_lua_open_autograd(lua_State *L) {
  static const luaL_Reg functions[] = {{"backward", backward},
                                       {"grad_enable", grad_enable},
                                       {"record_custom", record_custom},
                                       {NULL, NULL}};
  asl_autograd_open();
  asl_lua_register(L, NULL, functions);
}
