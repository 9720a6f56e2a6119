#include "data/colour.h"

#include "data/affine.h"

static const double u_of_blue = 0.492, v_of_red = 0.877;

bool asl_jitter_changes(const asl_jitter *j) {
  return j->brightness != 1 || j->contrast != 1 || j->saturation != 1 || j->hue != 0;
}

int64_t asl_grey_sum(const uint8_t *pixels, int n) {
  int64_t sum = 0;
  for (int i = 0; i < n; i++, pixels += 3)
    sum += 299 * pixels[0] + 587 * pixels[1] + 114 * pixels[2];
  return sum;
}

/* The unit colour of one channel after the map; `sine` and `cosine` of the turn of hue. */
static void map_channel(const asl_jitter *j, double sine, double cosine, int channel,
                        double out[3]) {
  double rgb[3] = {0};
  rgb[channel] = 1;
  double grey = 0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2];
  double u = u_of_blue * (rgb[2] - grey) * j->saturation;
  double v = v_of_red * (rgb[0] - grey) * j->saturation;
  double factor = j->brightness * j->contrast;
  double red = grey + (u * sine + v * cosine) / v_of_red;
  double blue = grey + (u * cosine - v * sine) / u_of_blue;
  out[0] = factor * red;
  out[1] = factor * ((grey - 0.299 * red - 0.114 * blue) / 0.587);
  out[2] = factor * blue;
}

static int32_t fixed(double value) {
  return (int32_t)(value * 65536 + (value < 0 ? -0.5 : 0.5));
}

asl_colour_map asl_jitter_map(const asl_jitter *j, double mean_grey) {
  asl_colour_map map;
  double sine, cosine, column[3];
  asl_sin_cos(j->hue, &sine, &cosine);
  for (int channel = 0; channel < 3; channel++) {
    map_channel(j, sine, cosine, channel, column);
    for (int i = 0; i < 3; i++) map.matrix[3 * i + channel] = fixed(column[i]);
  }
  map.offset = fixed((1 - j->contrast) * j->brightness * mean_grey / 1000);
  return map;
}

static inline uint8_t clip(int32_t value) {
  int32_t whole = (value + 32768) >> 16;
  return (uint8_t)(whole < 0 ? 0 : (whole > 255 ? 255 : whole));
}

void asl_colour_apply(const asl_colour_map *map, uint8_t *pixels, int n) {
  const int32_t *m = map->matrix, offset = map->offset;
  for (int i = 0; i < n; i++, pixels += 3) {
    int32_t r = pixels[0], g = pixels[1], b = pixels[2];
    pixels[0] = clip(m[0] * r + m[1] * g + m[2] * b + offset);
    pixels[1] = clip(m[3] * r + m[4] * g + m[5] * b + offset);
    pixels[2] = clip(m[6] * r + m[7] * g + m[8] * b + offset);
  }
}
