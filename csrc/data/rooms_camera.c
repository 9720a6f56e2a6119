/* The camera: it walks round the middle of the room and looks across it. */
#include "data/rooms_scene.h"

void asl_rooms_turn(double x, double *cosine, double *sine) {
  double quarter = floor(4 * x + 0.5), a = 6.283185307179586 * (x - quarter / 4), b = a * a;
  double s = a * (1 - b / 6 * (1 - b / 20 * (1 - b / 42 * (1 - b / 72 * (1 - b / 110)))));
  double c = 1 - b / 2 * (1 - b / 12 * (1 - b / 30 * (1 - b / 56 * (1 - b / 90 * (1 - b / 132)))));
  switch ((int64_t)quarter & 3) {
  case 0: *cosine = c, *sine = s; break;
  case 1: *cosine = -s, *sine = c; break;
  case 2: *cosine = -c, *sine = -s; break;
  default: *cosine = s, *sine = -c;
  }
}

/* How far a point is from everything at its height: objects and walls. */
static float clearance(const asl_scene *scene, asl_vec p) {
  const float above = 0.15f;
  float best = least(scene->half.x - fabsf(p.x), scene->half.y - fabsf(p.y));
  for (int i = 0; i < scene->objects; i++) {
    const asl_object *o = &scene->object[i];
    if (p.z > o->origin.z + o->hi.z + above || p.z < o->origin.z + o->lo.z - above) continue;
    float x = p.x - o->origin.x, y = p.y - o->origin.y;
    float u = o->cosine * x + o->sine * y, v = o->cosine * y - o->sine * x;
    float dx = most(most(o->lo.x - u, u - o->hi.x), 0),
          dy = most(most(o->lo.y - v, v - o->hi.y), 0);
    best = least(best, sqrtf(dx * dx + dy * dy));
  }
  return best;
}

static asl_vec path_point(const asl_rooms_path *path, double frame) {
  double c, s, cs, ss;
  double turn = path->start + path->direction * path->turn_per_frame * frame;
  asl_rooms_turn(turn, &c, &s);
  asl_rooms_turn(2 * turn, &cs, &ss);
  return vec((float)(path->centre[0] + path->radius[0] * c),
             (float)(path->centre[1] + path->radius[1] * s),
             (float)(path->height + path->sway * ss));
}

void asl_rooms_path_find(const asl_scene *scene, const asl_rooms_domain *domain, uint64_t seed,
                         int64_t room, asl_rooms_path *path) {
  enum { CANDIDATES = 16, POINTS = 32 };
  const float enough = 0.4f;
  uint64_t stream =
      (uint64_t)domain->layout_family << 48 | (uint64_t)ROOMS_CAMERA << 40 | (uint64_t)room;
  asl_rooms_random random = {seed, stream, 0};
  float best = -1;
  for (int i = 0; i < CANDIDATES && best < enough; i++) {
    asl_rooms_path p;
    float size = 1 - 0.6f * (float)i / CANDIDATES; /* later tries stay nearer to the middle */
    p.centre[0] = random_range(&random, -0.12f, 0.12f) * scene->half.x;
    p.centre[1] = random_range(&random, -0.12f, 0.12f) * scene->half.y;
    p.radius[0] = random_range(&random, 0.45f, 0.72f) * size * scene->half.x;
    p.radius[1] = random_range(&random, 0.45f, 0.72f) * size * scene->half.y;
    p.start = random_uniform(&random);
    p.direction = random_below(&random, 2) ? 1 : -1;
    p.height = domain->camera_height + random_range(&random, -0.12f, 0.12f);
    p.sway = random_range(&random, 0, 0.04f);
    p.gaze = random_range(&random, -0.06f, 0.06f);
    p.gaze_height = random_range(&random, 0.7f, 1.1f);
    p.turn_per_frame = domain->camera_speed / (3.1415926535897932 * (p.radius[0] + p.radius[1]));
    float worst = enough;
    for (int k = 0; k < POINTS && worst > best; k++)
      worst = least(
          worst,
          clearance(scene, path_point(&p, (double)k / (POINTS * fmax(p.turn_per_frame, 1e-9)))));
    if (worst > best) {
      best = worst;
      *path = p;
    }
  }
}

asl_camera asl_rooms_camera_at(const asl_rooms_path *path, const asl_rooms_domain *domain,
                               int64_t frame, int height, int width) {
  double c, s, gc, gs, turn = path->start + path->direction * path->turn_per_frame * (double)frame;
  asl_vec at = path_point(path, (double)frame);
  /* The gaze goes across the middle, swaying slowly to both sides and up and down. */
  asl_rooms_turn(1.5 * turn + path->start, &gc, &gs);
  asl_rooms_turn(path->gaze + 0.04 * gs, &c, &s);
  double x = path->centre[0] - at.x, y = path->centre[1] - at.y;
  asl_vec target = vec(at.x + (float)(2 * (c * x - s * y)), at.y + (float)(2 * (s * x + c * y)),
                       (float)(path->gaze_height + 0.12 * gc));
  asl_camera camera = {.at = at};
  camera.forward = vec_unit(vec_sub(target, at));
  camera.right = vec_unit(vec_cross(camera.forward, vec(0, 0, 1)));
  camera.down = vec_cross(camera.forward, camera.right);
  asl_rooms_turn(domain->camera_fov / 720.0, &c, &s); /* half the field of view */
  camera.focal = (float)(width / 2.0 * c / s);
  camera.cx = (float)(width - 1) / 2;
  camera.cy = (float)(height - 1) / 2;
  return camera;
}
