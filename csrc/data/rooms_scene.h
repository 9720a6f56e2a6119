/* Private to rooms*.c: what a room is made of, and the passes that turn it into pixels.
 *
 *   rooms_parts.c      boxes, frustums, ellipsoids, and small things built from them
 *   rooms_furniture.c  pieces of furniture
 *   rooms_scene.c      which pieces stand where, windows, lights, materials
 *   rooms_light.c      lamps, windows, sun; exposure
 *   rooms_camera.c     the camera path
 *   rooms_trace.c      which surface a pixel or a ray meets
 *   rooms_material.c   the materials of a room
 *   rooms_surface.c    what a surface looks like: procedural textures
 *   rooms_render.c     light, anti-aliasing, sensor: the picture
 *   rooms.c            the source: parameters and planes */
#ifndef ASL_DATA_ROOMS_SCENE_H
#define ASL_DATA_ROOMS_SCENE_H

#include <math.h>

#include "base/philox.h"
#include "data/rooms.h"

typedef struct asl_vec {
  float x, y, z;
} asl_vec;

static inline asl_vec vec(float x, float y, float z) { return (asl_vec){x, y, z}; }
static inline asl_vec vec_add(asl_vec a, asl_vec b) { return vec(a.x + b.x, a.y + b.y, a.z + b.z); }
static inline asl_vec vec_sub(asl_vec a, asl_vec b) { return vec(a.x - b.x, a.y - b.y, a.z - b.z); }
static inline asl_vec vec_scale(asl_vec a, float s) { return vec(a.x * s, a.y * s, a.z * s); }
static inline asl_vec vec_mul(asl_vec a, asl_vec b) { return vec(a.x * b.x, a.y * b.y, a.z * b.z); }
static inline float vec_dot(asl_vec a, asl_vec b) { return a.x * b.x + a.y * b.y + a.z * b.z; }
static inline asl_vec vec_cross(asl_vec a, asl_vec b) {
  return vec(a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x);
}
static inline asl_vec vec_unit(asl_vec a) { return vec_scale(a, 1.0f / sqrtf(vec_dot(a, a))); }
static inline asl_vec vec_mix(asl_vec a, asl_vec b, float t) {
  return vec_add(a, vec_scale(vec_sub(b, a), t));
}
static inline float least(float a, float b) { return a < b ? a : b; }
static inline float most(float a, float b) { return a > b ? a : b; }
static inline float clampf(float x, float lo, float hi) { return x < lo ? lo : x > hi ? hi : x; }

/* ---- random numbers ----------------------------------------------------------------------- */
/* What a stream of numbers is for: a change in the use of one does not move the others. */
enum { ROOMS_LAYOUT = 1, ROOMS_MATERIALS, ROOMS_CAMERA, ROOMS_SENSOR };

typedef struct asl_rooms_random { /* numbers 0, 1, 2, ... of the stream (seed, hi) */
  uint64_t seed, hi, next;
} asl_rooms_random;

/* (Draw one number per statement or declarator: C leaves the order of arguments open.) */
static inline float random_uniform(asl_rooms_random *r) { /* [0, 1) */
  return asl_uniform(asl_philox(r->seed, ASL_PURPOSE_ROOMS, r->hi, r->next++).v[0]);
}
static inline float random_range(asl_rooms_random *r, float lo, float hi) {
  return lo + (hi - lo) * random_uniform(r);
}
static inline int random_below(asl_rooms_random *r, int n) {
  return (int)asl_below(asl_philox(r->seed, ASL_PURPOSE_ROOMS, r->hi, r->next++).v[0], (uint32_t)n);
}
static inline uint32_t hash3(uint32_t a, uint32_t b, uint32_t c) { /* for texture and noise */
  uint32_t h = a * 0x9E3779B1u ^ b * 0x85EBCA77u ^ c * 0xC2B2AE3Du;
  h ^= h >> 15;
  h *= 0x2C1B3C6Du;
  h ^= h >> 12;
  h *= 0x297A2D39u;
  return h ^ h >> 15;
}

/* cos and sin of x turns (2 pi x radians) by polynomials: libm's differ between versions. */
void asl_rooms_turn(double x, double *cosine, double *sine);

