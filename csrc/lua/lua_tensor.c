/* Tensors and scopes in Lua. What can be written with ops is in lua/asl/tensor.lua. */
#include "lua/lua_tensor.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "base/philox.h"
#include "ops/ops.h"

/* ---- boxes and scopes ------------------------------------------------------------------------ */
#define SCOPE_TYPE "asl.scope"

typedef struct scope {
  asl_box list; /* head of a ring */
  struct scope *outer;
  bool open;
} scope;

static scope *innermost;

static void unlink_box(asl_box *box) {
  if (!box->next) return;
  box->previous->next = box->next;
  box->next->previous = box->previous;
  box->next = box->previous = NULL;
}

static void link_box(scope *s, asl_box *box) {
  box->next = &s->list;
  box->previous = s->list.previous;
  s->list.previous->next = box;
  s->list.previous = box;
}

static void empty_box(asl_box *box) {
  unlink_box(box);
  asl_tensor_release(box->tensor);
  box->tensor = NULL;
}

/* Lua does not see tensor memory: when much has been taken on a device since the last collection, collect. */
static void collect_under_pressure(lua_State *L, asl_device device) {
  static int64_t limits[ASL_DEVICES];
  enum { LEAST = 256 << 20 };
  const asl_device_api *api = asl_device_api_of(device);
  if (limits[device] == 0) limits[device] = LEAST;
  if (api->memory().live < limits[device]) return;
  lua_gc(L, LUA_GCCOLLECT);
  int64_t live = api->memory().live;
  limits[device] = live + live / 2 > LEAST ? live + live / 2 : LEAST;
}

/* Collects when a device has no memory left: by a state of its own, whichever coroutine is running. */
static lua_State *collector;
static void collect_garbage(void) { lua_gc(collector, LUA_GCCOLLECT); }

static void make_collector(lua_State *L) {
  static const char key;
  collector = lua_newthread(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &key);
}

void asl_lua_push_tensor(lua_State *L, asl_tensor *t) {
  if (!t) {
    lua_pushnil(L);
    return;
  }
  asl_box *box = lua_newuserdatauv(L, sizeof *box, 0);
  *box = (asl_box){.tensor = t};
  luaL_setmetatable(L, ASL_TENSOR_TYPE);
  if (innermost) link_box(innermost, box);
  collect_under_pressure(L, t->storage->device);
}

asl_tensor *asl_lua_check_tensor(lua_State *L, int arg) {
  asl_box *box = luaL_checkudata(L, arg, ASL_TENSOR_TYPE);
  if (!box->tensor)
    luaL_argerror(L, arg, "this tensor was released (by the scope that made it, or by :release())");
  return box->tensor;
}

asl_tensor *asl_lua_read_tensor(lua_State *L, int arg) {
  asl_tensor *t = asl_lua_check_tensor(L, arg), *host;
  int at = lua_absindex(L, arg);
  asl_lua_check(L, asl_settle(t));
  if (t->storage->device == ASL_CPU) return t;
  asl_lua_check(L, asl_to_device(t, ASL_CPU, &host));
  asl_lua_push_tensor(L, host);
  lua_replace(L, at); /* keeps the copy as long as the argument would be kept */
  return host;
}

asl_tensor *asl_lua_opt_tensor(lua_State *L, int arg) {
  return lua_isnoneornil(L, arg) ? NULL : asl_lua_check_tensor(L, arg);
}

static int box_release(lua_State *L) {
  empty_box(luaL_checkudata(L, 1, ASL_TENSOR_TYPE));
  return 0;
}

static int scope_new(lua_State *L) {
  scope *s = lua_newuserdatauv(L, sizeof *s, 0);
  s->list.next = s->list.previous = &s->list;
  s->outer = innermost;
  s->open = true;
  innermost = s;
  luaL_setmetatable(L, SCOPE_TYPE);
  return 1;
}

/* Also as finaliser: a scope that was never closed must not stay the innermost one. */
static int scope_close(lua_State *L) {
  scope *s = luaL_checkudata(L, 1, SCOPE_TYPE);
  if (!s->open) return 0;
  s->open = false;
  while (s->list.next != &s->list) empty_box(s->list.next);
  for (scope **link = &innermost; *link; link = &(*link)->outer) {
    if (*link == s) {
      *link = s->outer;
      break;
    }
  }
  return 0;
}

static int open_scopes(lua_State *L) {
  lua_Integer n = 0;
  for (const scope *s = innermost; s; s = s->outer) n++;
  lua_pushinteger(L, n);
  return 1;
}

