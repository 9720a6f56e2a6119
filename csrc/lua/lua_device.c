/* Devices in Lua: memory, waiting, steps as graphs, numbers that are fetched later. */
#include "lua/lua_tensor.h"
#include "ops/ops.h"
#include "tensor/device.h"

/* ---- memory of a device ("cpu") -------------------------------------------------------------- */
static const asl_device_api *check_api(lua_State *L, int arg) {
  const asl_device_api *api;
  asl_lua_check(L, asl_device_open(asl_lua_check_device(L, arg), &api));
  return api;
}

static int memory(lua_State *L) {
  asl_memory m = check_api(L, 1)->memory();
  lua_createtable(L, 0, 3);
  lua_pushinteger(L, m.live);
  lua_setfield(L, -2, "live");
  lua_pushinteger(L, m.peak);
  lua_setfield(L, -2, "peak");
  lua_pushinteger(L, m.cached);
  lua_setfield(L, -2, "cached");
  return 1;
}

static int memory_reset_peak(lua_State *L) {
  check_api(L, 1)->reset_peak();
  return 0;
}

static int memory_trim(lua_State *L) {
  lua_gc(L, LUA_GCCOLLECT);
  check_api(L, 1)->trim();
  return 0;
}

/* synchronise(device): returns when all its work is done. */
static int synchronise(lua_State *L) {
  asl_lua_check(L, check_api(L, 1)->synchronise());
  return 0;
}

/* graph_begin(device), graph_end(device): device.h; nothing on a device without graphs. */
static int graph_begin(lua_State *L) {
  const asl_device_api *api = check_api(L, 1);
  if (api->graph_begin) asl_lua_check(L, api->graph_begin());
  return 0;
}

/* graph_counts(device) -> steps replayed as a graph, captured as one, given directly; nothing
 * without graphs */
static int graph_counts(lua_State *L) {
  const asl_device_api *api = check_api(L, 1);
  if (!api->graph_counts) return 0;
  asl_graph_counts counts = api->graph_counts();
  lua_pushinteger(L, counts.replayed);
  lua_pushinteger(L, counts.captured);
  lua_pushinteger(L, counts.direct);
  return 3;
}

static int graph_end(lua_State *L) {
  const asl_device_api *api = check_api(L, 1);
  if (api->graph_end) asl_lua_check(L, api->graph_end());
  return 0;
}

/* ---- fetching ----------------------------------------------------------------------------------
 */
enum { DEVICE = 1, TICKET, DTYPE }; /* upvalues of a reader */

static void push_number(lua_State *L, asl_dtype dtype, const void *bytes) {
  switch (dtype) {
  case ASL_F32: lua_pushnumber(L, (lua_Number) * (const float *)bytes); break;
  case ASL_F64: lua_pushnumber(L, *(const double *)bytes); break;
  default: lua_pushinteger(L, *(const int64_t *)bytes); break;
  }
}

/* reader() -> the number, when the device has come to where it was asked for */
static int read_fetched(lua_State *L) {
  int64_t bytes = 0;
  asl_dtype dtype = (asl_dtype)lua_tointeger(L, lua_upvalueindex(DTYPE));
  asl_device device = (asl_device)lua_tointeger(L, lua_upvalueindex(DEVICE));
  int64_t ticket = lua_tointeger(L, lua_upvalueindex(TICKET));
  if (device == ASL_CPU) {
    lua_pushvalue(L, lua_upvalueindex(TICKET)); /* the number itself */
    return 1;
  }
  asl_lua_check(L, asl_device_api_of(device)->fetched(ticket, &bytes, asl_dtype_size(dtype)));
  push_number(L, dtype, &bytes);
  return 1;
}

/* fetch(t) -> reader: of a scalar f32, f64 or i64, which may be let go; nothing waits until the
 * reader is called. */
static int fetch(lua_State *L) {
  asl_tensor *t = asl_lua_check_tensor(L, 1);
  asl_lua_check(L, asl_settle(t));
  if (asl_tensor_count(t) != 1 ||
      (t->dtype != ASL_F32 && t->dtype != ASL_F64 && t->dtype != ASL_I64)) {
    char text[128];
    return luaL_error(L, "fetch takes one number, f32, f64 or i64, not %s",
                      asl_tensor_text(t, text));
  }
  lua_pushinteger(L, t->storage->device);
  if (t->storage->device == ASL_CPU) {
    push_number(L, t->dtype, asl_tensor_data(t));
  } else {
    int64_t ticket;
    size_t bytes = asl_dtype_size(t->dtype);
    asl_lua_check(L,
                  asl_device_api_of(t->storage->device)->fetch(asl_tensor_data(t), bytes, &ticket));
    lua_pushinteger(L, ticket);
  }
  lua_pushinteger(L, t->dtype);
  lua_pushcclosure(L, read_fetched, 3);
  return 1;
}

void asl_lua_open_device(lua_State *L) {
  static const luaL_Reg functions[] = {{"memory", memory},
                                       {"memory_reset_peak", memory_reset_peak},
                                       {"memory_trim", memory_trim},
                                       {"synchronise", synchronise},
                                       {"graph_begin", graph_begin},
                                       {"graph_end", graph_end},
                                       {"graph_counts", graph_counts},
                                       {"fetch", fetch},
                                       {NULL, NULL}};
  asl_lua_register(L, NULL, functions);
}