/* ---- what a room is made of --------------------------------------------------------------- */
/* clang-format off */
enum { /* NYU-40 ids - 1 */
  L_WALL, L_FLOOR, L_CABINET, L_BED, L_CHAIR, L_SOFA, L_TABLE, L_DOOR, L_WINDOW, L_BOOKSHELF,
  L_PICTURE, L_COUNTER, L_BLINDS, L_DESK, L_SHELVES, L_CURTAIN, L_DRESSER, L_PILLOW, L_MIRROR,
  L_FLOOR_MAT, L_CLOTHES, L_CEILING, L_BOOKS, L_REFRIDGERATOR, L_TELEVISION, L_PAPER, L_TOWEL,
  L_SHOWER_CURTAIN, L_BOX, L_WHITEBOARD, L_PERSON, L_NIGHT_STAND, L_TOILET, L_SINK, L_LAMP,
  L_BATHTUB, L_BAG, L_OTHERSTRUCTURE, L_OTHERFURNITURE, L_OTHERPROP
};

enum { /* materials, drawn once per room */
  M_WALL, M_FLOOR, M_CEILING, M_TRIM, M_WOOD, M_WOOD2, M_WHITE, M_METAL, M_DARK, M_FABRIC,
  M_FABRIC2, M_LINEN, M_PILLOW, M_CURTAIN, M_BLINDS, M_DOOR, M_OUTSIDE, M_PICTURE, M_SCREEN,
  M_BOARD, M_MIRROR, M_BOOKS, M_PAPER, M_CARDBOARD, M_RUG, M_LEAVES, M_POT, M_LAMP, M_SHADE,
  M_BAG, M_CLOTHES, M_STEEL, ROOMS_MATERIAL_COUNT
};

enum { /* how a material varies over a surface */
  T_PLAIN, T_WOOD, T_PLANKS, T_TILES, T_CARPET, T_CLOTH, T_STRIPES, T_BRICKS, T_PANELS, T_FOLDS,
  T_SLATS, T_DOOR, T_OUTSIDE, T_PICTURE, T_SCREEN, T_BOARD, T_MIRROR, T_BOOKS, T_PAPER,
  T_CARDBOARD, T_RUG, T_LEAVES, T_GLOW
};
/* clang-format on */

typedef struct asl_material {
  int texture;
  asl_vec colour, second; /* linear reflectance; T_GLOW and T_OUTSIDE: radiance */
  float grain;            /* strength of the texture */
  uint32_t seed;
} asl_material;

typedef enum asl_solid { SOLID_BOX, SOLID_FRUSTUM, SOLID_ELLIPSOID } asl_solid;

typedef struct asl_part { /* a solid, in the frame of its object */
  uint8_t solid, label, material;
  uint8_t object;
  asl_vec centre, half; /* frustum: half.x = half.y = larger radius, axis along z */
  float bottom, top;    /* frustum: radii at its ends */
} asl_part;

typedef struct asl_object { /* a group of parts: origin in the world, turned about z */
  asl_vec origin;
  float cosine, sine;
  int first, count; /* its parts */
  asl_vec lo, hi;   /* their bounds in the object's frame */
  asl_vec middle;   /* bounding sphere, in the world */
  float radius;
} asl_object;

typedef struct asl_light {      /* a rectangle that shines along `normal` */
  asl_vec centre, u, v, normal; /* u, v: half sides */
  asl_vec power;                /* radiance x area */
  float area;
  bool both_sides; /* shines everywhere, as a bulb does */
} asl_light;

typedef struct asl_window {
  asl_vec centre, across, normal; /* across: unit vector along the wall; normal: into the room */
  float half_width, half_height;
} asl_window;

enum {
  ROOMS_PARTS = 512,
  ROOMS_OBJECTS = 128,
  ROOMS_LIGHTS = 3,
  ROOMS_SIDE_LIGHTS = 3,
  ROOMS_WINDOWS = 2
};

typedef struct asl_scene {
  asl_vec half; /* of the room: x, y in [-half, half], z in [0, 2 half.z] */
  int parts, objects, lights, side_lights, windows;
  asl_light light[ROOMS_LIGHTS]; /* lamps, then windows; all cast shadows */
  asl_vec side_at[ROOMS_SIDE_LIGHTS], side_power[ROOMS_SIDE_LIGHTS]; /* small, cast none */
  asl_window window[ROOMS_WINDOWS];
  asl_vec sun, sun_power, ambient; /* sun: unit vector towards it, power 0 = none */
  float exposure;
  asl_material material[ROOMS_MATERIAL_COUNT];
  asl_part part[ROOMS_PARTS];
  asl_object object[ROOMS_OBJECTS];
} asl_scene;

