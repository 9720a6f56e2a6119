/* asl, the program: finds its Lua modules beside itself, opens Lua and hands over to asl.cli. */
#include <errno.h>
#include <lauxlib.h>
#include <limits.h>
#include <lualib.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/edit.h"

enum { EXIT_INTERNAL = 70, EXIT_IO = 74 };

/* The folder this program lies in, without a slash at the end. */
static void push_own_folder(lua_State *L) {
  char path[PATH_MAX];
  ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
  if (length < 0) luaL_error(L, "cannot find this program: %s", strerror(errno));
  path[length] = '\0';
  *strrchr(path, '/') = '\0';
  lua_pushstring(L, path);
}

static int exists(const char *path) { return access(path, R_OK) == 0; }

/* Puts `first` in front of package[field]. */
static void prepend(lua_State *L, const char *field, const char *first) {
  lua_getglobal(L, "package");
  lua_getfield(L, -1, field);
  lua_pushfstring(L, "%s;%s", first, lua_tostring(L, -1));
  lua_setfield(L, -3, field);
  lua_pop(L, 2);
}

/* Our own modules come before any other of the same name: in the build folder lua/ and lib/, where
 * installed ../share/lua/5.4 and ../lib/lua/5.4. */
static void set_paths(lua_State *L) {
  push_own_folder(L);
  const char *folder = lua_tostring(L, -1);
  int built = exists(lua_pushfstring(L, "%s/lua/asl/cli.lua", folder));
  lua_pop(L, 1);
  char root[PATH_MAX];
  const char *wanted = lua_pushfstring(L, built ? "%s/lua" : "%s/../share/lua/5.4", folder);
  if (!realpath(wanted, root)) luaL_error(L, "asl's Lua modules are not in %s", wanted);
  prepend(L, "path", lua_pushfstring(L, "%s/?.lua;%s/?/init.lua", root, root));
  wanted = lua_pushfstring(L, built ? "%s/lib" : "%s/../lib/lua/5.4", folder);
  if (!realpath(wanted, root)) luaL_error(L, "asl's core is not in %s", wanted);
  prepend(L, "cpath", lua_pushfstring(L, "%s/?.so", root));
  lua_settop(L, 0);
}

static void set_arguments(lua_State *L, int argc, char **argv) {
  lua_createtable(L, argc - 1, 1);
  for (int i = 0; i < argc; i++) {
    lua_pushstring(L, argv[i]);
    lua_rawseti(L, -2, i);
  }
  lua_setglobal(L, "arg");
}

/* (argc, argv) -> exit code */
static int run(lua_State *L) {
  int argc = (int)lua_tointeger(L, 1);
  char **argv = lua_touserdata(L, 2);
  luaL_openlibs(L);
  set_paths(L);
  set_arguments(L, argc, argv);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  lua_pushcfunction(L, asl_open_edit);
  lua_setfield(L, -2, "asl.edit");
  lua_getglobal(L, "require");
  lua_pushliteral(L, "asl.cli");
  lua_call(L, 1, 1);
  lua_getfield(L, -1, "main");
  lua_getglobal(L, "arg");
  lua_call(L, 1, 1);
  return 1;
}

int main(int argc, char **argv) {
  lua_State *L = luaL_newstate();
  if (!L) {
    fputs("asl: out of memory\n", stderr);
    return EXIT_INTERNAL;
  }
  lua_pushcfunction(L, run);
  lua_pushinteger(L, argc);
  lua_pushlightuserdata(L, argv);
  int code;
  if (lua_pcall(L, 2, 1, 0) == LUA_OK) {
    code = (int)lua_tointeger(L, -1);
  } else {
    fprintf(stderr, "asl: %s\n", luaL_tolstring(L, -1, NULL));
    code = EXIT_INTERNAL;
  }
  bool lost = fflush(stdout) != 0 || ferror(stdout);
  int cause = errno; /* before anything else can fail */
  lua_close(L);
  if (!lost) return code;
  fprintf(stderr, "asl: cannot write to standard output: %s\n", strerror(cause));
  return code == 0 ? EXIT_IO : code;
}
