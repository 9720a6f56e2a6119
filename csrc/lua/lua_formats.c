/* Decoders of flow, depth, masks and matrices. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/flow.h"
#include "data/mask.h"
#include "data/matrix.h"
#include "lua/lua_formats.h"
#include "lua/lua_util.h"

enum { MAX_MATRIX_SIDE = 16, MAX_LABEL_VALUE = 65535 };

/* ---- what the bindings share -------------------------------------------------------------- */

asl_depth_coding asl_lua_check_coding(lua_State *L, int table, const char *key) {
  if (key) lua_getfield(L, table, key);
  else lua_pushvalue(L, table);
  luaL_checktype(L, -1, LUA_TTABLE);
  int at = lua_gettop(L);
  asl_depth_coding coding = {
      .per_metre = asl_lua_field_number(L, at, "per_metre", 0),
      .rotated = asl_lua_field_boolean(L, at, "rotated", 0),
      .swapped = asl_lua_field_boolean(L, at, "swapped", 0),
      .disparity = asl_lua_field_boolean(L, at, "disparity", 0),
  };
  lua_Integer none = asl_lua_field_integer(L, at, "none", -1);
  if (none < -1 || none > 65535)
    luaL_error(L, "depth: none is a 16-bit value, 0 to 65535, not %I", none);
  coding.none = (int)none;
  asl_lua_check(L, asl_depth_coding_check(&coding));
  lua_pop(L, 1);
  return coding;
}

const char **asl_lua_strings(lua_State *L, int table, const char *key, lua_Integer n,
                             const char *where) {
  if (lua_getfield(L, table, key) == LUA_TNIL) return NULL;
  luaL_checktype(L, -1, LUA_TTABLE);
  lua_Integer there = luaL_len(L, -1);
  if (n < 0) n = there;
  if (there != n) luaL_error(L, "%s: %I %s for %I pictures", where, there, key, n);
  const char **strings = lua_newuserdatauv(L, (size_t)(n + 1) * sizeof *strings, 0);
  for (lua_Integer i = 0; i < n; i++) {
    if (lua_geti(L, -2, i + 1) != LUA_TSTRING)
      luaL_error(L, "%s: %s[%I] is a %s, not a string", where, key, i + 1, luaL_typename(L, -1));
    strings[i] = lua_tostring(L, -1);
    lua_pop(L, 1);
  }
  return strings;
}

/* The largest value of the map on top of the stack; raises for keys that are none. */
static lua_Integer largest_value(lua_State *L, const char *where) {
  lua_Integer largest = 255;
  lua_pushnil(L);
  while (lua_next(L, -2)) {
    if (!lua_isinteger(L, -2) || !lua_isinteger(L, -1))
      luaL_error(L, "%s: label_map takes values of files to classes, whole numbers", where);
    lua_Integer value = lua_tointeger(L, -2), class_id = lua_tointeger(L, -1);
    if (value < 0 || value > MAX_LABEL_VALUE || class_id < 0 || class_id > 255)
      luaL_error(L, "%s: label_map[%I] = %I; values are 0 to %d, classes 0 to 254, 255 = ignore",
                 where, value, class_id, MAX_LABEL_VALUE);
    if (value > largest) largest = value;
    lua_pop(L, 1);
  }
  return largest;
}

asl_label_table asl_lua_check_labels(lua_State *L, int table, const char *where) {
  lua_getfield(L, table, "label_map");
  if (lua_isnil(L, -1)) {
    lua_pop(L, 1);
    lua_newtable(L);
  }
  luaL_checktype(L, -1, LUA_TTABLE);
  lua_Integer n = largest_value(L, where) + 1;
  int16_t *map = lua_newuserdatauv(L, (size_t)n * sizeof *map, 0);
  for (lua_Integer value = 0; value < n; value++) {
    map[value] = lua_geti(L, -2, value) == LUA_TNIL ? (int16_t)ASL_LABEL_UNKNOWN
                                                    : (int16_t)lua_tointeger(L, -1);
    lua_pop(L, 1);
  }
  return (asl_label_table){map, (int)n, asl_lua_field_string(L, table, "table", "of labels")};
}

