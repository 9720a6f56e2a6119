/* Layout: which furniture stands where in a room, and what lights it.
 *
 * Furniture is placed one piece after the other. A piece that finds no free place after a few tries
 * is left out. Free means: its footprint overlaps no other footprint, the floor kept free in front
 * of things stays free, and on the walls nothing overlaps (a window may be above a low cabinet). */
#include <string.h>

#include "data/rooms_scene.h"

typedef struct rect {
  float x0, x1, y0, y1;
} rect;

typedef struct spot { /* where a piece was put */
  int wall;           /* 0..3, quarter turns of its frame */
  float u, w, d;      /* middle along the wall, size */
  asl_vec origin;     /* middle of its back edge */
} spot;

enum { FOOTPRINTS = 96, WALL_RECTS = 96, TRIES = 14 };

typedef struct layout {
  asl_scene *scene;
  const asl_rooms_domain *domain;
  asl_rooms_random random;
  rect body[FOOTPRINTS], zone[FOOTPRINTS]; /* zone: floor to be kept free */
  int bodies, zones;
  struct {
    int wall;
    rect area; /* x along the wall, y up */
  } on_wall[WALL_RECTS];
  int wall_rects;
} layout;

static const float turn_cosine[4] = {1, 0, -1, 0}, turn_sine[4] = {0, 1, 0, -1};

static bool overlap(rect a, rect b) {
  return a.x0 < b.x1 && b.x0 < a.x1 && a.y0 < b.y1 && b.y0 < a.y1;
}

static bool overlaps_any(rect a, const rect *list, int n) {
  for (int i = 0; i < n; i++)
    if (overlap(a, list[i])) return true;
  return false;
}

static bool wall_taken(const layout *l, int wall, rect area) {
  for (int i = 0; i < l->wall_rects; i++)
    if (l->on_wall[i].wall == wall && overlap(area, l->on_wall[i].area)) return true;
  return false;
}

static void take_wall(layout *l, int wall, rect area) {
  if (l->wall_rects == WALL_RECTS) return;
  l->on_wall[l->wall_rects].wall = wall;
  l->on_wall[l->wall_rects++].area = area;
}

static void take_floor(layout *l, rect body, rect zone) {
  if (l->bodies < FOOTPRINTS) l->body[l->bodies++] = body;
  if (l->zones < FOOTPRINTS) l->zone[l->zones++] = zone;
}

static float wall_half(const layout *l, int wall) { /* half its length */
  return wall % 2 ? l->scene->half.y : l->scene->half.x;
}

/* The point at (u along the wall, v into the room, z up) of a wall. */
static asl_vec wall_point(const layout *l, int wall, float u, float v, float z) {
  float c = turn_cosine[wall], s = turn_sine[wall];
  float to_wall = wall % 2 ? l->scene->half.x : l->scene->half.y;
  float in = v - to_wall;
  return vec(u * c - in * s, u * s + in * c, z);
}

static rect floor_rect(asl_vec a, asl_vec b) { /* from opposite corners */
  return (rect){least(a.x, b.x), most(a.x, b.x), least(a.y, b.y), most(a.y, b.y)};
}

static void build(layout *l, const asl_piece *piece, asl_vec origin, float c, float s, float w,
                  float d, float h) {
  asl_rooms_begin(l->scene, origin, c, s);
  piece->build(l->scene, &l->random, w, d, h);
  asl_rooms_top(l->scene, &l->random, piece->top, w, d, h, l->domain->layout_clutter);
  asl_rooms_end(l->scene);
}

static float draw(layout *l, const float range[2]) {
  return random_range(&l->random, range[0], range[1]);
}

static bool likely(layout *l, float chance) { return random_uniform(&l->random) < chance; }

