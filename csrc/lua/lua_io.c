/* Files, locks, digests, the clock and the checkpoint container. */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/read.h"
#include "io/container.h"
#include "io/file.h"
#include "io/fs.h"
#include "lua/lua_json.h"
#include "lua/lua_util.h"

#define FILE_META "asl.file"
#define LOCK_META "asl.lock"
#define CONTAINER_META "asl.container"

enum { READ_CAP = 1 << 30 };

/* A path without NUL bytes: the system would read only what stands before one. */
static const char *check_path(lua_State *L, int arg) {
  size_t n;
  const char *path = luaL_checklstring(L, arg, &n);
  luaL_argcheck(L, n > 0 && strlen(path) == n, arg, "a path is not empty and has no NUL in it");
  return path;
}

/* ---- core.fs: paths --------------------------------------------------------------------- */

static int fs_mkdirs(lua_State *L) {
  asl_lua_check(L, asl_fs_mkdirs(check_path(L, 1)));
  return 0;
}

static int fs_rename(lua_State *L) {
  asl_lua_check(L, asl_fs_rename(check_path(L, 1), check_path(L, 2)));
  return 0;
}

static int fs_remove(lua_State *L) {
  asl_lua_check(L, asl_fs_remove(check_path(L, 1)));
  return 0;
}

static int fs_remove_tree(lua_State *L) {
  asl_lua_check(L, asl_fs_remove_tree(check_path(L, 1)));
  return 0;
}

/* fs.stat(path): {size, is_dir, mtime}, nil when there is nothing. */
static int fs_stat(lua_State *L) {
  asl_fs_info info;
  asl_lua_check(L, asl_fs_stat(check_path(L, 1), &info));
  if (!info.exists) return 0;
  lua_createtable(L, 0, 3);
  lua_pushinteger(L, info.size);
  lua_setfield(L, -2, "size");
  lua_pushboolean(L, info.is_dir);
  lua_setfield(L, -2, "is_dir");
  lua_pushnumber(L, info.mtime);
  lua_setfield(L, -2, "mtime");
  return 1;
}

