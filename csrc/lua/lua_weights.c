/* Files of weights: PyTorch's checkpoints and safetensors. What is not about bytes is in
 * lua/asl/weights. */
#include <string.h>

#include "io/safetensors.h"
#include "io/torch_file.h"
#include "lua/lua_util.h"
#include "ops/ops.h"

#define TORCH_META "asl.torch_file"
#define SAFETENSORS_META "asl.safetensors_file"

static const char *check_path(lua_State *L, int arg) {
  size_t n;
  const char *path = luaL_checklstring(L, arg, &n);
  luaL_argcheck(L, n > 0 && strlen(path) == n, arg, "a path is not empty and has no NUL in it");
  return path;
}

static void push_shape(lua_State *L, asl_shape shape) {
  lua_createtable(L, shape.rank, 0);
  for (int d = 0; d < shape.rank; d++) {
    lua_pushinteger(L, shape.size[d]);
    lua_rawseti(L, -2, d + 1);
  }
}

/* core.weights_kind(path): "torch_zip", "torch_legacy", "torch_tar", "safetensors"; nil for others.
 */
static int weights_kind(lua_State *L) {
  static const char *const names[] = {[ASL_WEIGHTS_TORCH_ZIP] = "torch_zip",
                                      [ASL_WEIGHTS_TORCH_LEGACY] = "torch_legacy",
                                      [ASL_WEIGHTS_TORCH_TAR] = "torch_tar",
                                      [ASL_WEIGHTS_SAFETENSORS] = "safetensors"};
  asl_weights_kind kind;
  asl_lua_check(L, asl_weights_kind_of(check_path(L, 1), &kind));
  if (kind == ASL_WEIGHTS_UNKNOWN) return 0;
  lua_pushstring(L, names[kind]);
  return 1;
}

/* ---- PyTorch -------------------------------------------------------------------------------- */

static asl_torch *check_torch(lua_State *L) {
  asl_torch **box = luaL_checkudata(L, 1, TORCH_META);
  luaL_argcheck(L, *box, 1, "the file is closed");
  return *box;
}

/* core.torch_open(path, keep_objects): a handle with protocol, entries, tensor, close. */
static int torch_open(lua_State *L) {
  const char *path = check_path(L, 1);
  asl_torch **box = lua_newuserdatauv(L, sizeof *box, 0);
  *box = NULL;
  luaL_setmetatable(L, TORCH_META);
  asl_lua_check(L, asl_torch_open(path, lua_toboolean(L, 2), box));
  return 1;
}

static int torch_close(lua_State *L) {
  asl_torch **box = luaL_checkudata(L, 1, TORCH_META);
  asl_torch_close(*box);
  *box = NULL;
  return 0;
}

static int torch_protocol(lua_State *L) {
  lua_pushinteger(L, asl_torch_protocol(check_torch(L)));
  return 1;
}

static void set_text(lua_State *L, const char *key, const char *text, size_t n) {
  lua_pushlstring(L, n ? text : "", n);
  lua_setfield(L, -2, key);
}

static void set_integer(lua_State *L, const char *key, int64_t value) {
  lua_pushinteger(L, value);
  lua_setfield(L, -2, key);
}

/* kind and value of a leaf that is no tensor; an object has its class for value. */
static void set_value(lua_State *L, const asl_pickle_value *value) {
  const char *kind = "string";
  switch (value->type) {
  case ASL_PICKLE_NONE:
    kind = "none";
    lua_pushnil(L);
    break;
  case ASL_PICKLE_BOOL:
    kind = "boolean";
    lua_pushboolean(L, value->truth);
    break;
  case ASL_PICKLE_INT:
    kind = "integer";
    lua_pushinteger(L, value->integer);
    break;
  case ASL_PICKLE_FLOAT:
    kind = "number";
    lua_pushnumber(L, value->number);
    break;
  case ASL_PICKLE_STRING:
  case ASL_PICKLE_BYTES: lua_pushlstring(L, value->n ? value->text : "", value->n); break;
  case ASL_PICKLE_GLOBAL:
    lua_pushfstring(L, "%s.%s", value->global->module, value->global->name);
    break;
  case ASL_PICKLE_OBJECT:
    kind = "object";
    lua_pushlstring(L, value->text, value->n);
    break;
  default: /* an integer beyond 64 bits */ kind = "object"; lua_pushliteral(L, "int");
  }
  lua_setfield(L, -2, "value");
  set_text(L, "kind", kind, strlen(kind));
}

