/* What lights a room: lamps, windows, sun; and the exposure of the camera for it. */
#include "data/rooms_scene.h"

bool asl_rooms_faces(const asl_light *light, asl_vec from, asl_vec at, asl_vec normal) {
  asl_vec to = vec_sub(from, at);
  return vec_dot(to, normal) > 0 && (light->both_sides || vec_dot(to, light->normal) < 0);
}

float asl_rooms_form_factor(const asl_light *light, asl_vec from, asl_vec at, asl_vec normal) {
  if (!asl_rooms_faces(light, from, at, normal)) return 0;
  asl_vec to = vec_sub(from, at);
  float d2 = vec_dot(to, to), distance = sqrtf(d2);
  float emitted = light->both_sides ? 1 : -vec_dot(to, light->normal) / distance;
  return vec_dot(to, normal) / distance * emitted / (d2 + 0.3f * light->area);
}

static float mean(asl_vec v) { return (v.x + v.y + v.z) / 3; }

/* Mean irradiance at a point, without shadows. */
static float reference(const asl_scene *scene, asl_vec at, asl_vec normal) {
  float sum = mean(scene->ambient);
  for (int i = 0; i < scene->lights; i++) {
    const asl_light *light = &scene->light[i];
    sum += mean(light->power) * asl_rooms_form_factor(light, light->centre, at, normal);
  }
  return sum;
}

/* The floor and the walls in the middle: what the camera mostly sees. */
static float exposure_for(const asl_scene *scene) {
  asl_vec h = scene->half;
  float sum = 2 * reference(scene, vec(0, 0, 0.4f), vec(0, 0, 1));
  for (int side = -1; side <= 1; side += 2) {
    float s = (float)side;
    sum += reference(scene, vec(s * h.x, 0, 1.2f), vec(-s, 0, 0));
    sum += reference(scene, vec(0, s * h.y, 1.2f), vec(0, -s, 0));
  }
  return 6 / most(sum, 1e-3f);
}

static asl_light rectangle(asl_vec centre, asl_vec u, asl_vec v) {
  asl_vec normal = vec_cross(u, v);
  float quarter = sqrtf(vec_dot(normal, normal));
  return (asl_light){.centre = centre,
                     .u = u,
                     .v = v,
                     .normal = vec_scale(normal, 1 / quarter),
                     .area = 4 * quarter};
}

void asl_rooms_add_lamp(asl_scene *scene, asl_vec centre, asl_vec u, asl_vec v, bool both_sides) {
  asl_light *light = &scene->light[scene->lights++];
  *light = rectangle(centre, u, v);
  light->both_sides = both_sides;
}

static void add_window(asl_scene *scene, const asl_window *w, asl_vec radiance) {
  const float hangings = 0.2f; /* shines from before the curtains */
  asl_light *light = &scene->light[scene->lights++];
  asl_vec centre = vec_add(w->centre, vec_scale(w->normal, hangings));
  *light = rectangle(centre, vec_scale(w->across, w->half_width), vec(0, 0, w->half_height));
  light->normal = w->normal;
  light->power = vec_scale(radiance, light->area);
}

static void add_sun(asl_scene *scene, asl_rooms_random *random,
                    float power) { /* at the first window */
  const asl_window *w = &scene->window[0];
  float side = random_range(random, -0.7f, 0.7f), up = random_range(random, 0.5f, 1.0f);
  if (scene->windows == 0) return;
  scene->sun = vec_unit(vec_add(vec_sub(vec_scale(w->across, side), w->normal), vec(0, 0, up)));
  scene->sun_power = vec_scale(vec(1, 0.9f, 0.72f), power);
}

void asl_rooms_light_up(asl_scene *scene, const asl_rooms_domain *domain,
                        asl_rooms_random *random) {
  float warm = domain->light_warmth;
  asl_vec lamp = warm > 0 ? vec(1, 1 - 0.3f * warm, 1 - 0.65f * warm)
                          : vec(1 + 0.25f * warm, 1 + 0.08f * warm, 1);
  asl_vec sky = vec(0.88f, 0.96f, 1.08f);
  for (int i = 0; i < scene->lights; i++)
    scene->light[i].power = vec_scale(lamp, 6 * domain->light_lamp / (float)scene->lights);
  if (domain->light_lamp <= 0) scene->lights = 0; /* casts no rays */
  for (int i = 0; i < scene->windows && domain->light_sky > 0; i++)
    add_window(scene, &scene->window[i], vec_scale(sky, 2.5f * domain->light_sky));
  for (int i = 0; i < scene->side_lights; i++)
    scene->side_power[i] = vec_scale(lamp, 1.2f * domain->light_side);
  /* light from everywhere has the colour of what there is */
  asl_vec mood = vec_add(vec_scale(lamp, domain->light_lamp + domain->light_side),
                         vec_scale(sky, domain->light_sky + 1e-3f));
  scene->ambient = vec_scale(mood, domain->light_ambient / mean(mood));
  if (domain->light_sun > 0) add_sun(scene, random, 4 * domain->light_sun);
  scene->exposure = domain->sensor_exposure * exposure_for(scene);
}