/* Moves tensors to the enclosing scope: they outlive this one. */
static int scope_keep(lua_State *L) {
  scope *s = luaL_checkudata(L, 1, SCOPE_TYPE);
  int n = lua_gettop(L);
  for (int i = 2; i <= n; i++) {
    asl_lua_check_tensor(L, i);
    asl_box *box = lua_touserdata(L, i);
    unlink_box(box);
    if (s->outer) link_box(s->outer, box);
  }
  return n - 1;
}

/* ---- arguments ------------------------------------------------------------------------------- */
static asl_shape check_shape(lua_State *L, int arg) {
  asl_shape shape = {0};
  luaL_checktype(L, arg, LUA_TTABLE);
  lua_Integer rank = luaL_len(L, arg);
  if (rank > ASL_MAX_RANK)
    luaL_error(L, "a tensor has at most %d dimensions, not %I", ASL_MAX_RANK, (LUAI_UACINT)rank);
  shape.rank = (int)rank;
  for (int d = 0; d < shape.rank; d++) {
    int ok;
    lua_geti(L, arg, d + 1);
    shape.size[d] = lua_tointegerx(L, -1, &ok);
    if (!ok || shape.size[d] < 0)
      luaL_error(L, "size %d of the shape must be a whole number, at least 0", d + 1);
    lua_pop(L, 1);
  }
  return shape;
}

static asl_dtype check_dtype(lua_State *L, int arg, asl_dtype value) {
  if (lua_isnoneornil(L, arg)) return value;
  const char *name = luaL_checkstring(L, arg);
  if (!asl_dtype_from_name(name, &value))
    luaL_error(L, "dtype must be f32, f64, u8, i32, i64 or bf16, not \"%s\"", name);
  return value;
}

asl_device asl_lua_check_device(lua_State *L, int arg) {
  const char *name = luaL_optstring(L, arg, "cpu");
  asl_device device;
  if (!asl_device_from_name(name, &device)) luaL_error(L, "device must be \"cpu\" or \"cuda\", not \"%s\"", name);
  return device;
}

static asl_tensor *push_new(lua_State *L, asl_dtype dtype, asl_shape shape, asl_device device) {
  asl_tensor *t;
  asl_lua_check(L, asl_tensor_new(dtype, shape, device, &t));
  asl_lua_push_tensor(L, t);
  return t;
}

/* ---- making ---------------------------------------------------------------------------------- */
/* core.zeros(shape, dtype, device) */
static int tensor_zeros(lua_State *L) {
  asl_tensor *t = push_new(L, check_dtype(L, 2, ASL_F32), check_shape(L, 1), asl_lua_check_device(L, 3));
  asl_lua_check(L, asl_fill(t, 0));
  return 1;
}

static void range_check(lua_State *L, asl_dtype dtype, lua_Number v) {
  bool fits = asl_dtype_is_real(dtype) || (v == floor(v) && fabs(v) <= 0x1p53);
  if (dtype == ASL_U8) fits = fits && v >= 0 && v <= 255;
  if (dtype == ASL_I32) fits = fits && v >= -0x1p31 && v < 0x1p31;
  if (!fits) luaL_error(L, "%f does not fit into %s", v, asl_dtype_name(dtype));
}

/* Reads the nested table on top of the stack into elements from `position` on. */
static int64_t read_nested(lua_State *L, asl_tensor *t, int depth, int64_t position) {
  if (depth == t->shape.rank) {
    int ok;
    lua_Number v = lua_tonumberx(L, -1, &ok);
    if (!ok)
      luaL_error(L, "element %d is a %s, not a number", (int)position + 1, luaL_typename(L, -1));
    if (t->dtype == ASL_I64 && lua_isinteger(L, -1)) {
      asl_i64(t)[position] = lua_tointeger(L, -1);
    } else {
      range_check(L, t->dtype, v);
      asl_tensor_set(t, position, v);
    }
    return position + 1;
  }
  if (!lua_istable(L, -1) || (int64_t)luaL_len(L, -1) != t->shape.size[depth])
    luaL_error(L, "the nested table is ragged at depth %d", depth + 1);
  for (int64_t i = 1; i <= t->shape.size[depth]; i++) {
    lua_geti(L, -1, i);
    position = read_nested(L, t, depth + 1, position);
    lua_pop(L, 1);
  }
  return position;
}

