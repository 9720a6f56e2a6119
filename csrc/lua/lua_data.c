/* Pictures, sources of samples, loader threads, the order of samples. */
#include "lua/lua_data.h"

#include <stdlib.h>
#include <string.h>

#include "data/augment.h"
#include "data/image.h"
#include "data/loader.h"
#include "data/order.h"
#include "data/source_files.h"
#include "lua/lua_util.h"

#define SOURCE_META "asl.source"
#define LOADER_META "asl.loader"

enum { MAX_ROWS = 1 << 16 };

/* ---- pictures ----------------------------------------------------------------------------- */

/* Pushes the picture as a tensor and frees it. */
static int push_picture(lua_State *L, asl_status status, asl_picture *picture) {
  asl_tensor *t = NULL;
  if (status == ASL_OK) {
    asl_shape shape = {2, {picture->height, picture->width}};
    if (picture->channels > 1) shape.size[shape.rank++] = picture->channels;
    status = asl_tensor_new(ASL_U8, shape, ASL_CPU, &t);
    if (status == ASL_OK) memcpy(asl_u8(t), picture->pixels, (size_t)asl_tensor_bytes(t));
    asl_picture_free(picture);
  }
  asl_lua_check(L, status);
  asl_lua_push_tensor(L, t);
  return 1;
}

static int read_picture(lua_State *L, asl_picture_kind kind) {
  asl_picture picture;
  asl_status status = asl_picture_read(luaL_checkstring(L, 1), kind, &picture);
  return push_picture(L, status, &picture);
}

static int decode_picture(lua_State *L, asl_picture_kind kind) {
  size_t n;
  const char *bytes = luaL_checklstring(L, 1, &n);
  asl_picture picture;
  asl_status status = asl_picture_decode((const uint8_t *)bytes, n, kind, &picture);
  return push_picture(L, status, &picture);
}

static int image_read(lua_State *L) { return read_picture(L, ASL_PICTURE); }
static int image_decode(lua_State *L) { return decode_picture(L, ASL_PICTURE); }
static int label_read(lua_State *L) { return read_picture(L, ASL_LABEL_MAP); }
static int label_decode(lua_State *L) { return decode_picture(L, ASL_LABEL_MAP); }

static uint8_t colour_byte(lua_State *L, int table, lua_Integer i) {
  int ok;
  lua_geti(L, table, i);
  lua_Integer value = lua_tointegerx(L, -1, &ok);
  lua_pop(L, 1);
  if (!ok || value < 0 || value > 255) luaL_error(L, "a colour is {r, g, b}, each from 0 to 255");
  return (uint8_t)value;
}

/* Colours of the table on top of the stack; returns how many. */
static int read_palette(lua_State *L, uint8_t palette[768]) {
  luaL_checktype(L, -1, LUA_TTABLE);
  lua_Integer n = luaL_len(L, -1);
  if (n < 1 || n > 256) luaL_error(L, "a palette has 1 to 256 colours, not %I", n);
  for (lua_Integer i = 0; i < n; i++) {
    if (lua_geti(L, -1, i + 1) != LUA_TTABLE)
      luaL_error(L, "a palette is a list of colours {r, g, b}");
    for (int c = 0; c < 3; c++) palette[3 * i + c] = colour_byte(L, lua_gettop(L), c + 1);
    lua_pop(L, 1);
  }
  return (int)n;
}

/* The tensor's bytes in row-major order, malloc'ed; NULL without memory. */
static uint8_t *gather_bytes(const asl_tensor *t) {
  int64_t n = asl_tensor_count(t);
  uint8_t *bytes = malloc((size_t)n + 1);
  if (!bytes) return NULL;
  if (asl_tensor_contiguous(t)) memcpy(bytes, asl_u8(t), (size_t)n);
  else
    for (int64_t i = 0; i < n; i++) bytes[i] = asl_u8(t)[asl_tensor_at(t, i)];
  return bytes;
}

/* png_encode(tensor, {palette = {{r, g, b}, ...}}): a u8 tensor (H, W, 3) or (H, W). A palette's
 * colours belong to the values 0, 1, ...; 255 (ignore) is black unless it has one. */
