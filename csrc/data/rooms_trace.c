/* Tracing: what a camera sees (solid by solid, with a depth buffer), and what rays meet.
 *
 * Rays go in packets of four: a v4 holds one number of each. */
#include <string.h>

#ifdef __SSE__
#include <xmmintrin.h>
#endif

#include "data/rooms_scene.h"

typedef float v4 __attribute__((vector_size(16)));
typedef int32_t m4 __attribute__((vector_size(16))); /* -1 = true; or four integers */
typedef int64_t two __attribute__((vector_size(16)));

typedef struct packet { /* four vectors */
  v4 x, y, z;
} packet;

typedef struct meeting {
  v4 distance;
  m4 met, face;
} meeting;

static inline v4 all4(float a) { return (v4){a, a, a, a}; }
static inline v4 pick(m4 m, v4 a, v4 b) { return (v4)((m & (m4)a) | (~m & (m4)b)); }
static inline m4 pick_i(m4 m, m4 a, m4 b) { return (m & a) | (~m & b); }
#ifdef __SSE__
static inline v4 least4(v4 a, v4 b) { return (v4)_mm_min_ps((__m128)a, (__m128)b); }
static inline v4 most4(v4 a, v4 b) { return (v4)_mm_max_ps((__m128)a, (__m128)b); }
#else /* the same, also for NaN */
static inline v4 least4(v4 a, v4 b) { return pick(a < b, a, b); }
static inline v4 most4(v4 a, v4 b) { return pick(a > b, a, b); }
#endif
static inline v4 sqrt4(v4 a) { return (v4){sqrtf(a[0]), sqrtf(a[1]), sqrtf(a[2]), sqrtf(a[3])}; }
static inline bool any(m4 m) { return (((two)m)[0] | ((two)m)[1]) != 0; }

static inline packet spread(asl_vec a) { return (packet){all4(a.x), all4(a.y), all4(a.z)}; }
static inline packet sub4(packet a, packet b) { return (packet){a.x - b.x, a.y - b.y, a.z - b.z}; }
static inline packet scale4(packet a, v4 s) { return (packet){a.x * s, a.y * s, a.z * s}; }
static inline packet add4(packet a, packet b) { return (packet){a.x + b.x, a.y + b.y, a.z + b.z}; }
static inline v4 dot4(packet a, packet b) { return a.x * b.x + a.y * b.y + a.z * b.z; }
static inline v4 invert(v4 x) { return 1 / (x + 1e-20f); } /* finite, so that 0 times it is 0 */
static inline packet invert4(packet a) { return (packet){invert(a.x), invert(a.y), invert(a.z)}; }

static asl_vec turn_in(const asl_object *o, asl_vec v) { /* world direction -> object's frame */
  return vec(o->cosine * v.x + o->sine * v.y, o->cosine * v.y - o->sine * v.x, v.z);
}
static inline packet turn_in4(const asl_object *o, packet v) {
  return (packet){o->cosine * v.x + o->sine * v.y, o->cosine * v.y - o->sine * v.x, v.z};
}
static asl_vec turn_out(const asl_object *o, asl_vec v) {
  return vec(o->cosine * v.x - o->sine * v.y, o->sine * v.x + o->cosine * v.y, v.z);
}

/* ---- one solid, in its own frame: the first point beyond 0 where a ray enters it ---------- */
static inline meeting meet_box(asl_vec half, packet from, packet inverse) {
  v4 ax = (-half.x - from.x) * inverse.x, bx = (half.x - from.x) * inverse.x;
  v4 ay = (-half.y - from.y) * inverse.y, by = (half.y - from.y) * inverse.y;
  v4 az = (-half.z - from.z) * inverse.z, bz = (half.z - from.z) * inverse.z;
  v4 nx = least4(ax, bx), ny = least4(ay, by), nz = least4(az, bz), near = most4(most4(nx, ny), nz);
  v4 far = least4(least4(most4(ax, bx), most4(ay, by)), most4(az, bz));
  m4 one = {1, 1, 1, 1}, x = (inverse.x < 0) & one, y = 2 + ((inverse.y < 0) & one),
     z = 4 + ((inverse.z < 0) & one);
  return (meeting){near, (near < far) & (near > 0),
                   pick_i(near == nx, x, pick_i(near == ny, y, z))};
}

