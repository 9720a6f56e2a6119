#include "data/augment.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/philox.h"
#include "data/affine.h"
#include "data/colour.h"
#include "data/resample.h"

static const uint8_t mean_colour[3] = {124, 116, 104};

const asl_augment asl_augment_none = {.scale = {1, 1}};

static asl_status check_range(const char *name, double value, double low, double high) {
  if (value >= low && value <= high) return ASL_OK;
  return asl_fail(ASL_EINVAL, "augmentation: %s = %g; it must be from %g to %g", name, value, low,
                  high);
}

asl_status asl_augment_check(const asl_augment *a) {
  ASL_TRY(check_range("scale[1]", a->scale[0], 0.05, 20));
  ASL_TRY(check_range("scale[2]", a->scale[1], a->scale[0], 20));
  ASL_TRY(check_range("flip", a->flip, 0, 1));
  ASL_TRY(check_range("rotate", a->rotate, 0, 180));
  ASL_TRY(check_range("brightness", a->brightness, 0, 1));
  ASL_TRY(check_range("contrast", a->contrast, 0, 1));
  ASL_TRY(check_range("saturation", a->saturation, 0, 1));
  return check_range("hue", a->hue, 0, 0.5);
}

uint32_t asl_augment_needs(uint32_t planes, uint32_t available) {
  if (planes & 1u << ASL_PLANE_OCCLUSION) planes |= available & 1u << ASL_PLANE_FLOW;
  return planes;
}

/* What one row gets: all its random numbers in one place. */
typedef struct chosen {
  double scale, place_x, place_y; /* places in [0, 1): of the window in the free room */
  bool flip;
  double rotate; /* radians */
  asl_jitter jitter;
} chosen;

static double between(double low, double high, uint32_t bits) {
  return low + (high - low) * (double)asl_uniform(bits);
}

static chosen choose(const asl_augment *a, asl_draw draw) {
  static const double pi = 3.14159265358979323846;
  asl_philox4 r[3];
  for (uint64_t i = 0; i < 3; i++)
    r[i] = asl_philox(draw.seed, ASL_PURPOSE_AUGMENT, draw.step, draw.row << 2 | i);
  return (chosen){
      .scale = between(a->scale[0], a->scale[1], r[0].v[0]),
      .place_x = a->crop ? (double)asl_uniform(r[0].v[1]) : 0.5,
      .place_y = a->crop ? (double)asl_uniform(r[0].v[2]) : 0.5,
      .flip = (double)asl_uniform(r[0].v[3]) < a->flip,
      .rotate = between(-a->rotate, a->rotate, r[1].v[0]) * (pi / 180),
      .jitter = {.brightness = between(1 - a->brightness, 1 + a->brightness, r[1].v[1]),
                 .contrast = between(1 - a->contrast, 1 + a->contrast, r[1].v[2]),
                 .saturation = between(1 - a->saturation, 1 + a->saturation, r[1].v[3]),
                 .hue = between(-a->hue, a->hue, r[2].v[0]) * (2 * pi)},
  };
}

/* Everything about a row but its pixels. */
typedef struct plan {
  const asl_sample *sample;
  int height, width;               /* of the output */
  int scaled_height, scaled_width; /* of the whole picture, in pixels of the output */
  asl_affine to_source, to_output;
  chosen chosen;
} plan;

static int scaled_side(int side, double scale) {
  int scaled = (int)(side * scale + 0.5);
  return scaled < 1 ? 1 : scaled;
}

/* Windows lie at whole pixels, so that cropping alone does not blur. */
static double window(int scaled, int side, double place) {
  return floor((scaled - side) * place + 0.5);
}

static void plan_geometry(plan *p) {
  const chosen *c = &p->chosen;
  double centre_x = (p->width - 1) / 2.0, centre_y = (p->height - 1) / 2.0;
  asl_affine map = asl_affine_shift(-centre_x, -centre_y);
  if (c->rotate != 0) map = asl_affine_then(map, asl_affine_turn(c->rotate));
  map = asl_affine_then(map, asl_affine_scale(c->flip ? -1 : 1, 1));
  map = asl_affine_then(map, asl_affine_shift(centre_x, centre_y));
  map = asl_affine_then(map, asl_affine_shift(window(p->scaled_width, p->width, c->place_x),
                                              window(p->scaled_height, p->height, c->place_y)));
  p->to_source = asl_affine_then(map, asl_affine_resize(p->scaled_height, p->scaled_width,
                                                        p->sample->height, p->sample->width));
  p->to_output = asl_affine_inverse(p->to_source);
}

static plan make_plan(const asl_sample *sample, const asl_augment *augment, asl_draw draw,
                      int height, int width) {
  plan p = {.sample = sample, .height = height, .width = width};
  p.chosen = choose(augment ? augment : &asl_augment_none, draw);
  p.scaled_height = scaled_side(height, p.chosen.scale);
  p.scaled_width = scaled_side(width, p.chosen.scale);
  plan_geometry(&p);
  return p;
}

