/* What the bindings of file formats share (lua_formats.c, lua_formats_source.c). */
#ifndef ASL_LUA_FORMATS_H
#define ASL_LUA_FORMATS_H

#include <lua.h>

#include "data/depth_png.h"
#include "data/rle.h"
#include "data/source_files.h"

/* The coding table[key] = {per_metre, none, rotated, swapped, disparity}; raises when it is none.
 */
asl_depth_coding asl_lua_check_coding(lua_State *L, int table, const char *key);

/* The strings of the list table[key], `n` long (-1: any length), as an array that stays on the
 * stack and is valid while the list is; NULL and nil when there is no such list. Raises, led by
 * `where`. */
const char **asl_lua_strings(lua_State *L, int table, const char *key, lua_Integer n,
                             const char *where);

/* The meanings table.label_map = {[value] = class} with the name table.table; its arrays stay on
 * the stack. All values are unknown when there is no map. */
asl_label_table asl_lua_check_labels(lua_State *L, int table, const char *where);

/* table.size = {height, width} or nil; raises when it is out of range. */
void asl_lua_size(lua_State *L, int table, int *height, int *width);

/* Matrices of 9 numbers in the list table[key], `n` long, as an array that stays on the stack; NULL
 * and nil when there is no such list. */
const float *asl_lua_matrices(lua_State *L, int table, const char *key, lua_Integer n,
                              const char *where);

/* The whole numbers of the list table[key], as an array that stays on the stack. Raises. */
const int64_t *asl_lua_integers(lua_State *L, int table, const char *key, lua_Integer *n);

/* The list of numbers at `arg`, and the same as n corners x, y, as an array that stays on the
 * stack. Raise. */
double *asl_lua_numbers(lua_State *L, int arg, size_t *n);
double *asl_lua_corners(lua_State *L, int arg, size_t *n);

/* Appends the runs at `arg`: text, or a list of lengths. Raises for a list of other things, else
 * fails as asl_rle_decode() does; `out` must be empty when it is a list. */
asl_status asl_lua_runs(lua_State *L, int arg, asl_runs *out);

/* Adds the functions of lua_formats_source.c to the core table on top of the stack. */
void asl_lua_open_formats_source(lua_State *L);

#endif
