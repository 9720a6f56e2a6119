/* The picture: light, anti-aliasing, sensor.
 *
 * One ray per pixel and light asks whether the light is seen, each pixel aiming at one of 3 x 3
 * points of the light, chosen by its position modulo 3. Averaged over a pixel's 3 x 3 neighbours on
 * the same surface this is a soft shadow of nine samples without noise. Ambient occlusion works the
 * same way, with nine directions. Surfaces are matt: brightness does not depend on the camera. */
#include <stdlib.h>

#include "data/rooms_scene.h"

enum { SUN = ROOMS_LIGHTS, SPACE, LANES, TILE = 8 };
enum { ALL = 24 };               /* the most that is seen of one thing: nine times it fits a byte */
static const float REACH = 0.7f; /* of ambient occlusion, metres */

typedef struct canvas {
  const asl_scene *scene;
  const asl_rooms_domain *domain;
  const asl_camera *camera;
  int height, width;
  const asl_surface *surface;
  const float *depth;
  /* per pixel a byte (0..ALL) for each light, the sun, and space: how much of the way is free */
  uint64_t *sees;
} canvas;

typedef struct point {
  asl_surface surface;
  asl_vec at, normal, local;
  float foot; /* footprint of a pixel, metres */
} point;

static point point_at(const canvas *c, asl_surface surface, const asl_ray *ray, float distance) {
  point p = {.surface = surface, .at = vec_add(ray->from, vec_scale(ray->along, distance))};
  p.normal = asl_rooms_normal(c->scene, surface, p.at, &p.local);
  float length = sqrtf(vec_dot(ray->along, ray->along));
  float slant = fabsf(vec_dot(p.normal, ray->along)) / length;
  p.foot = distance * length / c->camera->focal / sqrtf(most(slant, 0.05f));
  return p;
}

/* ---- what a point sees -------------------------------------------------------------------- */
/* Pixels are looked at in square tiles: few objects lie between a tile's points and a light. */
typedef struct tile {
  int x0, x1, y0, y1;
  asl_near light[ROOMS_LIGHTS], sun, space;
} tile;

static asl_vec seen_at(const canvas *c, int x, int y) {
  asl_ray ray = camera_ray(c->camera, (float)x, (float)y);
  return vec_add(ray.from, vec_scale(ray.along, c->depth[y * c->width + x]));
}

static void open_tile(const canvas *c, tile *t) {
  const asl_scene *scene = c->scene;
  asl_vec middle = seen_at(c, (t->x0 + t->x1) / 2, (t->y0 + t->y1) / 2);
  float r2 = 0;
  for (int y = t->y0; y < t->y1; y++) {
    for (int x = t->x0; x < t->x1; x++) {
      asl_vec d = vec_sub(seen_at(c, x, y), middle);
      r2 = most(r2, vec_dot(d, d));
    }
  }
  float r = sqrtf(r2) + 0.01f;
  for (int i = 0; i < scene->lights; i++) {
    const asl_light *l = &scene->light[i];
    float size = sqrtf(vec_dot(l->u, l->u) + vec_dot(l->v, l->v));
    asl_rooms_between(scene, middle, r, l->centre, size, &t->light[i]);
  }
  asl_rooms_between(scene, middle, r + REACH, middle, 0, &t->space);
  if (scene->sun_power.x > 0) {
    asl_vec far = vec_add(middle, vec_scale(scene->sun, 4 * (scene->half.x + scene->half.y)));
    asl_rooms_between(scene, middle, r, far, r, &t->sun);
  }
}

typedef struct looker { /* one pixel of a packet */
  point p;
  asl_vec from;
  float a, b; /* its place in the pattern: one of 3 x 3 points of [-1, 1]^2 */
} looker;

static looker looker_at(const canvas *c, int x, int y) {
  int at = y * c->width + x;
  asl_ray ray = camera_ray(c->camera, (float)x, (float)y);
  looker l = {.p = point_at(c, c->surface[at], &ray, c->depth[at])};
  l.from = vec_add(l.p.at, vec_scale(l.p.normal, 0.004f));
  l.a = (float)(x % 3 - 1) * 0.67f;
  l.b = (float)(y % 3 - 1) * 0.67f;
  return l;
}

/* Each gives the ray to try; false when nothing is seen anyway. */
static bool towards_light(const looker *l, const asl_light *light, asl_ray *ray) {
  asl_vec aim =
      vec_add(light->centre, vec_add(vec_scale(light->u, l->a), vec_scale(light->v, l->b)));
  *ray = (asl_ray){l->from, vec_sub(aim, l->from)};
  return asl_rooms_faces(light, aim, l->from, l->p.normal);
}

