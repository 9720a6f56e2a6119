/* Tracing: what a camera sees (solid by solid, with a depth buffer), and what a ray meets. */
#include "data/rooms_scene.h"

static asl_vec turn_in(const asl_object *o, asl_vec v) { /* world direction -> object's frame */
  return vec(o->cosine * v.x + o->sine * v.y, o->cosine * v.y - o->sine * v.x, v.z);
}

static asl_vec turn_out(const asl_object *o, asl_vec v) {
  return vec(o->cosine * v.x - o->sine * v.y, o->sine * v.x + o->cosine * v.y, v.z);
}

static inline float least(float a, float b) { return a < b ? a : b; }
static inline float most(float a, float b) { return a > b ? a : b; }

/* ---- one solid, in its own frame: the first point where the ray enters it, beyond 0 -------------- */
static inline bool meet_box(asl_vec half, asl_vec from, asl_vec inverse, float *distance, int *face) {
  float ax = (-half.x - from.x) * inverse.x, bx = (half.x - from.x) * inverse.x;
  float ay = (-half.y - from.y) * inverse.y, by = (half.y - from.y) * inverse.y;
  float az = (-half.z - from.z) * inverse.z, bz = (half.z - from.z) * inverse.z;
  float nx = least(ax, bx), ny = least(ay, by), nz = least(az, bz), near = most(most(nx, ny), nz);
  float far = least(least(most(ax, bx), most(ay, by)), most(az, bz));
  if (!(near < far) || near <= 0) return false;
  *distance = near;
  if (near == nx) *face = inverse.x < 0 ? 1 : 0;
  else if (near == ny) *face = inverse.y < 0 ? 3 : 2;
  else *face = inverse.z < 0 ? 5 : 4;
  return true;
}

/* Does any of the ray beyond 0 lie in the box? */
static inline bool crosses_box(asl_vec half, asl_vec from, asl_vec inverse) {
  float ax = (-half.x - from.x) * inverse.x, bx = (half.x - from.x) * inverse.x;
  float ay = (-half.y - from.y) * inverse.y, by = (half.y - from.y) * inverse.y;
  float az = (-half.z - from.z) * inverse.z, bz = (half.z - from.z) * inverse.z;
  float near = least(ax, bx), far = most(ax, bx);
  near = most(near, least(ay, by)), far = least(far, most(ay, by));
  near = most(near, least(az, bz)), far = least(far, most(az, bz));
  return near < far && far > 0;
}

static bool meet_ellipsoid(asl_vec half, asl_vec from, asl_vec along, float *distance, int *face) {
  asl_vec scale = vec(1 / half.x, 1 / half.y, 1 / half.z);
  asl_vec o = vec_mul(from, scale), d = vec_mul(along, scale);
  float a = vec_dot(d, d), b = vec_dot(o, d), c = vec_dot(o, o) - 1, q = b * b - a * c;
  if (q <= 0 || b >= 0 || c <= 0) return false;
  *distance = c / (sqrtf(q) - b); /* the nearer root without cancellation */
  *face = 0;
  return true;
}

static bool meet_frustum(const asl_part *part, asl_vec from, asl_vec along, float *distance, int *face) {
  float h = part->half.z, slope = (part->top - part->bottom) / (2 * h), mean = (part->top + part->bottom) / 2;
  float best = -1;
  /* x^2 + y^2 = (mean + slope z)^2 */
  float r = mean + slope * from.z, k = slope * along.z;
  float a = along.x * along.x + along.y * along.y - k * k;
  float b = from.x * along.x + from.y * along.y - r * k;
  float c = from.x * from.x + from.y * from.y - r * r, q = b * b - a * c;
  if (q > 0 && a > 1e-12f) {
    float t = (-b - sqrtf(q)) / a, z = from.z + t * along.z;
    if (t > 0 && z > -h && z < h) {
      best = t;
      *face = 0;
    }
  }
  for (int end = 0; end < 2; end++) { /* discs: only the one that looks at the ray's origin */
    float z = end ? h : -h, radius = end ? part->top : part->bottom;
    if (end ? from.z <= h || along.z >= 0 : from.z >= -h || along.z <= 0) continue;
    float t = (z - from.z) / along.z, x = from.x + t * along.x, y = from.y + t * along.y;
    if (x * x + y * y < radius * radius && (best < 0 || t < best)) {
      best = t;
      *face = end ? 5 : 4;
    }
  }
  *distance = best;
  return best > 0;
}

