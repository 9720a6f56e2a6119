/* The `rooms` source: parameters, and the planes of a sample. */
#include "data/rooms.h"

#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/rooms_scene.h"

/* ---- parameters --------------------------------------------------------------------------- */
const asl_rooms_parameter asl_rooms_parameters[ASL_ROOMS_PARAMETER_COUNT] = {
#define P(group, name, value, least, most) {#group, #name, value, least, most},
    ASL_ROOMS_PARAMETERS(P)
#undef P
};

void asl_rooms_domain_init(asl_rooms_domain *domain) {
#define P(group, name, value, least, most) domain->group##_##name = value;
  ASL_ROOMS_PARAMETERS(P)
#undef P
}

static float *parameter(asl_rooms_domain *domain, int i) { /* the struct is an array of floats */
  _Static_assert(sizeof *domain == ASL_ROOMS_PARAMETER_COUNT * sizeof(float), "floats only");
  return (float *)(void *)domain + i;
}

/* "a, b, c": the names of a group, or the groups when none is called so. */
static void list_known(const char *group, char *text, size_t size) {
  bool group_known = false;
  for (int i = 0; i < ASL_ROOMS_PARAMETER_COUNT; i++)
    if (strcmp(asl_rooms_parameters[i].group, group) == 0) group_known = true;
  size_t used = 0;
  text[0] = 0;
  for (int i = 0; i < ASL_ROOMS_PARAMETER_COUNT; i++) {
    const asl_rooms_parameter *p = &asl_rooms_parameters[i];
    bool first = i == 0 || strcmp(p[0].group, p[-1].group) != 0;
    if (group_known ? strcmp(p->group, group) != 0 : !first) continue;
    int n = snprintf(text + used, size - used, "%s%s", used ? ", " : "",
                     group_known ? p->name : p->group);
    if (n < 0 || (size_t)n >= size - used) return;
    used += (size_t)n;
  }
}

asl_status asl_rooms_domain_set(asl_rooms_domain *domain, const char *group, const char *name,
                                double value) {
  for (int i = 0; i < ASL_ROOMS_PARAMETER_COUNT; i++) {
    const asl_rooms_parameter *p = &asl_rooms_parameters[i];
    if (strcmp(p->group, group) != 0 || strcmp(p->name, name) != 0) continue;
    if (!(value >= (double)p->least && value <= (double)p->most))
      return asl_fail(ASL_EINVAL, "rooms: %s.%s is %g, must be between %g and %g", group, name,
                      value, (double)p->least, (double)p->most);
    *parameter(domain, i) = (float)value;
    return ASL_OK;
  }
  char known[512];
  list_known(group, known, sizeof known);
  return asl_fail(ASL_EINVAL, "rooms: no parameter %s.%s; known: %s", group, name, known);
}

/* What no single parameter can tell. */
static asl_status check_domain(const asl_rooms_domain *d) {
  const struct {
    const char *what;
    float sum;
  } mix[] = {
      {"layout: bedroom, living, kitchen, office, workshop",
       d->layout_bedroom + d->layout_living + d->layout_kitchen + d->layout_office +
           d->layout_workshop},
      {"wall: plain, stripes, bricks, panels",
       d->wall_plain + d->wall_stripes + d->wall_bricks + d->wall_panels},
      {"floor: plain, planks, tiles, carpet",
       d->floor_plain + d->floor_planks + d->floor_tiles + d->floor_carpet},
  };
  for (size_t i = 0; i < sizeof mix / sizeof *mix; i++)
    if (mix[i].sum <= 0)
      return asl_fail(ASL_EINVAL, "rooms: %s are all 0, one must be more", mix[i].what);
  if (d->layout_family != floorf(d->layout_family))
    return asl_fail(ASL_EINVAL, "rooms: layout.family is %g, must be a whole number",
                    (double)d->layout_family);
  return ASL_OK;
}

/* ---- the source --------------------------------------------------------------------------- */
/* Rendered pictures are kept for the next time, as far as memory is granted: a sample is the same
 * whether it comes from here or is rendered again. */
typedef struct rooms_source {
  asl_source base;
  asl_rooms_config config;
  atomic_llong granted;      /* bytes that may still be taken */
  _Atomic(uint8_t *) kept[]; /* per sample: image, then label; NULL = not kept */
} rooms_source;

static const int64_t MOST_ROOMS = 1ll << 39; /* a room's number has 40 bits of a random stream */

enum { KEPT_PLANES = 1 << ASL_PLANE_IMAGE | 1 << ASL_PLANE_LABEL };

static size_t picture_pixels(const rooms_source *self) {
  return (size_t)self->config.height * (size_t)self->config.width;
}

