/* The solids objects are made of, and the small things that stand on furniture. */
#include "data/rooms_scene.h"

/* ---- solids ------------------------------------------------------------------------------- */
void asl_rooms_begin(asl_scene *scene, asl_vec origin, float cosine, float sine) {
  scene->object[scene->objects] =
      (asl_object){.origin = origin, .cosine = cosine, .sine = sine, .first = scene->parts};
}

static void add(asl_scene *scene, asl_part part) {
  asl_object *object = &scene->object[scene->objects];
  if (scene->parts == ROOMS_PARTS) return;
  part.object = (uint8_t)scene->objects;
  asl_vec lo = vec_sub(part.centre, part.half), hi = vec_add(part.centre, part.half);
  if (object->count == 0) {
    object->lo = lo;
    object->hi = hi;
  }
  object->lo = vec(least(lo.x, object->lo.x), least(lo.y, object->lo.y), least(lo.z, object->lo.z));
  object->hi = vec(most(hi.x, object->hi.x), most(hi.y, object->hi.y), most(hi.z, object->hi.z));
  object->count++;
  scene->part[scene->parts++] = part;
}

static asl_vec to_world(const asl_object *object, asl_vec p) {
  return vec_add(object->origin, vec(object->cosine * p.x - object->sine * p.y,
                                     object->sine * p.x + object->cosine * p.y, p.z));
}

void asl_rooms_end(asl_scene *scene) {
  asl_object *object = &scene->object[scene->objects];
  if (object->count == 0 || scene->objects == ROOMS_OBJECTS - 1) {
    scene->parts = object->first;
    return;
  }
  asl_vec half = vec_scale(vec_sub(object->hi, object->lo), 0.5f);
  object->middle = to_world(object, vec_add(object->lo, half));
  object->radius = sqrtf(vec_dot(half, half));
  scene->objects++;
}

/* Goes on with a new object in the same frame: small bounds make rays fast. */
void asl_rooms_split(asl_scene *scene) {
  asl_object o = scene->object[scene->objects];
  asl_rooms_end(scene);
  asl_rooms_begin(scene, o.origin, o.cosine, o.sine);
}

void asl_box(asl_scene *s, int label, int material, float x0, float x1, float y0, float y1,
             float z0, float z1) {
  add(s, (asl_part){.solid = SOLID_BOX,
                    .label = (uint8_t)label,
                    .material = (uint8_t)material,
                    .centre = vec((x0 + x1) / 2, (y0 + y1) / 2, (z0 + z1) / 2),
                    .half = vec((x1 - x0) / 2, (y1 - y0) / 2, (z1 - z0) / 2)});
}

/* A round post, cone or disc around a vertical axis. */
void asl_post(asl_scene *s, int label, int material, float x, float y, float z0, float z1,
              float bottom, float top) {
  float r = most(bottom, top);
  add(s, (asl_part){.solid = SOLID_FRUSTUM,
                    .label = (uint8_t)label,
                    .material = (uint8_t)material,
                    .centre = vec(x, y, (z0 + z1) / 2),
                    .half = vec(r, r, (z1 - z0) / 2),
                    .bottom = bottom,
                    .top = top});
}

void asl_ball(asl_scene *s, int label, int material, float x, float y, float z, float rx, float ry,
              float rz) {
  add(s, (asl_part){.solid = SOLID_ELLIPSOID,
                    .label = (uint8_t)label,
                    .material = (uint8_t)material,
                    .centre = vec(x, y, z),
                    .half = vec(rx, ry, rz)});
}

/* A lamp with its light; (x, y, z) is the middle of the shade. */
void asl_lamp_shade(asl_scene *s, float x, float y, float z, float r, float h) {
  asl_post(s, L_LAMP, M_SHADE, x, y, z - h / 2, z + h / 2, r, r * 0.7f);
  if (s->side_lights == ROOMS_SIDE_LIGHTS) return;
  s->side_at[s->side_lights++] = to_world(&s->object[s->objects], vec(x, y, z));
}

/* Rows of books between x0 and x1, in blocks of different height and depth. */
void asl_books(asl_scene *s, asl_rooms_random *random, float x0, float x1, float y1, float z,
               float room, float fill) {
  float x = x0;
  while (x < x1 - 0.06f) {
    float w = least(random_range(random, 0.1f, 0.28f), x1 - x);
    float h = random_range(random, 0.6f, 0.9f) * room, d = random_range(random, 0.13f, 0.2f);
    if (random_uniform(random) < fill)
      asl_box(s, L_BOOKS, M_BOOKS, x, x + w, y1 - 0.03f - d, y1 - 0.03f, z, z + h);
    x += w;
  }
}

/* ---- things that stand on other things ---------------------------------------------------- */
static void table_lamp(asl_scene *s, float x, float y, float z) {
  asl_post(s, L_LAMP, M_METAL, x, y, z, z + 0.02f, 0.08f, 0.07f);
  asl_post(s, L_LAMP, M_METAL, x, y, z + 0.02f, z + 0.3f, 0.014f, 0.014f);
  asl_lamp_shade(s, x, y, z + 0.38f, 0.15f, 0.2f);
}