/* Builds room `room` of a domain. Cannot fail: what finds no place is left out. */
void asl_rooms_build(asl_scene *scene, const asl_rooms_domain *domain, uint64_t seed, int64_t room);
void asl_rooms_paint(asl_scene *scene, const asl_rooms_domain *domain, asl_rooms_random *random);

/* ---- furniture ---------------------------------------------------------------------------- */
/* Starts an object at `origin` (its base), turned so that its +y looks along (-sine, cosine). */
void asl_rooms_begin(asl_scene *scene, asl_vec origin, float cosine, float sine);
void asl_rooms_end(asl_scene *scene); /* finishes its bounds; drops it when it has no parts */
/* Goes on with a new object in the same frame: small bounds make rays fast. */
void asl_rooms_split(asl_scene *scene);

/* Solids of the current object; beyond ROOMS_PARTS they are left out. */
void asl_box(asl_scene *s, int label, int material, float x0, float x1, float y0, float y1,
             float z0, float z1);
/* A round post, cone or disc around a vertical axis. */
void asl_post(asl_scene *s, int label, int material, float x, float y, float z0, float z1,
              float bottom, float top);
void asl_ball(asl_scene *s, int label, int material, float x, float y, float z, float rx, float ry,
              float rz);
/* A lamp shade with its light; (x, y, z) is its middle. */
void asl_lamp_shade(asl_scene *s, float x, float y, float z, float r, float h);
/* A row of books from x0 to x1, up to `room` high, their spines near y1. */
void asl_books(asl_scene *s, asl_rooms_random *random, float x0, float x1, float y1, float z,
               float room, float fill);
void asl_plant(asl_scene *s, asl_rooms_random *random, float x, float y, float z, float r, float h);

/* A piece of furniture fills x in [-w/2, w/2], y in [0, d] (back to front) and z in [0, h]. */
typedef void (*asl_rooms_builder)(asl_scene *scene, asl_rooms_random *random, float w, float d,
                                  float h);

typedef enum asl_place {
  PLACE_WALL,   /* stands on the floor with its back to a wall */
  PLACE_FREE,   /* stands on the floor away from the walls */
  PLACE_FLAT,   /* lies on the floor, things may stand on it */
  PLACE_MOUNTED /* hangs on a wall */
} asl_place;

typedef struct asl_piece {
  asl_place place;
  asl_rooms_builder build;
  float w[2], d[2], h[2]; /* ranges of its size */
  float z[2];             /* PLACE_MOUNTED: range of the height of its lower edge */
  float front;            /* free floor wanted in front of it */
  int top;                /* what to put on it: one of TOP_... */
} asl_piece;

enum { TOP_NOTHING, TOP_LIVING, TOP_DESK, TOP_NIGHT, TOP_KITCHEN, TOP_LAMP, TOP_SCREEN };

/* clang-format off */
enum { /* pieces */
  P_BED, P_NIGHT_STAND, P_DRESSER, P_WARDROBE, P_CABINET, P_LOWBOARD, P_BOOKSHELF, P_SHELVES,
  P_SOFA, P_ARMCHAIR, P_CHAIR, P_OFFICE_CHAIR, P_TABLE, P_LOW_TABLE, P_DESK, P_COUNTER,
  P_REFRIDGERATOR, P_BOXES, P_BAG, P_STANDING_LAMP, P_PLANT, P_RUG, P_PICTURE, P_MIRROR,
  P_TELEVISION, P_WHITEBOARD, P_WALL_CABINET, P_BOARD, P_CLOTHES, P_TOWEL, P_RADIATOR, P_PILLAR,
  P_OTTOMAN, P_DOOR, P_WINDOW, P_CURTAIN, P_BLINDS, P_PAPERS, P_CEILING_LAMP, P_PANEL_LAMP,
  ROOMS_PIECES
};
/* clang-format on */
extern const asl_piece asl_rooms_pieces[ROOMS_PIECES];

/* Small things standing on a surface w x d at height z of the current object's frame. */
void asl_rooms_top(asl_scene *scene, asl_rooms_random *random, int top, float w, float d, float z,
                   float clutter);

/* ---- camera ------------------------------------------------------------------------------- */
typedef struct asl_camera {
  asl_vec at, right, down, forward;
  float focal, cx, cy; /* pixels */
} asl_camera;

typedef struct asl_rooms_path {
  double centre[2], radius[2], start, turn_per_frame, direction;
  double height, sway, gaze, gaze_height;
} asl_rooms_path;

