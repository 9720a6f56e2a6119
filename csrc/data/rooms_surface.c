/* What surfaces look like: the materials of a room and procedural textures.
 *
 * A texture is a function of the point on the surface and of the footprint of a pixel there: detail
 * smaller than the footprint fades to its mean instead of aliasing, so pictures of one surface from
 * two cameras agree. Reflectances are linear, (sRGB value)^2. */
#include "data/rooms_scene.h"

typedef struct texel {
  float u, v;   /* metres from the middle of the face */
  float hu, hv; /* half size of the face */
  float foot;   /* footprint of the pixel, metres */
  uint32_t seed;
  bool level; /* the face looks up or down */
} texel;

/* ---- tools -------------------------------------------------------------------------------- */
static asl_vec square(asl_vec c) { return vec_mul(c, c); }

asl_vec asl_rooms_hsv(float hue, float saturation, float value) { /* hue in turns; linear result */
  float h = (hue - floorf(hue)) * 6;
  float r = clampf(fabsf(h - 3) - 1, 0, 1), g = clampf(2 - fabsf(h - 2), 0, 1),
        b = clampf(2 - fabsf(h - 4), 0, 1);
  asl_vec colour =
      vec(1 - saturation * (1 - r), 1 - saturation * (1 - g), 1 - saturation * (1 - b));
  return square(vec_scale(colour, value));
}

static float hash_unit(uint32_t a, uint32_t b, uint32_t c) { return asl_uniform(hash3(a, b, c)); }

static float lattice(int x, int y, uint32_t seed) {
  return (float)(int32_t)hash3((uint32_t)x, (uint32_t)y, seed) * 0x1p-31f;
}

/* Value noise in [-1, 1] with features of size 1. */
static float noise(float x, float y, uint32_t seed) {
  float fx = floorf(x), fy = floorf(y), a = x - fx, b = y - fy;
  int i = (int)fx, j = (int)fy;
  a = a * a * (3 - 2 * a);
  b = b * b * (3 - 2 * b);
  float p = lattice(i, j, seed), q = lattice(i + 1, j, seed), r = lattice(i, j + 1, seed),
        s = lattice(i + 1, j + 1, seed);
  float top = p + (q - p) * a, bottom = r + (s - r) * a;
  return top + (bottom - top) * b;
}

/* How much of detail of a given size a pixel still shows. */
static float shown(float size, float foot) { return clampf(1.5f * size / foot - 0.5f, 0, 1); }

static float grain(const texel *t, float su, float sv, uint32_t salt) {
  float k = shown(least(su, sv), t->foot);
  return k > 0 ? k * noise(t->u / su, t->v / sv, t->seed + salt) : 0;
}

/* Share of the pixel a line of a width covers whose middle is `d` away. */
static float line(float d, float width, float foot) {
  float f = foot > 1e-4f ? foot : 1e-4f;
  return clampf((width / 2 - fabsf(d)) / f + 0.5f, 0, 1) * least(1, width / f);
}

/* Distance to the nearest multiple of `period`. */
static float near_multiple(float x, float period) { return x - period * floorf(x / period + 0.5f); }

static float step_edge(float d, float foot) { /* 0 below, 1 above, soft over the footprint */
  return clampf(d / most(foot, 1e-4f) + 0.5f, 0, 1);
}

static asl_vec shade(asl_vec colour, float k) { return vec_scale(colour, most(k, 0.05f)); }

/* ---- textures ----------------------------------------------------------------------------- */
static asl_vec wood(const asl_material *m, const texel *t) {
  bool along_v = t->hv > t->hu;
  texel g = *t;
  if (along_v) {
    g.u = t->v;
    g.v = t->u;
  }
  float k = 0.16f * grain(&g, 0.5f, 0.02f, 1) + 0.1f * grain(&g, 0.9f, 0.09f, 2);
  return shade(m->colour, 1 + m->grain * k);
}