/* One try to stand a piece at `u` of a wall. */
static bool stand_at(layout *l, const asl_piece *piece, int wall, float u, float w, float d,
                     float h, spot *out) {
  const float gap = 0.02f;
  if (fabsf(u) + w / 2 > wall_half(l, wall) - gap) return false;
  rect body = floor_rect(wall_point(l, wall, u - w / 2, gap, 0),
                         wall_point(l, wall, u + w / 2, gap + d, 0));
  rect zone = floor_rect(wall_point(l, wall, u - w / 2, gap + d, 0),
                         wall_point(l, wall, u + w / 2, gap + d + piece->front, 0));
  rect area = {u - w / 2, u + w / 2, 0, h};
  if (overlaps_any(body, l->body, l->bodies) || overlaps_any(body, l->zone, l->zones) ||
      overlaps_any(zone, l->body, l->bodies) || wall_taken(l, wall, area))
    return false;
  take_floor(l, body, zone);
  take_wall(l, wall, area);
  *out = (spot){wall, u, w, d, wall_point(l, wall, u, gap, 0)};
  build(l, piece, out->origin, turn_cosine[wall], turn_sine[wall], w, d, h);
  return true;
}

/* Stands a piece at some free place of a wall; wall -1 = any. */
static bool stand(layout *l, int which, int wall, spot *out) {
  const asl_piece *piece = &asl_rooms_pieces[which];
  float w = draw(l, piece->w), d = draw(l, piece->d),
        h = least(draw(l, piece->h), 2 * l->scene->half.z);
  for (int i = 0; i < TRIES; i++) {
    int k = wall < 0 ? random_below(&l->random, 4) : wall;
    float reach = wall_half(l, k) - w / 2 - 0.03f;
    float u = random_range(&l->random, -1, 1) * reach;
    if (i % 2) u = u < 0 ? -reach : reach; /* corners waste no wall */
    if (reach >= 0 && stand_at(l, piece, k, u, w, d, h, out)) return true;
    if (i > TRIES / 2) w = most(piece->w[0], 0.85f * w);
  }
  return false;
}

/* Stands a piece on the floor at `origin` (middle of its back edge), turned by (c, s). */
static bool stand_free(layout *l, int which, asl_vec origin, float c, float s, float w, float d) {
  const asl_piece *piece = &asl_rooms_pieces[which];
  float mx = origin.x - s * d / 2, my = origin.y + c * d / 2;
  float rx = fabsf(c) * w / 2 + fabsf(s) * d / 2, ry = fabsf(s) * w / 2 + fabsf(c) * d / 2;
  rect body = {mx - rx, mx + rx, my - ry, my + ry};
  asl_vec half = l->scene->half;
  if (body.x0 < 0.05f - half.x || body.x1 > half.x - 0.05f || body.y0 < 0.05f - half.y ||
      body.y1 > half.y - 0.05f || overlaps_any(body, l->body, l->bodies))
    return false;
  take_floor(l, body, (rect){0});
  build(l, piece, origin, c, s, w, d, draw(l, piece->h));
  return true;
}

/* Hangs a piece on a wall at height z, u drawn unless given; deep things keep off what is below. */
static bool hang(layout *l, int which, int wall, spot *out) {
  const asl_piece *piece = &asl_rooms_pieces[which];
  float w = draw(l, piece->w), d = draw(l, piece->d), h = draw(l, piece->h), z = draw(l, piece->z);
  for (int i = 0; i < TRIES; i++) {
    int k = wall < 0 ? random_below(&l->random, 4) : wall;
    float reach = wall_half(l, k) - w / 2 - 0.1f;
    float u = random_range(&l->random, -1, 1) * reach;
    rect area = {u - w / 2 - 0.05f, u + w / 2 + 0.05f, z, z + h};
    rect zone =
        floor_rect(wall_point(l, k, u - w / 2, 0, 0), wall_point(l, k, u + w / 2, piece->front, 0));
    bool on_floor = piece->front > 0;
    if (reach < 0 || wall_taken(l, k, area) || (on_floor && overlaps_any(zone, l->body, l->bodies)))
      continue;
    take_wall(l, k, area);
    if (on_floor && l->zones < FOOTPRINTS) l->zone[l->zones++] = zone;
    *out = (spot){k, u, w, d, wall_point(l, k, u, 0, z)};
    build(l, piece, out->origin, turn_cosine[k], turn_sine[k], w, d, h);
    return true;
  }
  return false;
}

/* ---- openings ----------------------------------------------------------------------------- */
static void hang_at(layout *l, int which, const spot *at, float z, float w, float h) {
  const asl_piece *piece = &asl_rooms_pieces[which];
  asl_vec origin = vec(at->origin.x, at->origin.y, z);
  build(l, piece, origin, turn_cosine[at->wall], turn_sine[at->wall], w, piece->d[0], h);
}