static int png_encode(lua_State *L) {
  asl_tensor *t = asl_lua_read_tensor(L, 1);
  asl_shape s = t->shape;
  if (t->dtype != ASL_U8 || !(s.rank == 2 || (s.rank == 3 && s.size[2] == 3)))
    return luaL_error(L, "png_encode: needs a u8 tensor (H, W, 3) or (H, W)");
  asl_lua_check(L, asl_picture_size_check(s.size[0], s.size[1]));
  uint8_t palette[768];
  int colours = 0;
  if (!lua_isnoneornil(L, 2)) {
    luaL_checktype(L, 2, LUA_TTABLE);
    if (lua_getfield(L, 2, "palette") != LUA_TNIL) colours = read_palette(L, palette);
  }
  uint8_t *pixels = gather_bytes(t), *bytes = NULL;
  if (!pixels) return luaL_error(L, "png_encode: no memory");
  size_t n = 0;
  asl_status status = asl_png_encode(pixels, (int)s.size[0], (int)s.size[1], s.rank == 3 ? 3 : 1,
                                     colours ? palette : NULL, colours, &bytes, &n);
  free(pixels);
  asl_lua_check(L, status);
  lua_pushlstring(L, (const char *)bytes, n);
  free(bytes);
  return 1;
}

/* ---- planes ------------------------------------------------------------------------------- */

