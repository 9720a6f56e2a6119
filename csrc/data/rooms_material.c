/* The materials of a room: drawn once per room around the colours of the domain. */
#include "data/rooms_scene.h"

typedef struct tone {
  float hue, spread, saturation, value;
} tone;

typedef struct painter {
  asl_scene *scene;
  asl_rooms_random *random;
  float grain;
} painter;

static asl_vec linear(float r, float g, float b) { return vec(r * r, g * g, b * b); }

static asl_vec draw_tone(painter *p, tone t, float saturation, float value) {
  float hue = t.hue + t.spread * random_range(p->random, -1, 1);
  float s = t.saturation * random_range(p->random, 0.75f, 1.2f) * saturation;
  float v = t.value * random_range(p->random, 0.85f, 1.1f) * value;
  return asl_rooms_hsv(hue, clampf(s, 0, 1), clampf(v, 0, 1));
}

static void set(painter *p, int material, int texture, asl_vec colour, asl_vec second) {
  p->scene->material[material] =
      (asl_material){texture, colour, second, p->grain,
                     hash3((uint32_t)random_below(p->random, 1 << 24), (uint32_t)material, 0)};
}

/* Both colours around one tone: saturation and value of the first, then of the second. */
static void set_pair(painter *p, int material, int texture, tone t, float s1, float v1, float s2,
                     float v2) {
  asl_vec first = draw_tone(p, t, s1, v1), second = draw_tone(p, t, s2, v2);
  set(p, material, texture, first, second);
}

static int draw_texture(painter *p, const float weight[4], const int texture[4]) {
  float total = weight[0] + weight[1] + weight[2] + weight[3],
        at = random_uniform(p->random) * total;
  for (int i = 0; i < 3; i++) {
    if (at < weight[i]) return texture[i];
    at -= weight[i];
  }
  return texture[3];
}

static void paint_shell(painter *p, const asl_rooms_domain *d) {
  tone wall = {d->wall_hue, d->wall_spread, d->wall_saturation, d->wall_value};
  tone floor = {d->floor_hue, d->floor_spread, d->floor_saturation, d->floor_value};
  float wall_weight[] = {d->wall_plain, d->wall_stripes, d->wall_bricks, d->wall_panels};
  float floor_weight[] = {d->floor_plain, d->floor_planks, d->floor_tiles, d->floor_carpet};
  static const int wall_texture[] = {T_PLAIN, T_STRIPES, T_BRICKS, T_PANELS};
  static const int floor_texture[] = {T_PLAIN, T_PLANKS, T_TILES, T_CARPET};
  asl_vec c = draw_tone(p, wall, 1, 1), s = draw_tone(p, wall, 1.3f, 0.82f);
  set(p, M_WALL, draw_texture(p, wall_weight, wall_texture), c, s);
  if (p->scene->material[M_WALL].texture == T_BRICKS)
    p->scene->material[M_WALL].colour = draw_tone(p, (tone){0.03f, 0.02f, 0.55f, 0.55f}, 1, 1);
  c = draw_tone(p, floor, 1, 1);
  int texture = draw_texture(p, floor_weight, floor_texture);
  set(p, M_FLOOR, texture, c, vec_scale(c, texture == T_TILES ? 0.6f : 0.3f));
  set(p, M_CEILING, T_PLAIN, draw_tone(p, wall, 0.2f, 1.06f), c);
}