static void add_window(layout *l, bool office) {
  spot at;
  asl_scene *scene = l->scene;
  int before = scene->objects;
  if (!hang(l, P_WINDOW, -1, &at)) return;
  const asl_object *object = &scene->object[before];
  float w = at.w, h = object->hi.z, z = at.origin.z, frame = 0.06f;
  asl_window *window = &scene->window[scene->windows++];
  window->normal = vec(-turn_sine[at.wall], turn_cosine[at.wall], 0);
  window->across = vec(turn_cosine[at.wall], turn_sine[at.wall], 0);
  window->centre =
      vec_add(vec(at.origin.x, at.origin.y, z + h / 2), vec_scale(window->normal, 0.02f));
  window->half_width = w / 2 - frame;
  window->half_height = h / 2 - frame;
  /* what hangs in front of it covers some wall on both sides and above */
  take_wall(l, at.wall, (rect){at.u - w / 2 - 0.3f, at.u + w / 2 + 0.3f, z, z + h + 0.2f});
  if (likely(l, office ? 0.7f : 0.25f)) {
    float part = random_range(&l->random, 0.25f, 0.6f) * h;
    asl_vec out = vec_scale(window->normal, 0.06f);
    at.origin = vec_add(at.origin, out);
    hang_at(l, P_BLINDS, &at, z + h - part, w, part);
    window->half_height -= part / 2; /* light comes through below them */
    window->centre.z -= part / 2;
  } else if (likely(l, office ? 0.2f : 0.85f)) {
    hang_at(l, P_CURTAIN, &at, z + 0.04f, w, h + 0.12f);
    window->half_width *= 0.6f;
  }
}

/* ---- groups of furniture ------------------------------------------------------------------ */
static asl_vec in_front(const layout *l, const spot *at, float v, float side) {
  return wall_point(l, at->wall, at->u + side, 0.02f + v, 0);
}

static void add_bed(layout *l) {
  spot bed, stand_spot;
  if (!stand(l, P_BED, -1, &bed)) return;
  const asl_piece *piece = &asl_rooms_pieces[P_NIGHT_STAND];
  for (int side = -1; side <= 1; side += 2) {
    float w = draw(l, piece->w), d = draw(l, piece->d), h = draw(l, piece->h);
    if (likely(l, 0.45f + 0.5f * l->domain->layout_clutter))
      stand_at(l, piece, bed.wall, bed.u + (float)side * (bed.w / 2 + w / 2 + 0.06f), w, d, h,
               &stand_spot);
  }
}

static void lay_rug(layout *l, asl_vec middle, int quarter) {
  const asl_piece *piece = &asl_rooms_pieces[P_RUG];
  float w = draw(l, piece->w), d = draw(l, piece->d), c = turn_cosine[quarter],
        s = turn_sine[quarter];
  float rx = (fabsf(c) * w + fabsf(s) * d) / 2, ry = (fabsf(s) * w + fabsf(c) * d) / 2;
  asl_vec half = l->scene->half;
  if (rx > half.x - 0.1f || ry > half.y - 0.1f) return;
  middle.x = clampf(middle.x, rx + 0.05f - half.x, half.x - 0.05f - rx);
  middle.y = clampf(middle.y, ry + 0.05f - half.y, half.y - 0.05f - ry);
  build(l, piece, vec(middle.x + s * d / 2, middle.y - c * d / 2, 0), c, s, w, d,
        draw(l, piece->h));
}

static void add_sofa(layout *l) {
  spot sofa, other;
  if (!stand(l, P_SOFA, -1, &sofa)) return;
  int quarter = sofa.wall;
  const asl_piece *low = &asl_rooms_pieces[P_LOW_TABLE];
  float w = draw(l, low->w), d = draw(l, low->d);
  asl_vec middle = in_front(l, &sofa, sofa.d + 0.4f + d / 2, 0);
  if (likely(l, 0.7f)) lay_rug(l, middle, quarter);
  stand_free(l, P_LOW_TABLE, in_front(l, &sofa, sofa.d + 0.42f, 0), turn_cosine[quarter],
             turn_sine[quarter], w, d);
  if (!stand(l, P_LOWBOARD, (sofa.wall + 2) % 4, &other))
    hang(l, P_TELEVISION, (sofa.wall + 2) % 4, &other);
}