static bool towards_sun(const asl_scene *scene, const looker *l, asl_ray *ray) {
  const float hangings = 0.25f; /* ends before what hangs at the window */
  const asl_window *w = &scene->window[0];
  if (scene->sun_power.x <= 0 || vec_dot(l->p.normal, scene->sun) <= 0) return false;
  float away = -vec_dot(scene->sun, w->normal);
  float distance = -vec_dot(vec_sub(w->centre, l->from), w->normal) / away;
  asl_vec through = vec_sub(vec_add(l->from, vec_scale(scene->sun, distance)), w->centre);
  float across = fabsf(vec_dot(through, w->across));
  *ray = (asl_ray){l->from, vec_scale(scene->sun, distance - hangings)};
  return distance > hangings && across > 0.03f && across < w->half_width &&
         fabsf(through.z) < w->half_height;
}

static bool towards_space(const looker *l, asl_ray *ray) {
  asl_vec n = l->p.normal, helper = fabsf(n.z) > 0.7f ? vec(1, 0, 0) : vec(0, 0, 1);
  asl_vec u = vec_unit(vec_cross(helper, n)), v = vec_cross(n, u);
  asl_vec along = vec_scale(n, sqrtf(1 - (l->a * l->a + l->b * l->b) / 2.1f));
  along = vec_add(along, vec_scale(vec_add(vec_scale(u, l->a), vec_scale(v, l->b)), 0.69f));
  *ray = (asl_ray){l->from, vec_scale(along, REACH)};
  return true;
}

static void note(uint64_t *sees, const canvas *c, const asl_near *near, const asl_ray ray[4],
                 unsigned wanted, int what) {
  float clear[4];
  if (!wanted) return;
  asl_rooms_clear(c->scene, near, ray, what == SPACE, clear);
  for (int i = 0; i < 4; i++) {
    float part = what == SPACE ? clear[i] : clear[i] < 1 ? 0 : 1;
    if (wanted >> i & 1) sees[i] += (uint64_t)(part * ALL) << 8 * what;
  }
}

/* Up to four pixels from (x, y) on. */
static void look_round(const canvas *c, const tile *t, int x, int y) {
  const asl_scene *scene = c->scene;
  int lanes = t->x1 - x < 4 ? t->x1 - x : 4;
  looker l[4];
  uint64_t sees[4] = {0};
  for (int i = 0; i < lanes; i++) l[i] = looker_at(c, x + i, y);
  for (int k = 0; k <= SPACE; k++) {
    asl_ray ray[4] = {0};
    unsigned wanted = 0;
    const asl_near *near = k < SUN ? &t->light[k] : k == SUN ? &t->sun : &t->space;
    if (k != SUN && near->count == 0) { /* what cannot be seen for its angle does not matter */
      for (int i = 0; i < lanes; i++) sees[i] += (uint64_t)ALL << 8 * k;
      continue;
    }
    for (int i = 0; i < lanes; i++) {
      bool want = k < scene->lights ? towards_light(&l[i], &scene->light[k], &ray[i])
                  : k == SUN        ? towards_sun(scene, &l[i], &ray[i])
                  : k == SPACE      ? towards_space(&l[i], &ray[i])
                                    : false;
      if (want) wanted |= 1u << i;
      else ray[i] = (asl_ray){0};
    }
    note(sees, c, near, ray, wanted, k);
  }
  for (int i = 0; i < lanes; i++) c->sees[y * c->width + x + i] = sees[i];
}

static void look_everywhere(const canvas *c) {
  for (int y = 0; y < c->height; y += TILE) {
    for (int x = 0; x < c->width; x += TILE) {
      tile t = {x, x + TILE < c->width ? x + TILE : c->width, y,
                y + TILE < c->height ? y + TILE : c->height, .sun = {0}};
      open_tile(c, &t);
      for (int v = t.y0; v < t.y1; v++)
        for (int u = t.x0; u < t.x1; u += 4) look_round(c, &t, u, v);
    }
  }
}

/* How much of each is seen by the neighbours on the same surface, in the mean; by all neighbours
 * when none is on it. */
