/* The picture: light, anti-aliasing, sensor.
 *
 * One ray per pixel and light asks whether the light is seen, each pixel aiming at one of 3 x 3
 * points of the light, chosen by its position modulo 3. Averaged over a pixel's 3 x 3 neighbours on
 * the same surface this is a soft shadow of nine samples without noise. Ambient occlusion works the
 * same way, with nine directions. Surfaces are matt: brightness does not depend on the camera. */
#include <stdlib.h>

#include "data/rooms_scene.h"

enum { SUN = ROOMS_LIGHTS, SPACE, LANES, TILE = 8 };
#define SEES(what) (1ull << 8 * (what)) /* a byte each, so that nine can be added at once */
static const float REACH = 0.7f; /* of ambient occlusion, metres */

typedef struct canvas {
  const asl_scene *scene;
  const asl_rooms_domain *domain;
  const asl_camera *camera;
  int height, width;
  const asl_surface *surface;
  const float *depth;
  uint64_t *sees; /* sum of SEES(light), SEES(SUN), SEES(SPACE): nothing close by in one direction */
} canvas;

typedef struct point {
  asl_surface surface;
  asl_vec at, normal, local;
  float foot; /* footprint of a pixel, metres */
} point;

float asl_rooms_form_factor(const asl_light *light, asl_vec from, asl_vec at, asl_vec normal) {
  asl_vec to = vec_sub(from, at);
  float d2 = vec_dot(to, to), here = vec_dot(to, normal), there = -vec_dot(to, light->normal);
  if (here <= 0 || (there <= 0 && !light->both_sides)) return 0;
  float distance = sqrtf(d2), emitted = light->both_sides ? 1 : there / distance;
  return here / distance * emitted / (d2 + 0.3f * light->area);
}

static point point_at(const canvas *c, asl_surface surface, const asl_ray *ray, float distance) {
  point p = {.surface = surface, .at = vec_add(ray->from, vec_scale(ray->along, distance))};
  p.normal = asl_rooms_normal(c->scene, surface, p.at, &p.local);
  float length = sqrtf(vec_dot(ray->along, ray->along));
  float slant = fabsf(vec_dot(p.normal, ray->along)) / length;
  p.foot = distance * length / c->camera->focal / sqrtf(fmaxf(slant, 0.05f));
  return p;
}

/* ---- what a point sees --------------------------------------------------------------------------- */
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
      r2 = fmaxf(r2, vec_dot(d, d));
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

static bool sees_light(const canvas *c, const asl_near *near, const point *p, asl_vec from, const asl_light *light,
                       float a, float b) {
  asl_vec aim = vec_add(light->centre, vec_add(vec_scale(light->u, a), vec_scale(light->v, b)));
  if (asl_rooms_form_factor(light, aim, from, p->normal) <= 0) return false;
  asl_ray ray = {from, vec_sub(aim, from)};
  return !asl_rooms_blocked(c->scene, near, &ray);
}

static bool sees_sun(const canvas *c, const asl_near *near, const point *p, asl_vec from) {
  const asl_scene *scene = c->scene;
  const asl_window *w = &scene->window[0];
  if (scene->sun_power.x <= 0 || vec_dot(p->normal, scene->sun) <= 0) return false;
  float away = -vec_dot(scene->sun, w->normal), distance = -vec_dot(vec_sub(w->centre, from), w->normal) / away;
  if (distance <= 0.25f) return false;
  asl_vec through = vec_sub(vec_add(from, vec_scale(scene->sun, distance)), w->centre);
  float across = vec_dot(through, w->across);
  if (fabsf(across) > w->half_width || fabsf(through.z) > w->half_height || fabsf(across) < 0.03f) return false;
  asl_ray ray = {from, vec_scale(scene->sun, distance - 0.25f)}; /* ends before what hangs at the window */
  return !asl_rooms_blocked(scene, near, &ray);
}

