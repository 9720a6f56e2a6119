/* What the bindings share: raising errors, tensors as userdata, named options.
 *
 * A binding function has three parts: read and check all arguments (may raise); call the core
 * (never raises); push or raise. Nothing is held across a raise: memory and locks are the core's.
 */
#ifndef ASL_LUA_UTIL_H
#define ASL_LUA_UTIL_H

#include <lauxlib.h>
#include <lua.h>

#include "tensor/tensor.h"

/* Raises the core's message as a Lua error (with file and line of the calling Lua code) unless
 * status is ASL_OK. */
void asl_lua_check(lua_State *L, asl_status status);

/* Pushes a tensor and takes over the caller's reference. `t` NULL pushes nil. Registers it with the
 * open scope; may run the garbage collector when much tensor memory has been taken since. */
void asl_lua_push_tensor(lua_State *L, asl_tensor *t);

/* The tensor at `arg`, not retained; raises when it is none or was released. */
asl_tensor *asl_lua_check_tensor(lua_State *L, int arg);
/* The same for reading or writing its values, which a pending tensor computes now. */
asl_tensor *asl_lua_read_tensor(lua_State *L, int arg);
asl_tensor *asl_lua_opt_tensor(lua_State *L, int arg); /* NULL for nil or none */

/* The value of table[key] at stack index `table`, with the type checked and a default. */
lua_Integer asl_lua_field_integer(lua_State *L, int table, const char *key, lua_Integer value);
lua_Number asl_lua_field_number(lua_State *L, int table, const char *key, lua_Number value);
int asl_lua_field_boolean(lua_State *L, int table, const char *key, int value);
/* The string stays valid while the table holds it. */
const char *asl_lua_field_string(lua_State *L, int table, const char *key, const char *value);

/* Sets functions of `list` into the table on top of the stack, as a sub-table `name` if not NULL.
 */
void asl_lua_register(lua_State *L, const char *name, const luaL_Reg list[]);

/* Each file lua_X.c adds its functions to the core table on top of the stack. */
void asl_lua_open_tensor(lua_State *L);    /* tensors, scopes */
void asl_lua_open_device(lua_State *L);    /* memory, waiting, graphs, fetching */
void asl_lua_open_ops(lua_State *L);       /* core.ops.NAME for every row of ops.def */
void asl_lua_open_autograd(lua_State *L);  /* backward, gradient rules written in Lua */
void asl_lua_open_system(lua_State *L);    /* threads, version, terminal, interrupts */
void asl_lua_open_interrupt(lua_State *L); /* ... called by it: SIGINT and SIGTERM */
void asl_lua_open_io(lua_State *L);        /* files, JSON, digests, checkpoint container */
void asl_lua_open_data(lua_State *L);      /* pictures, sources, loader, augmentation, order */
void asl_lua_open_formats(lua_State *L);   /* flow, depth, masks, .sens, sources of them */
void asl_lua_open_hdf5_sources(lua_State *L); /* sources of HDF5 files */
void asl_lua_open_hdf5(lua_State *L);      /* HDF5 files */
void asl_lua_open_rooms(lua_State *L);     /* the procedural data set */
void asl_lua_open_profile(lua_State *L);   /* spans of time, the roofline */
void asl_lua_open_dist(lua_State *L);      /* ranks */
void asl_lua_open_weights(lua_State *L);   /* PyTorch's checkpoints, safetensors */

#endif