static asl_vec planks(const asl_material *m, const texel *t) {
  const float width = 0.13f, length = 1.4f;
  float row = floorf(t->v / width), shift = length * hash_unit((uint32_t)(int)row, 7, t->seed);
  float board = floorf((t->u + shift) / length);
  float tone = hash_unit((uint32_t)(int)row, (uint32_t)(int)board, t->seed) - 0.5f;
  float gap = most(line(near_multiple(t->v, width), 0.008f, t->foot),
                   line(near_multiple(t->u + shift, length), 0.008f, t->foot));
  float k = 0.4f * tone * shown(width, t->foot) + 0.15f * grain(t, 0.4f, 0.025f, 3);
  return vec_mix(shade(m->colour, 1 + m->grain * k), m->second, gap * least(m->grain, 1));
}

static asl_vec tiles(const asl_material *m, const texel *t) {
  const float size = m->seed & 1 ? 0.3f : 0.5f;
  float i = floorf(t->u / size), j = floorf(t->v / size);
  float tone = hash_unit((uint32_t)(int)i, (uint32_t)(int)j, t->seed) - 0.5f;
  if (m->seed & 2) tone += ((int)i + (int)j) & 1 ? 0.8f : -0.8f; /* chequered */
  float gap = most(line(near_multiple(t->v, size), 0.012f, t->foot),
                   line(near_multiple(t->u, size), 0.012f, t->foot));
  float k = 0.3f * tone * shown(size, t->foot) + 0.08f * grain(t, 0.1f, 0.1f, 4);
  return vec_mix(shade(m->colour, 1 + m->grain * k), m->second, gap * least(m->grain, 1));
}

static asl_vec carpet(const asl_material *m, const texel *t) {
  float k = 0.3f * grain(t, 0.025f, 0.025f, 5) + 0.15f * grain(t, 0.15f, 0.15f, 6) +
            0.1f * grain(t, 0.8f, 0.8f, 7);
  return shade(m->colour, 1 + m->grain * k);
}

static asl_vec cloth(const asl_material *m, const texel *t) {
  float k = 0.12f * grain(t, 0.012f, 0.012f, 8) + 0.14f * grain(t, 0.16f, 0.1f, 9);
  asl_vec c = shade(m->colour, 1 + m->grain * k);
  if (m->seed % 3 == 0) { /* woven stripes */
    float s = line(near_multiple(t->u, 0.24f), 0.06f, t->foot);
    c = vec_mix(c, m->second, 0.7f * s * least(m->grain, 1));
  }
  return c;
}

static asl_vec plain(const asl_material *m, const texel *t) {
  float k = 0.04f * grain(t, 0.05f, 0.05f, 10) + 0.06f * grain(t, 0.6f, 0.6f, 11);
  return shade(m->colour, 1 + m->grain * k);
}

static asl_vec stripes(const asl_material *m, const texel *t) {
  float s = line(near_multiple(t->u, 0.26f), 0.13f, t->foot),
        k = 0.05f * grain(t, 0.04f, 0.04f, 12);
  float f = line(near_multiple(t->u, 0.26f), 0.02f, t->foot) *
            line(near_multiple(t->v, 0.18f), 0.05f, t->foot);
  asl_vec c = vec_mix(m->colour, m->second, s * least(m->grain, 1));
  return shade(vec_mix(c, m->colour, f), 1 + m->grain * k);
}

static asl_vec bricks(const asl_material *m, const texel *t) {
  const float h = 0.08f, w = 0.24f;
  float row = floorf(t->v / h), u = t->u + 0.5f * w * (float)((int)row & 1), column = floorf(u / w);
  float tone = hash_unit((uint32_t)(int)row, (uint32_t)(int)column, t->seed) - 0.5f;
  float gap = most(line(near_multiple(t->v, h), 0.014f, t->foot),
                   line(near_multiple(u, w), 0.014f, t->foot));
  float k = 0.45f * tone * shown(h, t->foot) + 0.15f * grain(t, 0.03f, 0.03f, 13);
  return vec_mix(shade(m->colour, 1 + m->grain * k), m->second, 0.7f * gap * least(m->grain, 1));
}