/* core.tensor(number or nested table, dtype) */
static int tensor_from_table(lua_State *L) {
  asl_shape shape = {0};
  lua_settop(L, 2);
  lua_pushvalue(L, 1);
  while (lua_istable(L, -1)) {
    if (shape.rank == ASL_MAX_RANK) luaL_error(L, "nested deeper than %d", ASL_MAX_RANK);
    shape.size[shape.rank++] = luaL_len(L, -1);
    lua_geti(L, -1, 1);
    lua_remove(L, -2);
  }
  lua_settop(L, 2);
  asl_tensor *t = push_new(L, check_dtype(L, 2, ASL_F32), shape, ASL_CPU);
  lua_pushvalue(L, 1);
  if (asl_shape_count(shape) > 0) read_nested(L, t, 0, 0);
  lua_pop(L, 1);
  return 1;
}

/* core.frombytes(string, shape, dtype) */
static int tensor_from_bytes(lua_State *L) {
  size_t n;
  const char *bytes = luaL_checklstring(L, 1, &n);
  asl_tensor *t = push_new(L, check_dtype(L, 3, ASL_F32), check_shape(L, 2), ASL_CPU);
  if ((size_t)asl_tensor_bytes(t) != n)
    luaL_error(L, "%I bytes are needed, the string has %I", (LUAI_UACINT)asl_tensor_bytes(t),
               (LUAI_UACINT)n);
  memcpy(asl_tensor_data(t), bytes, n);
  return 1;
}

/* Random numbers are made on the host: every device gets the same bits. */
static asl_tensor *check_filled(lua_State *L) {
  asl_tensor *t = asl_lua_check_tensor(L, 1);
  asl_lua_check(L, asl_settle(t));
  luaL_argcheck(L, t->dtype == ASL_F32 && asl_tensor_contiguous(t), 1, "must be a contiguous f32");
  return t->storage->device == ASL_CPU ? t : push_new(L, ASL_F32, t->shape, ASL_CPU);
}

static int return_filled(lua_State *L, asl_tensor *made) {
  asl_tensor *t = asl_lua_check_tensor(L, 1);
  if (made != t)
    asl_lua_check(L, asl_device_api_of(t->storage->device)
                         ->upload(asl_tensor_data(t), asl_tensor_data(made), (size_t)asl_tensor_bytes(t)));
  lua_settop(L, 1);
  return 1;
}

/* core.uniform_(t, seed, purpose, stream, low, high): element e from word e%4 of counter e/4. */
static int tensor_uniform(lua_State *L) {
  uint64_t seed = (uint64_t)luaL_checkinteger(L, 2), stream = (uint64_t)luaL_checkinteger(L, 4);
  uint32_t purpose = (uint32_t)luaL_checkinteger(L, 3);
  float low = (float)luaL_optnumber(L, 5, 0), high = (float)luaL_optnumber(L, 6, 1);
  asl_tensor *t = check_filled(L);
  float *x = asl_f32(t);
  for (int64_t e = 0, n = asl_tensor_count(t); e < n; e++) {
    asl_philox4 r = asl_philox(seed, purpose, stream, (uint64_t)e / 4);
    x[e] = low + (high - low) * asl_uniform(r.v[e % 4]);
  }
  return return_filled(L, t);
}

/* core.normal_(t, seed, purpose, stream): standard normal by Box and Muller (1958). */
static int tensor_normal(lua_State *L) {
  uint64_t seed = (uint64_t)luaL_checkinteger(L, 2), stream = (uint64_t)luaL_checkinteger(L, 4);
  uint32_t purpose = (uint32_t)luaL_checkinteger(L, 3);
  asl_tensor *t = check_filled(L);
  float *x = asl_f32(t);
  for (int64_t e = 0, n = asl_tensor_count(t); e < n; e++) {
    asl_philox4 r = asl_philox(seed, purpose, stream, (uint64_t)e);
    double u = ((double)r.v[0] + 1) * 0x1p-32, angle = 6.283185307179586 * r.v[1] * 0x1p-32;
    x[e] = (float)(sqrt(-2 * log(u)) * cos(angle));
  }
  return return_filled(L, t);
}

/* core.random(seed, purpose, hi, lo) -> four integers in [0, 2^32) */
static int random_words(lua_State *L) {
  asl_philox4 r = asl_philox((uint64_t)luaL_checkinteger(L, 1), (uint32_t)luaL_checkinteger(L, 2),
                             (uint64_t)luaL_checkinteger(L, 3), (uint64_t)luaL_checkinteger(L, 4));
  for (int i = 0; i < 4; i++) lua_pushinteger(L, r.v[i]);
  return 4;
}