static void set_array(lua_State *L, const asl_torch_entry *entry) {
  const asl_torch_array *a = entry->array;
  const asl_file_dtype_info *info = asl_file_dtype_about(a->dtype);
  set_text(L, "kind", "tensor", 6);
  set_text(L, "dtype", info->name, strlen(info->name));
  set_integer(L, "bytes", a->count * (int64_t)info->bytes);
  set_integer(L, "storage", (int64_t)asl_torch_storage_number(entry));
  push_shape(L, a->shape);
  lua_setfield(L, -2, "shape");
}

/* file:entries(): a list of {name, container, kind, value} and, for tensors, {name, container,
 * kind, dtype, shape, bytes, storage}. */
static int torch_entries(lua_State *L) {
  asl_torch *file = check_torch(L);
  size_t count = asl_torch_count(file);
  lua_createtable(L, (int)count, 0);
  for (size_t i = 0; i < count; i++) {
    const asl_torch_entry *entry = asl_torch_entry_at(file, i);
    lua_createtable(L, 0, 7);
    set_text(L, "name", entry->name, entry->name_bytes);
    set_text(L, "container", entry->name, entry->container_bytes);
    if (entry->array) set_array(L, entry);
    else set_value(L, entry->value);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

/* file:tensor(i, narrow): the tensor of entry i, counted from 1. */
static int torch_tensor(lua_State *L) {
  asl_torch *file = check_torch(L);
  lua_Integer i = luaL_checkinteger(L, 2);
  luaL_argcheck(L, i >= 1 && (size_t)i <= asl_torch_count(file), 2, "there is no such entry");
  asl_tensor *t;
  asl_lua_check(L, asl_torch_tensor(file, (size_t)i - 1, lua_toboolean(L, 3), &t));
  asl_lua_push_tensor(L, t);
  return 1;
}

/* Pointers to the tensors of the list at `arg`, made contiguous in the CPU's memory; pushes what
 * keeps them alive. */
static asl_tensor **push_tensors(lua_State *L, int arg, size_t *count) {
  luaL_checktype(L, arg, LUA_TTABLE);
  *count = lua_rawlen(L, arg);
  asl_tensor **tensors = lua_newuserdatauv(L, (*count + 1) * sizeof *tensors, 0);
  lua_createtable(L, (int)*count, 0);
  for (size_t i = 0; i < *count; i++) {
    lua_rawgeti(L, arg, (lua_Integer)i + 1);
    asl_lua_check(L, asl_contiguous(asl_lua_read_tensor(L, -1), &tensors[i]));
    asl_lua_push_tensor(L, tensors[i]);
    lua_rawseti(L, -3, (lua_Integer)i + 1);
    lua_pop(L, 1);
  }
  return tensors;
}

/* core.torch_write(path, {name...}, {tensor...}) */
static int torch_write(lua_State *L) {
  size_t count, n;
  const char *path = check_path(L, 1);
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_settop(L, 3);
  asl_tensor **tensors = push_tensors(L, 3, &count);
  luaL_argcheck(L, lua_rawlen(L, 2) == count, 2, "there are as many names as tensors");
  const char **names = lua_newuserdatauv(L, (count + 1) * sizeof *names, 0);
  for (size_t i = 0; i < count; i++) {
    luaL_argcheck(L, lua_rawgeti(L, 2, (lua_Integer)i + 1) == LUA_TSTRING, 2, "names are strings");
    names[i] = lua_tolstring(L, -1, &n); /* the table at 2 keeps it */
    luaL_argcheck(L, strlen(names[i]) == n, 2, "a name has no NUL in it");
    lua_pop(L, 1);
  }
  asl_lua_check(L, asl_torch_write(path, names, tensors, count));
  return 0;
}

/* ---- safetensors ---------------------------------------------------------------------------- */

static asl_safetensors *check_safetensors(lua_State *L) {
  asl_safetensors **box = luaL_checkudata(L, 1, SAFETENSORS_META);
  luaL_argcheck(L, *box, 1, "the file is closed");
  return *box;
}

/* core.safetensors_open(path): a handle with header, room, tensor, close. */
static int safetensors_open(lua_State *L) {
  const char *path = check_path(L, 1);
  asl_safetensors **box = lua_newuserdatauv(L, sizeof *box, 0);
  *box = NULL;
  luaL_setmetatable(L, SAFETENSORS_META);
  asl_lua_check(L, asl_safetensors_open(path, box));
  return 1;
}

static int safetensors_close(lua_State *L) {
  asl_safetensors **box = luaL_checkudata(L, 1, SAFETENSORS_META);
  asl_safetensors_close(*box);
  *box = NULL;
  return 0;
}

static int safetensors_header(lua_State *L) {
  size_t n;
  const char *header = asl_safetensors_header(check_safetensors(L), &n);
  lua_pushlstring(L, header, n);
  return 1;
}

static int safetensors_room(lua_State *L) {
  lua_pushinteger(L, asl_safetensors_room(check_safetensors(L)));
  return 1;
}

static asl_shape check_shape(lua_State *L, int arg) {
  luaL_checktype(L, arg, LUA_TTABLE);
  asl_shape shape = {.rank = (int)lua_rawlen(L, arg)};
  luaL_argcheck(L, lua_rawlen(L, arg) <= ASL_MAX_RANK, arg, "a tensor has at most 6 dimensions");
  for (int d = 0; d < shape.rank; d++) {
    lua_rawgeti(L, arg, d + 1);
    luaL_argcheck(L, lua_isinteger(L, -1), arg, "sizes must be integers");
    shape.size[d] = lua_tointeger(L, -1);
    lua_pop(L, 1);
  }
  return shape;
}

/* file:tensor(dtype, shape, begin, narrow): dtype as the format writes it. */
static int safetensors_tensor(lua_State *L) {
  asl_safetensors *file = check_safetensors(L);
  asl_file_dtype dtype = asl_file_dtype_of_safetensors(luaL_checkstring(L, 2));
  luaL_argcheck(L, dtype < ASL_FILE_DTYPES, 2, "no such dtype");
  asl_shape shape = check_shape(L, 3);
  int64_t begin = luaL_checkinteger(L, 4);
  asl_tensor *t;
  asl_lua_check(L, asl_safetensors_tensor(file, dtype, shape, begin, lua_toboolean(L, 5), &t));
  asl_lua_push_tensor(L, t);
  return 1;
}

/* core.safetensors_write(path, header, {tensor...}) */
static int safetensors_write(lua_State *L) {
  size_t count, n;
  const char *path = check_path(L, 1), *header = luaL_checklstring(L, 2, &n);
  lua_settop(L, 3);
  asl_tensor **tensors = push_tensors(L, 3, &count);
  asl_lua_check(L, asl_safetensors_write(path, header, n, tensors, count));
  return 0;
}

/* core.file_dtypes: {F32 = {name = "f32", bytes = 4, as = "f32"}, ...}, `as` only where it is read.
 */
static void set_dtypes(lua_State *L) {
  lua_createtable(L, 0, ASL_FILE_DTYPES);
  for (int d = 0; d < ASL_FILE_DTYPES; d++) {
    const asl_file_dtype_info *info = asl_file_dtype_about((asl_file_dtype)d);
    lua_createtable(L, 0, 3);
    set_text(L, "name", info->name, strlen(info->name));
    set_integer(L, "bytes", (int64_t)info->bytes);
    if (info->readable)
      set_text(L, "as", asl_dtype_name(info->as), strlen(asl_dtype_name(info->as)));
    lua_setfield(L, -2, info->safetensors);
  }
  lua_setfield(L, -2, "file_dtypes");
}

/* ---- opening -------------------------------------------------------------------------------- */

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

static const luaL_Reg torch_methods[] = {{"protocol", torch_protocol},
                                         {"entries", torch_entries},
                                         {"tensor", torch_tensor},
                                         {"close", torch_close},
                                         {NULL, NULL}};

static const luaL_Reg safetensors_methods[] = {{"header", safetensors_header},
                                               {"room", safetensors_room},
                                               {"tensor", safetensors_tensor},
                                               {"close", safetensors_close},
                                               {NULL, NULL}};

static const luaL_Reg functions[] = {{"weights_kind", weights_kind},
                                     {"torch_open", torch_open},
                                     {"torch_write", torch_write},
                                     {"safetensors_open", safetensors_open},
                                     {"safetensors_write", safetensors_write},
                                     {NULL, NULL}};

void asl_lua_open_weights(lua_State *L) {
  new_class(L, TORCH_META, torch_methods, torch_close);
  new_class(L, SAFETENSORS_META, safetensors_methods, safetensors_close);
  asl_lua_register(L, NULL, functions);
  set_dtypes(L);
}