static void add_desk(layout *l) {
  spot desk;
  if (!stand(l, P_DESK, -1, &desk)) return;
  const asl_piece *piece = &asl_rooms_pieces[P_OFFICE_CHAIR];
  float w = draw(l, piece->w), d = draw(l, piece->d),
        side = random_range(&l->random, -0.2f, 0.2f) * desk.w;
  /* the chair looks at the desk: its back is away from the wall; slightly turned */
  asl_vec origin = in_front(l, &desk, desk.d + random_range(&l->random, 0, 0.2f) + d, side);
  double c, s;
  asl_rooms_turn(0.25 * desk.wall + 0.5 + random_range(&l->random, -0.06f, 0.06f), &c, &s);
  stand_free(l, P_OFFICE_CHAIR, origin, (float)c, (float)s, w, d);
}

static void add_table(layout *l) {
  const asl_piece *piece = &asl_rooms_pieces[P_TABLE], *chair = &asl_rooms_pieces[P_CHAIR];
  asl_vec half = l->scene->half;
  float w = draw(l, piece->w), d = draw(l, piece->d);
  for (int i = 0; i < TRIES; i++) {
    int quarter = random_below(&l->random, 2);
    float c = turn_cosine[quarter], s = turn_sine[quarter];
    float x = random_range(&l->random, -0.7f, 0.7f), y = random_range(&l->random, -0.7f, 0.7f);
    asl_vec middle = vec(x * half.x, y * half.y, 0);
    if (!stand_free(l, P_TABLE, vec(middle.x + s * d / 2, middle.y - c * d / 2, 0), c, s, w, d))
      continue;
    for (int k = 0; k < 4; k++) { /* chairs look at the table from its four sides */
      int q = (quarter + k) % 4;
      float reach = (k % 2 ? w : d) / 2, cw = draw(l, chair->w), cd = draw(l, chair->d);
      float back = reach + cd + random_range(&l->random, 0.02f, 0.25f),
            off = random_range(&l->random, -0.1f, 0.1f);
      float qc = turn_cosine[q], qs = turn_sine[q];
      asl_vec origin = vec(middle.x + qs * back + qc * off, middle.y - qc * back + qs * off, 0);
      if (likely(l, 0.85f)) stand_free(l, P_CHAIR, origin, qc, qs, cw, cd);
    }
    return;
  }
}

static void add_kitchen(layout *l) {
  spot counter, other;
  if (!stand(l, P_COUNTER, -1, &counter)) return;
  const asl_piece *fridge = &asl_rooms_pieces[P_REFRIDGERATOR];
  float w = draw(l, fridge->w), d = draw(l, fridge->d), h = draw(l, fridge->h);
  float u = counter.u + counter.w / 2 + w / 2 + 0.02f;
  if (!stand_at(l, fridge, counter.wall, u, w, d, h, &other) &&
      !stand_at(l, fridge, counter.wall, 2 * counter.u - u, w, d, h, &other))
    stand(l, P_REFRIDGERATOR, -1, &other);
  hang(l, P_WALL_CABINET, counter.wall, &other);
}

/* ---- rooms -------------------------------------------------------------------------------- */
enum { G_BED = ROOMS_PIECES, G_SOFA, G_DESK, G_TABLE, G_KITCHEN }; /* groups, as if pieces */

typedef struct wish {
  uint8_t what;
  float chance, per_clutter; /* how likely, and how much more with clutter 1 */
} wish;

typedef struct room_kind {
  float w[2], d[2];
  bool office; /* panel lamps, blinds */
  wish wishes[24];
} room_kind;

