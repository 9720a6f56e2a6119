/* Sources of samples in HDF5 files: NYU Depth V2, ML-Hypersim. */
#include <stdint.h>
#include <string.h>

#include "data/source_hypersim.h"
#include "data/source_nyuv2.h"
#include "lua/lua_data.h"
#include "lua/lua_formats.h"
#include "lua/lua_util.h"

/* The numbers of the list table[key], as an array that stays on the stack. */
static const double *numbers_of(lua_State *L, int table, const char *key, size_t *n) {
  lua_getfield(L, table, key);
  return asl_lua_numbers(L, -1, n);
}

/* The list table[key] of places, from 0, as an array that stays on the stack. */
static const int32_t *places_of(lua_State *L, int table, const char *key, lua_Integer *n) {
  const int64_t *numbers = asl_lua_integers(L, table, key, n);
  int32_t *places = lua_newuserdatauv(L, (size_t)(*n + 1) * sizeof *places, 0);
  for (lua_Integer i = 0; i < *n; i++) {
    if (numbers[i] < 0 || numbers[i] > INT32_MAX)
      luaL_error(L, "%s[%I] must be a whole number from 0 to %d", key, i + 1, (int)INT32_MAX);
    places[i] = (int32_t)numbers[i];
  }
  return places;
}

static void check_length(lua_State *L, const char *where, const char *key, size_t n,
                         size_t expected) {
  if (n != expected)
    luaL_error(L, "%s: %I %s; expected %I", where, (lua_Integer)n, key, (lua_Integer)expected);
}

static const float *floats_of(lua_State *L, const double *numbers, size_t n) {
  float *floats = lua_newuserdatauv(L, (n + 1) * sizeof *floats, 0);
  for (size_t i = 0; i < n; i++) floats[i] = (float)numbers[i];
  return floats;
}

static int has(lua_State *L, int table, const char *key) {
  int there = lua_getfield(L, table, key) != LUA_TNIL;
  lua_pop(L, 1);
  return there;
}

/* source_nyuv2{path, frames = {from 0, ...}, labels = boolean, depth = name of the dataset or nil,
 * intrinsics = 9 numbers or nil, label_map, table, size}: see data/source_nyuv2.h. */
static int source_nyuv2(lua_State *L) {
  static const char where[] = "source_nyuv2";
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  luaL_checkstack(L, 16, NULL);
  asl_source_nyuv2_spec spec = {
      .path = asl_lua_field_string(L, 1, "path", NULL),
      .labels = asl_lua_field_boolean(L, 1, "labels", 0),
      .depth = asl_lua_field_string(L, 1, "depth", NULL),
  };
  size_t matrix;
  lua_Integer n;
  if (!spec.path) return luaL_error(L, "%s: path must be given", where);
  spec.frames = asl_lua_integers(L, 1, "frames", &n);
  spec.count = n;
  if (has(L, 1, "intrinsics")) {
    const double *numbers = numbers_of(L, 1, "intrinsics", &matrix);
    check_length(L, where, "intrinsics", matrix, 9);
    spec.intrinsics = floats_of(L, numbers, 9);
  }
  spec.table = asl_lua_check_labels(L, 1, where);
  asl_lua_size(L, 1, &spec.height, &spec.width);
  asl_source *source = NULL;
  asl_lua_check(L, asl_source_nyuv2_new(&spec, &source));
  asl_lua_push_source(L, source);
  return 1;
}

/* The trajectories of the lists folders and rays (9 numbers each, one list). */
static const asl_hypersim_shot *check_shots(lua_State *L, const char *where, int64_t *count) {
  const char **folders = asl_lua_strings(L, 1, "folders", -1, where);
  if (!folders) luaL_error(L, "%s: folders must be given", where);
  lua_Integer n = luaL_len(L, -2);
  asl_hypersim_shot *shots = lua_newuserdatauv(L, (size_t)(n + 1) * sizeof *shots, 0);
  size_t numbers = 0;
  const double *rays = has(L, 1, "rays") ? numbers_of(L, 1, "rays", &numbers) : NULL;
  if (rays) check_length(L, where, "rays", numbers, 9 * (size_t)n);
  for (lua_Integer i = 0; i < n; i++) {
    shots[i] = (asl_hypersim_shot){.folder = folders[i]};
    if (rays) memcpy(shots[i].rays, rays + 9 * i, sizeof shots[i].rays);
  }
  *count = n;
  return shots;
}

/* source_hypersim{folders = of trajectories, rays = 9 numbers of each in one list or nil, shots =
 * {trajectory of each sample, from 0}, frames, poses = 16 numbers of each sample in one list or
 * nil, labels, preview, all_valid = booleans, label_map (of id + 1), table, size}: see
 * data/source_hypersim.h. */
static int source_hypersim(lua_State *L) {
  static const char where[] = "source_hypersim";
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  luaL_checkstack(L, 32, NULL);
  asl_source_hypersim_spec spec = {
      .labels = asl_lua_field_boolean(L, 1, "labels", 0),
      .preview = asl_lua_field_boolean(L, 1, "preview", 0),
      .all_valid = asl_lua_field_boolean(L, 1, "all_valid", 0),
  };
  lua_Integer n, frames;
  size_t numbers;
  spec.shot = check_shots(L, where, &spec.shots);
  spec.shot_of = places_of(L, 1, "shots", &n);
  spec.frame = places_of(L, 1, "frames", &frames);
  check_length(L, where, "frames", (size_t)frames, (size_t)n);
  spec.count = n;
  if (has(L, 1, "poses")) {
    const double *poses = numbers_of(L, 1, "poses", &numbers);
    check_length(L, where, "poses", numbers, 16 * (size_t)n);
    spec.poses = floats_of(L, poses, numbers);
  }
  spec.table = asl_lua_check_labels(L, 1, where);
  asl_lua_size(L, 1, &spec.height, &spec.width);
  asl_source *source = NULL;
  asl_lua_check(L, asl_source_hypersim_new(&spec, &source));
  asl_lua_push_source(L, source);
  return 1;
}

void asl_lua_open_hdf5_sources(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"source_nyuv2", source_nyuv2}, {"source_hypersim", source_hypersim}, {NULL, NULL}};
  asl_lua_register(L, NULL, functions);
}
