/* HDF5 files (data/hdf5.h) as the scripts see them. */
#include <stdlib.h>
#include <string.h>

#include "data/hdf5.h"
#include "lua/lua_util.h"

#define HDF5_META "asl.hdf5"

/* One read takes at most this much memory; a larger dataset is read in blocks. */
enum { MAX_READ_BYTES = 1 << 28 };

typedef struct box {
  asl_hdf5 *file; /* NULL: closed */
  char *names;    /* of the listing on its way: 'g' or 'd', the name, NUL; owned */
  size_t n, room;
} box;

static box *check_file(lua_State *L) {
  box *b = luaL_checkudata(L, 1, HDF5_META);
  luaL_argcheck(L, b->file, 1, "the file is closed");
  return b;
}

/* hdf5_open(path): a handle with list, describe, read, read_f32, read_reference, close. */
static int hdf5_open(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  box *b = lua_newuserdatauv(L, sizeof *b, 0);
  *b = (box){NULL, NULL, 0, 0};
  luaL_setmetatable(L, HDF5_META);
  asl_lua_check(L, asl_hdf5_open(path, &b->file));
  return 1;
}

static int hdf5_close(lua_State *L) {
  box *b = luaL_checkudata(L, 1, HDF5_META);
  asl_hdf5_close(b->file);
  free(b->names);
  *b = (box){NULL, NULL, 0, 0};
  return 0;
}

/* ---- listing ------------------------------------------------------------------------------ */

/* Names are kept in the box first: pushing them may raise, which the reader does not expect. */
static asl_status keep_name(void *context, const char *name, bool is_group) {
  box *b = context;
  size_t n = strlen(name) + 2;
  if (n > b->room - b->n) {
    size_t room = 2 * (b->room + n);
    char *names = realloc(b->names, room);
    if (!names) return asl_fail(ASL_ENOMEM, "no memory for %zu bytes of names", room);
    b->names = names;
    b->room = room;
  }
  b->names[b->n] = is_group ? 'g' : 'd';
  memcpy(b->names + b->n + 1, name, n - 1);
  b->n += n;
  return ASL_OK;
}

/* file:list(group or "/"): {{name = text, group = whether it is one}, ...}, in the file's order */
static int hdf5_list(lua_State *L) {
  box *b = check_file(L);
  b->n = 0;
  asl_lua_check(L, asl_hdf5_list(b->file, luaL_optstring(L, 2, "/"), keep_name, b));
  lua_newtable(L);
  lua_Integer i = 0;
  for (size_t at = 0; at < b->n; at += strlen(b->names + at) + 1) {
    lua_createtable(L, 0, 2);
    lua_pushstring(L, b->names + at + 1);
    lua_setfield(L, -2, "name");
    lua_pushboolean(L, b->names[at] == 'g');
    lua_setfield(L, -2, "group");
    lua_seti(L, -2, ++i);
  }
  return 1;
}

/* ---- describing --------------------------------------------------------------------------- */

static const char *type_name(const asl_hdf5_dataset *d) {
  static const char *const names[3][9] = {{[1] = "u8", [2] = "u16", [4] = "u32", [8] = "u64"},
                                          {[1] = "i8", [2] = "i16", [4] = "i32", [8] = "i64"},
                                          {[2] = "f16", [4] = "f32", [8] = "f64"}};
  if (d->value_class == ASL_HDF5_REFERENCE) return "reference";
  return names[d->value_class == ASL_HDF5_FLOAT ? 2 : d->is_signed][d->value_bytes];
}

/* file:describe(name): {shape = {...}, type = "u16"} */
static int hdf5_describe(lua_State *L) {
  box *b = check_file(L);
  asl_hdf5_dataset d;
  asl_lua_check(L, asl_hdf5_find(b->file, luaL_checkstring(L, 2), &d));
  lua_createtable(L, 0, 2);
  lua_createtable(L, d.rank, 0);
  for (int i = 0; i < d.rank; i++) {
    lua_pushinteger(L, d.size[i]);
    lua_seti(L, -2, i + 1);
  }
  lua_setfield(L, -2, "shape");
  lua_pushstring(L, type_name(&d));
  lua_setfield(L, -2, "type");
  return 1;
}