static void monitor(asl_scene *s, float x, float y, float z, float w) {
  float h = w * 0.6f;
  asl_box(s, L_TELEVISION, M_DARK, x - 0.1f, x + 0.1f, y - 0.08f, y + 0.08f, z, z + 0.015f);
  asl_box(s, L_TELEVISION, M_DARK, x - 0.03f, x + 0.03f, y - 0.05f, y - 0.02f, z + 0.015f,
          z + 0.2f);
  asl_box(s, L_TELEVISION, M_DARK, x - w / 2, x + w / 2, y - 0.02f, y + 0.02f, z + 0.1f,
          z + 0.1f + h);
  asl_box(s, L_TELEVISION, M_SCREEN, x - w / 2 + 0.015f, x + w / 2 - 0.015f, y + 0.02f, y + 0.022f,
          z + 0.115f, z + 0.085f + h);
}

void asl_plant(asl_scene *s, asl_rooms_random *random, float x, float y, float z, float r,
               float h) {
  asl_post(s, L_OTHERPROP, M_POT, x, y, z, z + 0.3f * h, 0.55f * r, 0.75f * r);
  for (int i = 0; i < 5; i++) {
    float a = random_range(random, -0.5f, 0.5f) * r, b = random_range(random, -0.5f, 0.5f) * r;
    float c = random_range(random, 0.45f, 0.8f) * h, k = random_range(random, 0.3f, 0.5f);
    asl_ball(s, L_OTHERPROP, M_LEAVES, x + a, y + b, z + c, k * r, k * r,
             random_range(random, 0.15f, 0.2f) * h);
  }
}

static void thing(asl_scene *s, asl_rooms_random *random, int kind, float x, float y, float z) {
  float a = random_range(random, 0.8f, 1.2f);
  switch (kind) {
  case L_LAMP: table_lamp(s, x, y, z); break;
  case L_BOOKS:
    if (random_below(random, 2)) {
      asl_books(s, random, x - 0.14f, x + 0.14f, y + 0.1f, z, 0.28f * a, 1);
    } else {
      asl_box(s, L_BOOKS, M_BOOKS, x - 0.12f, x + 0.12f, y - 0.08f, y + 0.08f, z, z + 0.04f * a);
      asl_box(s, L_BOOKS, M_BOOKS, x - 0.1f, x + 0.11f, y - 0.07f, y + 0.08f, z + 0.04f * a,
              z + 0.09f * a);
    }
    break;
  case L_PAPER:
    asl_box(s, L_PAPER, M_PAPER, x - 0.11f, x + 0.1f, y - 0.12f, y + 0.16f, z, z + 0.006f);
    break;
  case L_BOX:
    asl_box(s, L_BOX, M_CARDBOARD, x - 0.13f * a, x + 0.12f * a, y - 0.1f, y + 0.1f, z,
            z + 0.17f * a);
    break;
  case L_TELEVISION: monitor(s, x + 0.12f, y - 0.05f, z, 0.52f * a); break;
  case L_BAG: asl_ball(s, L_BAG, M_BAG, x, y, z + 0.13f, 0.15f, 0.08f, 0.13f); break;
  default:
    if (random_below(random, 2)) {
      asl_plant(s, random, x, y, z, 0.12f, 0.34f * a);
    } else {
      asl_post(s, L_OTHERPROP, M_POT, x - 0.04f, y, z, z + 0.1f * a, 0.035f, 0.045f);
      asl_post(s, L_OTHERPROP, M_WHITE, x + 0.07f, y, z, z + 0.2f * a, 0.05f, 0.03f);
    }
  }
}

static const int8_t tops[][6] = {
    [TOP_LIVING] = {L_BOOKS, L_OTHERPROP, L_LAMP, L_OTHERPROP, L_BOOKS, L_BOX},
    [TOP_DESK] = {L_TELEVISION, L_BOOKS, L_PAPER, L_LAMP, L_TELEVISION, L_PAPER},
    [TOP_NIGHT] = {L_LAMP, L_LAMP, L_LAMP, L_LAMP, L_BOOKS, L_OTHERPROP},
    [TOP_KITCHEN] = {L_OTHERPROP, L_OTHERPROP, L_BOX, L_OTHERPROP, L_BAG, L_PAPER},
    [TOP_LAMP] = {L_LAMP, L_BOOKS, L_LAMP, L_OTHERPROP, L_LAMP, L_BOOKS},
};

void asl_rooms_top(asl_scene *s, asl_rooms_random *random, int top, float w, float d, float z,
                   float clutter) {
  if (top == TOP_NOTHING) return;
  asl_rooms_split(s);
  if (top == TOP_SCREEN) {
    monitor(s, 0, d / 2, z, least(w * 0.8f, 1.1f));
    return;
  }
  int slots = (int)(w / 0.42f) > 1 ? (int)(w / 0.42f) : 1, lamps = 0;
  for (int i = 0; i < slots; i++) {
    int kind = tops[top][random_below(random, 6)];
    float x = -w / 2 + ((float)i + 0.5f) * w / (float)slots;
    float y = d / 2 + random_range(random, -0.15f, 0.15f) * d;
    bool wanted = random_uniform(random) < 0.35f + 0.6f * clutter;
    if (kind == L_TELEVISION && (d < 0.5f || i + 1 == slots)) kind = L_PAPER;
    if (kind == L_LAMP && lamps++ > 0) kind = L_BOOKS;
    if (wanted) thing(s, random, kind, x, y, z);
    if (kind == L_TELEVISION) i++; /* takes part of the next slot */
    asl_rooms_split(s);
  }
}