static int size_side(lua_State *L, lua_Integer i) {
  lua_geti(L, -1, i);
  lua_Integer side = luaL_checkinteger(L, -1);
  lua_pop(L, 1);
  if (side < 1 || side > ASL_MAX_SIDE)
    luaL_error(L, "size is {height, width}, each from 1 to %d, not %I", ASL_MAX_SIDE, side);
  return (int)side;
}

void asl_lua_size(lua_State *L, int table, int *height, int *width) {
  *height = *width = 0;
  if (lua_getfield(L, table, "size") != LUA_TNIL) {
    luaL_checktype(L, -1, LUA_TTABLE);
    *height = size_side(L, 1);
    *width = size_side(L, 2);
  }
  lua_pop(L, 1);
}

const float *asl_lua_matrices(lua_State *L, int table, const char *key, lua_Integer n,
                              const char *where) {
  if (lua_getfield(L, table, key) == LUA_TNIL) return NULL;
  luaL_checktype(L, -1, LUA_TTABLE);
  lua_Integer there = luaL_len(L, -1);
  if (there != n) luaL_error(L, "%s: %I %s for %I pictures", where, there, key, n);
  float *matrices = lua_newuserdatauv(L, (size_t)(n + 1) * 9 * sizeof *matrices, 0);
  for (lua_Integer i = 0; i < n; i++) {
    if (lua_geti(L, -2, i + 1) != LUA_TTABLE || luaL_len(L, -1) != 9)
      luaL_error(L, "%s: %s[%I] is no list of 9 numbers", where, key, i + 1);
    for (int j = 0; j < 9; j++) {
      if (lua_geti(L, -1, j + 1) != LUA_TNUMBER)
        luaL_error(L, "%s: %s[%I][%d] is no number", where, key, i + 1, j + 1);
      matrices[9 * i + j] = (float)lua_tonumber(L, -1);
      lua_pop(L, 1);
    }
    lua_pop(L, 1);
  }
  return matrices;
}

/* A new tensor with these bytes; NULL, with the message set, without memory. */
static asl_tensor *tensor_of(asl_dtype dtype, asl_shape shape, const void *bytes) {
  asl_tensor *t = NULL;
  if (asl_tensor_new(dtype, shape, ASL_CPU, &t) != ASL_OK) return NULL;
  memcpy(asl_tensor_data(t), bytes, (size_t)asl_tensor_bytes(t));
  return t;
}

/* ---- flow --------------------------------------------------------------------------------- */

/* Pushes flow f32 (H, W, 2) and unknown u8 (H, W), and frees the flow. */
static int push_flow(lua_State *L, asl_status status, asl_flow *flow) {
  asl_lua_check(L, status);
  asl_shape size = {2, {flow->height, flow->width}}, vectors = {3, {flow->height, flow->width, 2}};
  asl_tensor *a = tensor_of(ASL_F32, vectors, flow->vectors);
  asl_tensor *b = a ? tensor_of(ASL_U8, size, flow->unknown) : NULL;
  asl_flow_free(flow);
  if (!b) {
    asl_tensor_release(a);
    return luaL_error(L, "%s", asl_message());
  }
  asl_lua_push_tensor(L, a);
  asl_lua_push_tensor(L, b);
  return 2;
}

/* flow_read(path), flow_decode(bytes): flow, unknown. */
static int flow_read(lua_State *L) {
  asl_flow flow;
  asl_status status = asl_flow_read(luaL_checkstring(L, 1), &flow);
  return push_flow(L, status, &flow);
}

static int flow_decode(lua_State *L) {
  size_t n;
  const char *bytes = luaL_checklstring(L, 1, &n);
  asl_flow flow;
  asl_status status = asl_flow_decode((const uint8_t *)bytes, n, &flow);
  return push_flow(L, status, &flow);
}

/* ---- depth -------------------------------------------------------------------------------- */

static int push_depth(lua_State *L, asl_status status, asl_depth *depth) {
  asl_lua_check(L, status);
  asl_tensor *t = tensor_of(ASL_F32, (asl_shape){2, {depth->height, depth->width}}, depth->metres);
  asl_depth_free(depth);
  if (!t) return luaL_error(L, "%s", asl_message());
  asl_lua_push_tensor(L, t);
  return 1;
}