static bool recall(const rooms_source *self, int64_t index, uint32_t planes, asl_sample *out) {
  const uint8_t *kept = atomic_load_explicit(&self->kept[index], memory_order_acquire);
  size_t pixels = picture_pixels(self);
  if (!kept || planes & ~(uint32_t)KEPT_PLANES) return false;
  if (out->image) memcpy(out->image, kept, 3 * pixels);
  if (out->label) memcpy(out->label, kept + 3 * pixels, pixels);
  return true;
}

static void keep(rooms_source *self, int64_t index, const asl_sample *sample) {
  size_t pixels = picture_pixels(self), bytes = 4 * pixels;
  if (!sample->image || !sample->label || atomic_load(&self->kept[index])) return;
  if (atomic_fetch_sub(&self->granted, (long long)bytes) < (long long)bytes) {
    atomic_fetch_add(&self->granted, (long long)bytes);
    return;
  }
  uint8_t *copy = malloc(bytes), *none = NULL;
  if (copy) {
    memcpy(copy, sample->image, 3 * pixels);
    memcpy(copy + 3 * pixels, sample->label, pixels);
  }
  /* without memory, or when another thread was faster */
  if (!copy || !atomic_compare_exchange_strong(&self->kept[index], &none, copy)) {
    free(copy);
    atomic_fetch_add(&self->granted, (long long)bytes);
  }
}

typedef struct shot { /* one frame and what it shows */
  const asl_scene *scene;
  asl_camera camera;
  int height, width;
  asl_surface *surface;
  float *depth;
} shot;

/* Where a world point is seen by a camera; false when it is not in front of it. */
static bool project(const asl_camera *c, asl_vec p, float *x, float *y) {
  const float least = 1e-3f;
  asl_vec to = vec_sub(p, c->at);
  float z = vec_dot(to, c->forward), safe = z < least ? least : z;
  *x = c->cx + c->focal * vec_dot(to, c->right) / safe;
  *y = c->cy + c->focal * vec_dot(to, c->down) / safe;
  return z >= least;
}

static asl_vec seen_point(const shot *s, int x, int y) {
  asl_ray ray = camera_ray(&s->camera, (float)x, (float)y);
  return vec_add(ray.from, vec_scale(ray.along, s->depth[y * s->width + x]));
}

static void fill_flow(const shot *s, const asl_camera *other, float *flow) {
  for (int y = 0; y < s->height; y++) {
    for (int x = 0; x < s->width; x++, flow += 2) {
      float u, v;
      project(other, seen_point(s, x, y), &u, &v);
      flow[0] = u - (float)x;
      flow[1] = v - (float)y;
    }
  }
}

static void fill_occlusion(const shot *s, const asl_camera *next, uint8_t *occlusion) {
  asl_near all;
  asl_rooms_between(s->scene, next->at, 1e3f, next->at, 1e3f, &all);
  for (int y = 0; y < s->height; y++) {
    for (int x = 0; x < s->width; x++, occlusion++) {
      float u, v;
      asl_vec p = seen_point(s, x, y), local;
      bool in = project(next, p, &u, &v) && u >= -0.5f && v >= -0.5f &&
                u < (float)s->width - 0.5f && v < (float)s->height - 0.5f;
      if (!in) {
        *occlusion = 1;
        continue;
      }
      /* the surface must also look at the other camera; then nothing may stand between */
      asl_vec n = asl_rooms_normal(s->scene, s->surface[y * s->width + x], p, &local);
      asl_ray ray[4] = {{next->at, vec_sub(vec_add(p, vec_scale(n, 0.001f)), next->at)}};
      float clear[4];
      asl_rooms_clear(s->scene, &all, ray, false, clear);
      *occlusion = vec_dot(n, ray[0].along) >= 0 || clear[0] < 0.999f;
    }
  }
}

static void fill_matrices(const asl_camera *c, asl_sample *out) {
  const float k[9] = {c->focal, 0, c->cx, 0, c->focal, c->cy, 0, 0, 1};
  /* clang-format off */
  const float pose[16] = {
    c->right.x, c->down.x, c->forward.x, c->at.x,
    c->right.y, c->down.y, c->forward.y, c->at.y,
    c->right.z, c->down.z, c->forward.z, c->at.z,
    0, 0, 0, 1};
  /* clang-format on */
  memcpy(out->intrinsics, k, sizeof k);
  memcpy(out->pose, pose, sizeof pose);
}

