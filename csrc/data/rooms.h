/* `rooms`: procedural indoor scenes with exact ground truth, ray-cast on demand.
 *
 * A sequence is one furnished room and one smooth camera path; its frames lie along the path. Every
 * plane of a sample is a pure function of (seed, domain, room, frame, size), so any sample can be
 * asked for at any time, in any order, by any thread. The same bits come out of
 * every compiler and instruction set: only +, -, *, /, sqrt and integer hashes reach a pixel.
 *
 * A domain is a set of numbers (light, colours, textures, sensor, furniture). Rooms are drawn from
 * (seed, layout.family, room) and the layout numbers alone, so two domains that differ only in
 * light, say, show the very same rooms in another light. Labels are NYU-40 ids - 1; no pixel is
 * ignored.
 *
 * The world frame is in metres with z up; its origin is the middle of the floor. */
#ifndef ASL_DATA_ROOMS_H
#define ASL_DATA_ROOMS_H

#include "data/source.h"

/* P(group, name, default, least, most): what it is. */
#define ASL_ROOMS_PARAMETERS(P)                                                                  \
  P(layout, family, 1, 0, 65535)      /* whole; domains of one family share their rooms */       \
  P(layout, bedroom, 1, 0, 100)       /* relative frequency of the five kinds of room */         \
  P(layout, living, 1, 0, 100)                                                                   \
  P(layout, kitchen, 1, 0, 100)                                                                  \
  P(layout, office, 1, 0, 100)                                                                   \
  P(layout, workshop, 1, 0, 100)                                                                 \
  P(layout, size, 1, 0.8, 1.5)        /* factor on width and depth of the rooms */               \
  P(layout, clutter, 0.6, 0, 1)       /* how likely optional furniture and small things are */   \
  P(wall, hue, 0.1, 0, 1)             /* colours are drawn from hue +- spread (in turns), */     \
  P(wall, spread, 0.05, 0, 0.5)       /* saturation and value; hue 0 red, 1/3 green, 2/3 blue */ \
  P(wall, saturation, 0.1, 0, 1)                                                                 \
  P(wall, value, 0.9, 0, 1)                                                                      \
  P(wall, plain, 1, 0, 100)           /* relative frequency of wall coverings */                 \
  P(wall, stripes, 0, 0, 100)                                                                    \
  P(wall, bricks, 0, 0, 100)                                                                     \
  P(wall, panels, 0, 0, 100)                                                                     \
  P(floor, hue, 0.08, 0, 1)                                                                      \
  P(floor, spread, 0.02, 0, 0.5)                                                                 \
  P(floor, saturation, 0.4, 0, 1)                                                                \
  P(floor, value, 0.6, 0, 1)                                                                     \
  P(floor, plain, 0, 0, 100)          /* relative frequency of floor coverings */                \
  P(floor, planks, 1, 0, 100)                                                                    \
  P(floor, tiles, 0, 0, 100)                                                                     \
  P(floor, carpet, 0, 0, 100)                                                                    \
  P(wood, hue, 0.08, 0, 1)            /* furniture bodies */                                     \
  P(wood, spread, 0.02, 0, 0.5)                                                                  \
  P(wood, saturation, 0.5, 0, 1)                                                                 \
  P(wood, value, 0.6, 0, 1)                                                                      \
  P(fabric, hue, 0.6, 0, 1)           /* upholstery, curtains, bedding */                        \
  P(fabric, spread, 0.3, 0, 0.5)                                                                 \
  P(fabric, saturation, 0.4, 0, 1)                                                               \
  P(fabric, value, 0.6, 0, 1)                                                                    \
  P(texture, contrast, 1, 0, 2)       /* of all surface textures; 0 = flat colours */            \
  P(light, lamp, 1, 0, 10)            /* ceiling lamps */                                        \
  P(light, warmth, 0.3, -1, 1)        /* colour of lamps: -1 bluish, 0 white, 1 incandescent */  \
  P(light, side, 0, 0, 10)            /* standard and table lamps */                             \
  P(light, sky, 0.5, 0, 10)           /* windows */                                              \
  P(light, sun, 0, 0, 10)             /* direct sun through the windows */                       \
  P(light, ambient, 0.5, 0, 10)       /* light from everywhere, dimmed in corners */             \
  P(sensor, exposure, 1, 0.05, 20)                                                               \
  P(sensor, contrast, 1, 0.5, 2)                                                                 \
  P(sensor, saturation, 1, 0, 2)                                                                 \
  P(sensor, balance, 0, -1, 1)        /* white balance: -1 blue, 1 yellow */                     \
  P(sensor, vignette, 0.15, 0, 1)     /* light lost in the corners of the picture */             \
  P(sensor, shot, 0.01, 0, 0.5)       /* noise that grows with the root of the signal */         \
  P(sensor, read, 0.004, 0, 0.5)      /* noise everywhere; both: standard deviation, white = 1 */ \
  P(camera, fov, 72, 30, 110)         /* horizontal field of view, degrees */                    \
  P(camera, height, 1.45, 1.0, 1.7)   /* mean height of the camera, metres */                    \
  P(camera, speed, 0.06, 0, 0.5)      /* metres from frame to frame */

typedef struct asl_rooms_domain {
#define P(group, name, value, least, most) float group##_##name;
  ASL_ROOMS_PARAMETERS(P)
#undef P
} asl_rooms_domain;

typedef struct asl_rooms_parameter {
  const char *group, *name;
  float value, least, most; /* default, limits */
} asl_rooms_parameter;

enum {
#define P(group, name, value, least, most) +1
  ASL_ROOMS_PARAMETER_COUNT = ASL_ROOMS_PARAMETERS(P)
#undef P
};

/* In the order of the struct's floats. */
extern const asl_rooms_parameter asl_rooms_parameters[ASL_ROOMS_PARAMETER_COUNT];

/* Sets all parameters to their defaults. */
void asl_rooms_domain_init(asl_rooms_domain *domain);

/* Sets one parameter. ASL_EINVAL: no such parameter (the message lists those of the group), or the
 * value is out of its limits. */
asl_status asl_rooms_domain_set(asl_rooms_domain *domain, const char *group, const char *name,
                                double value);

typedef struct asl_rooms_config {
  asl_rooms_domain domain;
  uint64_t seed;
  int64_t first_room; /* sequence s shows room first_room + s */
  int sequences, frames, height, width;
  int64_t cache_bytes; /* memory for pictures that were rendered; 0 = none is kept */
  bool antialias;     /* of the image, at the edges of surfaces; the other planes never are */
} asl_rooms_config;

/* A source of sequences * frames samples; sample s * frames + f is frame f of sequence s. It has
 * all planes. Flow of the last (first) frame leads to the next (previous) point of the path.
 * ASL_EINVAL (sizes, counts), ASL_ENOMEM. */
asl_status asl_rooms_open(const asl_rooms_config *config, asl_source **out);

#endif