static void paint_furniture(painter *p, const asl_rooms_domain *d) {
  tone wood = {d->wood_hue, d->wood_spread, d->wood_saturation, d->wood_value};
  tone fabric = {d->fabric_hue, d->fabric_spread, d->fabric_saturation, d->fabric_value};
  asl_vec black = vec(0.01f, 0.01f, 0.012f), white = linear(0.88f, 0.88f, 0.86f), w;
  w = draw_tone(p, wood, 1, 1);
  set(p, M_WOOD, T_WOOD, w, black);
  set(p, M_WOOD2, T_WOOD, draw_tone(p, wood, 1.1f, 0.68f), black);
  set(p, M_DOOR, T_DOOR,
      random_below(p->random, 2) ? vec_scale(white, 0.9f) : draw_tone(p, wood, 1, 0.85f), black);
  set(p, M_WHITE, T_PLAIN, white, black);
  set(p, M_TRIM, T_PLAIN, linear(0.85f, 0.84f, 0.8f), black);
  set(p, M_METAL, T_PLAIN, linear(0.62f, 0.63f, 0.65f), black);
  set(p, M_STEEL, T_PLAIN, linear(0.5f, 0.52f, 0.54f), black);
  set(p, M_DARK, T_PLAIN, linear(0.16f, 0.16f, 0.17f), black);
  set_pair(p, M_FABRIC, T_CLOTH, fabric, 1, 1, 1, 1.2f);
  set_pair(p, M_FABRIC2, T_CLOTH, fabric, 1, 0.85f, 1, 1.1f);
  set(p, M_LINEN, T_CLOTH, draw_tone(p, fabric, 0.15f, 1.4f), white);
  set_pair(p, M_PILLOW, T_CLOTH, fabric, 0.8f, 1.3f, 1.2f, 0.8f);
  set_pair(p, M_CURTAIN, T_FOLDS, fabric, 0.9f, 1.2f, 1, 0.8f);
  set(p, M_BAG, T_CLOTH, draw_tone(p, fabric, 1.4f, 0.6f), black);
  set_pair(p, M_CLOTHES, T_CLOTH, fabric, 1.3f, 1, 1, 0.6f);
  set_pair(p, M_RUG, T_RUG, fabric, 1.1f, 0.8f, 0.7f, 1.3f);
}

static void paint_things(painter *p) {
  asl_vec black = vec(0.01f, 0.01f, 0.012f);
  set(p, M_BLINDS, T_SLATS, linear(0.82f, 0.82f, 0.8f), black);
  set(p, M_PICTURE, T_PICTURE, black, black);
  set(p, M_BOARD, T_BOARD, linear(0.93f, 0.94f, 0.95f), linear(0.1f, 0.15f, 0.5f));
  set(p, M_MIRROR, T_MIRROR, linear(0.6f, 0.67f, 0.7f), black);
  set(p, M_BOOKS, T_BOOKS, black, black);
  set(p, M_PAPER, T_PAPER, linear(0.92f, 0.92f, 0.9f), linear(0.2f, 0.2f, 0.22f));
  set(p, M_CARDBOARD, T_CARDBOARD, linear(0.66f, 0.5f, 0.34f), linear(0.75f, 0.65f, 0.5f));
  set(p, M_LEAVES, T_LEAVES, linear(0.15f, 0.33f, 0.12f), linear(0.4f, 0.6f, 0.25f));
  set(p, M_POT, T_PLAIN, linear(0.6f, 0.38f, 0.28f), black);
}

/* Radiances are chosen against the exposure: a lamp that is on is just brighter than white. */
static void paint_lights(painter *p, const asl_rooms_domain *d) {
  asl_scene *scene = p->scene;
  float unit = 1 / scene->exposure, warm = d->light_warmth;
  asl_vec lamp = vec(1, 1 - 0.12f * most(warm, 0), 1 - 0.35f * most(warm, 0)),
          off = linear(0.85f, 0.83f, 0.78f);
  asl_vec none = vec(0, 0, 0);
  set(p, M_LAMP, T_GLOW, d->light_lamp > 0 ? vec_scale(lamp, 1.6f * unit) : none, off);
  set(p, M_SHADE, T_GLOW, d->light_side > 0 ? vec_scale(lamp, 1.1f * unit) : none, off);
  asl_vec sky = vec_mix(vec(0.5f, 0.7f, 1.3f), vec(1, 1, 1),
                        clampf(2 * d->light_sky, 0, 1)); /* blue at night */
  set(p, M_OUTSIDE, T_OUTSIDE, vec_scale(sky, least(1.1f, 2 * d->light_sky) * unit), none);
  set(p, M_SCREEN, T_SCREEN, linear(0.13f, 0.14f, 0.16f), vec_scale(vec(1, 1, 1), 0.7f * unit));
}

void asl_rooms_paint(asl_scene *scene, const asl_rooms_domain *domain, asl_rooms_random *random) {
  painter p = {scene, random, domain->texture_contrast};
  paint_shell(&p, domain);
  paint_furniture(&p, domain);
  paint_things(&p);
  paint_lights(&p, domain);
}