/* from, along, inverse: of the ray in the frame of the part's object. */
static inline bool meet_part(const asl_part *part, asl_vec from, asl_vec along, asl_vec inverse, float *distance,
                             int *face) {
  from = vec_sub(from, part->centre);
  if (part->solid == SOLID_BOX) return meet_box(part->half, from, inverse, distance, face);
  if (part->solid == SOLID_ELLIPSOID) return meet_ellipsoid(part->half, from, along, distance, face);
  return meet_frustum(part, from, along, distance, face);
}

static inline float invert(float x) { /* finite, so that 0 * it is 0 */
  return 1 / (fabsf(x) < 1e-12f ? 1e-12f : x);
}
static inline asl_vec invert3(asl_vec v) { return vec(invert(v.x), invert(v.y), invert(v.z)); }

/* Where a ray from inside leaves the room. */
static inline float leave_room(const asl_scene *scene, const asl_ray *ray, int *face) {
  asl_vec h = scene->half, o = ray->from, i = invert3(ray->along);
  float x = ((i.x < 0 ? -h.x : h.x) - o.x) * i.x, y = ((i.y < 0 ? -h.y : h.y) - o.y) * i.y;
  float z = ((i.z < 0 ? 0 : 2 * h.z) - o.z) * i.z;
  if (x < y && x < z) {
    *face = i.x < 0 ? 0 : 1;
    return x;
  }
  if (y < z) {
    *face = i.y < 0 ? 2 : 3;
    return y;
  }
  *face = i.z < 0 ? 4 : 5;
  return z;
}

bool asl_rooms_meet(const asl_scene *scene, asl_surface id, const asl_ray *ray, float *distance,
                    asl_surface *surface) {
  int part = surface_part(id), face;
  if (part < 0) {
    *distance = leave_room(scene, ray, &face);
  } else {
    const asl_object *object = &scene->object[scene->part[part].object];
    asl_vec from = turn_in(object, vec_sub(ray->from, object->origin)), along = turn_in(object, ray->along);
    if (!meet_part(&scene->part[part], from, along, invert3(along), distance, &face)) return false;
  }
  *surface = (asl_surface)((part + 1) * 8 + face);
  return true;
}

/* ---- what a camera sees --------------------------------------------------------------------------- */
typedef struct view {
  const asl_scene *scene;
  const asl_camera *camera;
  int height, width;
  asl_surface *surface;
  float *depth;
} view;

typedef struct window_of_pixels {
  int x0, x1, y0, y1; /* half-open */
  float nearest;      /* no point is nearer */
} window_of_pixels;

/* The pixels a box of an object's frame can cover. */
static window_of_pixels covers(const view *v, const asl_object *object, asl_vec centre, asl_vec half) {
  const asl_camera *c = v->camera;
  window_of_pixels all = {0, v->width, 0, v->height, 0};
  float x0 = 1e9f, x1 = -1e9f, y0 = 1e9f, y1 = -1e9f, nearest = 1e9f;
  for (int i = 0; i < 8; i++) {
    asl_vec corner = vec_add(centre, vec(i & 1 ? half.x : -half.x, i & 2 ? half.y : -half.y, i & 4 ? half.z : -half.z));
    asl_vec p = vec_sub(vec_add(object->origin, turn_out(object, corner)), c->at);
    float z = vec_dot(p, c->forward);
    if (z < nearest) nearest = z;
    if (z < 0.02f) continue;
    float x = c->cx + c->focal * vec_dot(p, c->right) / z, y = c->cy + c->focal * vec_dot(p, c->down) / z;
    x0 = x < x0 ? x : x0;
    x1 = x > x1 ? x : x1;
    y0 = y < y0 ? y : y0;
    y1 = y > y1 ? y : y1;
  }
  if (x1 < x0) return (window_of_pixels){0}; /* behind the camera */
  if (nearest < 0.02f) return all;
  window_of_pixels w = {(int)clampf(floorf(x0), 0, (float)v->width), (int)clampf(ceilf(x1) + 1, 0, (float)v->width),
                        (int)clampf(floorf(y0), 0, (float)v->height), (int)clampf(ceilf(y1) + 1, 0, (float)v->height),
                        nearest * 0.9999f};
  return w;
}