/* Does any of the ray beyond 0 lie in the box? */
static inline m4 crosses_box(asl_vec half, packet from, packet inverse) {
  v4 ax = (-half.x - from.x) * inverse.x, bx = (half.x - from.x) * inverse.x;
  v4 ay = (-half.y - from.y) * inverse.y, by = (half.y - from.y) * inverse.y;
  v4 az = (-half.z - from.z) * inverse.z, bz = (half.z - from.z) * inverse.z;
  v4 near = most4(most4(least4(ax, bx), least4(ay, by)), least4(az, bz));
  v4 far = least4(least4(most4(ax, bx), most4(ay, by)), most4(az, bz));
  return (near < far) & (far > 0);
}

static inline meeting meet_ellipsoid(asl_vec half, packet from, packet along) {
  packet o = {from.x / half.x, from.y / half.y, from.z / half.z};
  packet d = {along.x / half.x, along.y / half.y, along.z / half.z};
  v4 a = dot4(d, d), b = dot4(o, d), c = dot4(o, o) - 1, q = b * b - a * c;
  m4 met = (q > 0) & (b < 0) & (c > 0);
  v4 root = sqrt4(pick(met, q, all4(1)));
  return (meeting){c / (root - b), met, (m4){0}}; /* the nearer root, without cancellation */
}

static inline meeting meet_frustum(const asl_part *part, packet from, packet along) {
  float h = part->half.z, slope = (part->top - part->bottom) / (2 * h),
        mean = (part->top + part->bottom) / 2;
  /* the round side: x^2 + y^2 = (mean + slope z)^2 */
  v4 r = mean + slope * from.z, k = slope * along.z;
  v4 a = along.x * along.x + along.y * along.y - k * k,
     b = from.x * along.x + from.y * along.y - r * k;
  v4 c = from.x * from.x + from.y * from.y - r * r, q = b * b - a * c;
  m4 met = (q > 0) & (a > 1e-12f);
  v4 distance = (-b - sqrt4(pick(met, q, all4(1)))) / pick(met, a, all4(1));
  v4 z = from.z + distance * along.z;
  met &= (distance > 0) & (z > -h) & (z < h);
  /* the end that looks at the ray's origin */
  m4 above = from.z > h, below = from.z < -h;
  v4 end = pick(above, all4(h), all4(-h)),
     radius = pick(above, all4(part->top), all4(part->bottom));
  m4 towards = (above & (along.z < 0)) | (below & (along.z > 0));
  v4 t = (end - from.z) / pick(towards, along.z, all4(1)), x = from.x + t * along.x,
     y = from.y + t * along.y;
  m4 disc = towards & (x * x + y * y < radius * radius) & (~met | (t < distance));
  m4 face = disc & pick_i(above, (m4){5, 5, 5, 5}, (m4){4, 4, 4, 4});
  return (meeting){pick(disc, t, distance), met | disc, face};
}

/* from, along, inverse: of the rays in the frame of the part's object. */
static inline meeting meet_part(const asl_part *part, packet from, packet along, packet inverse) {
  from = sub4(from, spread(part->centre));
  if (part->solid == SOLID_BOX) return meet_box(part->half, from, inverse);
  if (part->solid == SOLID_ELLIPSOID) return meet_ellipsoid(part->half, from, along);
  return meet_frustum(part, from, along);
}

/* Where a ray from inside leaves the room. */
static inline meeting leave_room(const asl_scene *scene, packet from, packet along) {
  asl_vec h = scene->half;
  packet i = invert4(along);
  v4 x = (pick(i.x < 0, all4(-h.x), all4(h.x)) - from.x) * i.x;
  v4 y = (pick(i.y < 0, all4(-h.y), all4(h.y)) - from.y) * i.y;
  v4 z = (pick(i.z < 0, all4(0), all4(2 * h.z)) - from.z) * i.z;
  m4 one = {1, 1, 1, 1}, fx = (i.x > 0) & one, fy = 2 + ((i.y > 0) & one),
     fz = 4 + ((i.z > 0) & one);
  m4 is_x = (x < y) & (x < z), is_y = ~is_x & (y < z);
  return (meeting){pick(is_x, x, pick(is_y, y, z)), ~(m4){0},
                   pick_i(is_x, fx, pick_i(is_y, fy, fz))};
}

