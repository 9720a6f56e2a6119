/* Looking at every sample of a data set. */
#include <stdlib.h>
#include <string.h>

#include "data/survey.h"
#include "lua/lua_data.h"
#include "lua/lua_packed.h"
#include "lua/lua_util.h"

enum { MAX_ROWS = 1 << 12, MAX_FILES = 64 };

/* The list of paths on top of the stack, as files of the row; the array stays on the stack below
 * the list. */
static void check_files(lua_State *L, asl_survey_row *row) {
  luaL_checktype(L, -1, LUA_TTABLE);
  lua_Integer n = luaL_len(L, -1);
  if (n > MAX_FILES) luaL_error(L, "survey: %I files of one sample, at most %d", n, MAX_FILES);
  row->files = lua_newuserdatauv(L, (size_t)(n + 1) * sizeof *row->files, 0);
  row->file_count = (int)n;
  memset(row->files, 0, (size_t)(n + 1) * sizeof *row->files);
  lua_insert(L, -2);
  for (lua_Integer i = 0; i < n; i++) {
    if (lua_geti(L, -1, i + 1) != LUA_TSTRING) luaL_error(L, "survey: files are paths");
    row->files[i].path = lua_tostring(L, -1);
    lua_pop(L, 1);
  }
}

static void push_file(lua_State *L, const asl_survey_file *file) {
  lua_createtable(L, 0, 3);
  lua_pushstring(L, file->path);
  lua_setfield(L, -2, "path");
  if (file->status != ASL_OK) {
    lua_pushstring(L, file->message);
    lua_setfield(L, -2, "error");
    return;
  }
  lua_pushinteger(L, file->bytes);
  lua_setfield(L, -2, "bytes");
  lua_pushstring(L, file->sha256);
  lua_setfield(L, -2, "sha256");
}

static void set_integer(lua_State *L, const char *key, int64_t value) {
  lua_pushinteger(L, value);
  lua_setfield(L, -2, key);
}

static void push_labels(lua_State *L, const asl_survey_row *row) {
  lua_newtable(L);
  for (int v = 0; v < 256; v++) {
    if (row->labels[v] == 0) continue;
    lua_pushinteger(L, row->labels[v]);
    lua_seti(L, -2, v);
  }
}

static void push_sample(lua_State *L, const asl_survey_row *row) {
  set_integer(L, "height", row->height);
  set_integer(L, "width", row->width);
  push_labels(L, row);
  lua_setfield(L, -2, "labels");
  if (row->depth_known > 0) {
    set_integer(L, "depth_known", row->depth_known);
    lua_pushnumber(L, (lua_Number)row->depth_low);
    lua_setfield(L, -2, "depth_low");
    lua_pushnumber(L, (lua_Number)row->depth_high);
    lua_setfield(L, -2, "depth_high");
  }
  set_integer(L, "flow_known", row->flow_known);
  lua_pushnumber(L, (lua_Number)row->flow_longest);
  lua_setfield(L, -2, "flow_longest");
}

static void push_row(lua_State *L, const asl_survey_row *row) {
  lua_createtable(L, 0, 10);
  if (row->status == ASL_OK) {
    push_sample(L, row);
  } else {
    lua_pushstring(L, row->message);
    lua_setfield(L, -2, "error");
  }
  lua_createtable(L, row->file_count, 0);
  for (int f = 0; f < row->file_count; f++) {
    push_file(L, &row->files[f]);
    lua_seti(L, -2, f + 1);
  }
  lua_setfield(L, -2, "files");
}

/* survey{{source, position, {path, ...}}, ...}: for each {height, width, labels = {[value] =
 * pixels}, depth_known, depth_low, depth_high (where any is known), flow_known, flow_longest} or
 * {error = message}; and files = {{path, bytes, sha256} or {path, error}, ...}. */
static int survey(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  lua_Integer n = luaL_len(L, 1);
  if (n < 1 || n > MAX_ROWS) return luaL_error(L, "survey: 1 to %d samples, not %I", MAX_ROWS, n);
  asl_survey_row *rows = lua_newuserdatauv(L, (size_t)n * sizeof *rows, 0);
  memset(rows, 0, (size_t)n * sizeof *rows);
  lua_createtable(L, (int)n, 0); /* keeps the arrays of files */
  for (lua_Integer i = 0; i < n; i++) {
    if (lua_geti(L, 1, i + 1) != LUA_TTABLE)
      return luaL_error(L, "survey: {source, position, files}");
    lua_geti(L, -1, 1);
    rows[i].source = asl_lua_check_source(L, -1);
    lua_geti(L, -2, 2);
    rows[i].index = luaL_checkinteger(L, -1) - 1;
    lua_geti(L, -3, 3);
    check_files(L, &rows[i]);
    lua_pop(L, 1);
    lua_seti(L, 3, i + 1);
    lua_pop(L, 3);
  }
  asl_survey_rows(rows, n);
  lua_createtable(L, (int)n, 0);
  for (lua_Integer i = 0; i < n; i++) {
    push_row(L, &rows[i]);
    lua_seti(L, -2, i + 1);
  }
  return 1;
}

/* sha256_file(path): 64 hex digits and the number of bytes, of a file read as a stream. */
static int sha256_file(lua_State *L) {
  asl_survey_file *file = lua_newuserdatauv(L, sizeof *file, 0);
  memset(file, 0, sizeof *file);
  file->path = luaL_checkstring(L, 1);
  asl_survey_digest(file);
  if (file->status != ASL_OK) return luaL_error(L, "%s", file->message);
  lua_pushstring(L, file->sha256);
  lua_pushinteger(L, file->bytes);
  return 2;
}

void asl_lua_open_survey(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"survey", survey}, {"sha256_file", sha256_file}, {NULL, NULL}};
  asl_lua_register(L, NULL, functions);
}
