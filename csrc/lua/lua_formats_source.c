/* Sources of samples whose planes lie in files of several kinds. */
#include "lua/lua_formats.h"

#include "data/coco_mask.h"
#include "data/json_elements.h"
#include "data/sens.h"
#include "lua/lua_data.h"
#include "lua/lua_util.h"

#define COCO_META "asl.coco"
#define SENS_META "asl.sens"
#define ELEMENTS_META "asl.json_elements"

/* source_frames{images = paths, labels, depths, flows, flows_back, poses = paths or nil,
 * intrinsics, depth_intrinsics = lists of 9 numbers or nil, depth_coding = of the depths, label_map
 * = {[value] = class}, table = name, size = {height, width} or nil}: see data/source_files.h. */
static int source_frames(lua_State *L) {
  static const char where[] = "source_frames";
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  luaL_checkstack(L, 32, NULL);
  lua_getfield(L, 1, "images");
  luaL_checktype(L, -1, LUA_TTABLE);
  lua_Integer n = luaL_len(L, -1);
  asl_source_files_spec spec = {.count = n};
  spec.images = asl_lua_strings(L, 1, "images", n, where);
  spec.labels = asl_lua_strings(L, 1, "labels", n, where);
  spec.depths = asl_lua_strings(L, 1, "depths", n, where);
  spec.flows = asl_lua_strings(L, 1, "flows", n, where);
  spec.flows_back = asl_lua_strings(L, 1, "flows_back", n, where);
  spec.poses = asl_lua_strings(L, 1, "poses", n, where);
  spec.intrinsics = asl_lua_matrices(L, 1, "intrinsics", n, where);
  spec.depth_intrinsics = asl_lua_matrices(L, 1, "depth_intrinsics", n, where);
  if (spec.depths) spec.depth_coding = asl_lua_check_coding(L, 1, "depth_coding");
  asl_label_table labels = asl_lua_check_labels(L, 1, where);
  spec.label_map = labels.map;
  spec.label_values = labels.values;
  spec.table = labels.name;
  asl_lua_size(L, 1, &spec.height, &spec.width);
  asl_source *source = NULL;
  asl_lua_check(L, asl_source_files_new(&spec, &source));
  asl_lua_push_source(L, source);
  return 1;
}

/* ---- elements of JSON files --------------------------------------------------------------- */

static int elements_close(lua_State *L) {
  asl_json_elements **at = luaL_checkudata(L, 1, ELEMENTS_META);
  asl_json_close(*at);
  *at = NULL;
  return 0;
}

/* The iterator: which of the keys (1-based), text; nil after the last. */
static int elements_next(lua_State *L) {
  asl_json_elements **at = luaL_checkudata(L, 1, ELEMENTS_META);
  luaL_argcheck(L, *at, 1, "the file is closed");
  const char *text;
  size_t n;
  int key;
  asl_lua_check(L, asl_json_next(*at, &text, &n, &key));
  if (!text) return 0;
  lua_pushinteger(L, key + 1);
  lua_pushlstring(L, text, n);
  return 2;
}

/* for key, text in json_elements(path, {name, ...}) do: see data/json_elements.h. */
static int json_elements(lua_State *L) {
  const char *path = luaL_checkstring(L, 1), *keys[ASL_JSON_MAX_KEYS];
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_Integer n = luaL_len(L, 2);
  luaL_argcheck(L, n >= 1 && n <= ASL_JSON_MAX_KEYS, 2, "1 to 8 names of lists");
  luaL_checkstack(L, ASL_JSON_MAX_KEYS + 8, NULL);
  for (lua_Integer i = 0; i < n; i++) {
    lua_geti(L, 2, i + 1);
    keys[i] = luaL_checkstring(L, -1);
  }
  lua_pushcfunction(L, elements_next);
  asl_json_elements **at = lua_newuserdatauv(L, sizeof *at, 0);
  *at = NULL;
  luaL_setmetatable(L, ELEMENTS_META);
  asl_lua_check(L, asl_json_open(path, keys, (int)n, at));
  lua_pushnil(L);
  lua_pushvalue(L, -2);
  return 4;
}

/* ---- COCO --------------------------------------------------------------------------------- */

static asl_coco *check_coco(lua_State *L, int arg) {
  asl_coco **at = luaL_checkudata(L, arg, COCO_META);
  luaL_argcheck(L, *at, arg, "the annotations belong to a source now");
  return *at;
}

static int coco_gc(lua_State *L) {
  asl_coco **at = luaL_checkudata(L, 1, COCO_META);
  asl_coco_release(*at);
  *at = NULL;
  return 0;
}