static void draw_room(const view *v) {
  for (int y = 0; y < v->height; y++) {
    for (int x = 0; x < v->width; x++) {
      asl_ray ray = camera_ray(v->camera, (float)x, (float)y);
      int face, at = y * v->width + x;
      v->depth[at] = leave_room(v->scene, &ray, &face);
      v->surface[at] = (asl_surface)face;
    }
  }
}

static void draw_part(const view *v, int index, asl_vec from, const asl_vec axis[3], window_of_pixels w) {
  const asl_part *part = &v->scene->part[index];
  const asl_camera *c = v->camera;
  float scale = 1 / c->focal;
  from = vec_sub(from, part->centre);
  for (int y = w.y0; y < w.y1; y++) {
    asl_vec row = vec_add(axis[2], vec_scale(axis[1], ((float)y - c->cy) * scale));
    for (int x = w.x0; x < w.x1; x++) {
      int at = y * v->width + x, face;
      float t;
      if (v->depth[at] <= w.nearest) continue;
      asl_vec along = vec_add(row, vec_scale(axis[0], ((float)x - c->cx) * scale));
      bool met = part->solid == SOLID_BOX ? meet_box(part->half, from, invert3(along), &t, &face)
                 : part->solid == SOLID_ELLIPSOID ? meet_ellipsoid(part->half, from, along, &t, &face)
                                                  : meet_frustum(part, from, along, &t, &face);
      if (met && t < v->depth[at]) {
        v->depth[at] = t;
        v->surface[at] = (asl_surface)((index + 1) * 8 + face);
      }
    }
  }
}

/* Objects from near to far, so that the depth buffer saves most of the work. */
static void sort_objects(const asl_scene *scene, asl_vec eye, int order[]) {
  float distance[ROOMS_OBJECTS];
  for (int i = 0; i < scene->objects; i++) {
    asl_vec to = vec_sub(scene->object[i].middle, eye);
    float d = vec_dot(to, to);
    int k = i;
    for (; k > 0 && distance[k - 1] > d; k--) {
      distance[k] = distance[k - 1];
      order[k] = order[k - 1];
    }
    distance[k] = d;
    order[k] = i;
  }
}

void asl_rooms_visible(const asl_scene *scene, const asl_camera *camera, int height, int width, asl_surface *surface,
                       float *depth) {
  view v = {scene, camera, height, width, surface, depth};
  int order[ROOMS_OBJECTS];
  draw_room(&v);
  sort_objects(scene, camera->at, order);
  for (int i = 0; i < scene->objects; i++) {
    const asl_object *o = &scene->object[order[i]];
    asl_vec half = vec_scale(vec_sub(o->hi, o->lo), 0.5f);
    window_of_pixels w = covers(&v, o, vec_add(o->lo, half), half);
    if (w.x0 >= w.x1 || w.y0 >= w.y1) continue;
    asl_vec from = turn_in(o, vec_sub(camera->at, o->origin));
    asl_vec axis[3] = {turn_in(o, camera->right), turn_in(o, camera->down), turn_in(o, camera->forward)};
    for (int p = o->first; p < o->first + o->count; p++)
      draw_part(&v, p, from, axis, covers(&v, o, scene->part[p].centre, scene->part[p].half));
  }
}