static int fs_list(lua_State *L) {
  char **names;
  size_t count;
  asl_lua_check(L, asl_fs_list(check_path(L, 1), &names, &count));
  lua_createtable(L, (int)count, 0);
  for (size_t i = 0; i < count; i++) {
    lua_pushstring(L, names[i]);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  asl_fs_free_list(names, count);
  return 1;
}

static int push_and_free(lua_State *L, char *bytes, size_t n) {
  lua_pushlstring(L, bytes, n);
  free(bytes);
  return 1;
}

static int fs_realpath(lua_State *L) {
  char *path;
  asl_lua_check(L, asl_fs_realpath(check_path(L, 1), &path));
  return push_and_free(L, path, strlen(path));
}

static int fs_temp_dir(lua_State *L) {
  char *path;
  asl_lua_check(L, asl_fs_temp_dir(&path));
  return push_and_free(L, path, strlen(path));
}

/* fs.read(path, [cap in bytes]) */
static int fs_read(lua_State *L) {
  lua_Integer cap = luaL_optinteger(L, 2, READ_CAP);
  luaL_argcheck(L, cap >= 0, 2, "a cap is not negative");
  char *bytes;
  size_t n;
  asl_lua_check(L, asl_read_file(check_path(L, 1), (size_t)cap, &bytes, &n));
  return push_and_free(L, bytes, n);
}

/* fs.write(path, bytes, {durable = true}): replaces the file in one step. */
static int fs_write(lua_State *L) {
  size_t n;
  const char *path = check_path(L, 1), *bytes = luaL_checklstring(L, 2, &n);
  int durable = 1;
  if (!lua_isnoneornil(L, 3)) durable = asl_lua_field_boolean(L, 3, "durable", 1);
  asl_lua_check(L, asl_file_put(path, bytes, n, durable));
  return 0;
}

/* ---- core.fs: appended files ------------------------------------------------------------ */

static asl_file *check_file(lua_State *L) {
  asl_file **box = luaL_checkudata(L, 1, FILE_META);
  luaL_argcheck(L, *box, 1, "the file is closed");
  return *box;
}

/* fs.append(path): a handle with write, size, truncate, sync, close. */
static int fs_append(lua_State *L) {
  const char *path = check_path(L, 1);
  asl_file **box = lua_newuserdatauv(L, sizeof *box, 0);
  *box = NULL;
  luaL_setmetatable(L, FILE_META);
  asl_lua_check(L, asl_file_append(path, box));
  return 1;
}

static int file_write(lua_State *L) {
  size_t n;
  asl_file *file = check_file(L);
  const char *bytes = luaL_checklstring(L, 2, &n);
  asl_lua_check(L, asl_file_write(file, bytes, n));
  return 0;
}

static int file_size(lua_State *L) {
  lua_pushinteger(L, asl_file_size(check_file(L)));
  return 1;
}

static int file_truncate(lua_State *L) {
  asl_lua_check(L, asl_file_truncate(check_file(L), luaL_checkinteger(L, 2)));
  return 0;
}

static int file_sync(lua_State *L) {
  asl_lua_check(L, asl_file_sync(check_file(L)));
  return 0;
}

static int file_close(lua_State *L) {
  asl_file **box = luaL_checkudata(L, 1, FILE_META);
  asl_file_close(*box);
  *box = NULL;
  return 0;
}

/* ---- core.fs: locks --------------------------------------------------------------------- */

/* fs.lock(path): a handle that holds the lock until lock:release() or collection. */
static int fs_lock(lua_State *L) {
  const char *path = check_path(L, 1);
  int *lock = lua_newuserdatauv(L, sizeof *lock, 0);
  *lock = -1;
  luaL_setmetatable(L, LOCK_META);
  asl_lua_check(L, asl_fs_lock(path, lock));
  return 1;
}

static int fs_locked(lua_State *L) {
  bool locked;
  asl_lua_check(L, asl_fs_locked(check_path(L, 1), &locked));
  lua_pushboolean(L, locked);
  return 1;
}

static int lock_release(lua_State *L) {
  int *lock = luaL_checkudata(L, 1, LOCK_META);
  asl_fs_unlock(*lock);
  *lock = -1;
  return 0;
}

/* ---- digests ---------------------------------------------------------------------------- */

static int sha256(lua_State *L) {
  size_t n;
  const char *bytes = luaL_checklstring(L, 1, &n);
  char hex[65];
  asl_sha256 *sha = asl_sha256_new();
  if (!sha) return luaL_error(L, "out of memory for a digest");
  asl_sha256_add(sha, bytes, n);
  asl_sha256_finish(sha, hex);
  lua_pushstring(L, hex);
  return 1;
}

static int crc32c(lua_State *L) {
  size_t n;
  const char *bytes = luaL_checklstring(L, 1, &n);
  lua_pushinteger(L, asl_crc32c(bytes, n));
  return 1;
}

/* core.base64(bytes): RFC 4648, with padding. */
static int base64(lua_State *L) {
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  size_t n;
  const unsigned char *bytes = (const unsigned char *)luaL_checklstring(L, 1, &n);
  luaL_Buffer buffer;
  size_t length = (n + 2) / 3 * 4;
  char *out = luaL_buffinitsize(L, &buffer, length);
  for (size_t i = 0, o = 0; i < n; i += 3, o += 4) {
    unsigned left = n - i < 3 ? (unsigned)(n - i) : 3;
    unsigned word = (unsigned)bytes[i] << 16 | (left > 1 ? (unsigned)bytes[i + 1] << 8 : 0) |
                    (left > 2 ? bytes[i + 2] : 0);
    out[o] = digits[word >> 18];
    out[o + 1] = digits[word >> 12 & 63];
    out[o + 2] = left > 1 ? digits[word >> 6 & 63] : '=';
    out[o + 3] = left > 2 ? digits[word & 63] : '=';
  }
  luaL_pushresultsize(&buffer, length);
  return 1;
}

/* ---- clock and process ------------------------------------------------------------------ */

static int push_clock(lua_State *L, clockid_t id) {
  struct timespec t;
  clock_gettime(id, &t);
  lua_pushnumber(L, (lua_Number)t.tv_sec + 1e-9 * (lua_Number)t.tv_nsec);
  return 1;
}

/* core.now(): seconds since 1970. */
static int now(lua_State *L) { return push_clock(L, CLOCK_REALTIME); }

/* core.monotonic(): seconds since some moment; never steps back. For durations. */
static int monotonic(lua_State *L) { return push_clock(L, CLOCK_MONOTONIC); }

static int hostname(lua_State *L) {
  char name[256] = "";
  gethostname(name, sizeof name - 1);
  lua_pushstring(L, name);
  return 1;
}

static int pid(lua_State *L) {
  lua_pushinteger(L, getpid());
  return 1;
}

/* ---- the container ---------------------------------------------------------------------- */

/* core.container_write(path, header, {tensor...}) */
static int container_write(lua_State *L) {
  size_t bytes;
  const char *path = check_path(L, 1), *header = luaL_checklstring(L, 2, &bytes);
  luaL_checktype(L, 3, LUA_TTABLE);
  lua_Integer count = (lua_Integer)lua_rawlen(L, 3);
  asl_tensor **tensors = lua_newuserdatauv(L, ((size_t)count + 1) * sizeof *tensors, 0);
  for (lua_Integer i = 0; i < count; i++) {
    lua_rawgeti(L, 3, i + 1);
    tensors[i] = asl_lua_read_tensor(L, -1);
    lua_rawseti(L, 3, i + 1); /* a copy from a device too is kept alive by the table */
  }
  asl_lua_check(L, asl_container_write(path, header, bytes, tensors, count));
  return 0;
}

static asl_container *check_container(lua_State *L) {
  asl_container **box = luaL_checkudata(L, 1, CONTAINER_META);
  luaL_argcheck(L, *box, 1, "the container is closed");
  return *box;
}

/* core.container_open(path): a handle with header, tensor, finish, close. */
static int container_open(lua_State *L) {
  const char *path = check_path(L, 1);
  asl_container **box = lua_newuserdatauv(L, sizeof *box, 0);
  *box = NULL;
  luaL_setmetatable(L, CONTAINER_META);
  asl_lua_check(L, asl_container_open(path, box));
  return 1;
}

static int container_header(lua_State *L) {
  size_t n;
  const char *header = asl_container_header(check_container(L), &n);
  lua_pushlstring(L, header, n);
  return 1;
}

static asl_shape check_shape(lua_State *L, int arg) {
  luaL_checktype(L, arg, LUA_TTABLE);
  lua_Integer rank = (lua_Integer)lua_rawlen(L, arg);
  luaL_argcheck(L, rank <= ASL_MAX_RANK, arg, "a tensor has at most 6 dimensions");
  asl_shape shape = {.rank = (int)rank};
  for (int d = 0; d < shape.rank; d++) {
    lua_rawgeti(L, arg, d + 1);
    luaL_argcheck(L, lua_isinteger(L, -1), arg, "sizes must be integers");
    shape.size[d] = lua_tointeger(L, -1);
    lua_pop(L, 1);
  }
  return shape;
}

/* container:tensor(dtype, shape): the next one. */
static int container_tensor(lua_State *L) {
  asl_container *container = check_container(L);
  asl_dtype dtype;
  luaL_argcheck(L, asl_dtype_from_name(luaL_checkstring(L, 2), &dtype), 2, "no such dtype");
  asl_shape shape = check_shape(L, 3);
  asl_tensor *t;
  asl_lua_check(L, asl_container_tensor(container, dtype, shape, &t));
  asl_lua_push_tensor(L, t);
  return 1;
}

/* container:finish(): raises unless every tensor was read. */
static int container_finish(lua_State *L) {
  asl_lua_check(L, asl_container_end(check_container(L)));
  return 0;
}

static int container_close(lua_State *L) {
  asl_container **box = luaL_checkudata(L, 1, CONTAINER_META);
  asl_container_close(*box);
  *box = NULL;
  return 0;
}

/* ---- opening ---------------------------------------------------------------------------- */

static void new_class(lua_State *L, const char *meta, const luaL_Reg methods[],
                      lua_CFunction close) {
  luaL_newmetatable(L, meta);
  luaL_setfuncs(L, methods, 0);
  lua_pushvalue(L, -1);
  lua_setfield(L, -2, "__index");
  lua_pushcfunction(L, close);
  lua_setfield(L, -2, "__gc");
  lua_pushcfunction(L, close);
  lua_setfield(L, -2, "__close");
  lua_pop(L, 1);
}

static const luaL_Reg fs_functions[] = {
    {"mkdirs", fs_mkdirs},   {"rename", fs_rename},     {"remove", fs_remove},
    {"list", fs_list},       {"stat", fs_stat},         {"remove_tree", fs_remove_tree},
    {"read", fs_read},       {"realpath", fs_realpath}, {"temp_dir", fs_temp_dir},
    {"write", fs_write},     {"append", fs_append},     {"lock", fs_lock},
    {"locked", fs_locked},   {NULL, NULL}};

static const luaL_Reg file_methods[] = {{"write", file_write},       {"size", file_size},
                                        {"truncate", file_truncate}, {"sync", file_sync},
                                        {"close", file_close},       {NULL, NULL}};

static const luaL_Reg lock_methods[] = {{"release", lock_release}, {NULL, NULL}};

static const luaL_Reg container_methods[] = {{"header", container_header},
                                             {"tensor", container_tensor},
                                             {"finish", container_finish},
                                             {"close", container_close},
                                             {NULL, NULL}};

static const luaL_Reg functions[] = {{"sha256", sha256},
                                     {"crc32c", crc32c},
                                     {"base64", base64},
                                     {"now", now},
                                     {"monotonic", monotonic},
                                     {"hostname", hostname},
                                     {"pid", pid},
                                     {"container_write", container_write},
                                     {"container_open", container_open},
                                     {NULL, NULL}};

void asl_lua_open_io(lua_State *L) {
  new_class(L, FILE_META, file_methods, file_close);
  new_class(L, LOCK_META, lock_methods, lock_release);
  new_class(L, CONTAINER_META, container_methods, container_close);
  asl_lua_register(L, "fs", fs_functions);
  asl_lua_register(L, NULL, functions);
  asl_lua_open_json(L);
}