/* depth_read(path, coding), depth_decode(bytes, coding): f32 (H, W), metres, 0 = not known. */
static int depth_read(lua_State *L) {
  asl_depth_coding coding = asl_lua_check_coding(L, 2, NULL);
  asl_depth depth;
  asl_status status = asl_depth_read(luaL_checkstring(L, 1), &coding, &depth);
  return push_depth(L, status, &depth);
}

static int depth_decode(lua_State *L) {
  asl_depth_coding coding = asl_lua_check_coding(L, 2, NULL);
  size_t n;
  const char *bytes = luaL_checklstring(L, 1, &n);
  asl_depth depth;
  asl_status status = asl_depth_decode((const uint8_t *)bytes, n, &coding, &depth);
  return push_depth(L, status, &depth);
}

/* ---- masks -------------------------------------------------------------------------------- */

/* u8 (height, width), 0 everywhere; height and width are arguments `arg` and the next. */
static asl_tensor *new_mask(lua_State *L, int arg) {
  lua_Integer h = luaL_checkinteger(L, arg), w = luaL_checkinteger(L, arg + 1);
  asl_lua_check(L, asl_picture_size_check(h, w));
  asl_tensor *t;
  asl_lua_check(L, asl_tensor_new(ASL_U8, (asl_shape){2, {h, w}}, ASL_CPU, &t));
  memset(asl_tensor_data(t), 0, (size_t)asl_tensor_bytes(t));
  return t;
}

/* The list of numbers at `arg` in a userdata on the stack. */
double *asl_lua_numbers(lua_State *L, int arg, size_t *n) {
  luaL_checktype(L, arg, LUA_TTABLE);
  arg = lua_absindex(L, arg);
  lua_Integer length = luaL_len(L, arg);
  double *numbers = lua_newuserdatauv(L, (size_t)(length + 1) * sizeof *numbers, 0);
  for (lua_Integer i = 0; i < length; i++) {
    if (lua_geti(L, arg, i + 1) != LUA_TNUMBER)
      luaL_error(L, "number %I of a list of %I is a %s", i + 1, length, luaL_typename(L, -1));
    numbers[i] = lua_tonumber(L, -1);
    lua_pop(L, 1);
  }
  *n = (size_t)length;
  return numbers;
}

double *asl_lua_corners(lua_State *L, int arg, size_t *n) {
  double *corners = asl_lua_numbers(L, arg, n);
  if (*n % 2) luaL_error(L, "a polygon of %I numbers; it needs pairs x, y", (lua_Integer)*n);
  *n /= 2;
  return corners;
}

/* Paints the polygon at `arg` with 1. */
static void paint_polygon(lua_State *L, int arg, asl_tensor *mask) {
  size_t n;
  int height = (int)mask->shape.size[0], width = (int)mask->shape.size[1];
  double *corners = asl_lua_corners(L, arg, &n);
  int32_t *fifths = lua_newuserdatauv(L, (2 * n + 1) * sizeof *fifths, 0);
  asl_lua_check(L, asl_polygon_fifths(corners, n, fifths));
  asl_runs runs = {0};
  asl_status status = asl_polygon_runs(fifths, n, height, width, &runs);
  if (status == ASL_OK) asl_runs_paint(runs.run, runs.n, height, width, 1, asl_u8(mask));
  asl_runs_free(&runs);
  asl_lua_check(L, status);
  lua_pop(L, 2);
}

/* polygon_mask(polygons, height, width): u8, 1 where one of them is; polygons = a list of {x, y, x,
 * y, ...} in pixels, as in a COCO annotation. */
static int polygon_mask(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 3);
  asl_tensor *mask = new_mask(L, 2);
  asl_lua_push_tensor(L, mask);
  for (lua_Integer i = 1; lua_geti(L, 1, i) != LUA_TNIL; i++) {
    paint_polygon(L, lua_gettop(L), mask);
    lua_pop(L, 1);
  }
  lua_pushvalue(L, 4);
  return 1;
}

