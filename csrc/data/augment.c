#include "data/augment.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/philox.h"
#include "data/affine.h"
#include "data/colour.h"
#include "ops/transform.h"

_Static_assert((int)ASL_IGNORE == (int)ASL_NO_LABEL, "what is not covered is ignored");
_Static_assert((int)ASL_MAX_SIDE <= (int)ASL_TRANSFORM_SIDE, "every picture can be transformed");

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
  asl_size source, size; /* of the sample, of the output */
  asl_transform transform;
  asl_affine to_output;
} plan;

static int scaled_side(int side, double scale) {
  int scaled = (int)(side * scale + 0.5);
  return scaled < 1 ? 1 : scaled;
}

/* Windows lie at whole pixels, so that cropping alone does not blur. */
static double window(int scaled, int side, double place) {
  return floor((scaled - side) * place + 0.5);
}

/* From pixels of the output to pixels of the source, where the whole picture has the size `scaled`
 * in the output. */
static asl_affine map_to_source(const chosen *c, asl_size source, asl_size size, asl_size scaled) {
  double centre_x = (size.width - 1) / 2.0, centre_y = (size.height - 1) / 2.0;
  asl_affine map = asl_affine_shift(-centre_x, -centre_y);
  if (c->rotate != 0) map = asl_affine_then(map, asl_affine_turn(c->rotate));
  map = asl_affine_then(map, asl_affine_scale(c->flip ? -1 : 1, 1));
  map = asl_affine_then(map, asl_affine_shift(centre_x, centre_y));
  map = asl_affine_then(map, asl_affine_shift(window(scaled.width, size.width, c->place_x),
                                              window(scaled.height, size.height, c->place_y)));
  return asl_affine_then(
      map, asl_affine_resize(scaled.height, scaled.width, source.height, source.width));
}

static int smaller(int a, int b) { return a < b ? a : b; }

asl_transform asl_augment_draw(const asl_augment *augment, asl_draw draw, asl_size source,
                               asl_size size) {
  chosen c = choose(augment ? augment : &asl_augment_none, draw);
  asl_size scaled = {scaled_side(size.height, c.scale), scaled_side(size.width, c.scale)};
  asl_size shrunk = {smaller(scaled.height, source.height), smaller(scaled.width, source.width)};
  asl_transform t = {.height = shrunk.height, .width = shrunk.width};
  t.to_source = t.to_shrunk = map_to_source(&c, source, size, scaled);
  if (shrunk.height < source.height || shrunk.width < source.width)
    t.to_shrunk = asl_affine_then(
        t.to_source, asl_affine_resize(source.height, source.width, shrunk.height, shrunk.width));
  asl_jitter_set(&c.jitter, &t);
  return t;
}

/* The part of an output row that the source covers. */
static void covered(const plan *p, int y, int *first, int *end) {
  asl_covered(&p->transform.to_source, p->source, p->size.width, y, first, end);
}

static int64_t nearest(const plan *p, int x, int y) {
  return asl_nearest(&p->transform.to_source, p->source.height, p->source.width, x, y);
}

static asl_status draw_image(const plan *p, uint8_t *out) {
  size_t bytes = asl_transform_scratch(&p->transform, p->source);
  void *scratch = bytes ? malloc(bytes) : NULL;
  if (bytes && !scratch) return asl_fail(ASL_ENOMEM, "no memory for a picture of %zu bytes", bytes);
  asl_transform_picture(&p->transform, p->sample->image, p->source, out, p->size, scratch);
  free(scratch);
  return ASL_OK;
}

static void draw_bytes(const plan *p, const uint8_t *from, uint8_t uncovered, uint8_t *out) {
  asl_transform_bytes(&p->transform, from, p->source, uncovered, out, p->size);
}

static void draw_depth(const plan *p, float *out) {
  int first, end;
  for (int y = 0; y < p->size.height; y++, out += p->size.width) {
    covered(p, y, &first, &end);
    memset(out, 0, (size_t)p->size.width * sizeof *out);
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
  for (int y = 0; y < p->size.height; y++, out += 2 * p->size.width) {
    covered(p, y, &first, &end);
    memset(out, 0, 2 * (size_t)p->size.width * sizeof *out);
    for (int x = first; x < end; x++) flow_at(p, flow, x, y, out + 2 * x);
  }
}

/* Marks pixels whose flow leaves the output. */
static void hide_leaving(const plan *p, uint8_t *occlusion) {
  int first, end;
  for (int y = 0; y < p->size.height; y++, occlusion += p->size.width) {
    covered(p, y, &first, &end);
    for (int x = first; x < end; x++) {
      float flow[2];
      flow_at(p, p->sample->flow, x, y, flow);
      float u = (float)x + flow[0], v = (float)y + flow[1];
      if (!(u >= -0.5f && v >= -0.5f && u < (float)p->size.width - 0.5f &&
            v < (float)p->size.height - 0.5f))
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

static asl_status check_exact(asl_size source, asl_size size) {
  if (source.height == size.height && source.width == size.width) return ASL_OK;
  return asl_fail(ASL_EINVAL, "the picture has %dx%d pixels (width x height), not %dx%d",
                  source.width, source.height, size.width, size.height);
}

asl_status asl_augment_row(const asl_sample *sample, const asl_augment *augment, asl_draw draw,
                           uint32_t planes, int height, int width, void *const out[ASL_PLANES]) {
  plan p = {.sample = sample, .source = {sample->height, sample->width}, .size = {height, width}};
  if (augment && augment->exact) ASL_TRY(check_exact(p.source, p.size));
  p.transform = asl_augment_draw(augment, draw, p.source, p.size);
  p.to_output = asl_affine_inverse(p.transform.to_source);
  if (planes >> ASL_PLANE_IMAGE & 1) ASL_TRY(draw_image(&p, out[ASL_PLANE_IMAGE]));
  if (planes >> ASL_PLANE_LABEL & 1)
    draw_bytes(&p, sample->label, ASL_IGNORE, out[ASL_PLANE_LABEL]);
  if (planes >> ASL_PLANE_DEPTH & 1) draw_depth(&p, out[ASL_PLANE_DEPTH]);
  if (planes >> ASL_PLANE_FLOW & 1) draw_flow(&p, sample->flow, out[ASL_PLANE_FLOW]);
  if (planes >> ASL_PLANE_FLOW_BACK & 1) draw_flow(&p, sample->flow_back, out[ASL_PLANE_FLOW_BACK]);
  if (planes >> ASL_PLANE_OCCLUSION & 1) {
    draw_bytes(&p, sample->occlusion, 1, out[ASL_PLANE_OCCLUSION]);
    if (augment && sample->flow) hide_leaving(&p, out[ASL_PLANE_OCCLUSION]);
  }
  if (planes >> ASL_PLANE_INTRINSICS & 1) make_intrinsics(&p, out[ASL_PLANE_INTRINSICS]);
  if (planes >> ASL_PLANE_POSE & 1) memcpy(out[ASL_PLANE_POSE], sample->pose, sizeof sample->pose);
  return ASL_OK;
}