static asl_vec panels(const asl_material *m, const texel *t) { /* v = height above the floor here */
  if (t->v > 1.0f) return shade(plain(m, t), 1 - 0.4f * line(t->v - 1.02f, 0.04f, t->foot));
  float groove = line(near_multiple(t->u, 0.16f), 0.012f, t->foot);
  float k = 1 - 0.45f * least(m->grain, 1) * groove + m->grain * 0.06f * grain(t, 0.02f, 0.4f, 14);
  return shade(m->second, k);
}

static asl_vec folds(const asl_material *m, const texel *t) {
  float period = 0.11f, x = t->u + 0.012f * noise(t->v * 1.5f, t->u * 3, t->seed);
  float a = fabsf(near_multiple(x, period)) / (period / 2);
  a = a * a * (3 - 2 * a);
  float k = 0.78f + 0.4f * (a - 0.5f) * shown(period, t->foot);
  asl_vec c = m->colour;
  if (m->seed & 1)
    c = vec_mix(c, m->second, line(near_multiple(x, 4 * period), 1.5f * period, t->foot));
  return shade(c, k);
}

static asl_vec slats(const asl_material *m, const texel *t) {
  float period = 0.05f, a = t->v / period - floorf(t->v / period);
  float k = 0.85f + (0.5f * a - 0.3f) * shown(period, t->foot);
  return shade(m->colour, k);
}

static asl_vec door_leaf(const asl_material *m, const texel *t) {
  if (m->seed % 3 == 0) return wood(m, t);
  float edge = 0;
  for (int i = 0; i < 2; i++) { /* two recessed panels */
    float hv = i ? 0.42f * t->hv : 0.3f * t->hv, cv = i ? -0.42f * t->hv : 0.5f * t->hv;
    float du = fabsf(t->u) - 0.68f * t->hu, dv = fabsf(t->v - cv) - hv;
    edge = most(edge, line(most(du, dv), 0.03f, t->foot));
  }
  return shade(wood(m, t), 1 - 0.35f * edge);
}

static asl_vec picture(const asl_material *m, const texel *t) {
  float margin = 0.12f * least(t->hu, t->hv), u = t->u / (t->hu - margin),
        v = t->v / (t->hv - margin);
  float f = t->foot / t->hu;
  if (fabsf(u) > 1 || fabsf(v) > 1) return vec(0.8f, 0.78f, 0.72f);
  float hue = hash_unit(t->seed, 1, 0);
  switch (hash3(t->seed, 2, 0) % 3) {
  case 0: { /* hills under a sky, with a sun */
    asl_vec sky = vec_mix(asl_rooms_hsv(0.1f, 0.3f, 0.95f), asl_rooms_hsv(0.58f, 0.5f, 0.85f),
                          clampf(v, 0, 1));
    float sx = u - 0.4f, sy = v - 0.5f, sun = step_edge(0.2f - sqrtf(sx * sx + sy * sy), f);
    asl_vec c = vec_mix(sky, asl_rooms_hsv(0.08f, 0.6f, 1), sun);
    for (int i = 0; i < 3; i++) {
      float top = 0.1f - 0.35f * (float)i + 0.3f * noise(u * 1.5f + 9 * (float)i, 0.5f, t->seed);
      c = vec_mix(c, asl_rooms_hsv(hue * 0.4f + 0.1f * (float)i, 0.55f, 0.65f - 0.15f * (float)i),
                  step_edge(top - v, f));
    }
    return c;
  }
  case 1: { /* blocks of colour */
    asl_vec c = asl_rooms_hsv(hue, 0.15f, 0.9f);
    for (uint32_t i = 3; i < 8; i++) {
      float x = 2 * hash_unit(t->seed, i, 1) - 1, y = 2 * hash_unit(t->seed, i, 2) - 1;
      float w = 0.15f + 0.5f * hash_unit(t->seed, i, 3),
            h = 0.15f + 0.5f * hash_unit(t->seed, i, 4);
      float in = step_edge(w - fabsf(u - x), f) * step_edge(h - fabsf(v - y), f);
      c = vec_mix(c, asl_rooms_hsv(hue + 0.37f * (float)i, 0.75f, 0.8f), in);
    }
    return c;
  }
  default: { /* a head */
    asl_vec c = shade(asl_rooms_hsv(hue, 0.4f, 0.45f), 1 + 0.2f * noise(2 * u, 2 * v, t->seed));
    float x = u / 0.36f, y = (v - 0.2f) / 0.45f, head = step_edge(1 - sqrtf(x * x + y * y), 3 * f);
    float bx = u / 0.75f, by = (v + 1.1f) / 0.8f,
          body = step_edge(1 - sqrtf(bx * bx + by * by), 3 * f);
    c = vec_mix(c, asl_rooms_hsv(hue + 0.5f, 0.5f, 0.4f), body);
    return vec_mix(c, asl_rooms_hsv(0.07f, 0.4f, 0.85f), head);
  }
  }
  (void)m;
}