/* ---- reading ------------------------------------------------------------------------------ */

/* The dtype that holds all values of a dataset: see hdf5_read(). */
static asl_dtype dtype_of(const asl_hdf5_dataset *d) {
  if (d->value_class == ASL_HDF5_REFERENCE) return ASL_I64;
  if (d->value_class == ASL_HDF5_FLOAT) return d->value_bytes == 8 ? ASL_F64 : ASL_F32;
  if (d->value_bytes == 8 || (d->value_bytes == 4 && !d->is_signed)) return ASL_I64;
  return d->value_bytes == 1 && !d->is_signed ? ASL_U8 : ASL_I32;
}

/* A list of whole numbers at `arg`, one for each dimension, less `from`. */
static void check_positions(lua_State *L, int arg, int rank, lua_Integer from, int64_t *out) {
  luaL_checktype(L, arg, LUA_TTABLE);
  if (luaL_len(L, arg) != rank)
    luaL_error(L, "%I numbers for a dataset of %d dimensions", luaL_len(L, arg), rank);
  for (int i = 0; i < rank; i++) {
    int ok;
    lua_geti(L, arg, i + 1);
    lua_Integer value = lua_tointegerx(L, -1, &ok);
    if (!ok || value < from) luaL_error(L, "number %d must be a whole number from %I", i + 1, from);
    out[i] = value - from;
    lua_pop(L, 1);
  }
}

#define WIDEN(from_type, to_type)                                                                  \
  for (int64_t i = 0; i < n; i++) {                                                                \
    from_type x;                                                                                   \
    memcpy(&x, from + i * (int64_t)sizeof x, sizeof x);                                            \
    ((to_type *)to)[i] = (to_type)x;                                                               \
  }

/* Integers that no dtype has the size of. */
static void widen(const asl_hdf5_dataset *d, const uint8_t *from, int64_t n, void *to) {
  switch (d->value_bytes) {
  case 1: WIDEN(int8_t, int32_t); break;
  case 2:
    if (d->is_signed) WIDEN(int16_t, int32_t) else WIDEN(uint16_t, int32_t);
    break;
  default: WIDEN(uint32_t, int64_t);
  }
}

static asl_status read_widened(const asl_hdf5 *file, const asl_hdf5_dataset *d,
                               const int64_t *first, const int64_t *count, int64_t n, void *to) {
  size_t bytes = (size_t)n * (size_t)d->value_bytes;
  uint8_t *raw = malloc(bytes + 1);
  if (!raw) return asl_fail(ASL_ENOMEM, "no memory for %zu bytes", bytes);
  asl_status status = asl_hdf5_read(file, d, first, count, raw, bytes);
  if (status == ASL_OK) widen(d, raw, n, to);
  free(raw);
  return status;
}

static asl_status check_u64(const int64_t *values, int64_t n) {
  for (int64_t i = 0; i < n; i++)
    if (values[i] < 0)
      return asl_fail(ASL_EDATA, "its value %llu does not fit into i64",
                      (unsigned long long)values[i]);
  return ASL_OK;
}

/* A block of a dataset that is to become a tensor. */
typedef struct block {
  const char *name; /* for messages */
  asl_hdf5_dataset d;
  asl_dtype dtype; /* of the tensor */
  int64_t first[ASL_HDF5_MAX_RANK], count[ASL_HDF5_MAX_RANK];
} block;

static asl_status read_into(const asl_hdf5 *file, const block *b, asl_tensor *t) {
  const asl_hdf5_dataset *d = &b->d;
  int64_t n = asl_shape_count(t->shape);
  void *to = asl_tensor_data(t);
  if (b->dtype == ASL_F32) return asl_hdf5_read_f32(file, d, b->first, b->count, to);
  if ((size_t)d->value_bytes != asl_dtype_size(b->dtype))
    return read_widened(file, d, b->first, b->count, n, to);
  ASL_TRY(asl_hdf5_read(file, d, b->first, b->count, to, (size_t)n * (size_t)d->value_bytes));
  bool is_u64 = d->value_class == ASL_HDF5_INTEGER && d->value_bytes == 8 && !d->is_signed;
  return is_u64 ? asl_wrap(check_u64(to, n), "%s", b->name) : ASL_OK;
}