/* The part [*first, *end) of an output row that the source covers: positions along a row are
 * monotonic, so it is one interval; *end = *first when it is empty. */
static void covered(const plan *p, const asl_affine *map, int height, int width, int y, int *first,
                    int *end) {
  int x = 0, last = p->width;
  while (x < last && !asl_affine_inside(map, x, y, height, width)) x++;
  while (last > x && !asl_affine_inside(map, last - 1, y, height, width)) last--;
  *first = x;
  *end = last;
}

static void fill_colour(uint8_t *row, int first, int end) {
  for (int x = first; x < end; x++) memcpy(row + 3 * x, mean_colour, 3);
}

/* A position in a side of `last` + 1 pixels, clamped, in steps of 2^-11 pixel. */
static inline uint32_t fine(double position, int last) {
  if (!(position > 0)) return 0;
  return (uint32_t)((position < last ? position : last) * 2048 + 0.5);
}

/* In integers: exact at whole pixels, and quick. 255 * 2^22 fits 32 bits. */
static inline void bilinear(const asl_affine *map, const uint8_t *from, int height, int width,
                            int x, int y, uint8_t *to) {
  uint32_t u = fine(asl_affine_x(map, x, y), width - 1);
  uint32_t v = fine(asl_affine_y(map, x, y), height - 1);
  size_t left = u >> 11, top = v >> 11, row = 3 * (size_t)width;
  const uint8_t *p = from + top * row + 3 * left;
  uint32_t a = u & 2047, b = v & 2047;
  if (!(a | b)) { /* a whole pixel: common, as shrinking and cropping alone lead to nothing else */
    memcpy(to, p, 3);
    return;
  }
  size_t right = a ? 3 : 0, below = b ? row : 0; /* at whole pixels the next may not exist */
  for (int c = 0; c < 3; c++, p++) {
    uint32_t upper = p[0] * (2048 - a) + p[right] * a;
    uint32_t lower = p[below] * (2048 - a) + p[below + right] * a;
    to[c] = (uint8_t)((upper * (2048 - b) + lower * b + (1u << 21)) >> 22);
  }
}

/* Draws the picture `from`, whose pixels `map` leads to, and jitters its colours. */
static void draw_picture(const plan *p, const asl_affine *map, const uint8_t *from, int height,
                         int width, uint8_t *out) {
  int64_t grey = 0, pixels = 0;
  bool jitter = asl_jitter_changes(&p->chosen.jitter);
  int first, end;
  for (int y = 0; y < p->height; y++) {
    uint8_t *row = out + 3 * (size_t)y * (size_t)p->width;
    covered(p, map, height, width, y, &first, &end);
    fill_colour(row, 0, first);
    for (int x = first; x < end; x++) bilinear(map, from, height, width, x, y, row + 3 * x);
    fill_colour(row, end, p->width);
    if (!jitter) continue;
    grey += asl_grey_sum(row + 3 * first, end - first);
    pixels += end - first;
  }
  if (!jitter || pixels == 0) return;
  asl_colour_map colours = asl_jitter_map(&p->chosen.jitter, (double)grey / (double)pixels);
  for (int y = 0; y < p->height; y++) {
    covered(p, map, height, width, y, &first, &end);
    asl_colour_apply(&colours, out + 3 * ((size_t)y * (size_t)p->width + (size_t)first),
                     end - first);
  }
}

static asl_status draw_image(const plan *p, uint8_t *out) {
  const asl_sample *s = p->sample;
  int height = p->scaled_height < s->height ? p->scaled_height : s->height;
  int width = p->scaled_width < s->width ? p->scaled_width : s->width;
  if (height == s->height && width == s->width) {
    draw_picture(p, &p->to_source, s->image, height, width, out);
    return ASL_OK;
  }
  size_t bytes = 3 * (size_t)height * (size_t)width;
  uint8_t *small = malloc(bytes);
  if (!small) return asl_fail(ASL_ENOMEM, "no memory for a picture of %zu bytes", bytes);
  asl_status status = asl_shrink(s->image, s->height, s->width, small, height, width);
  if (status == ASL_OK) {
    asl_affine map = asl_affine_then(p->to_source,
                                     asl_affine_resize(s->height, s->width, height, width));
    draw_picture(p, &map, small, height, width, out);
  }
  free(small);
  return status;
}

/* For a covered position, which is at least -0.5. The sum can round up to the far edge (0.5 - 2^-54
 * + 0.5 is 1), hence the clamp. */
static inline int nearest_side(double position, int side) {
  int at = (int)(position + 0.5);
  return at < side ? at : side - 1;
}