/* clang-format off */
static const room_kind kinds[] = {
  { /* bedroom */
   {3.2f, 4.6f}, {3.2f, 4.4f}, false,
   {{G_BED, 1, 0}, {P_WARDROBE, 0.8f, 0.15f}, {P_DRESSER, 0.7f, 0.3f}, {G_DESK, 0.4f, 0.2f},
    {P_BOOKSHELF, 0.4f, 0.3f}, {P_ARMCHAIR, 0.3f, 0.3f}, {P_STANDING_LAMP, 0.2f, 0.3f},
    {P_PLANT, 0.2f, 0.3f}, {P_BOXES, 0.1f, 0.3f}, {P_BAG, 0.2f, 0.3f}, {P_RADIATOR, 0.6f, 0},
    {P_RUG, 0.7f, 0.2f}, {P_PICTURE, 1, 0}, {P_MIRROR, 0.6f, 0.1f}, {P_PICTURE, 0.6f, 0.3f},
    {P_TELEVISION, 0.3f, 0.1f}, {P_CLOTHES, 0.2f, 0.4f}, {P_BOARD, 0.3f, 0.3f}}},
  { /* living room */
   {3.6f, 5.4f}, {3.4f, 4.8f}, false,
   {{G_SOFA, 1, 0}, {P_BOOKSHELF, 0.8f, 0.2f}, {G_TABLE, 0.6f, 0}, {P_CABINET, 0.7f, 0.2f},
    {P_ARMCHAIR, 0.7f, 0.2f}, {P_STANDING_LAMP, 0.7f, 0.2f}, {P_PLANT, 0.5f, 0.3f},
    {P_BOOKSHELF, 0.4f, 0.2f}, {G_DESK, 0.2f, 0.2f}, {P_DRESSER, 0.2f, 0.2f},
    {P_OTTOMAN, 0.2f, 0.2f}, {P_BAG, 0.1f, 0.2f}, {P_RADIATOR, 0.5f, 0}, {P_PICTURE, 1, 0},
    {P_PICTURE, 0.7f, 0.3f},
    {P_PICTURE, 0.2f, 0.3f}, {P_BOARD, 0.2f, 0.3f}, {P_MIRROR, 0.2f, 0.2f}, {P_PILLAR, 0.1f, 0}}},
  { /* kitchen */
   {3.0f, 4.4f}, {3.0f, 4.2f}, false,
   {{G_KITCHEN, 1, 0}, {G_TABLE, 1, 0}, {P_CABINET, 0.7f, 0.2f}, {P_SHELVES, 0.4f, 0.3f},
    {P_PLANT, 0.3f, 0.3f}, {P_COUNTER, 0.3f, 0}, {P_BOXES, 0.1f, 0.4f}, {P_BAG, 0.2f, 0.3f},
    {P_RADIATOR, 0.4f, 0}, {P_TOWEL, 0.6f, 0.3f}, {P_PICTURE, 0.8f, 0.2f},
    {P_WALL_CABINET, 0.5f, 0.2f}, {P_BOARD, 0.3f, 0.3f}, {P_PAPERS, 0.1f, 0.3f},
    {P_RUG, 0.2f, 0.1f}}},
  { /* office */
   {3.4f, 5.0f}, {3.2f, 4.6f}, true,
   {{G_DESK, 1, 0}, {G_DESK, 0.9f, 0.1f}, {P_SHELVES, 0.7f, 0.2f}, {P_BOOKSHELF, 0.8f, 0.2f},
    {P_CABINET, 0.7f, 0.2f}, {G_DESK, 0.3f, 0.3f}, {P_BOXES, 0.3f, 0.5f}, {P_BAG, 0.2f, 0.4f},
    {P_PLANT, 0.4f, 0.2f}, {P_STANDING_LAMP, 0.1f, 0.1f}, {P_WHITEBOARD, 1, 0},
    {P_PICTURE, 0.4f, 0.2f}, {P_PAPERS, 0.4f, 0.5f}, {P_PAPERS, 0.1f, 0.5f},
    {P_CLOTHES, 0.2f, 0.3f},
    {P_TELEVISION, 0.2f, 0.2f}, {P_RADIATOR, 0.4f, 0}, {P_PILLAR, 0.2f, 0}}},
  { /* workshop, laboratory */
   {3.6f, 5.4f}, {3.4f, 4.8f}, true,
   {{G_TABLE, 1, 0}, {P_SHELVES, 1, 0}, {P_SHELVES, 0.7f, 0.3f}, {G_DESK, 1, 0},
    {P_CABINET, 0.9f, 0.1f}, {P_BOXES, 0.7f, 0.4f}, {P_COUNTER, 0.5f, 0}, {P_BOXES, 0.5f, 0.5f},
    {P_CABINET, 0.4f, 0.4f}, {P_BAG, 0.2f, 0.3f}, {P_WHITEBOARD, 1, 0}, {P_TELEVISION, 0.5f, 0},
    {P_PAPERS, 0.6f, 0.4f}, {P_PAPERS, 0.2f, 0.5f}, {P_CLOTHES, 0.3f, 0.4f}, {P_BOARD, 0.3f, 0.3f},
    {P_PILLAR, 0.3f, 0}}},
};
/* clang-format on */

