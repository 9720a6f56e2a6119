/* core.trace: the spans of csrc/base/trace.h; core.measure_peaks: the roofline. */
#include "base/trace.h"
#include "lua/lua_util.h"
#include "ops/ops.h"

/* start(): forgets what was recorded and records. */
static int start(lua_State *L) {
  (void)L;
  asl_trace_clear();
  asl_trace_start();
  return 0;
}

static int stop(lua_State *L) {
  (void)L;
  asl_trace_stop();
  return 0;
}

/* clear(): forgets all spans and gives their memory back. */
static int clear(lua_State *L) {
  (void)L;
  asl_trace_clear();
  return 0;
}

static int is_on(lua_State *L) {
  lua_pushboolean(L, asl_trace_on());
  return 1;
}

/* open(name [, at]) -> handle */
static int open_span(lua_State *L) {
  const char *name = luaL_checkstring(L, 1), *at = luaL_optstring(L, 2, NULL);
  lua_pushinteger(L, asl_trace_begin(name, at));
  return 1;
}

static int close_span(lua_State *L) {
  asl_trace_end(luaL_checkinteger(L, 1), 0, 0);
  return 0;
}

/* count() -> spans recorded, spans that were not kept */
static int count(lua_State *L) {
  lua_pushinteger(L, asl_trace_count());
  lua_pushinteger(L, asl_trace_dropped());
  return 2;
}

/* span(i) -> name, at or nil, start, end (nanoseconds; 0: open), macs, bytes, depth; i from 1 */
static int span(lua_State *L) {
  lua_Integer i = luaL_checkinteger(L, 1);
  luaL_argcheck(L, i >= 1 && i <= asl_trace_count(), 1, "there is no such span");
  const asl_span *s = asl_trace_span(i - 1);
  lua_pushstring(L, s->name);
  lua_pushstring(L, s->at); /* nil for NULL */
  lua_pushinteger(L, s->start_ns);
  lua_pushinteger(L, s->end_ns);
  lua_pushinteger(L, s->macs);
  lua_pushinteger(L, s->bytes);
  lua_pushinteger(L, s->depth);
  return 7;
}

/* measure_peaks([device]) -> { macs, bytes } per second, on the CPU with the threads that are set; nil where
 * the backend cannot tell. */
static int measure_peaks(lua_State *L) {
  asl_device device;
  const asl_device_api *api;
  luaL_argcheck(L, asl_device_from_name(luaL_optstring(L, 1, "cpu"), &device), 1, "is no device");
  asl_lua_check(L, asl_device_open(device, &api));
  const asl_backend *backend = asl_backend_of(device);
  if (!backend || !backend->measure_peaks) return 0;
  asl_peaks peaks;
  asl_lua_check(L, backend->measure_peaks(&peaks));
  lua_createtable(L, 0, 2);
  lua_pushnumber(L, peaks.macs);
  lua_setfield(L, -2, "macs");
  lua_pushnumber(L, peaks.bytes);
  lua_setfield(L, -2, "bytes");
  return 1;
}

void asl_lua_open_profile(lua_State *L) {
  static const luaL_Reg trace[] = {{"start", start}, {"stop", stop},       {"clear", clear},
                                   {"on", is_on},    {"open", open_span},  {"close", close_span},
                                   {"count", count}, {"span", span},       {NULL, NULL}};
  static const luaL_Reg functions[] = {{"measure_peaks", measure_peaks}, {NULL, NULL}};
  asl_lua_register(L, "trace", trace);
  asl_lua_register(L, NULL, functions);
}