/* ---- reading --------------------------------------------------------------------------------- */
static int tensor_shape(lua_State *L) {
  asl_tensor *t = asl_lua_check_tensor(L, 1);
  lua_createtable(L, t->shape.rank, 0);
  for (int d = 0; d < t->shape.rank; d++) {
    lua_pushinteger(L, t->shape.size[d]);
    lua_seti(L, -2, d + 1);
  }
  return 1;
}

static int tensor_dtype(lua_State *L) {
  lua_pushstring(L, asl_dtype_name(asl_lua_check_tensor(L, 1)->dtype));
  return 1;
}

static int tensor_device(lua_State *L) {
  lua_pushstring(L, asl_device_name(asl_lua_check_tensor(L, 1)->storage->device));
  return 1;
}

static int tensor_count(lua_State *L) {
  lua_pushinteger(L, asl_tensor_count(asl_lua_check_tensor(L, 1)));
  return 1;
}

static int tensor_is_contiguous(lua_State *L) {
  lua_pushboolean(L, asl_tensor_contiguous(asl_lua_check_tensor(L, 1)));
  return 1;
}

static void push_element(lua_State *L, const asl_tensor *t, int64_t position) {
  if (asl_dtype_is_real(t->dtype)) lua_pushnumber(L, asl_tensor_get(t, position));
  else if (t->dtype == ASL_I64) lua_pushinteger(L, asl_i64(t)[asl_tensor_at(t, position)]);
  else lua_pushinteger(L, (lua_Integer)asl_tensor_get(t, position));
}

static int tensor_item(lua_State *L) {
  asl_tensor *t = asl_lua_read_tensor(L, 1);
  char text[128];
  if (asl_tensor_count(t) != 1)
    return luaL_error(L, "item() reads one number, this is %s", asl_tensor_text(t, text));
  push_element(L, t, 0);
  return 1;
}

static int64_t push_nested(lua_State *L, const asl_tensor *t, int depth, int64_t position) {
  if (depth == t->shape.rank) {
    push_element(L, t, position);
    return position + 1;
  }
  luaL_checkstack(L, 3, "deep tensor");
  lua_createtable(L, (int)t->shape.size[depth], 0);
  for (int64_t i = 1; i <= t->shape.size[depth]; i++) {
    position = push_nested(L, t, depth + 1, position);
    lua_seti(L, -2, i);
  }
  return position;
}

static int tensor_totable(lua_State *L) {
  push_nested(L, asl_lua_read_tensor(L, 1), 0, 0);
  return 1;
}

static asl_tensor *push_contiguous(lua_State *L, int arg) {
  asl_tensor *t;
  asl_lua_check(L, asl_contiguous(asl_lua_read_tensor(L, arg), &t));
  asl_lua_push_tensor(L, t);
  return t;
}

/* to_device(name) */
static int tensor_to_device(lua_State *L) {
  asl_tensor *t = asl_lua_check_tensor(L, 1), *there;
  asl_lua_check(L, asl_to_device(t, asl_lua_check_device(L, 2), &there));
  asl_lua_push_tensor(L, there);
  return 1;
}

static int tensor_bytes(lua_State *L) {
  asl_tensor *t = push_contiguous(L, 1);
  lua_pushlstring(L, asl_tensor_data(t), (size_t)asl_tensor_bytes(t));
  return 1;
}

static int tensor_digest(lua_State *L) {
  asl_tensor *t = push_contiguous(L, 1);
  char hex[65];
  asl_sha256 *sha = asl_sha256_new();
  if (!sha) return luaL_error(L, "out of memory");
  asl_sha256_add(sha, asl_tensor_data(t), (size_t)asl_tensor_bytes(t));
  asl_sha256_finish(sha, hex);
  lua_pushstring(L, hex);
  return 1;
}

/* A summary that costs one pass: smallest, mean, largest, and whether all are finite. */
static int tensor_summary(lua_State *L) {
  asl_tensor *t = asl_lua_read_tensor(L, 1);
  double low = INFINITY, high = -INFINITY, sum = 0;
  int64_t n = asl_tensor_count(t), bad = 0;
  for (int64_t i = 0; i < n; i++) {
    double v = asl_tensor_get(t, i);
    if (!isfinite(v)) {
      bad++;
      continue;
    }
    low = v < low ? v : low;
    high = v > high ? v : high;
    sum += v;
  }
  lua_pushnumber(L, low);
  lua_pushnumber(L, n > bad ? sum / (double)(n - bad) : 0);
  lua_pushnumber(L, high);
  lua_pushinteger(L, bad);
  return 4;
}