static asl_vec books(const texel *t) {
  if (t->level) return vec(0.5f, 0.47f, 0.4f);
  const float width = 0.034f;
  float i = floorf(t->u / width), a = t->u / width - i;
  uint32_t book = hash3((uint32_t)(int)i, t->seed, 21);
  asl_vec c = asl_rooms_hsv(asl_uniform(book), 0.15f + 0.45f * hash_unit(book, 1, 0),
                            0.3f + 0.55f * hash_unit(book, 2, 0));
  float v = t->v / t->hv, top = 1 - 0.22f * hash_unit(book, 3, 0);
  if (v > top) return vec(0.02f, 0.02f, 0.02f);
  float round = 0.7f + 1.2f * a * (1 - a);
  c = shade(c, 1 + (round - 1) * shown(width, t->foot));
  float band = line(v - 0.45f, 0.25f, t->foot / t->hv) * (float)(book & 1);
  asl_vec mean = vec(0.16f, 0.14f, 0.12f);
  return vec_mix(mean, vec_mix(c, vec(0.75f, 0.7f, 0.55f), 0.7f * band),
                 0.35f + 0.65f * shown(width, t->foot));
}

static asl_vec written(const asl_material *m, const texel *t, float pitch, float margin) {
  asl_vec c = m->colour;
  float row = floorf(t->v / pitch), d = near_multiple(t->v - pitch / 2, pitch);
  float right = t->hu * (0.2f + 0.7f * hash_unit((uint32_t)(int)row, t->seed, 31));
  if (fabsf(t->v) > t->hv - margin || t->u < margin - t->hu || t->u > right) return c;
  float word = noise(t->u / (1.2f * pitch), row * 3.7f, t->seed) > -0.35f ? 1 : 0;
  if (hash_unit((uint32_t)(int)row, t->seed, 32) < 0.25f) return c;
  return vec_mix(c, m->second, 0.8f * word * line(d, 0.35f * pitch, t->foot));
}

static asl_vec board(const asl_material *m, const texel *t) {
  asl_vec c = written(m, t, 0.11f, 0.15f);
  float x = t->u - 0.55f * t->hu, y = t->v - 0.1f * t->hv, r = sqrtf(x * x + y * y); /* a sketch */
  float ring = line(r - 0.16f, 0.02f, t->foot),
        axis = line(y + 0.22f, 0.02f, t->foot) * (fabsf(x) < 0.25f);
  return vec_mix(c, vec(0.5f, 0.05f, 0.05f), 0.8f * most(ring, axis));
}

