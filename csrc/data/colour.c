#include "data/colour.h"

#include "data/affine.h"

static const double u_of_blue = 0.492, v_of_red = 0.877;

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

void asl_jitter_set(const asl_jitter *j, asl_transform *transform) {
  double sine, cosine, column[3];
  asl_sin_cos(j->hue, &sine, &cosine);
  for (int channel = 0; channel < 3; channel++) {
    map_channel(j, sine, cosine, channel, column);
    for (int i = 0; i < 3; i++)
      transform->colour[3 * i + channel] = (int32_t)asl_colour_fixed(column[i]);
  }
  transform->grey = (1 - j->contrast) * j->brightness;
}