static bool sees_space(const canvas *c, const asl_near *near, const point *p, asl_vec from, float a, float b) {
  asl_vec helper = fabsf(p->normal.z) > 0.7f ? vec(1, 0, 0) : vec(0, 0, 1);
  asl_vec u = vec_unit(vec_cross(helper, p->normal)), v = vec_cross(p->normal, u);
  asl_vec along = vec_scale(p->normal, sqrtf(1 - (a * a + b * b) / 2.1f));
  along = vec_add(along, vec_scale(vec_add(vec_scale(u, a), vec_scale(v, b)), 0.69f));
  asl_ray ray = {from, vec_scale(along, REACH)};
  return !asl_rooms_blocked(c->scene, near, &ray);
}

static uint64_t look_round(const canvas *c, const tile *t, int x, int y) {
  int at = y * c->width + x;
  uint64_t sees = 0;
  asl_ray ray = camera_ray(c->camera, (float)x, (float)y);
  point p = point_at(c, c->surface[at], &ray, c->depth[at]);
  asl_vec from = vec_add(p.at, vec_scale(p.normal, 0.004f));
  uint32_t jitter = hash3((uint32_t)x, (uint32_t)y, 81);
  float a = ((float)(x % 3) + (float)(jitter & 0xFFFF) * 0x1p-16f) / 1.5f - 1; /* one of 3 x 3 cells of [-1, 1]^2 */
  float b = ((float)(y % 3) + (float)(jitter >> 16) * 0x1p-16f) / 1.5f - 1;
  for (int i = 0; i < c->scene->lights; i++)
    if (sees_light(c, &t->light[i], &p, from, &c->scene->light[i], a, b)) sees |= SEES(i);
  if (sees_sun(c, &t->sun, &p, from)) sees |= SEES(SUN);
  if (sees_space(c, &t->space, &p, from, a, b)) sees |= SEES(SPACE);
  return sees;
}

static void look_everywhere(const canvas *c) {
  for (int y = 0; y < c->height; y += TILE) {
    for (int x = 0; x < c->width; x += TILE) {
      tile t = {x, x + TILE < c->width ? x + TILE : c->width, y, y + TILE < c->height ? y + TILE : c->height,
                .sun = {0}};
      open_tile(c, &t);
      for (int v = t.y0; v < t.y1; v++)
        for (int u = t.x0; u < t.x1; u++) c->sees[v * c->width + u] = look_round(c, &t, u, v);
    }
  }
}

/* How much of each is seen by the neighbours on the same surface, in the mean. */
static void mean_sight(const canvas *c, int x, int y, asl_surface surface, float mean[LANES]) {
  uint64_t count = 0, sum = 0;
  for (int v = y > 0 ? y - 1 : 0; v <= y + 1 && v < c->height; v++) {
    for (int u = x > 0 ? x - 1 : 0; u <= x + 1 && u < c->width; u++) {
      int at = v * c->width + u;
      if (c->surface[at] != surface) continue;
      count++;
      sum += c->sees[at];
    }
  }
  for (int i = 0; i < LANES; i++) mean[i] = count ? (float)(sum >> 8 * i & 0xFF) / (float)count : 0.5f;
}

/* ---- light -------------------------------------------------------------------------------------------- */
/* Darker towards the edges of the room: a wall at distance d hides a part of space. */
static float corner(const asl_scene *scene, asl_vec at, asl_vec n) {
  const float soft = 0.16f;
  asl_vec h = scene->half;
  float x = h.x - fabsf(at.x), y = h.y - fabsf(at.y), floor = at.z, ceiling = 2 * h.z - at.z;
  float k = 1;
  if (fabsf(n.x) < 0.7f) k *= (x + 0.35f * soft) / (x + soft);
  if (fabsf(n.y) < 0.7f) k *= (y + 0.35f * soft) / (y + soft);
  if (fabsf(n.z) < 0.7f) k *= (floor + 0.35f * soft) / (floor + soft) * (ceiling + 0.5f * soft) / (ceiling + soft);
  return k;
}