/* The mask of the list of planes' names at `arg`. */
static uint32_t check_planes(lua_State *L, int arg) {
  uint32_t mask = 0;
  luaL_checktype(L, arg, LUA_TTABLE);
  for (lua_Integer i = 1; lua_geti(L, arg, i) != LUA_TNIL; i++) {
    const char *name = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
    int plane = name ? asl_plane_from_name(name) : -1;
    if (plane < 0)
      luaL_error(L, "there is no plane \"%s\" (there are: image, label, depth, flow, flow_back, "
                    "occlusion, intrinsics, pose)", name ? name : luaL_typename(L, -1));
    mask |= 1u << plane;
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
  return mask;
}

static int push_planes(lua_State *L, uint32_t mask) {
  lua_createtable(L, ASL_PLANES, 0);
  lua_Integer n = 0;
  for (int p = 0; p < ASL_PLANES; p++) {
    if (!(mask >> p & 1)) continue;
    lua_pushstring(L, asl_planes[p].name);
    lua_seti(L, -2, ++n);
  }
  return 1;
}

/* A table of the tensors by their planes' names; takes over the references. */
static int push_tensors(lua_State *L, asl_tensor *tensors[ASL_PLANES]) {
  lua_createtable(L, 0, ASL_PLANES);
  for (int p = 0; p < ASL_PLANES; p++) {
    if (!tensors[p]) continue;
    asl_lua_push_tensor(L, tensors[p]);
    lua_setfield(L, -2, asl_planes[p].name);
  }
  return 1;
}

/* ---- sources ------------------------------------------------------------------------------ */

void asl_lua_push_source(lua_State *L, asl_source *source) {
  asl_source **at = lua_newuserdatauv(L, sizeof *at, 0);
  *at = source;
  luaL_setmetatable(L, SOURCE_META);
}

asl_source *asl_lua_check_source(lua_State *L, int arg) {
  asl_source **at = luaL_checkudata(L, arg, SOURCE_META);
  return *at;
}

static int source_gc(lua_State *L) {
  asl_source **at = luaL_checkudata(L, 1, SOURCE_META);
  asl_source_release(*at);
  *at = NULL;
  return 0;
}

static int source_count(lua_State *L) {
  lua_pushinteger(L, asl_lua_check_source(L, 1)->count);
  return 1;
}

static int source_planes(lua_State *L) {
  return push_planes(L, asl_lua_check_source(L, 1)->planes);
}

static asl_status sample_tensors(asl_sample *sample, asl_tensor *tensors[ASL_PLANES]) {
  for (int p = 0; p < ASL_PLANES; p++) {
    void *from = asl_sample_plane(sample, p);
    if (!from) continue;
    asl_shape shape = asl_plane_shape(p, sample->height, sample->width);
    ASL_TRY(asl_tensor_new(asl_planes[p].dtype, shape, ASL_CPU, &tensors[p]));
    memcpy(asl_tensor_data(tensors[p]), from, asl_plane_bytes(p, sample->height, sample->width));
  }
  return ASL_OK;
}

/* source:sample(position, planes or nil = all): a table of tensors by plane. */
static int source_sample(lua_State *L) {
  asl_source *source = asl_lua_check_source(L, 1);
  lua_Integer position = luaL_checkinteger(L, 2);
  uint32_t planes = lua_isnoneornil(L, 3) ? source->planes : check_planes(L, 3);
  asl_sample sample;
  asl_tensor *tensors[ASL_PLANES] = {0};
  asl_status status = asl_source_decode(source, position - 1, planes, &sample);
  if (status == ASL_OK) {
    status = sample_tensors(&sample, tensors);
    asl_sample_free(&sample);
  }
  if (status != ASL_OK)
    for (int p = 0; p < ASL_PLANES; p++) asl_tensor_release(tensors[p]);
  asl_lua_check(L, status);
  return push_tensors(L, tensors);
}

static asl_status add_path(void *context, const char *path) {
  lua_State *L = context;
  lua_pushstring(L, path);
  lua_seti(L, -2, luaL_len(L, -2) + 1);
  return ASL_OK;
}

/* source:files(position): the paths of the files that the sample is read from. */
static int source_paths(lua_State *L) {
  asl_source *source = asl_lua_check_source(L, 1);
  lua_Integer position = luaL_checkinteger(L, 2);
  lua_newtable(L);
  asl_lua_check(L, asl_source_visit_files(source, position - 1, add_path, L));
  return 1;
}

/* Paths of the list table[key], kept alive by the table; the array is a userdata on the stack. */
static const char **check_paths(lua_State *L, int table, const char *key, lua_Integer n) {
  lua_getfield(L, table, key);
  luaL_checktype(L, -1, LUA_TTABLE);
  if (luaL_len(L, -1) != n) luaL_error(L, "source_files: as many %s as pictures", key);
  const char **paths = lua_newuserdatauv(L, (size_t)(n + 1) * sizeof *paths, 0);
  for (lua_Integer i = 0; i < n; i++) {
    if (lua_geti(L, -2, i + 1) != LUA_TSTRING) luaL_error(L, "source_files: %s are paths", key);
    paths[i] = lua_tostring(L, -1);
    lua_pop(L, 1);
  }
  return paths;
}

static void read_label_map(lua_State *L, int table, int16_t map[256]) {
  lua_getfield(L, table, "label_map");
  for (lua_Integer value = 0; value < 256; value++) {
    map[value] = ASL_LABEL_UNKNOWN;
    if (!lua_istable(L, -1)) continue;
    if (lua_geti(L, -1, value) != LUA_TNIL) {
      lua_Integer class_id = luaL_checkinteger(L, -1);
      if (class_id < 0 || class_id > 255)
        luaL_error(L, "source_files: value %I means class %I; classes are 0 to 254, 255 = ignore",
                   value, class_id);
      map[value] = (int16_t)class_id;
    }
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
}

static int size_side(lua_State *L, int table, lua_Integer i) {
  lua_geti(L, table, i);
  lua_Integer side = luaL_checkinteger(L, -1);
  lua_pop(L, 1);
  if (side < 1 || side > ASL_MAX_SIDE)
    luaL_error(L, "size is {height, width}, each from 1 to %d, not %I", ASL_MAX_SIDE, side);
  return (int)side;
}

/* table[key] = {height, width}; false when there is none. */
static bool field_size(lua_State *L, int table, const char *key, int *height, int *width) {
  bool given = lua_getfield(L, table, key) != LUA_TNIL;
  if (given) {
    luaL_checktype(L, -1, LUA_TTABLE);
    *height = size_side(L, lua_gettop(L), 1);
    *width = size_side(L, lua_gettop(L), 2);
  }
  lua_pop(L, 1);
  return given;
}

/* source_files{images = paths, labels = paths or nil, label_map = {[value] = class}, table = name,
 * size = {height, width} or nil}; label values that are not in the map are errors when met. */
static int source_files(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  int16_t map[256];
  asl_source_files_spec spec = {.label_map = map};
  lua_getfield(L, 1, "images");
  luaL_checktype(L, -1, LUA_TTABLE);
  spec.count = luaL_len(L, -1);
  spec.images = check_paths(L, 1, "images", spec.count);
  if (lua_getfield(L, 1, "labels") != LUA_TNIL)
    spec.labels = check_paths(L, 1, "labels", spec.count);
  read_label_map(L, 1, map);
  spec.table = asl_lua_field_string(L, 1, "table", "of labels");
  field_size(L, 1, "size", &spec.height, &spec.width);
  asl_source *source = NULL;
  asl_lua_check(L, asl_source_files_new(&spec, &source));
  asl_lua_push_source(L, source);
  return 1;
}

/* ---- loader ------------------------------------------------------------------------------- */

static asl_loader *check_loader(lua_State *L, int arg) {
  asl_loader **at = luaL_checkudata(L, arg, LOADER_META);
  if (!*at) luaL_error(L, "the loader is closed");
  return *at;
}

static int loader_new(lua_State *L) {
  lua_Integer threads = luaL_checkinteger(L, 1);
  asl_loader **at = lua_newuserdatauv(L, sizeof *at, 0);
  *at = NULL;
  luaL_setmetatable(L, LOADER_META);
  asl_lua_check(L, asl_loader_new(threads < -1 || threads > 1000 ? -1 : (int)threads, at));
  return 1;
}

static int loader_close(lua_State *L) {
  asl_loader **at = luaL_checkudata(L, 1, LOADER_META);
  asl_loader_free(*at);
  *at = NULL;
  return 0;
}

/* The settings of asl.data.augment; their ranges are the core's to check. */
static asl_augment check_augment(lua_State *L, int table) {
  asl_augment a = asl_augment_none;
  if (lua_getfield(L, table, "scale") != LUA_TNIL) {
    luaL_checktype(L, -1, LUA_TTABLE);
    for (int i = 0; i < 2; i++) {
      if (lua_geti(L, -1, i + 1) != LUA_TNUMBER)
        luaL_error(L, "augmentation: scale is {smallest, largest}, two numbers");
      a.scale[i] = lua_tonumber(L, -1);
      lua_pop(L, 1);
    }
  }
  lua_pop(L, 1);
  a.crop = asl_lua_field_boolean(L, table, "crop", 0);
  a.flip = asl_lua_field_number(L, table, "flip", 0);
  a.rotate = asl_lua_field_number(L, table, "rotate", 0);
  a.brightness = asl_lua_field_number(L, table, "brightness", 0);
  a.contrast = asl_lua_field_number(L, table, "contrast", 0);
  a.saturation = asl_lua_field_number(L, table, "saturation", 0);
  a.hue = asl_lua_field_number(L, table, "hue", 0);
  a.exact = asl_lua_field_boolean(L, table, "exact", 0);
  return a;
}

/* augment_check(settings): raises when a setting is out of range. */
static int augment_check(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  asl_augment a = check_augment(L, 1);
  asl_lua_check(L, asl_augment_check(&a));
  return 0;
}

static asl_size need_size(lua_State *L, const char *key) {
  asl_size size;
  if (!field_size(L, 1, key, &size.height, &size.width))
    luaL_error(L, "augment_draw: %s = {height, width} must be given", key);
  asl_lua_check(L, asl_picture_size_check(size.height, size.width));
  return size;
}

/* augment_draw{rows = {row, ...}, picture = {height, width}, size = {height, width}, augment = settings or
 * nil, seed =, step =}: what the loader does to pictures of the first size in these rows of a batch of the
 * second, the input `transform` of ops.augment: f64 (rows, 24). */
static int augment_draw(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  asl_size source = need_size(L, "picture"), size = need_size(L, "size");
  asl_draw draw = {.seed = (uint64_t)asl_lua_field_integer(L, 1, "seed", 0),
                   .step = (uint64_t)asl_lua_field_integer(L, 1, "step", 0)};
  asl_augment augment = asl_augment_none;
  if (lua_getfield(L, 1, "augment") != LUA_TNIL) {
    luaL_checktype(L, -1, LUA_TTABLE);
    augment = check_augment(L, lua_gettop(L));
    asl_lua_check(L, asl_augment_check(&augment));
  }
  lua_getfield(L, 1, "rows");
  luaL_checktype(L, -1, LUA_TTABLE);
  lua_Integer n = luaL_len(L, -1);
  if (n < 1 || n > MAX_ROWS) return luaL_error(L, "a batch has 1 to %d rows, not %I", MAX_ROWS, n);
  asl_transform *rows = lua_newuserdatauv(L, (size_t)n * sizeof *rows, 0);
  for (lua_Integer i = 0; i < n; i++) {
    lua_geti(L, -2, i + 1);
    draw.row = (uint64_t)luaL_checkinteger(L, -1);
    lua_pop(L, 1);
    rows[i] = asl_augment_draw(&augment, draw, source, size);
  }
  asl_tensor *t = NULL;
  asl_lua_check(L, asl_tensor_new(ASL_F64, (asl_shape){2, {n, ASL_TRANSFORM_VALUES}}, ASL_CPU, &t));
  memcpy(asl_tensor_data(t), rows, (size_t)n * sizeof *rows);
  asl_lua_push_tensor(L, t);
  return 1;
}

/* The rows at table.rows = {{source, position, row}, ...}; the array is a userdata on the stack. */
static asl_row *check_rows(lua_State *L, int table, int *count) {
  lua_getfield(L, table, "rows");
  luaL_checktype(L, -1, LUA_TTABLE);
  lua_Integer n = luaL_len(L, -1);
  if (n < 1 || n > MAX_ROWS) luaL_error(L, "a batch has 1 to %d rows, not %I", MAX_ROWS, n);
  asl_row *rows = lua_newuserdatauv(L, (size_t)n * sizeof *rows, 0);
  for (lua_Integer i = 0; i < n; i++) {
    if (lua_geti(L, -2, i + 1) != LUA_TTABLE)
      luaL_error(L, "row %I: {source, position, row}", i + 1);
    lua_geti(L, -1, 1);
    lua_geti(L, -2, 2);
    lua_geti(L, -3, 3);
    rows[i] = (asl_row){.source = asl_lua_check_source(L, -3),
                        .index = luaL_checkinteger(L, -2) - 1,
                        .row = (uint64_t)luaL_checkinteger(L, -1)};
    lua_pop(L, 4);
  }
  *count = (int)n;
  return rows;
}

/* loader:request{rows = {{source, position, row}, ...}, size = {height, width},
 * planes = {name, ...}, augment = settings or nil, seed =, step =}: a ticket. */
static int loader_request(lua_State *L) {
  asl_loader *loader = check_loader(L, 1);
  luaL_checktype(L, 2, LUA_TTABLE);
  asl_request request = {0};
  asl_augment augment;
  if (!field_size(L, 2, "size", &request.height, &request.width))
    return luaL_error(L, "request: size = {height, width} must be given");
  request.seed = (uint64_t)asl_lua_field_integer(L, 2, "seed", 0);
  request.step = (uint64_t)asl_lua_field_integer(L, 2, "step", 0);
  lua_getfield(L, 2, "planes");
  request.planes = check_planes(L, lua_gettop(L));
  if (lua_getfield(L, 2, "augment") != LUA_TNIL) {
    luaL_checktype(L, -1, LUA_TTABLE);
    augment = check_augment(L, lua_gettop(L));
    request.augment = &augment;
  }
  request.row = check_rows(L, 2, &request.rows);
  int64_t ticket;
  asl_lua_check(L, asl_loader_request(loader, &request, &ticket));
  lua_pushinteger(L, ticket);
  return 1;
}

/* loader:wait(ticket): a table of tensors by plane. */
static int loader_wait(lua_State *L) {
  asl_tensor *tensors[ASL_PLANES];
  asl_lua_check(L, asl_loader_wait(check_loader(L, 1), luaL_checkinteger(L, 2), tensors));
  return push_tensors(L, tensors);
}

/* ---- order -------------------------------------------------------------------------------- */

/* order(seed, epoch, n, position): which of the samples 1..n comes there in the epoch. */
static int order(lua_State *L) {
  lua_Integer seed = luaL_checkinteger(L, 1), epoch = luaL_checkinteger(L, 2);
  lua_Integer n = luaL_checkinteger(L, 3), position = luaL_checkinteger(L, 4);
  luaL_argcheck(L, n >= 1 && n <= (lua_Integer)1 << 32, 3, "there are 1 to 2^32 samples");
  luaL_argcheck(L, position >= 1 && position <= n, 4, "a position is from 1 to n");
  lua_pushinteger(L, asl_order((uint64_t)seed, (uint64_t)epoch, n, position - 1) + 1);
  return 1;
}

/* ---- registration ------------------------------------------------------------------------- */

static const luaL_Reg source_methods[] = {
    {"planes", source_planes}, {"sample", source_sample}, {"files", source_paths}, {NULL, NULL}};
static const luaL_Reg source_meta[] = {{"__gc", source_gc}, {"__len", source_count}, {NULL, NULL}};

static const luaL_Reg loader_methods[] = {
    {"request", loader_request}, {"wait", loader_wait}, {"close", loader_close}, {NULL, NULL}};
static const luaL_Reg loader_meta[] = {
    {"__gc", loader_close}, {"__close", loader_close}, {NULL, NULL}};

static const luaL_Reg functions[] = {{"image_read", image_read},
                                     {"image_decode", image_decode},
                                     {"label_read", label_read},
                                     {"label_decode", label_decode},
                                     {"png_encode", png_encode},
                                     {"source_files", source_files},
                                     {"augment_check", augment_check},
                                     {"augment_draw", augment_draw},
                                     {"loader", loader_new},
                                     {"order", order},
                                     {NULL, NULL}};

static void new_class(lua_State *L, const char *name, const luaL_Reg *meta,
                      const luaL_Reg *methods) {
  luaL_newmetatable(L, name);
  luaL_setfuncs(L, meta, 0);
  lua_newtable(L);
  luaL_setfuncs(L, methods, 0);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
}

void asl_lua_open_data(lua_State *L) {
  new_class(L, SOURCE_META, source_meta, source_methods);
  new_class(L, LOADER_META, loader_meta, loader_methods);
  asl_lua_register(L, NULL, functions);
}