static asl_vec cardboard(const asl_material *m, const texel *t) {
  asl_vec c = shade(m->colour, (0.85f + 0.4f * hash_unit(t->seed, 41, 0)) *
                                   (1 + m->grain * 0.08f * grain(t, 0.06f, 0.06f, 15)));
  float tape = line(t->level ? t->v : t->u, 0.05f, t->foot) * (t->level || t->v > 0.3f * t->hv);
  return vec_mix(c, m->second, 0.7f * tape);
}

static asl_vec rug(const asl_material *m, const texel *t) {
  float edge = least(t->hu - fabsf(t->u), t->hv - fabsf(t->v));
  float border = line(edge - 0.12f, 0.1f, t->foot);
  float diamond = fabsf(near_multiple(t->u, 0.5f)) + fabsf(near_multiple(t->v, 0.5f));
  float mark = edge > 0.2f ? line(diamond - 0.16f, 0.07f, t->foot) : 0;
  float k = 0.2f * grain(t, 0.02f, 0.02f, 16) + 0.1f * grain(t, 0.2f, 0.2f, 17);
  asl_vec c = vec_mix(m->colour, m->second, most(border, 0.8f * mark) * least(m->grain, 1));
  return shade(c, 1 + m->grain * k);
}

static asl_vec leaves(const asl_material *m, const texel *t) {
  float a = noise(t->u / 0.05f, t->v / 0.04f, t->seed),
        b = noise(t->u / 0.11f, t->v / 0.11f, t->seed + 1);
  float k = 0.5f * a * shown(0.05f, t->foot) + 0.3f * b * shown(0.1f, t->foot);
  return vec_mix(m->colour, m->second, clampf(0.5f + k, 0, 1));
}

static asl_vec screen(const asl_material *m, const texel *t, asl_vec *glow) {
  asl_vec c = shade(m->colour, 1 + 0.8f * (t->u / t->hu + t->v / t->hv) / 2);
  if (hash3(t->seed, 51, 0) % 3 == 0) return c; /* off */
  float u = t->u / t->hu, v = t->v / t->hv, f = t->foot / t->hu;
  float list = step_edge(-0.45f - u, f), head = step_edge(v - 0.82f, f);
  asl_vec page = vec_mix(vec(0.5f, 0.55f, 0.6f),
                         asl_rooms_hsv(hash_unit(t->seed, 52, 0), 0.5f, 0.6f), most(list, head));
  float text = line(near_multiple(t->v, 0.03f), 0.012f, t->foot) *
               (noise(t->u / 0.03f, floorf(t->v / 0.03f), t->seed) > -0.2f);
  *glow = vec_mul(m->second, vec_mix(page, vec(0.08f, 0.08f, 0.1f), 0.7f * text * (1 - head)));
  return c;
}

/* The view out of a window: painted on its pane, like a back-lit picture, so that optical flow and
 * depth of the pane describe it exactly. */
static asl_vec outside(const asl_material *m, const texel *t) {
  float v = t->v / t->hv, sky_mix = clampf(0.5f + 0.5f * v, 0, 1), f = t->foot / t->hv;
  asl_vec c = vec_mix(vec(0.95f, 0.97f, 1.0f), vec(0.45f, 0.68f, 1.0f), sky_mix);
  float cloud = clampf(0.5f + 0.9f * noise(t->u * 1.6f, t->v * 4, m->seed + 1), 0, 1);
  c = vec_mix(c, vec(1, 1, 1), 0.6f * cloud);
  float house = hash_unit((uint32_t)(int)floorf(t->u / 0.35f + 50), m->seed, 61),
        roof = -0.45f + 0.5f * house;
  asl_vec wall = vec_scale(asl_rooms_hsv(0.06f + 0.05f * house, 0.25f, 0.75f), 0.6f);
  float pane = line(near_multiple(t->u, 0.09f), 0.04f, t->foot) *
               line(near_multiple(t->v, 0.12f), 0.06f, t->foot);
  if (m->seed & 1)
    c = vec_mix(c, vec_mix(wall, vec(0.1f, 0.12f, 0.16f), pane), step_edge(roof - v, f));
  float tree = -0.55f + 0.35f * noise(t->u * 2.2f, 0.3f, m->seed + 2) +
               0.1f * noise(t->u * 14, t->v * 14, m->seed + 3);
  asl_vec green =
      vec_scale(vec(0.16f, 0.3f, 0.08f), 1 + 0.5f * noise(t->u * 16, t->v * 16, m->seed + 4));
  c = vec_mix(c, green, step_edge(tree - v, f));
  return vec_mul(c, m->colour);
}