/* The list of sides at `arg` in a userdata on the stack. */
static int32_t *check_sides(lua_State *L, int arg, lua_Integer n) {
  luaL_checktype(L, arg, LUA_TTABLE);
  luaL_argcheck(L, luaL_len(L, arg) == n, arg, "as many heights as widths");
  int32_t *sides = lua_newuserdatauv(L, (size_t)(n + 1) * sizeof *sides, 0);
  for (lua_Integer i = 0; i < n; i++) {
    lua_geti(L, arg, i + 1);
    lua_Integer side = luaL_checkinteger(L, -1);
    sides[i] = side < 0 || side > INT32_MAX ? -1 : (int32_t)side;
    lua_pop(L, 1);
  }
  return sides;
}

/* coco_new(heights, widths): annotations of pictures of these sizes. */
static int coco_new(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_Integer n = luaL_len(L, 1);
  int32_t *heights = check_sides(L, 1, n), *widths = check_sides(L, 2, n);
  asl_coco **at = lua_newuserdatauv(L, sizeof *at, 0);
  *at = NULL;
  luaL_setmetatable(L, COCO_META);
  asl_lua_check(L, asl_coco_new(n, heights, widths, at));
  return 1;
}

static uint8_t check_class(lua_State *L, int arg) {
  lua_Integer class_id = luaL_checkinteger(L, arg);
  luaL_argcheck(L, class_id >= 0 && class_id <= 255, arg, "a class is 0 to 254, 255 = ignore");
  return (uint8_t)class_id;
}

/* coco:polygon(picture, class, {x, y, x, y, ...}), pictures from 1 */
static int coco_polygon(lua_State *L) {
  asl_coco *coco = check_coco(L, 1);
  lua_Integer picture = luaL_checkinteger(L, 2);
  uint8_t class_id = check_class(L, 3);
  size_t n;
  double *corners = asl_lua_corners(L, 4, &n);
  asl_lua_check(L, asl_coco_polygon(coco, picture - 1, class_id, corners, n));
  return 0;
}

/* coco:runs(picture, class, text or list of lengths) */
static int coco_runs(lua_State *L) {
  asl_coco *coco = check_coco(L, 1);
  lua_Integer picture = luaL_checkinteger(L, 2);
  uint8_t class_id = check_class(L, 3);
  asl_runs runs = {0};
  asl_status status = asl_lua_runs(L, 4, &runs);
  if (status == ASL_OK) status = asl_coco_runs(coco, picture - 1, class_id, runs.run, runs.n);
  asl_runs_free(&runs);
  asl_lua_check(L, status);
  return 0;
}

/* coco:segment(picture, class, id) */
static int coco_segment(lua_State *L) {
  asl_coco *coco = check_coco(L, 1);
  lua_Integer picture = luaL_checkinteger(L, 2), id = luaL_checkinteger(L, 4);
  uint8_t class_id = check_class(L, 3);
  luaL_argcheck(L, id > 0 && id < 1 << 24, 4, "the id of a segment is 1 to 2^24 - 1");
  asl_lua_check(L, asl_coco_segment(coco, picture - 1, class_id, (uint32_t)id));
  return 0;
}

/* coco:bytes() */
static int coco_bytes(lua_State *L) {
  lua_pushinteger(L, asl_coco_bytes(check_coco(L, 1)));
  return 1;
}

/* source_coco{annotations = coco, images = paths, maps = paths or nil, json = path or nil, size =
 * {height, width} or nil}: see data/coco_mask.h. The annotations cannot be added to afterwards. */
static int source_coco(lua_State *L) {
  static const char where[] = "source_coco";
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  lua_getfield(L, 1, "annotations");
  asl_coco **coco = luaL_checkudata(L, 2, COCO_META);
  asl_source_coco_spec spec = {.coco = check_coco(L, 2)};
  lua_Integer n = asl_coco_pictures(spec.coco);
  spec.images = asl_lua_strings(L, 1, "images", n, where);
  if (!spec.images) return luaL_error(L, "%s: images must be given", where);
  spec.maps = asl_lua_strings(L, 1, "maps", n, where);
  spec.json = asl_lua_field_string(L, 1, "json", NULL);
  asl_lua_size(L, 1, &spec.height, &spec.width);
  asl_source *source = NULL;
  asl_lua_check(L, asl_source_coco_new(&spec, &source));
  asl_coco_release(*coco);
  *coco = NULL;
  asl_lua_push_source(L, source);
  return 1;
}

/* ---- .sens files -------------------------------------------------------------------------- */

static asl_sens *check_sens(lua_State *L, int arg) {
  asl_sens **at = luaL_checkudata(L, arg, SENS_META);
  return *at;
}

static int sens_gc(lua_State *L) {
  asl_sens **at = luaL_checkudata(L, 1, SENS_META);
  asl_sens_release(*at);
  *at = NULL;
  return 0;
}

static int sens_open(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  asl_sens **at = lua_newuserdatauv(L, sizeof *at, 0);
  *at = NULL;
  luaL_setmetatable(L, SENS_META);
  asl_lua_check(L, asl_sens_open(path, at));
  return 1;
}