static asl_vec irradiance(const asl_scene *scene, const point *p, const float mean[LANES]) {
  asl_vec bounce = vec_mix(vec(1, 1, 1), scene->material[M_FLOOR].colour, clampf(0.3f - 0.3f * p->normal.z, 0, 0.5f));
  float open = corner(scene, p->at, p->normal) * (0.3f + 0.7f * mean[SPACE]);
  asl_vec sum = vec_scale(vec_mul(scene->ambient, bounce), open * (1 + 0.15f * p->normal.z));
  for (int i = 0; i < scene->lights; i++) {
    const asl_light *light = &scene->light[i];
    float k = mean[i] > 0 ? mean[i] * asl_rooms_form_factor(light, light->centre, p->at, p->normal) : 0;
    sum = vec_add(sum, vec_scale(light->power, k));
  }
  for (int i = 0; i < scene->side_lights; i++) {
    asl_vec to = vec_sub(scene->side_at[i], p->at);
    float d2 = vec_dot(to, to), cosine = vec_dot(to, p->normal) / sqrtf(d2 + 1e-6f);
    sum = vec_add(sum, vec_scale(scene->side_power[i], fmaxf(0.15f + 0.85f * cosine, 0) * open / (d2 + 0.25f)));
  }
  float sun = mean[SUN] * fmaxf(vec_dot(p->normal, scene->sun), 0);
  return vec_add(sum, vec_scale(scene->sun_power, sun));
}

/* ---- sensor ------------------------------------------------------------------------------------------- */
static float tone(float x) { /* soft shoulder (Reinhard et al. 2002, white at 3), then the gamma of 2 */
  return sqrtf(x * (1 + x / 9) / (1 + x));
}

static asl_vec expose(const canvas *c, asl_vec radiance, int x, int y) {
  const asl_rooms_domain *d = c->domain;
  float dx = (float)x - c->camera->cx, dy = (float)y - c->camera->cy;
  float r2 = (dx * dx + dy * dy) / (c->camera->cx * c->camera->cx + c->camera->cy * c->camera->cy + 1e-6f);
  asl_vec v = vec_scale(radiance, c->scene->exposure * (1 - d->sensor_vignette * r2));
  v = vec_mul(v, vec(1 + 0.25f * d->sensor_balance, 1, 1 - 0.35f * d->sensor_balance));
  float grey = 0.3f * v.x + 0.6f * v.y + 0.1f * v.z;
  v = vec_mix(vec(grey, grey, grey), v, d->sensor_saturation);
  v = vec(tone(fmaxf(v.x, 0)), tone(fmaxf(v.y, 0)), tone(fmaxf(v.z, 0)));
  return vec_add(vec(0.5f, 0.5f, 0.5f), vec_scale(vec_sub(v, vec(0.5f, 0.5f, 0.5f)), d->sensor_contrast));
}

static uint8_t read_out(const asl_rooms_domain *d, float v, uint32_t random) {
  /* the sum of two uniform numbers has standard deviation 1 / sqrt(6) */
  float centred = (float)(random & 0xFFFF) * 0x1p-16f + (float)(random >> 16) * 0x1p-16f - 1 + 0x1p-16f;
  float deviation = sqrtf(d->sensor_read * d->sensor_read + d->sensor_shot * d->sensor_shot * fmaxf(v, 0));
  return (uint8_t)(clampf(v + 2.4494897f * deviation * centred, 0, 1) * 255 + 0.5f);
}

/* ---- pixels ---------------------------------------------------------------------------------------------- */
static asl_vec shade_point(const canvas *c, const asl_ray *ray, float distance, asl_surface surface, int x, int y) {
  float mean[LANES];
  point p = point_at(c, surface, ray, distance);
  mean_sight(c, x, y, surface, mean);
  asl_vec glow, reflectance = asl_rooms_reflectance(c->scene, surface, p.local, p.foot, &glow);
  return expose(c, vec_add(glow, vec_mul(reflectance, irradiance(c->scene, &p, mean))), x, y);
}