static asl_status new_tensor(const block *b, asl_tensor **out) {
  const int64_t most = MAX_READ_BYTES / (int64_t)asl_dtype_size(b->dtype);
  asl_shape shape = {.rank = b->d.rank};
  int64_t n = 1;
  if (shape.rank > ASL_MAX_RANK)
    return asl_fail(ASL_ENOTSUP, "%d dimensions; a tensor has at most %d", shape.rank,
                    ASL_MAX_RANK);
  for (int i = 0; i < shape.rank; i++) {
    int64_t size = shape.size[i] = b->count[i];
    if (size > 0 && n > most / size)
      return asl_fail(ASL_EINVAL, "more than %d MiB at once; read it in blocks",
                      MAX_READ_BYTES >> 20);
    if (size > 0) n *= size;
  }
  return asl_tensor_new(b->dtype, shape, ASL_CPU, out);
}

static int push_block(lua_State *L, const asl_hdf5 *file, const block *b) {
  asl_tensor *t = NULL;
  asl_status status = asl_wrap(new_tensor(b, &t), "%s", b->name);
  if (status == ASL_OK) status = read_into(file, b, t);
  if (status != ASL_OK) asl_tensor_release(t);
  asl_lua_check(L, status);
  asl_lua_push_tensor(L, t);
  return 1;
}

/* The block that arguments 2 to 4 ask for: name [, first, count]. */
static block check_block(lua_State *L) {
  block b = {.name = luaL_checkstring(L, 2)};
  asl_lua_check(L, asl_hdf5_find(check_file(L)->file, b.name, &b.d));
  b.dtype = dtype_of(&b.d);
  if (lua_isnoneornil(L, 3)) {
    luaL_argcheck(L, lua_isnoneornil(L, 4), 4, "count needs first");
    memcpy(b.count, b.d.size, sizeof b.count);
  } else {
    check_positions(L, 3, b.d.rank, 1, b.first);
    check_positions(L, 4, b.d.rank, 0, b.count);
  }
  return b;
}

/* file:read(name [, first, count]): all of a dataset, or `count` values from `first` (1-based) on
 * in each dimension. u8, i32, i64, f32, f64 stay what they are; i8, i16, u16 become i32; u32, u64
 * i64 (a value of 2^63 and above is an error); f16 f32; references the i64 that read_reference()
 * takes. */
static int hdf5_read(lua_State *L) {
  block b = check_block(L);
  return push_block(L, check_file(L)->file, &b);
}

/* file:read_f32(name [, first, count]): the same as f32, rounded; a finite f64 that does not fit
 * and references are errors */
static int hdf5_read_f32(lua_State *L) {
  block b = check_block(L);
  b.dtype = ASL_F32;
  return push_block(L, check_file(L)->file, &b);
}

/* file:read_reference(address): all of the dataset that a reference leads to */
static int hdf5_read_reference(lua_State *L) {
  const asl_hdf5 *file = check_file(L)->file;
  block b = {.name = "a reference"};
  asl_lua_check(L, asl_hdf5_refer(file, (uint64_t)luaL_checkinteger(L, 2), &b.d));
  b.dtype = dtype_of(&b.d);
  memcpy(b.count, b.d.size, sizeof b.count);
  return push_block(L, file, &b);
}

void asl_lua_open_hdf5(lua_State *L) {
  static const luaL_Reg methods[] = {{"list", hdf5_list},
                                     {"describe", hdf5_describe},
                                     {"read", hdf5_read},
                                     {"read_f32", hdf5_read_f32},
                                     {"read_reference", hdf5_read_reference},
                                     {"close", hdf5_close},
                                     {"__gc", hdf5_close},
                                     {"__close", hdf5_close},
                                     {NULL, NULL}};
  static const luaL_Reg functions[] = {{"hdf5_open", hdf5_open}, {NULL, NULL}};
  luaL_newmetatable(L, HDF5_META);
  luaL_setfuncs(L, methods, 0);
  lua_pushvalue(L, -1);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
  asl_lua_register(L, NULL, functions);
}
