/* What the machine and the build are: threads, versions, devices, the terminal. */
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/parallel.h"
#include "dist/ranks.h"
#include "lua/lua_util.h"
#include "ops/ops.h"
#include "version.h" /* written by the build */

/* core.threads([n]): sets and returns the number of threads of the CPU kernels. */
static int threads(lua_State *L) {
  if (!lua_isnoneornil(L, 1)) {
    lua_Integer n = luaL_checkinteger(L, 1);
    luaL_argcheck(L, n >= 1 && n <= 256, 1, "the number of threads must be in 1..256");
    asl_set_threads((int)n);
  }
  lua_pushinteger(L, asl_threads());
  return 1;
}

static int stream_of(lua_State *L, int arg, const char *otherwise) {
  static const char *const names[] = {"stdin", "stdout", "stderr", NULL};
  return luaL_checkoption(L, arg, otherwise, names);
}

/* core.isatty("stdin"|"stdout"|"stderr") */
static int is_terminal(lua_State *L) {
  lua_pushboolean(L, isatty(stream_of(L, 1, NULL)));
  return 1;
}

/* core.terminal_size(): columns and rows of the window stdout is in, or nothing. */
static int terminal_size(lua_State *L) {
  struct winsize window;
  if (ioctl(stream_of(L, 1, "stdout"), TIOCGWINSZ, &window) != 0 || window.ws_col == 0) return 0;
  lua_pushinteger(L, window.ws_col);
  lua_pushinteger(L, window.ws_row);
  return 2;
}

static void set_string(lua_State *L, const char *key, const char *value) {
  lua_pushstring(L, value);
  lua_setfield(L, -2, key);
}

/* The processor as Linux names it; "unknown processor" where it does not. */
static void push_processor(lua_State *L) {
  char line[256], *name = NULL;
  FILE *file = fopen("/proc/cpuinfo", "r");
  while (file && !name && fgets(line, sizeof line, file))
    if (strncmp(line, "model name", 10) == 0 && (name = strchr(line, ':')) != NULL)
      name += strspn(name, ": ");
  if (file) fclose(file);
  if (name) name[strcspn(name, "\n")] = '\0';
  lua_pushstring(L, name ? name : "unknown processor");
}

static void push_devices(lua_State *L) {
  const asl_backend *backend = asl_backend_of(ASL_CPU);
  lua_createtable(L, 1, 0);
  lua_createtable(L, 0, 4);
  set_string(L, "device", "cpu");
  set_string(L, "backend", backend ? backend->name : "none");
  push_processor(L);
  lua_setfield(L, -2, "name");
  lua_pushinteger(L, asl_threads());
  lua_setfield(L, -2, "threads");
  lua_rawseti(L, -2, 1);
}

static void push_libraries(lua_State *L) {
  static const struct { const char *name, *version; } libraries[] = {
      {"jansson", ASL_JANSSON_VERSION}, {"libcrypto", ASL_OPENSSL_VERSION},
      {"libedit", ASL_EDIT_VERSION},    {"libjpeg", ASL_JPEG_VERSION},
      {"libpng", ASL_PNG_VERSION},      {"lua", LUA_VERSION_MAJOR "." LUA_VERSION_MINOR
                                                "." LUA_VERSION_RELEASE},
      {"zlib", ASL_ZLIB_VERSION}};
  lua_newtable(L);
  for (size_t i = 0; i < sizeof libraries / sizeof *libraries; i++)
    set_string(L, libraries[i].name, libraries[i].version);
}

/* core.device_algorithms(name): which of a library's algorithms the device uses, or nil; may load the library. */
static int device_algorithms(lua_State *L) {
  asl_device device;
  const asl_device_api *api;
  luaL_argcheck(L, asl_device_from_name(luaL_checkstring(L, 1), &device), 1, "is no device");
  asl_lua_check(L, asl_device_open(device, &api));
  lua_pushstring(L, api->algorithms ? api->algorithms() : NULL);
  return 1;
}

/* core.device_info(name): opens the device; {name, detail, total_bytes, count}, or nil and why there is none. */
static int device_info(lua_State *L) {
  const char *name = luaL_checkstring(L, 1);
  asl_device device;
  const asl_device_api *api;
  asl_device_info info;
  luaL_argcheck(L, asl_device_from_name(name, &device), 1, "is no device");
  if (asl_device_open(device, &api) != ASL_OK) {
    lua_pushnil(L);
    lua_pushstring(L, asl_message());
    return 2;
  }
  api->describe(&info);
  lua_createtable(L, 0, 4);
  set_string(L, "name", info.name);
  set_string(L, "detail", info.detail);
  lua_pushinteger(L, info.total_bytes);
  lua_setfield(L, -2, "total_bytes");
  lua_pushinteger(L, info.count);
  lua_setfield(L, -2, "count");
  return 1;
}

/* core.choose_device(n): which of several GPUs this process uses, from 0; before the first use. */
static int choose_device(lua_State *L) {
  lua_Integer n = luaL_checkinteger(L, 1);
  luaL_argcheck(L, n >= 0 && n < 1024, 1, "devices are numbered from 0");
  asl_device_choose((int)n);
  return 0;
}

/* core.version(): what was built and what it runs on, for `asl --version` and the manifest. */
static int version(lua_State *L) {
  lua_newtable(L);
  set_string(L, "version", ASL_VERSION);
  set_string(L, "commit", ASL_COMMIT);
  set_string(L, "build", ASL_BUILD_TYPE);
  set_string(L, "compiler", ASL_COMPILER);
  set_string(L, "cuda", ASL_CUDA_STATE);
  set_string(L, "mpi", asl_ranks_built());
  push_libraries(L);
  lua_setfield(L, -2, "libraries");
  push_devices(L);
  lua_setfield(L, -2, "devices");
  return 1;
}

void asl_lua_open_system(lua_State *L) {
  static const luaL_Reg functions[] = {{"threads", threads},
                                       {"isatty", is_terminal},
                                       {"terminal_size", terminal_size},
                                       {"device_info", device_info},
                                       {"device_algorithms", device_algorithms},
                                       {"choose_device", choose_device},
                                       {"version", version},
                                       {NULL, NULL}};
  asl_lua_register(L, NULL, functions);
  asl_lua_open_interrupt(L);
}