static asl_status fill(const rooms_source *self, int64_t index, uint32_t planes,
                       const asl_scene *scene, shot *s, asl_sample *out) {
  const asl_rooms_config *config = &self->config;
  int64_t room = config->first_room + index / config->frames, frame = index % config->frames;
  size_t pixels = (size_t)s->height * (size_t)s->width;
  asl_rooms_path path;
  asl_rooms_path_find(scene, &config->domain, config->seed, room, &path);
  s->camera = asl_rooms_camera_at(&path, &config->domain, frame, s->height, s->width);
  asl_camera next = asl_rooms_camera_at(&path, &config->domain, frame + 1, s->height, s->width);
  asl_camera previous = asl_rooms_camera_at(&path, &config->domain, frame - 1, s->height, s->width);
  asl_rooms_visible(scene, &s->camera, s->height, s->width, s->surface, s->depth);
  if (planes & 1u << ASL_PLANE_LABEL)
    for (size_t i = 0; i < pixels; i++)
      out->label[i] = (uint8_t)asl_rooms_label(scene, s->surface[i]);
  if (planes & 1u << ASL_PLANE_DEPTH) memcpy(out->depth, s->depth, pixels * sizeof *s->depth);
  if (planes & 1u << ASL_PLANE_FLOW) fill_flow(s, &next, out->flow);
  if (planes & 1u << ASL_PLANE_FLOW_BACK) fill_flow(s, &previous, out->flow_back);
  if (planes & 1u << ASL_PLANE_OCCLUSION) fill_occlusion(s, &next, out->occlusion);
  fill_matrices(&s->camera, out);
  if (!(planes & 1u << ASL_PLANE_IMAGE)) return ASL_OK;
  uint64_t stream =
      (uint64_t)config->domain.layout_family << 48 | (uint64_t)ROOMS_SENSOR << 40 | (uint64_t)room;
  asl_philox4 key = asl_philox(config->seed, ASL_PURPOSE_ROOMS, stream, (uint64_t)frame);
  return asl_rooms_picture(scene, config, &s->camera, s->surface, s->depth,
                           (uint64_t)key.v[1] << 32 | key.v[0], out->image);
}

static asl_status render(const rooms_source *self, int64_t index, uint32_t planes,
                         asl_sample *out) {
  const asl_rooms_config *config = &self->config;
  size_t pixels = picture_pixels(self);
  asl_scene *scene = malloc(sizeof *scene);
  shot s = {.scene = scene, .height = config->height, .width = config->width};
  s.surface = malloc(pixels * sizeof *s.surface);
  s.depth = malloc(pixels * sizeof *s.depth);
  asl_status status;
  if (scene && s.surface && s.depth) {
    asl_rooms_build(scene, &config->domain, config->seed,
                    config->first_room + index / config->frames);
    status = fill(self, index, planes, scene, &s, out);
  } else {
    status =
        asl_fail(ASL_ENOMEM, "rooms: no memory for a sample of %dx%d pixels", s.height, s.width);
  }
  free(scene);
  free(s.surface);
  free(s.depth);
  return status;
}

static asl_status decode(const asl_source *source, int64_t index, uint32_t planes,
                         asl_sample *out) {
  rooms_source *self = (rooms_source *)source; /* `kept` may change, what is decoded not */
  ASL_TRY(asl_sample_new(out, self->config.height, self->config.width, planes));
  if (recall(self, index, planes, out)) return ASL_OK;
  asl_status status = render(self, index, planes, out);
  if (status == ASL_OK) keep(self, index, out);
  else asl_sample_free(out);
  return status;
}

static void free_source(asl_source *source) {
  rooms_source *self = (rooms_source *)source;
  for (int64_t i = 0; i < source->count; i++) free(self->kept[i]);
  free(self);
}

asl_status asl_rooms_open(const asl_rooms_config *config, asl_source **out) {
  static const asl_source_type type = {"rooms", decode, NULL, free_source};
  if (config->height < 1 || config->width < 1 || config->height > ASL_MAX_SIDE ||
      config->width > ASL_MAX_SIDE || (int64_t)config->height * config->width > ASL_MAX_PIXELS)
    return asl_fail(ASL_EINVAL,
                    "rooms: size is %dx%d, must be between 1x1 and %dx%d and at most %d pixels",
                    config->height, config->width, ASL_MAX_SIDE, ASL_MAX_SIDE, ASL_MAX_PIXELS);
  if (config->sequences < 1 || config->frames < 1)
    return asl_fail(ASL_EINVAL, "rooms: %d sequences of %d frames, must be at least 1 of 1",
                    config->sequences, config->frames);
  if (config->first_room < 0 || config->first_room > MOST_ROOMS)
    return asl_fail(ASL_EINVAL, "rooms: first room %lld, must be between 0 and %lld",
                    (long long)config->first_room, (long long)MOST_ROOMS);
  ASL_TRY(check_domain(&config->domain));
  int64_t count = (int64_t)config->sequences * config->frames;
  rooms_source *self = calloc(1, sizeof *self + (size_t)count * sizeof self->kept[0]);
  if (!self)
    return asl_fail(ASL_ENOMEM, "rooms: no memory for a source of %lld samples", (long long)count);
  self->config = *config;
  atomic_init(&self->granted, config->cache_bytes);
  asl_source_init(&self->base, &type, count, (1u << ASL_PLANES) - 1);
  *out = &self->base;
  return ASL_OK;
}