/* ---- what a camera sees ------------------------------------------------------------------- */
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
static window_of_pixels covers(const view *v, const asl_object *object, asl_vec centre,
                               asl_vec half) {
  const asl_camera *c = v->camera;
  window_of_pixels all = {0, v->width, 0, v->height, 0};
  float x0 = 1e9f, x1 = -1e9f, y0 = 1e9f, y1 = -1e9f, nearest = 1e9f;
  for (int i = 0; i < 8; i++) {
    asl_vec corner = vec_add(
        centre, vec(i & 1 ? half.x : -half.x, i & 2 ? half.y : -half.y, i & 4 ? half.z : -half.z));
    asl_vec p = vec_sub(vec_add(object->origin, turn_out(object, corner)), c->at);
    float z = vec_dot(p, c->forward);
    if (z < nearest) nearest = z;
    if (z < 0.02f) continue;
    float x = c->cx + c->focal * vec_dot(p, c->right) / z,
          y = c->cy + c->focal * vec_dot(p, c->down) / z;
    x0 = x < x0 ? x : x0;
    x1 = x > x1 ? x : x1;
    y0 = y < y0 ? y : y0;
    y1 = y > y1 ? y : y1;
  }
  if (x1 < x0) return (window_of_pixels){0}; /* behind the camera */
  if (nearest < 0.02f) return all;
  window_of_pixels w = {(int)clampf(floorf(x0), 0, (float)v->width),
                        (int)clampf(ceilf(x1) + 1, 0, (float)v->width),
                        (int)clampf(floorf(y0), 0, (float)v->height),
                        (int)clampf(ceilf(y1) + 1, 0, (float)v->height), nearest * 0.9999f};
  return w;
}

/* `along` of the rays through pixels x .. x+3 of row y, in a frame with the camera's axes (right,
 * down, forward) as given. */
static inline packet rays_of(const asl_camera *c, const asl_vec axis[3], int x, int y) {
  v4 a = ((v4){0, 1, 2, 3} + (float)x - c->cx) / c->focal;
  asl_vec row = vec_add(axis[2], vec_scale(axis[1], ((float)y - c->cy) / c->focal));
  return add4(spread(row), scale4(spread(axis[0]), a));
}

/* Keeps what was met nearer than before; pixels x .. x+3 as far as below x1. */
static inline void keep(const view *v, int x, int y, int x1, int part, meeting m) {
  int at = y * v->width + x, lanes = x1 - x < 4 ? x1 - x : 4;
  for (int i = 0; i < lanes; i++) {
    if (!m.met[i] || m.distance[i] >= v->depth[at + i]) continue;
    v->depth[at + i] = m.distance[i];
    v->surface[at + i] = (asl_surface)((part + 1) * 8 + m.face[i]);
  }
}

static void draw_room(const view *v) {
  const asl_camera *c = v->camera;
  const asl_vec axis[3] = {c->right, c->down, c->forward};
  for (int i = 0; i < v->height * v->width; i++) v->depth[i] = 1e9f;
  for (int y = 0; y < v->height; y++)
    for (int x = 0; x < v->width; x += 4)
      keep(v, x, y, v->width, -1, leave_room(v->scene, spread(c->at), rays_of(c, axis, x, y)));
}