static inline size_t nearest(const plan *p, int x, int y) {
  int u = nearest_side(asl_affine_x(&p->to_source, x, y), p->sample->width);
  int v = nearest_side(asl_affine_y(&p->to_source, x, y), p->sample->height);
  return (size_t)v * (size_t)p->sample->width + (size_t)u;
}

static void draw_bytes(const plan *p, const uint8_t *from, uint8_t uncovered, uint8_t *out) {
  int first, end;
  for (int y = 0; y < p->height; y++, out += p->width) {
    covered(p, &p->to_source, p->sample->height, p->sample->width, y, &first, &end);
    memset(out, uncovered, (size_t)p->width);
    for (int x = first; x < end; x++) out[x] = from[nearest(p, x, y)];
  }
}

static void draw_depth(const plan *p, float *out) {
  int first, end;
  for (int y = 0; y < p->height; y++, out += p->width) {
    covered(p, &p->to_source, p->sample->height, p->sample->width, y, &first, &end);
    memset(out, 0, (size_t)p->width * sizeof *out);
    for (int x = first; x < end; x++) out[x] = p->sample->depth[nearest(p, x, y)];
  }
}

/* The flow at an output pixel the source covers, in pixels of the output. */
static void flow_at(const plan *p, const float *flow, int x, int y, float out[2]) {
  const float *vector = flow + 2 * nearest(p, x, y);
  const asl_affine *map = &p->to_output;
  double u = (double)vector[0], v = (double)vector[1];
  out[0] = (float)(map->xx * u + map->xy * v);
  out[1] = (float)(map->yx * u + map->yy * v);
}

static void draw_flow(const plan *p, const float *flow, float *out) {
  int first, end;
  for (int y = 0; y < p->height; y++, out += 2 * p->width) {
    covered(p, &p->to_source, p->sample->height, p->sample->width, y, &first, &end);
    memset(out, 0, 2 * (size_t)p->width * sizeof *out);
    for (int x = first; x < end; x++) flow_at(p, flow, x, y, out + 2 * x);
  }
}

/* Marks pixels whose flow leaves the output. */
static void hide_leaving(const plan *p, uint8_t *occlusion) {
  int first, end;
  for (int y = 0; y < p->height; y++, occlusion += p->width) {
    covered(p, &p->to_source, p->sample->height, p->sample->width, y, &first, &end);
    for (int x = first; x < end; x++) {
      float flow[2];
      flow_at(p, p->sample->flow, x, y, flow);
      float u = (float)x + flow[0], v = (float)y + flow[1];
      if (!(u >= -0.5f && v >= -0.5f && u < (float)p->width - 0.5f && v < (float)p->height - 0.5f))
        occlusion[x] = 1;
    }
  }
}

static void make_intrinsics(const plan *p, float *out) {
  const asl_affine *map = &p->to_output;
  const double a[9] = {map->xx, map->xy, map->x, map->yx, map->yy, map->y, 0, 0, 1};
  for (int i = 0; i < 3; i++)
    for (int j = 0; j < 3; j++) {
      double sum = 0;
      for (int k = 0; k < 3; k++) sum += a[3 * i + k] * (double)p->sample->intrinsics[3 * k + j];
      out[3 * i + j] = (float)sum;
    }
}

asl_status asl_augment_row(const asl_sample *sample, const asl_augment *augment, asl_draw draw,
                           uint32_t planes, int height, int width, void *const out[ASL_PLANES]) {
  plan p = make_plan(sample, augment, draw, height, width);
  if (planes >> ASL_PLANE_IMAGE & 1) ASL_TRY(draw_image(&p, out[ASL_PLANE_IMAGE]));
  if (planes >> ASL_PLANE_LABEL & 1)
    draw_bytes(&p, sample->label, ASL_IGNORE, out[ASL_PLANE_LABEL]);
  if (planes >> ASL_PLANE_DEPTH & 1) draw_depth(&p, out[ASL_PLANE_DEPTH]);
  if (planes >> ASL_PLANE_FLOW & 1) draw_flow(&p, sample->flow, out[ASL_PLANE_FLOW]);
  if (planes >> ASL_PLANE_FLOW_BACK & 1)
    draw_flow(&p, sample->flow_back, out[ASL_PLANE_FLOW_BACK]);
  if (planes >> ASL_PLANE_OCCLUSION & 1) {
    draw_bytes(&p, sample->occlusion, 1, out[ASL_PLANE_OCCLUSION]);
    if (augment && sample->flow) hide_leaving(&p, out[ASL_PLANE_OCCLUSION]);
  }
  if (planes >> ASL_PLANE_INTRINSICS & 1) make_intrinsics(&p, out[ASL_PLANE_INTRINSICS]);
  if (planes >> ASL_PLANE_POSE & 1)
    memcpy(out[ASL_PLANE_POSE], sample->pose, sizeof sample->pose);
  return ASL_OK;
}