static void mean_sight(const canvas *c, int x, int y, asl_surface surface, float mean[LANES]) {
  uint64_t count = 0, sum = 0, all_count = 0, all = 0;
  for (int v = y > 0 ? y - 1 : 0; v <= y + 1 && v < c->height; v++) {
    for (int u = x > 0 ? x - 1 : 0; u <= x + 1 && u < c->width; u++) {
      int at = v * c->width + u;
      uint64_t same = c->surface[at] == surface;
      all_count++;
      all += c->sees[at];
      count += same;
      sum += same * c->sees[at];
    }
  }
  if (count == 0) {
    count = all_count;
    sum = all;
  }
  float scale = 1 / (float)(ALL * count);
  for (int i = 0; i < LANES; i++) mean[i] = (float)(sum >> 8 * i & 0xFF) * scale;
}

/* ---- light -------------------------------------------------------------------------------- */
/* Darker towards the edges of the room: a wall at distance d hides a part of space. */
static float corner(const asl_scene *scene, asl_vec at, asl_vec n) {
  const float soft = 0.16f;
  asl_vec h = scene->half;
  float x = h.x - fabsf(at.x), y = h.y - fabsf(at.y), floor = at.z, ceiling = 2 * h.z - at.z;
  float k = 1;
  if (fabsf(n.x) < 0.7f) k *= (x + 0.35f * soft) / (x + soft);
  if (fabsf(n.y) < 0.7f) k *= (y + 0.35f * soft) / (y + soft);
  if (fabsf(n.z) < 0.7f)
    k *= (floor + 0.35f * soft) / (floor + soft) * (ceiling + 0.5f * soft) / (ceiling + soft);
  return k;
}

static asl_vec irradiance(const asl_scene *scene, const point *p, const float mean[LANES]) {
  asl_vec bounce = vec_mix(vec(1, 1, 1), scene->material[M_FLOOR].colour,
                           clampf(0.3f - 0.3f * p->normal.z, 0, 0.5f));
  float open = corner(scene, p->at, p->normal) * (0.3f + 0.7f * mean[SPACE]);
  asl_vec sum = vec_scale(vec_mul(scene->ambient, bounce), open * (1 + 0.15f * p->normal.z));
  for (int i = 0; i < scene->lights; i++) {
    const asl_light *light = &scene->light[i];
    float k =
        mean[i] > 0 ? mean[i] * asl_rooms_form_factor(light, light->centre, p->at, p->normal) : 0;
    sum = vec_add(sum, vec_scale(light->power, k));
  }
  for (int i = 0; i < scene->side_lights; i++) {
    asl_vec to = vec_sub(scene->side_at[i], p->at);
    float d2 = vec_dot(to, to), cosine = vec_dot(to, p->normal) / sqrtf(d2 + 1e-6f);
    sum = vec_add(sum, vec_scale(scene->side_power[i],
                                 most(0.15f + 0.85f * cosine, 0) * open / (d2 + 0.25f)));
  }
  float sun = mean[SUN] * most(vec_dot(p->normal, scene->sun), 0);
  return vec_add(sum, vec_scale(scene->sun_power, sun));
}

/* ---- sensor ------------------------------------------------------------------------------- */
/* Soft shoulder (Reinhard et al. 2002, white at 3), then a gamma of 2. */
static float tone(float x) { return sqrtf(x * (1 + x / 9) / (1 + x)); }

static asl_vec expose(const canvas *c, asl_vec radiance, int x, int y) {
  const asl_rooms_domain *d = c->domain;
  float dx = (float)x - c->camera->cx, dy = (float)y - c->camera->cy;
  float r2 =
      (dx * dx + dy * dy) / (c->camera->cx * c->camera->cx + c->camera->cy * c->camera->cy + 1e-6f);
  asl_vec v = vec_scale(radiance, c->scene->exposure * (1 - d->sensor_vignette * r2));
  v = vec_mul(v, vec(1 + 0.25f * d->sensor_balance, 1, 1 - 0.35f * d->sensor_balance));
  float grey = 0.3f * v.x + 0.6f * v.y + 0.1f * v.z;
  v = vec_mix(vec(grey, grey, grey), v, d->sensor_saturation);
  v = vec(tone(most(v.x, 0)), tone(most(v.y, 0)), tone(most(v.z, 0)));
  return vec_add(vec(0.5f, 0.5f, 0.5f),
                 vec_scale(vec_sub(v, vec(0.5f, 0.5f, 0.5f)), d->sensor_contrast));
}