static void push_floats(lua_State *L, const float *numbers, int n) {
  lua_createtable(L, n, 0);
  for (int i = 0; i < n; i++) {
    lua_pushnumber(L, (lua_Number)numbers[i]);
    lua_seti(L, -2, i + 1);
  }
}

/* sens:info(): {frames, size = {height, width}, depth_size, intrinsics, depth_intrinsics (9 numbers
 * each), per_metre} */
static int sens_info(lua_State *L) {
  const asl_sens_info *info = asl_sens_look(check_sens(L, 1));
  lua_createtable(L, 0, 6);
  lua_pushinteger(L, info->frames);
  lua_setfield(L, -2, "frames");
  push_floats(L, info->intrinsics, 9);
  lua_setfield(L, -2, "intrinsics");
  push_floats(L, info->depth_intrinsics, 9);
  lua_setfield(L, -2, "depth_intrinsics");
  lua_pushnumber(L, info->depth_per_metre);
  lua_setfield(L, -2, "per_metre");
  const int sides[2][2] = {{info->height, info->width}, {info->depth_height, info->depth_width}};
  for (int i = 0; i < 2; i++) {
    lua_createtable(L, 2, 0);
    for (int j = 0; j < 2; j++) {
      lua_pushinteger(L, sides[i][j]);
      lua_seti(L, -2, j + 1);
    }
    lua_setfield(L, -2, i ? "depth_size" : "size");
  }
  return 1;
}

/* sens:pose(frame), from 0: 16 numbers, row by row; not finite where tracking was lost. */
static int sens_pose(lua_State *L) {
  float pose[16];
  asl_lua_check(L, asl_sens_pose(check_sens(L, 1), luaL_checkinteger(L, 2), pose));
  push_floats(L, pose, 16);
  return 1;
}

const int64_t *asl_lua_integers(lua_State *L, int table, const char *key, lua_Integer *n) {
  lua_getfield(L, table, key);
  luaL_checktype(L, -1, LUA_TTABLE);
  *n = luaL_len(L, -1);
  int64_t *numbers = lua_newuserdatauv(L, (size_t)(*n + 1) * sizeof *numbers, 0);
  for (lua_Integer i = 0; i < *n; i++) {
    lua_geti(L, -2, i + 1);
    numbers[i] = luaL_checkinteger(L, -1);
    lua_pop(L, 1);
  }
  return numbers;
}

/* source_sens{sens = sens, frames = {from 0, ...}, labels = paths or nil, label_map, table, size}:
 * see data/sens.h. */
static int source_sens(lua_State *L) {
  static const char where[] = "source_sens";
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  lua_getfield(L, 1, "sens");
  asl_source_sens_spec spec = {.sens = check_sens(L, 2)};
  lua_Integer n;
  spec.frames = asl_lua_integers(L, 1, "frames", &n);
  spec.count = n;
  spec.labels = asl_lua_strings(L, 1, "labels", n, where);
  spec.table = asl_lua_check_labels(L, 1, where);
  asl_lua_size(L, 1, &spec.height, &spec.width);
  asl_source *source = NULL;
  asl_lua_check(L, asl_source_sens_new(&spec, &source));
  asl_lua_push_source(L, source);
  return 1;
}

/* ---- registration ------------------------------------------------------------------------- */

static void new_class(lua_State *L, const char *name, const luaL_Reg *meta,
                      const luaL_Reg *methods) {
  luaL_newmetatable(L, name);
  luaL_setfuncs(L, meta, 0);
  if (methods) {
    lua_newtable(L);
    luaL_setfuncs(L, methods, 0);
    lua_setfield(L, -2, "__index");
  }
  lua_pop(L, 1);
}

void asl_lua_open_formats_source(lua_State *L) {
  static const luaL_Reg elements_meta[] = {
      {"__gc", elements_close}, {"__close", elements_close}, {NULL, NULL}};
  static const luaL_Reg coco_meta[] = {{"__gc", coco_gc}, {NULL, NULL}};
  static const luaL_Reg coco_methods[] = {{"polygon", coco_polygon},
                                          {"runs", coco_runs},
                                          {"segment", coco_segment},
                                          {"bytes", coco_bytes},
                                          {NULL, NULL}};
  static const luaL_Reg functions[] = {{"source_frames", source_frames},
                                       {"json_elements", json_elements},
                                       {"coco_new", coco_new},
                                       {"source_coco", source_coco},
                                       {"sens_open", sens_open},
                                       {"source_sens", source_sens},
                                       {NULL, NULL}};
  new_class(L, ELEMENTS_META, elements_meta, NULL);
  static const luaL_Reg sens_meta[] = {{"__gc", sens_gc}, {NULL, NULL}};
  static const luaL_Reg sens_methods[] = {{"info", sens_info}, {"pose", sens_pose}, {NULL, NULL}};
  new_class(L, SENS_META, sens_meta, sens_methods);
  new_class(L, COCO_META, coco_meta, coco_methods);
  asl_lua_register(L, NULL, functions);
}