/* ---- rays --------------------------------------------------------------------------------------------- */
void asl_rooms_between(const asl_scene *scene, asl_vec a, float ra, asl_vec b, float rb, asl_near *out) {
  asl_vec d = vec_sub(b, a);
  float length2 = fmaxf(vec_dot(d, d), 1e-12f), reach = fmaxf(ra, rb);
  out->count = 0;
  for (int i = 0; i < scene->objects; i++) {
    const asl_object *o = &scene->object[i];
    asl_vec to = vec_sub(o->middle, a);
    asl_vec gap = vec_sub(to, vec_scale(d, clampf(vec_dot(to, d) / length2, 0, 1)));
    float r = o->radius + reach;
    if (vec_dot(gap, gap) < r * r) out->object[out->count++] = (uint8_t)i;
  }
}

static bool misses(const asl_object *o, const asl_ray *ray, float inverse_length2) {
  asl_vec to = vec_sub(o->middle, ray->from);
  float near = clampf(vec_dot(to, ray->along) * inverse_length2, 0, 1);
  asl_vec gap = vec_sub(to, vec_scale(ray->along, near));
  return vec_dot(gap, gap) > o->radius * o->radius;
}

bool asl_rooms_blocked(const asl_scene *scene, const asl_near *near, const asl_ray *ray) {
  const float end = 0.999f;
  float inverse_length2 = 1 / vec_dot(ray->along, ray->along);
  for (int i = 0; i < near->count; i++) {
    const asl_object *o = &scene->object[near->object[i]];
    if (misses(o, ray, inverse_length2)) continue;
    asl_vec from = turn_in(o, vec_sub(ray->from, o->origin)), dir = turn_in(o, ray->along), inverse = invert3(dir);
    asl_vec half = vec_scale(vec_sub(o->hi, o->lo), 0.5f);
    if (!crosses_box(half, vec_sub(from, vec_add(o->lo, half)), inverse)) continue;
    for (int p = o->first; p < o->first + o->count; p++) {
      float t;
      int face;
      if (meet_part(&scene->part[p], from, dir, inverse, &t, &face) && t < end) return true;
    }
  }
  return false;
}

/* ---- surfaces ------------------------------------------------------------------------------------------ */
static asl_vec axis_normal(int face, float sign) {
  float one = face & 1 ? sign : -sign;
  return vec(face / 2 == 0 ? one : 0, face / 2 == 1 ? one : 0, face / 2 == 2 ? one : 0);
}

asl_vec asl_rooms_normal(const asl_scene *scene, asl_surface surface, asl_vec at, asl_vec *local) {
  int index = surface_part(surface), face = surface_face(surface);
  if (index < 0) {
    *local = at;
    return axis_normal(face, -1);
  }
  const asl_part *part = &scene->part[index];
  const asl_object *o = &scene->object[part->object];
  asl_vec p = vec_sub(turn_in(o, vec_sub(at, o->origin)), part->centre), n;
  *local = p;
  if (part->solid == SOLID_ELLIPSOID) {
    n = vec_unit(vec(p.x / (part->half.x * part->half.x), p.y / (part->half.y * part->half.y),
                     p.z / (part->half.z * part->half.z)));
  } else if (part->solid == SOLID_FRUSTUM && face == 0) {
    float slope = (part->top - part->bottom) / (2 * part->half.z);
    n = vec_unit(vec(p.x, p.y, -slope * sqrtf(p.x * p.x + p.y * p.y)));
  } else {
    n = axis_normal(face, 1);
  }
  return turn_out(o, n);
}

int asl_rooms_label(const asl_scene *scene, asl_surface surface) {
  int part = surface_part(surface), face = surface_face(surface);
  return part >= 0 ? scene->part[part].label : face == 4 ? L_FLOOR : face == 5 ? L_CEILING : L_WALL;
}