/* A closed path that keeps clear of what is as high as the camera, the best of several tries. */
void asl_rooms_path_find(const asl_scene *scene, const asl_rooms_domain *domain, uint64_t seed,
                         int64_t room, asl_rooms_path *path);
/* The camera of a frame; any whole number is a frame. */
asl_camera asl_rooms_camera_at(const asl_rooms_path *path, const asl_rooms_domain *domain,
                               int64_t frame, int height, int width);

/* ---- tracing ------------------------------------------------------------------------------ */
/* A surface is one face of a part, or of the room: id = 8 * (part + 1) + face, part -1 = the room.
 * Faces: 0..5 = -x, +x, -y, +y, -z, +z; the round side of a frustum 0; an ellipsoid 0. */
typedef uint16_t asl_surface;
static inline int surface_part(asl_surface id) { return (int)(id >> 3) - 1; }
static inline int surface_face(asl_surface id) { return (int)(id & 7); }

typedef struct asl_ray {
  asl_vec from, along; /* along: any length; distances are in units of it */
} asl_ray;

/* The ray through the centre of pixel (x, y); `along` has forward component 1, so that distance is
 * planar depth. */
static inline asl_ray camera_ray(const asl_camera *c, float x, float y) {
  float a = (x - c->cx) / c->focal, b = (y - c->cy) / c->focal;
  return (asl_ray){c->at,
                   vec_add(c->forward, vec_add(vec_scale(c->right, a), vec_scale(c->down, b)))};
}

/* For every pixel the nearest surface and its depth. */
void asl_rooms_visible(const asl_scene *scene, const asl_camera *camera, int height, int width,
                       asl_surface *surface, float *depth);
/* For each of four rays the nearest surface, of the parts of these surfaces and the room, and its
 * distance. */
void asl_rooms_nearest(const asl_scene *scene, const asl_surface *among, int n,
                       const asl_ray rays[4], float distance[4], asl_surface surface[4]);

typedef struct asl_near { /* objects that can matter to a bundle of rays */
  int count;
  uint8_t object[ROOMS_OBJECTS];
} asl_near;

/* The objects that can be met between a ball of radius ra around a and one of rb around b. */
void asl_rooms_between(const asl_scene *scene, asl_vec a, float ra, asl_vec b, float rb,
                       asl_near *out);
/* For each of four rays the part of the way from `from` to `from + along` that is free of these
 * objects, 1 = all of it. Unless `all`, it may be less than that once something is in the way: then
 * only whether it is 1 has a meaning. A ray of length 0 is free. */
void asl_rooms_clear(const asl_scene *scene, const asl_near *near, const asl_ray rays[4], bool all,
                     float clear[4]);

/* The world normal of a surface at a point, and the point in its part's (or the room's) frame. */
asl_vec asl_rooms_normal(const asl_scene *scene, asl_surface surface, asl_vec at, asl_vec *local);
int asl_rooms_label(const asl_scene *scene, asl_surface surface);

/* ---- appearance --------------------------------------------------------------------------- */
/* Reflectance at a point given in the frame of its part, averaged over about `footprint` metres;
 * `glow` receives radiance of its own (0 for most). */
asl_vec asl_rooms_reflectance(const asl_scene *scene, asl_surface surface, asl_vec local,
                              float footprint, asl_vec *glow);

/* ---- light -------------------------------------------------------------------------------- */
/* Adds a lamp with half sides u, v, shining along u x v; asl_rooms_light_up() sets its power. */
void asl_rooms_add_lamp(asl_scene *scene, asl_vec centre, asl_vec u, asl_vec v, bool both_sides);
/* Sets the power of lamps, windows, sun and ambient light, and the exposure for them. */
void asl_rooms_light_up(asl_scene *scene, const asl_rooms_domain *domain, asl_rooms_random *random);

/* A linear reflectance from hue (in turns), saturation and value. */
asl_vec asl_rooms_hsv(float hue, float saturation, float value);

/* Can a surface element be lit from the point `from` of a light at all? */
bool asl_rooms_faces(const asl_light *light, asl_vec from, asl_vec at, asl_vec normal);
/* Irradiance at a point with a normal from the light's point `from`, per unit of its power. */
float asl_rooms_form_factor(const asl_light *light, asl_vec from, asl_vec at, asl_vec normal);

/* Renders the picture of what asl_rooms_visible() found. ASL_ENOMEM. */
asl_status asl_rooms_picture(const asl_scene *scene, const asl_rooms_config *config,
                             const asl_camera *camera, const asl_surface *surface,
                             const float *depth, uint64_t noise_key, uint8_t *image);

#endif