static uint8_t read_out(const asl_rooms_domain *d, float v, uint32_t random) {
  /* the sum of two uniform numbers has standard deviation 1 / sqrt(6) */
  float centred =
      (float)(random & 0xFFFF) * 0x1p-16f + (float)(random >> 16) * 0x1p-16f - 1 + 0x1p-16f;
  float deviation =
      sqrtf(d->sensor_read * d->sensor_read + d->sensor_shot * d->sensor_shot * most(v, 0));
  return (uint8_t)(clampf(v + 2.4494897f * deviation * centred, 0, 1) * 255 + 0.5f);
}

/* ---- pixels ------------------------------------------------------------------------------- */
static asl_vec shade_point(const canvas *c, const asl_ray *ray, float distance, asl_surface surface,
                           int x, int y) {
  float mean[LANES];
  point p = point_at(c, surface, ray, distance);
  mean_sight(c, x, y, surface, mean);
  asl_vec glow, reflectance = asl_rooms_reflectance(c->scene, surface, p.local, p.foot, &glow);
  return expose(c, vec_add(glow, vec_mul(reflectance, irradiance(c->scene, &p, mean))), x, y);
}

/* The different surfaces among a pixel and its neighbours. */
static int candidates(const canvas *c, int x, int y, asl_surface found[9]) {
  int n = 1;
  found[0] = c->surface[y * c->width + x];
  for (int v = y > 0 ? y - 1 : 0; v <= y + 1 && v < c->height; v++) {
    for (int u = x > 0 ? x - 1 : 0; u <= x + 1 && u < c->width; u++) {
      asl_surface s = c->surface[v * c->width + u];
      if (s == found[0]) continue;
      int i = 1;
      while (i < n && found[i] != s) i++;
      if (i == n) found[n++] = s;
    }
  }
  return n;
}

/* 2 x 2 samples decide which surfaces share the pixel; each of those is shaded once, in the middle
 * of its samples. */
static asl_vec shade_edge(const canvas *c, int x, int y, const asl_surface *found, int n) {
  asl_ray rays[4];
  float distance[4];
  asl_surface surface[4];
  for (int i = 0; i < 4; i++)
    rays[i] = camera_ray(c->camera, (float)x + (i & 1 ? 0.25f : -0.25f),
                         (float)y + (i & 2 ? 0.25f : -0.25f));
  asl_rooms_nearest(c->scene, found, n, rays, distance, surface);
  asl_vec sum = vec(0, 0, 0);
  for (int i = 0; i < 4; i++) {
    asl_ray middle = {c->camera->at, vec(0, 0, 0)};
    float count = 0, mean_distance = 0;
    bool done = false;
    for (int k = 0; k < 4; k++) {
      if (surface[k] != surface[i]) continue;
      done = done || k < i;
      count += 1;
      mean_distance += distance[k];
      middle.along = vec_add(middle.along, rays[k].along);
    }
    if (done) continue;
    middle.along = vec_scale(middle.along, 1 / count);
    sum = vec_add(sum, vec_scale(shade_point(c, &middle, mean_distance / count, surface[i], x, y),
                                 count / 4));
  }
  return sum;
}

asl_status asl_rooms_picture(const asl_scene *scene, const asl_rooms_config *config,
                             const asl_camera *camera, const asl_surface *surface,
                             const float *depth, uint64_t noise_key, uint8_t *image) {
  canvas c = {scene, &config->domain, camera, config->height, config->width, surface, depth, NULL};
  c.sees = malloc((size_t)c.height * (size_t)c.width * sizeof *c.sees);
  if (!c.sees)
    return asl_fail(ASL_ENOMEM, "rooms: no memory for a picture of %dx%d pixels", c.height,
                    c.width);
  look_everywhere(&c);
  for (int y = 0; y < c.height; y++) {
    for (int x = 0; x < c.width; x++) {
      asl_surface found[9];
      int at = y * c.width + x, n = config->antialias ? candidates(&c, x, y, found) : 1;
      asl_ray ray = camera_ray(camera, (float)x, (float)y);
      asl_vec v = n > 1 ? shade_edge(&c, x, y, found, n)
                        : shade_point(&c, &ray, depth[at], surface[at], x, y);
      uint32_t r = hash3((uint32_t)at, (uint32_t)noise_key, (uint32_t)(noise_key >> 32));
      image[3 * at] = read_out(c.domain, v.x, r);
      image[3 * at + 1] = read_out(c.domain, v.y, hash3(r, 1, 0));
      image[3 * at + 2] = read_out(c.domain, v.z, hash3(r, 2, 0));
    }
  }
  free(c.sees);
  return ASL_OK;
}