static int draw_kind(layout *l) {
  const asl_rooms_domain *d = l->domain;
  float weight[] = {d->layout_bedroom, d->layout_living, d->layout_kitchen, d->layout_office,
                    d->layout_workshop};
  float total = 0;
  for (int i = 0; i < 5; i++) total += weight[i];
  float at = random_uniform(&l->random) * total;
  for (int i = 0; i < 4; i++) {
    if (at < weight[i]) return i;
    at -= weight[i];
  }
  return 4;
}

static void fulfil(layout *l, const room_kind *kind) {
  spot at;
  for (const wish *w = kind->wishes; w->chance > 0 || w->per_clutter > 0; w++) {
    if (!likely(l, w->chance + w->per_clutter * l->domain->layout_clutter)) continue;
    switch (w->what) {
    case G_BED: add_bed(l); break;
    case G_SOFA: add_sofa(l); break;
    case G_DESK: add_desk(l); break;
    case G_TABLE: add_table(l); break;
    case G_KITCHEN: add_kitchen(l); break;
    case P_RUG: lay_rug(l, vec(0, 0, 0), random_below(&l->random, 4)); break;
    default:
      if (asl_rooms_pieces[w->what].place == PLACE_MOUNTED) hang(l, w->what, -1, &at);
      else stand(l, w->what, -1, &at);
    }
  }
}

static void hang_lamp(layout *l, bool office) {
  asl_scene *scene = l->scene;
  float top = 2 * scene->half.z;
  if (office) { /* two panels, one large light */
    for (int i = -1; i <= 1; i += 2) {
      asl_vec at = vec((float)i * scene->half.x * 0.45f, 0, top - 0.04f);
      build(l, &asl_rooms_pieces[P_PANEL_LAMP], at, 0, 1, 1.2f, 0.3f, 0.04f);
    }
    asl_vec u = vec(scene->half.x * 0.5f, 0, 0), v = vec(0, -0.5f, 0);
    asl_rooms_add_lamp(scene, vec(0, 0, top - 0.06f), u, v, false);
    return;
  }
  const asl_piece *piece = &asl_rooms_pieces[P_CEILING_LAMP];
  float h = draw(l, piece->h), w = draw(l, piece->w);
  float x = random_range(&l->random, -0.15f, 0.15f), y = random_range(&l->random, -0.15f, 0.15f);
  build(l, piece, vec(x, y, top - h), 1, 0, w, 0, h);
  asl_vec u = vec(0.3f * w, 0, 0), v = vec(0, -0.3f * w, 0);
  asl_rooms_add_lamp(scene, vec(x, y, top - h - 0.02f), u, v, true);
}

void asl_rooms_build(asl_scene *scene, const asl_rooms_domain *domain, uint64_t seed,
                     int64_t room) {
  layout l = {.scene = scene, .domain = domain};
  uint64_t family = (uint64_t)domain->layout_family << 48;
  l.random = (asl_rooms_random){seed, family | (uint64_t)ROOMS_LAYOUT << 40 | (uint64_t)room, 0};
  memset(scene, 0, sizeof *scene);
  const room_kind *kind = &kinds[draw_kind(&l)];
  float width = draw(&l, kind->w), depth = draw(&l, kind->d);
  float height = random_range(&l.random, 2.4f, 2.9f);
  scene->half = vec(width * domain->layout_size / 2, depth * domain->layout_size / 2, height / 2);
  spot door;
  hang(&l, P_DOOR, -1, &door);
  if (likely(&l, 0.25f)) hang(&l, P_DOOR, -1, &door);
  add_window(&l, kind->office);
  if (likely(&l, 0.55f)) add_window(&l, kind->office);
  fulfil(&l, kind);
  hang_lamp(&l, kind->office);
  asl_rooms_light_up(scene, domain, &l.random);
  asl_rooms_random paint = {seed, family | (uint64_t)ROOMS_MATERIALS << 40 | (uint64_t)room, 0};
  asl_rooms_paint(scene, domain, &paint);
}