/* ---- autograd -------------------------------------------------------------------------------- */
static int tensor_requires_grad(lua_State *L) {
  lua_pushboolean(L, asl_lua_check_tensor(L, 1)->requires_grad);
  return 1;
}

static int tensor_set_requires_grad(lua_State *L) {
  asl_tensor *t = asl_lua_check_tensor(L, 1);
  bool on = lua_isnone(L, 2) || lua_toboolean(L, 2);
  if (t->node) return luaL_error(L, "only leaves can be told whether they need a gradient");
  if (on && !asl_dtype_is_real(t->dtype))
    return luaL_error(L, "%s has no gradients", asl_dtype_name(t->dtype));
  t->requires_grad = on;
  lua_settop(L, 1);
  return 1;
}

static int tensor_grad(lua_State *L) {
  asl_lua_push_tensor(L, asl_tensor_retain(asl_lua_check_tensor(L, 1)->grad));
  return 1;
}

/* t:set_grad(g): gradients accumulate into g's memory from now on; nil forgets the gradient. */
static int tensor_set_grad(lua_State *L) {
  asl_tensor *t = asl_lua_check_tensor(L, 1), *g = asl_lua_opt_tensor(L, 2);
  if (g &&
      (g->dtype != t->dtype || !asl_shape_equal(g->shape, t->shape) || !asl_tensor_contiguous(g)))
    return luaL_error(L, "a gradient has its tensor's dtype and shape, and is contiguous");
  asl_tensor_retain(g);
  asl_tensor_release(t->grad);
  t->grad = g;
  lua_settop(L, 1);
  return 1;
}

static int tensor_detach(lua_State *L) {
  asl_tensor *t = asl_lua_check_tensor(L, 1), *view;
  asl_lua_check(L, asl_tensor_view(t, t->shape, t->stride, t->offset, &view));
  asl_lua_push_tensor(L, view);
  return 1;
}

void asl_lua_open_tensor(lua_State *L) {
  static const luaL_Reg methods[] = {{"shape", tensor_shape},
                                     {"dtype", tensor_dtype},
                                     {"device", tensor_device},
                                     {"count", tensor_count},
                                     {"is_contiguous", tensor_is_contiguous},
                                     {"item", tensor_item},
                                     {"totable", tensor_totable},
                                     {"bytes", tensor_bytes},
                                     {"digest", tensor_digest},
                                     {"summary", tensor_summary},
                                     {"requires_grad", tensor_requires_grad},
                                     {"requires_grad_", tensor_set_requires_grad},
                                     {"grad", tensor_grad},
                                     {"set_grad", tensor_set_grad},
                                     {"detach", tensor_detach},
                                     {"to_device", tensor_to_device},
                                     {"release", box_release},
                                     {NULL, NULL}};
  static const luaL_Reg functions[] = {{"zeros", tensor_zeros},
                                       {"tensor", tensor_from_table},
                                       {"frombytes", tensor_from_bytes},
                                       {"uniform_", tensor_uniform},
                                       {"normal_", tensor_normal},
                                       {"random", random_words},
                                       {"scope", scope_new},
                                       {"open_scopes", open_scopes},
                                       {NULL, NULL}};
  const asl_device_api *cpu;
  asl_lua_check(L, asl_device_open(ASL_CPU, &cpu));
  make_collector(L);
  asl_collect_garbage = collect_garbage;
  luaL_newmetatable(L, ASL_TENSOR_TYPE);
  lua_pushcfunction(L, box_release);
  lua_setfield(L, -2, "__gc");
  lua_pushcfunction(L, box_release);
  lua_setfield(L, -2, "__close");
  luaL_newlib(L, methods);
  lua_pushvalue(L, -1);
  lua_setfield(L, -3, "__index");
  lua_setfield(L, -3, "tensor_methods"); /* into core: lua/asl/tensor.lua adds to it */
  lua_setfield(L, -2, "tensor_metatable");

  luaL_newmetatable(L, SCOPE_TYPE);
  lua_pushcfunction(L, scope_close);
  lua_setfield(L, -2, "__close");
  lua_pushcfunction(L, scope_close);
  lua_setfield(L, -2, "__gc");
  lua_createtable(L, 0, 2);
  lua_pushcfunction(L, scope_keep);
  lua_setfield(L, -2, "keep");
  lua_pushcfunction(L, scope_close);
  lua_setfield(L, -2, "close");
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);

  asl_lua_register(L, NULL, functions);
}