/* ---- dispatch ----------------------------------------------------------------------------- */
static int material_of(const asl_scene *scene, asl_surface surface) {
  int part = surface_part(surface), face = surface_face(surface);
  return part >= 0   ? scene->part[part].material
         : face == 4 ? M_FLOOR
         : face == 5 ? M_CEILING
                     : M_WALL;
}

static texel texel_at(const asl_scene *scene, asl_surface surface, asl_vec p, float foot,
                      uint32_t seed) {
  int part = surface_part(surface), axis = surface_face(surface) / 2;
  asl_vec h = part < 0 ? scene->half : scene->part[part].half;
  texel t = {.foot = foot, .seed = seed, .level = axis == 2};
  if (part >= 0) t.seed = hash3(seed, (uint32_t)part, 71);
  bool round = part >= 0 && scene->part[part].solid != SOLID_BOX && axis == 0;
  if (round) t.u = p.x + p.y, t.v = p.z, t.hu = h.x, t.hv = h.z;
  else if (axis == 0) t.u = p.y, t.v = p.z, t.hu = h.y, t.hv = h.z;
  else if (axis == 1) t.u = p.x, t.v = p.z, t.hu = h.x, t.hv = h.z;
  else t.u = p.x, t.v = p.y, t.hu = h.x, t.hv = h.y;
  return t;
}

asl_vec asl_rooms_reflectance(const asl_scene *scene, asl_surface surface, asl_vec local,
                              float footprint, asl_vec *glow) {
  const asl_material *m = &scene->material[material_of(scene, surface)];
  texel t = texel_at(scene, surface, local, footprint, m->seed);
  *glow = vec(0, 0, 0);
  if (surface < 4 && local.z < 0.08f) return scene->material[M_TRIM].colour; /* skirting board */
  switch (m->texture) {
  case T_WOOD: return wood(m, &t);
  case T_PLANKS: return planks(m, &t);
  case T_TILES: return tiles(m, &t);
  case T_CARPET: return carpet(m, &t);
  case T_CLOTH: return cloth(m, &t);
  case T_STRIPES: return stripes(m, &t);
  case T_BRICKS: return bricks(m, &t);
  case T_PANELS: return panels(m, &t);
  case T_FOLDS: return folds(m, &t);
  case T_SLATS: return slats(m, &t);
  case T_DOOR: return door_leaf(m, &t);
  case T_PICTURE: return picture(m, &t);
  case T_SCREEN: return screen(m, &t, glow);
  case T_BOARD: return board(m, &t);
  case T_MIRROR: return shade(m->colour, 1 + 0.35f * (t.u / t.hu + t.v / t.hv) / 2);
  case T_BOOKS: return books(&t);
  case T_PAPER: return written(m, &t, 0.028f, 0.02f);
  case T_CARDBOARD: return cardboard(m, &t);
  case T_RUG: return rug(m, &t);
  case T_LEAVES: return leaves(m, &t);
  case T_OUTSIDE: *glow = outside(m, &t); return vec(0.03f, 0.03f, 0.03f);
  case T_GLOW: *glow = m->colour; return m->second;
  default: return plain(m, &t);
  }
}