static void draw_part(const view *v, int index, asl_vec from, const asl_vec axis[3],
                      window_of_pixels w) {
  const asl_part *part = &v->scene->part[index];
  packet origin = spread(from);
  for (int y = w.y0; y < w.y1; y++) {
    for (int x = w.x0; x < w.x1; x += 4) {
      int at = y * v->width + x, lanes = w.x1 - x < 4 ? w.x1 - x : 4;
      bool hidden = true;
      for (int i = 0; i < lanes; i++) hidden = hidden && v->depth[at + i] <= w.nearest;
      if (hidden) continue;
      packet along = rays_of(v->camera, axis, x, y);
      meeting m = meet_part(part, origin, along, invert4(along));
      if (any(m.met)) keep(v, x, y, w.x1, index, m);
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

void asl_rooms_visible(const asl_scene *scene, const asl_camera *camera, int height, int width,
                       asl_surface *surface, float *depth) {
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
    asl_vec axis[3] = {turn_in(o, camera->right), turn_in(o, camera->down),
                       turn_in(o, camera->forward)};
    for (int p = o->first; p < o->first + o->count; p++)
      draw_part(&v, p, from, axis, covers(&v, o, scene->part[p].centre, scene->part[p].half));
  }
}

/* ---- rays --------------------------------------------------------------------------------- */
void asl_rooms_between(const asl_scene *scene, asl_vec a, float ra, asl_vec b, float rb,
                       asl_near *out) {
  asl_vec axis = vec_sub(b, a);
  float length = sqrtf(most(vec_dot(axis, axis), 1e-12f)),
        slope = clampf((rb - ra) / length, -0.999f, 0.999f);
  float tilt = slope / sqrtf(1 - slope * slope);
  axis = vec_scale(axis, 1 / length);
  out->count = 0;
  for (int i = 0; i < scene->objects; i++) {
    /* the ball on the axis, of a radius between ra and rb, that is nearest to the object's */
    asl_vec to = vec_sub(scene->object[i].middle, a);
    float along = vec_dot(to, axis), aside = sqrtf(most(vec_dot(to, to) - along * along, 0));
    float at = clampf(along + aside * tilt, 0, length), rest = along - at;
    float r = scene->object[i].radius + most(ra, 0) + (rb - ra) * at / length + 0.01f;
    if (aside * aside + rest * rest < r * r) out->object[out->count++] = (uint8_t)i;
  }
}

static m4 may_meet(const asl_object *o, packet from, packet along, v4 inverse_length2) {
  packet to = sub4(spread(o->middle), from);
  v4 near = most4(least4(dot4(to, along) * inverse_length2, all4(1)), all4(0));
  packet gap = sub4(to, scale4(along, near));
  return dot4(gap, gap) < o->radius * o->radius;
}

static packet gather(const asl_ray rays[4], bool along) {
  packet p;
  for (int i = 0; i < 4; i++) {
    asl_vec v = along ? rays[i].along : rays[i].from;
    p.x[i] = v.x, p.y[i] = v.y, p.z[i] = v.z;
  }
  return p;
}

void asl_rooms_clear(const asl_scene *scene, const asl_near *near, const asl_ray rays[4], bool all,
                     float clear[4]) {
  packet from = gather(rays, false), along = gather(rays, true);
  v4 nearest = all4(1);
  m4 open = ~(m4){0}; /* rays still of interest */
  v4 inverse_length2 = 1 / most4(dot4(along, along), all4(1e-12f));
  for (int i = 0; i < near->count && any(open); i++) {
    const asl_object *o = &scene->object[near->object[i]];
    if (!any(open & may_meet(o, from, along, inverse_length2))) continue;
    packet start = turn_in4(o, sub4(from, spread(o->origin))), dir = turn_in4(o, along),
           inverse = invert4(dir);
    asl_vec half = vec_scale(vec_sub(o->hi, o->lo), 0.5f);
    if (!any(open & crosses_box(half, sub4(start, spread(vec_add(o->lo, half))), inverse)))
      continue;
    for (int p = o->first; p < o->first + o->count; p++) {
      meeting m = meet_part(&scene->part[p], start, dir, inverse);
      m4 nearer = m.met & (m.distance < nearest);
      nearest = pick(nearer, m.distance, nearest);
      if (!all) open &= ~nearer;
    }
  }
  memcpy(clear, &nearest, sizeof nearest);
}

void asl_rooms_nearest(const asl_scene *scene, const asl_surface *among, int n,
                       const asl_ray rays[4], float distance[4], asl_surface surface[4]) {
  packet from = gather(rays, false), along = gather(rays, true);
  meeting best = leave_room(scene, from, along);
  for (int i = 0; i < n; i++) {
    int part = surface_part(among[i]);
    if (part < 0) continue;
    const asl_object *o = &scene->object[scene->part[part].object];
    packet dir = turn_in4(o, along);
    meeting m = meet_part(&scene->part[part], turn_in4(o, sub4(from, spread(o->origin))), dir,
                          invert4(dir));
    m4 nearer = m.met & (m.distance < best.distance), id = (part + 1) * 8 + m.face;
    best.distance = pick(nearer, m.distance, best.distance);
    best.face = pick_i(nearer, id, best.face);
  }
  for (int i = 0; i < 4; i++) {
    distance[i] = best.distance[i];
    surface[i] = (asl_surface)best.face[i];
  }
}

/* ---- surfaces ----------------------------------------------------------------------------- */
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