asl_status asl_lua_runs(lua_State *L, int arg, asl_runs *out) {
  if (lua_type(L, arg) == LUA_TSTRING) {
    size_t n;
    const char *text = lua_tolstring(L, arg, &n);
    return asl_rle_decode(text, n, out);
  }
  size_t n;
  const double *numbers = asl_lua_numbers(L, arg, &n);
  for (size_t i = 0; i < n; i++) {
    if (!(numbers[i] >= 0 && numbers[i] <= UINT32_MAX && floor(numbers[i]) == numbers[i]))
      return asl_fail(ASL_EDATA, "run %zu of the mask has %g pixels", i + 1, numbers[i]);
    ASL_TRY(asl_runs_add(out, (uint32_t)numbers[i]));
  }
  return ASL_OK;
}

/* rle_mask(runs, height, width): u8, 1 inside; runs = text or a list of lengths. */
static int rle_mask(lua_State *L) {
  lua_settop(L, 3);
  asl_tensor *mask = new_mask(L, 2);
  int height = (int)mask->shape.size[0], width = (int)mask->shape.size[1];
  asl_lua_push_tensor(L, mask);
  asl_runs runs = {0};
  asl_status status = asl_lua_runs(L, 1, &runs);
  if (status == ASL_OK) status = asl_runs_check(runs.run, runs.n, height, width);
  if (status == ASL_OK) asl_runs_paint(runs.run, runs.n, height, width, 1, asl_u8(mask));
  asl_runs_free(&runs);
  asl_lua_check(L, status);
  lua_pushvalue(L, 4);
  return 1;
}

/* mask_rle(mask): the text of its runs; mask = u8 (H, W), inside where it is not 0. */
static int mask_rle(lua_State *L) {
  asl_tensor *t = asl_lua_read_tensor(L, 1);
  if (t->dtype != ASL_U8 || t->shape.rank != 2 || !asl_tensor_contiguous(t))
    return luaL_error(L, "mask_rle: needs a contiguous u8 tensor (H, W)");
  asl_lua_check(L, asl_picture_size_check(t->shape.size[0], t->shape.size[1]));
  asl_runs runs = {0};
  char *text = NULL;
  size_t n = 0;
  asl_status status =
      asl_runs_of_mask(asl_u8(t), (int)t->shape.size[0], (int)t->shape.size[1], &runs);
  if (status == ASL_OK) status = asl_rle_encode(runs.run, runs.n, &text, &n);
  asl_runs_free(&runs);
  asl_lua_check(L, status);
  lua_pushlstring(L, text, n);
  free(text);
  return 1;
}

/* ---- matrices ----------------------------------------------------------------------------- */

/* matrix_read(path, rows, columns): the numbers of a text file, row by row, as one list. */
static int matrix_read(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  lua_Integer rows = luaL_checkinteger(L, 2), columns = luaL_checkinteger(L, 3);
  luaL_argcheck(L, rows >= 1 && rows <= MAX_MATRIX_SIDE, 2, "1 to 16 rows");
  luaL_argcheck(L, columns >= 1 && columns <= MAX_MATRIX_SIDE, 3, "1 to 16 columns");
  double numbers[MAX_MATRIX_SIDE * MAX_MATRIX_SIDE];
  asl_lua_check(L, asl_matrix_read(path, (int)rows, (int)columns, numbers));
  lua_createtable(L, (int)(rows * columns), 0);
  for (lua_Integer i = 0; i < rows * columns; i++) {
    lua_pushnumber(L, numbers[i]);
    lua_seti(L, -2, i + 1);
  }
  return 1;
}

void asl_lua_open_formats(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"flow_read", flow_read},       {"flow_decode", flow_decode},   {"depth_read", depth_read},
      {"depth_decode", depth_decode}, {"polygon_mask", polygon_mask}, {"rle_mask", rle_mask},
      {"mask_rle", mask_rle},         {"matrix_read", matrix_read},   {NULL, NULL}};
  asl_lua_register(L, NULL, functions);
  asl_lua_open_formats_source(L);
}