/* The different surfaces among a pixel and its neighbours, its own first. */
static int candidates(const canvas *c, int x, int y, asl_surface found[9]) {
  int n = 1;
  found[0] = c->surface[y * c->width + x];
  for (int v = y > 0 ? y - 1 : 0; v <= y + 1 && v < c->height; v++) {
    for (int u = x > 0 ? x - 1 : 0; u <= x + 1 && u < c->width; u++) {
      asl_surface s = c->surface[v * c->width + u];
      int i = 0;
      while (i < n && found[i] != s) i++;
      if (i == n) found[n++] = s;
    }
  }
  return n;
}

/* The nearest of the candidates along a ray; one of them always is there or the room is. */
static asl_surface nearest(const canvas *c, const asl_surface *found, int n, const asl_ray *ray, float *distance) {
  asl_surface best, met;
  asl_rooms_meet(c->scene, 0, ray, distance, &best);
  for (int i = 0; i < n; i++) {
    float d;
    if (surface_part(found[i]) < 0 || !asl_rooms_meet(c->scene, found[i], ray, &d, &met)) continue;
    if (d < *distance) {
      *distance = d;
      best = met;
    }
  }
  return best;
}

/* 2 x 2 samples decide which surfaces share the pixel; each of those is shaded once, in the middle of
 * its samples. */
static asl_vec shade_edge(const canvas *c, int x, int y, const asl_surface *found, int n) {
  struct {
    asl_surface surface;
    int count;
    float x, y, distance;
  } share[4];
  int shares = 0;
  for (int i = 0; i < 4; i++) {
    float u = (float)x + (i & 1 ? 0.25f : -0.25f), v = (float)y + (i & 2 ? 0.25f : -0.25f), distance;
    asl_ray ray = camera_ray(c->camera, u, v);
    asl_surface s = nearest(c, found, n, &ray, &distance);
    int k = 0;
    while (k < shares && share[k].surface != s) k++;
    if (k == shares) {
      share[shares].surface = s;
      share[shares].count = 0;
      share[shares].x = share[shares].y = share[shares].distance = 0;
      shares++;
    }
    share[k].count++;
    share[k].x += u;
    share[k].y += v;
    share[k].distance += distance;
  }
  asl_vec sum = vec(0, 0, 0);
  for (int k = 0; k < shares; k++) {
    float count = (float)share[k].count;
    asl_ray ray = camera_ray(c->camera, share[k].x / count, share[k].y / count);
    asl_vec colour = shade_point(c, &ray, share[k].distance / count, share[k].surface, x, y);
    sum = vec_add(sum, vec_scale(colour, count / 4));
  }
  return sum;
}

asl_status asl_rooms_picture(const asl_scene *scene, const asl_rooms_config *config, const asl_camera *camera,
                             const asl_surface *surface, const float *depth, uint64_t noise_key, uint8_t *image) {
  canvas c = {scene, &config->domain, camera, config->height, config->width, surface, depth, NULL};
  c.sees = malloc((size_t)c.height * (size_t)c.width * sizeof *c.sees);
  if (!c.sees) return asl_fail(ASL_ENOMEM, "rooms: no memory for a picture of %dx%d pixels", c.height, c.width);
  look_everywhere(&c);
  for (int y = 0; y < c.height; y++) {
    for (int x = 0; x < c.width; x++) {
      asl_surface found[9];
      int at = y * c.width + x, n = config->antialias ? candidates(&c, x, y, found) : 1;
      asl_ray ray = camera_ray(camera, (float)x, (float)y);
      asl_vec v = n > 1 ? shade_edge(&c, x, y, found, n) : shade_point(&c, &ray, depth[at], surface[at], x, y);
      uint32_t r = hash3((uint32_t)at, (uint32_t)noise_key, (uint32_t)(noise_key >> 32));
      image[3 * at] = read_out(c.domain, v.x, r);
      image[3 * at + 1] = read_out(c.domain, v.y, hash3(r, 1, 0));
      image[3 * at + 2] = read_out(c.domain, v.z, hash3(r, 2, 0));
    }
  }
  free(c.sees);
  return ASL_OK;
}
