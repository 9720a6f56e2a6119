/* Pieces of furniture. Each builder fills the box x in [-w/2, w/2], y in [0, d] (back to front),
 * z in [0, h] of the current object with solids that do not interpenetrate visibly. */
#include "data/rooms_scene.h"

static int either(asl_rooms_random *random, int a, int b) {
  return random_below(random, 2) ? a : b;
}

static void four_legs(asl_scene *s, int label, int material, float w, float d, float h, float t) {
  for (int i = 0; i < 4; i++) {
    float x = i & 1 ? w / 2 - t : -w / 2, y = i & 2 ? d - t : 0;
    asl_box(s, label, material, x, x + t, y, y + t, 0, h);
  }
}

/* A body with fronts: drawers or doors in columns and rows. */
static void chest(asl_scene *s, int label, int body, int front, float w, float d, float h,
                  float foot, int columns, int rows) {
  const float gap = 0.012f, t = 0.018f;
  if (foot > 0) asl_box(s, label, M_DARK, -w / 2 + 0.04f, w / 2 - 0.04f, 0.02f, d - 0.06f, 0, foot);
  asl_box(s, label, body, -w / 2, w / 2, 0, d - t, foot, h);
  float cw = w / (float)columns, rh = (h - foot) / (float)rows;
  for (int c = 0; c < columns; c++) {
    for (int r = 0; r < rows; r++) {
      float x = -w / 2 + (float)c * cw, z = foot + (float)r * rh;
      asl_box(s, label, front, x + gap, x + cw - gap, d - t, d, z + gap, z + rh - gap);
      if (rh < 0.45f) {
        asl_box(s, label, M_METAL, x + cw / 2 - 0.06f, x + cw / 2 + 0.06f, d, d + 0.02f,
                z + rh * 0.6f, z + rh * 0.6f + 0.015f);
      } else {
        float hx = c % 2 ? x + 0.05f : x + cw - 0.07f;
        asl_box(s, label, M_METAL, hx, hx + 0.02f, d, d + 0.025f, z + rh * 0.45f,
                z + rh * 0.45f + 0.15f);
      }
    }
  }
}

/* ---- furniture that stands ---------------------------------------------------------------- */
#define BUILD(name)                                                                                \
  static void name(asl_scene *s, asl_rooms_random *random, float w, float d, float h)

BUILD(bed) {
  int wood = either(random, M_WOOD, M_WOOD2);
  float top = 0.52f, fold = random_range(random, 0.5f, 0.75f);
  asl_box(s, L_BED, wood, -w / 2, w / 2, 0, 0.06f, 0, h);
  asl_box(s, L_BED, wood, -w / 2, w / 2, 0.06f, d, 0.12f, 0.3f);
  asl_box(s, L_BED, wood, -w / 2, w / 2, d - 0.04f, d, 0.3f, 0.42f);
  asl_box(s, L_BED, M_LINEN, -w / 2 + 0.03f, w / 2 - 0.03f, 0.08f, d - 0.05f, 0.3f, top);
  asl_box(s, L_BED, M_FABRIC, -w / 2 - 0.01f, w / 2 + 0.01f, 0.35f * fold * d + 0.25f, d - 0.02f,
          0.26f, top + 0.05f);
  four_legs(s, L_BED, wood, w, d, 0.12f, 0.07f);
  int pillows = w > 1.25f ? 2 : 1;
  float step = w / (float)pillows;
  for (int i = 0; i < pillows; i++)
    asl_ball(s, L_PILLOW, M_PILLOW, -w / 2 + step * ((float)i + 0.5f), 0.32f, top + 0.07f,
             step * 0.4f, 0.22f, 0.1f);
}

BUILD(night_stand) {
  (void)random;
  chest(s, L_NIGHT_STAND, M_WOOD, M_WOOD, w, d, h, 0.08f, 1, 2);
}
BUILD(dresser) {
  chest(s, L_DRESSER, M_WOOD, either(random, M_WOOD, M_WHITE), w, d, h, 0.08f, 2, 4);
}
BUILD(wardrobe) {
  int m = either(random, M_WOOD2, M_WHITE);
  chest(s, L_CABINET, m, m, w, d, h, 0.08f, w > 1.3f ? 3 : 2, 1);
}
BUILD(cabinet) {
  int m = either(random, M_WOOD, M_WOOD2);
  chest(s, L_CABINET, m, either(random, m, M_WHITE), w, d, h, 0.1f, w > 0.9f ? 2 : 1,
        h > 1 ? 2 : 1);
}
BUILD(lowboard) {
  chest(s, L_CABINET, M_WOOD2, either(random, M_WOOD2, M_WHITE), w, d, h, 0.06f, 3, 1);
}

static void shelving(asl_scene *s, asl_rooms_random *random, int label, int m, float w, float d,
                     float h, bool with_books) {
  const float t = 0.025f;
  int boards = (int)(h / 0.36f);
  float step = (h - 0.08f) / (float)boards;
  if (label == L_BOOKSHELF) {
    asl_box(s, label, m, -w / 2, w / 2, 0, 0.015f, 0, h);
    asl_box(s, label, m, -w / 2, -w / 2 + t, 0.015f, d, 0, h);
    asl_box(s, label, m, w / 2 - t, w / 2, 0.015f, d, 0, h);
  } else {
    four_legs(s, label, M_METAL, w, d, h, 0.03f);
  }
  for (int i = 0; i <= boards; i++) {
    float z = 0.06f + (float)i * step;
    asl_box(s, label, m, -w / 2 + t, w / 2 - t, 0.015f, d - 0.005f, z - t, z);
    if (i == boards) break;
    asl_rooms_split(s);
    if (with_books) {
      asl_books(s, random, -w / 2 + t, w / 2 - t, d, z, step - t, 0.85f);
    } else {
      for (float x = -w / 2 + 0.05f; x < w / 2 - 0.3f; x += 0.34f) {
        float bw = random_range(random, 0.2f, 0.3f),
              bh = random_range(random, 0.4f, 0.85f) * (step - t);
        int what = random_below(random, 4);
        if (what == 0) asl_books(s, random, x, x + 0.28f, d, z, step - t, 1);
        else if (what < 3) asl_box(s, L_BOX, M_CARDBOARD, x, x + bw, 0.05f, d - 0.05f, z, z + bh);
      }
    }
  }
}
BUILD(bookshelf) {
  shelving(s, random, L_BOOKSHELF, either(random, M_WOOD, M_WOOD2), w, d, h, true);
}
BUILD(shelves) { shelving(s, random, L_SHELVES, either(random, M_WOOD, M_STEEL), w, d, h, false); }

static void upholstered(asl_scene *s, asl_rooms_random *random, int label, float w, float d,
                        float h, int seats) {
  int cloth = either(random, M_FABRIC, M_FABRIC2);
  const float arm = 0.16f, seat = 0.42f;
  float cw = (w - 2 * arm) / (float)seats;
  asl_box(s, label, M_DARK, -w / 2 + 0.06f, w / 2 - 0.06f, 0.06f, d - 0.08f, 0, 0.08f);
  asl_box(s, label, cloth, -w / 2, w / 2, 0, d - 0.03f, 0.08f, 0.27f);
  asl_box(s, label, cloth, -w / 2, w / 2, 0, 0.2f, 0.27f, h);
  asl_box(s, label, cloth, -w / 2, -w / 2 + arm, 0.2f, d, 0.1f, 0.6f);
  asl_box(s, label, cloth, w / 2 - arm, w / 2, 0.2f, d, 0.1f, 0.6f);
  for (int i = 0; i < seats; i++) {
    float x = -w / 2 + arm + cw * (float)i + 0.005f;
    asl_box(s, label, cloth, x, x + cw - 0.01f, 0.2f, d, 0.275f, seat);
    asl_box(s, label, cloth, x + 0.01f, x + cw - 0.02f, 0.2f, 0.34f, seat, h - 0.06f);
  }
  for (int i = 0; i < seats; i += 2) {
    float side = i ? 1.0f : -1.0f;
    asl_ball(s, L_PILLOW, M_PILLOW, side * (w / 2 - arm - 0.22f), 0.42f, seat + 0.19f, 0.21f, 0.09f,
             0.19f);
  }
}
BUILD(sofa) { upholstered(s, random, L_SOFA, w, d, h, w > 1.8f ? 3 : 2); }
BUILD(armchair) { upholstered(s, random, L_SOFA, w, d, h, 1); }

BUILD(chair) {
  int wood = either(random, M_WOOD, M_WOOD2);
  const float t = 0.04f, seat = 0.46f;
  four_legs(s, L_CHAIR, wood, w, d, seat - 0.04f, t);
  asl_box(s, L_CHAIR, either(random, wood, M_FABRIC2), -w / 2, w / 2, 0, d, seat - 0.04f, seat);
  asl_box(s, L_CHAIR, wood, -w / 2, -w / 2 + t, 0, t, seat, h);
  asl_box(s, L_CHAIR, wood, w / 2 - t, w / 2, 0, t, seat, h);
  asl_box(s, L_CHAIR, wood, -w / 2 + t, w / 2 - t, 0.005f, 0.03f, h - 0.26f, h - 0.02f);
}

BUILD(office_chair) {
  int cloth = either(random, M_DARK, M_FABRIC2);
  asl_post(s, L_CHAIR, M_DARK, 0, d / 2, 0.02f, 0.09f, w * 0.5f, 0.06f);
  asl_post(s, L_CHAIR, M_METAL, 0, d / 2, 0.09f, 0.4f, 0.03f, 0.03f);
  asl_box(s, L_CHAIR, cloth, -w / 2 + 0.02f, w / 2 - 0.02f, 0.06f, d, 0.4f, 0.49f);
  asl_box(s, L_CHAIR, M_DARK, -0.03f, 0.03f, 0.02f, 0.05f, 0.42f, h - 0.2f);
  asl_box(s, L_CHAIR, cloth, -w / 2 + 0.04f, w / 2 - 0.04f, 0.05f, 0.11f, 0.58f, h);
}

BUILD(table) {
  int wood = either(random, M_WOOD, M_WOOD2);
  asl_box(s, L_TABLE, wood, -w / 2, w / 2, 0, d, h - 0.04f, h);
  if (w < 1.1f && random_below(random, 2)) {
    asl_post(s, L_TABLE, wood, 0, d / 2, 0.03f, h - 0.04f, 0.05f, 0.05f);
    asl_post(s, L_TABLE, wood, 0, d / 2, 0, 0.03f, 0.3f, 0.28f);
  } else {
    four_legs(s, L_TABLE, wood, w, d, h - 0.04f, 0.06f);
  }
}

BUILD(desk) {
  int wood = either(random, M_WOOD, M_WHITE);
  asl_box(s, L_DESK, wood, -w / 2, w / 2, 0, d, h - 0.035f, h);
  four_legs(s, L_DESK, either(random, M_METAL, wood), w, d, h - 0.035f, 0.045f);
  float x = random_below(random, 2) ? w / 2 - 0.45f : -w / 2 + 0.05f;
  asl_box(s, L_DESK, M_WHITE, x, x + 0.4f, 0.05f, d - 0.07f, 0.08f, h - 0.035f);
  for (int i = 0; i < 3; i++)
    asl_box(s, L_DESK, wood, x + 0.01f, x + 0.39f, d - 0.07f, d - 0.05f, 0.1f + 0.2f * (float)i,
            0.28f + 0.2f * (float)i);
}

BUILD(counter) {
  int front = either(random, M_WHITE, M_WOOD);
  chest(s, L_CABINET, front, front, w, d - 0.02f, h - 0.04f, 0.1f, (int)(w / 0.55f), 1);
  asl_box(s, L_COUNTER, M_STEEL, -w / 2, w / 2, 0, d, h - 0.04f, h);
  float x = random_range(random, -0.25f, 0.25f) * w;
  asl_box(s, L_SINK, M_METAL, x - 0.26f, x + 0.26f, 0.12f, d - 0.1f, h, h + 0.012f);
  asl_box(s, L_SINK, M_DARK, x - 0.2f, x + 0.2f, 0.18f, d - 0.15f, h + 0.012f, h + 0.014f);
  asl_post(s, L_SINK, M_METAL, x, 0.09f, h, h + 0.26f, 0.018f, 0.018f);
  asl_box(s, L_SINK, M_METAL, x - 0.012f, x + 0.012f, 0.1f, 0.28f, h + 0.235f, h + 0.26f);
}

BUILD(refridgerator) {
  int m = either(random, M_WHITE, M_STEEL);
  (void)random;
  asl_box(s, L_REFRIDGERATOR, m, -w / 2, w / 2, 0, d - 0.05f, 0.03f, h);
  asl_box(s, L_REFRIDGERATOR, m, -w / 2, w / 2, d - 0.05f, d, 0.05f, 0.36f * h - 0.01f);
  asl_box(s, L_REFRIDGERATOR, m, -w / 2, w / 2, d - 0.05f, d, 0.36f * h + 0.01f, h);
  asl_box(s, L_REFRIDGERATOR, M_METAL, w / 2 - 0.08f, w / 2 - 0.05f, d, d + 0.04f, 0.4f * h,
          0.62f * h);
  asl_box(s, L_REFRIDGERATOR, M_METAL, w / 2 - 0.08f, w / 2 - 0.05f, d, d + 0.04f, 0.2f * h,
          0.33f * h);
}

BUILD(boxes) {
  float z = 0, k = 1;
  int n = 1 + random_below(random, 3);
  for (int i = 0; i < n; i++, k *= random_range(random, 0.75f, 0.95f)) {
    float bh = random_range(random, 0.6f, 1) * h / 2,
          x = random_range(random, -0.5f, 0.5f) * (1 - k) * w;
    asl_box(s, L_BOX, M_CARDBOARD, x - k * w / 2, x + k * w / 2, 0.5f * (1 - k) * d,
            0.5f * (1 + k) * d, z, z + bh);
    z += bh;
  }
}

BUILD(bag) {
  (void)random;
  asl_ball(s, L_BAG, M_BAG, 0, d / 2, 0.45f * h, w / 2, d / 2, 0.45f * h);
  asl_box(s, L_BAG, M_DARK, -w * 0.22f, -w * 0.16f, d / 2 - 0.015f, d / 2 + 0.015f, 0.8f * h, h);
  asl_box(s, L_BAG, M_DARK, w * 0.16f, w * 0.22f, d / 2 - 0.015f, d / 2 + 0.015f, 0.8f * h, h);
  asl_box(s, L_BAG, M_DARK, -w * 0.22f, w * 0.22f, d / 2 - 0.015f, d / 2 + 0.015f, h, h + 0.02f);
}

BUILD(standing_lamp) {
  (void)random;
  asl_post(s, L_LAMP, M_METAL, 0, d / 2, 0, 0.03f, w * 0.35f, w * 0.33f);
  asl_post(s, L_LAMP, M_METAL, 0, d / 2, 0.03f, h - 0.25f, 0.018f, 0.018f);
  asl_lamp_shade(s, 0, d / 2, h - 0.14f, w / 2, 0.28f);
}

BUILD(big_plant) { asl_plant(s, random, 0, d / 2, 0, w / 2, h); }
BUILD(rug) {
  if (random_below(random, 4) == 0) {
    asl_post(s, L_FLOOR_MAT, M_RUG, 0, d / 2, 0, h, least(w, d) / 2, least(w, d) / 2);
  } else {
    asl_box(s, L_FLOOR_MAT, M_RUG, -w / 2, w / 2, 0, d, 0, h);
  }
}
BUILD(pillar) {
  (void)random;
  asl_box(s, L_OTHERSTRUCTURE, M_TRIM, -w / 2, w / 2, 0, d, 0, h);
}
BUILD(ottoman) {
  (void)random;
  asl_box(s, L_OTHERFURNITURE, M_FABRIC2, -w / 2, w / 2, 0, d, 0.08f, h);
  four_legs(s, L_OTHERFURNITURE, M_DARK, w, d, 0.08f, 0.05f);
}

/* ---- furniture that hangs ----------------------------------------------------------------- */
static void framed(asl_scene *s, int label, int frame, int inside, float w, float d, float h,
                   float t) {
  asl_box(s, label, frame, -w / 2, w / 2, 0, d, 0, h);
  asl_box(s, label, inside, -w / 2 + t, w / 2 - t, d, d + 0.004f, t, h - t);
}
BUILD(picture) { framed(s, L_PICTURE, either(random, M_DARK, M_WOOD), M_PICTURE, w, d, h, 0.03f); }
BUILD(mirror) { framed(s, L_MIRROR, either(random, M_METAL, M_WOOD2), M_MIRROR, w, d, h, 0.04f); }
BUILD(papers) {
  for (int i = 0; i < 3; i++) {
    float x = -w / 2 + w * (float)i / 3, z = random_range(random, 0, 0.2f) * h;
    asl_box(s, L_PAPER, M_PAPER, x + 0.02f, x + w / 3 - 0.02f, 0, d, z, z + 0.8f * h);
  }
}
BUILD(television) {
  (void)random;
  framed(s, L_TELEVISION, M_DARK, M_SCREEN, w, d, h, 0.02f);
}
BUILD(whiteboard) {
  (void)random;
  framed(s, L_WHITEBOARD, M_METAL, M_BOARD, w, d, h, 0.025f);
  asl_box(s, L_WHITEBOARD, M_METAL, -w / 4, w / 4, d, d + 0.08f, 0, 0.02f);
}
BUILD(wall_cabinet) {
  int m = either(random, M_WHITE, M_WOOD);
  chest(s, L_CABINET, m, m, w, d, h, 0, (int)(w / 0.5f), 1);
}
BUILD(board) {
  asl_box(s, L_SHELVES, M_WOOD, -w / 2, w / 2, 0, d, 0, 0.03f);
  asl_books(s, random, -w / 2 + 0.05f, w / 2 - 0.05f, d, 0.03f, h - 0.03f, 0.6f);
}
BUILD(clothes) {
  asl_box(s, L_OTHERFURNITURE, M_WOOD2, -w / 2, w / 2, 0, 0.03f, h - 0.08f, h);
  int n = (int)(w / 0.26f);
  for (int i = 0; i < n; i++) {
    float x = -w / 2 + w * ((float)i + 0.5f) / (float)n, l = random_range(random, 0.55f, 0.85f) * h;
    asl_box(s, L_CLOTHES, i % 2 ? M_CLOTHES : M_FABRIC, x - 0.11f, x + 0.11f, 0.03f, d,
            h - 0.1f - l, h - 0.1f);
  }
}
BUILD(towel) {
  (void)random;
  asl_box(s, L_OTHERPROP, M_METAL, -w / 2, w / 2, 0, d, h - 0.03f, h);
  asl_box(s, L_TOWEL, M_CLOTHES, -w / 2 + 0.05f, w / 2 - 0.05f, d, d + 0.03f, 0, h + 0.01f);
}
BUILD(radiator) {
  (void)random;
  asl_box(s, L_OTHERFURNITURE, M_WHITE, -w / 2, w / 2, 0.03f, d - 0.03f, 0.05f, h - 0.02f);
  int fins = (int)(w / 0.09f);
  for (int i = 0; i < fins; i++) {
    float x = -w / 2 + w * ((float)i + 0.5f) / (float)fins;
    asl_box(s, L_OTHERFURNITURE, M_WHITE, x - 0.028f, x + 0.028f, d - 0.03f, d, 0, h);
  }
}
BUILD(door) {
  const float t = 0.07f;
  asl_box(s, L_DOOR, M_TRIM, -w / 2, -w / 2 + t, 0, d, 0, h);
  asl_box(s, L_DOOR, M_TRIM, w / 2 - t, w / 2, 0, d, 0, h);
  asl_box(s, L_DOOR, M_TRIM, -w / 2 + t, w / 2 - t, 0, d, h - t, h);
  asl_box(s, L_DOOR, M_DOOR, -w / 2 + t, w / 2 - t, 0, d * 0.6f, 0.01f, h - t);
  float x = random_below(random, 2) ? w / 2 - t - 0.13f : -w / 2 + t + 0.03f;
  asl_box(s, L_DOOR, M_METAL, x, x + 0.1f, d * 0.6f + 0.03f, d * 0.6f + 0.05f, 1.02f, 1.045f);
}
BUILD(window) {
  const float t = 0.06f;
  int panes = w > 1.0f ? 2 : 1;
  (void)random;
  asl_box(s, L_WINDOW, M_OUTSIDE, -w / 2 + t, w / 2 - t, 0, 0.01f, t, h - t);
  asl_box(s, L_WINDOW, M_TRIM, -w / 2, -w / 2 + t, 0, d, 0, h);
  asl_box(s, L_WINDOW, M_TRIM, w / 2 - t, w / 2, 0, d, 0, h);
  asl_box(s, L_WINDOW, M_TRIM, -w / 2 + t, w / 2 - t, 0, d, h - t, h);
  asl_box(s, L_WINDOW, M_TRIM, -w / 2 - 0.04f, w / 2 + 0.04f, 0, d + 0.07f, 0, 0.035f);
  for (int i = 1; i < panes; i++)
    asl_box(s, L_WINDOW, M_TRIM, -t / 2, t / 2, 0.01f, d, 0.035f, h - t);
}
BUILD(curtain) { /* both sides of a window of width w */
  float drawn = random_range(random, 0.16f, 0.3f) * w, out = 0.18f;
  for (int side = -1; side <= 1; side += 2) {
    float a = (float)side * (w / 2 + out), b = (float)side * (w / 2 - drawn);
    asl_box(s, L_CURTAIN, M_CURTAIN, least(a, b), most(a, b), 0.1f, d, 0, h - 0.03f);
  }
  asl_box(s, L_CURTAIN, M_METAL, -w / 2 - 0.25f, w / 2 + 0.25f, 0.1f, d, h - 0.03f, h);
}
BUILD(blinds) {
  (void)random;
  asl_box(s, L_BLINDS, M_BLINDS, -w / 2, w / 2, 0, d, 0, h);
}
BUILD(ceiling_lamp) { /* hangs from h down to 0; centred on y = 0 */
  (void)random, (void)d;
  asl_post(s, L_LAMP, M_DARK, 0, 0, 0.2f, h, 0.01f, 0.01f);
  asl_post(s, L_LAMP, M_LAMP, 0, 0, 0, 0.2f, w / 2, w / 5);
}
BUILD(panel_lamp) {
  (void)random;
  asl_box(s, L_LAMP, M_LAMP, -w / 2, w / 2, -d / 2, d / 2, 0, h);
}

/* clang-format off */
const asl_piece asl_rooms_pieces[ROOMS_PIECES] = {
  [P_BED] = {PLACE_WALL, bed, .w = {0.95f, 1.8f}, .d = {2.0f, 2.1f}, .h = {0.75f, 1.1f},
    .front = 0.5f},
  [P_NIGHT_STAND] = {PLACE_WALL, night_stand, .w = {0.4f, 0.55f}, .d = {0.36f, 0.42f},
    .h = {0.45f, 0.6f}, .front = 0.3f, .top = TOP_NIGHT},
  [P_DRESSER] = {PLACE_WALL, dresser, .w = {0.9f, 1.5f}, .d = {0.42f, 0.5f}, .h = {0.75f, 1.0f},
    .front = 0.5f, .top = TOP_LAMP},
  [P_WARDROBE] = {PLACE_WALL, wardrobe, .w = {1.0f, 1.9f}, .d = {0.55f, 0.62f}, .h = {1.9f, 2.2f},
    .front = 0.5f},
  [P_CABINET] = {PLACE_WALL, cabinet, .w = {0.6f, 1.2f}, .d = {0.38f, 0.5f}, .h = {0.8f, 1.5f},
    .front = 0.4f, .top = TOP_LIVING},
  [P_LOWBOARD] = {PLACE_WALL, lowboard, .w = {1.3f, 1.9f}, .d = {0.4f, 0.48f}, .h = {0.42f, 0.55f},
    .front = 0.6f, .top = TOP_SCREEN},
  [P_BOOKSHELF] = {PLACE_WALL, bookshelf, .w = {0.7f, 1.3f}, .d = {0.28f, 0.34f}, .h = {1.5f, 2.1f},
    .front = 0.4f},
  [P_SHELVES] = {PLACE_WALL, shelves, .w = {0.9f, 1.6f}, .d = {0.36f, 0.5f}, .h = {1.4f, 2.0f},
    .front = 0.4f},
  [P_SOFA] = {PLACE_WALL, sofa, .w = {1.5f, 2.2f}, .d = {0.85f, 0.95f}, .h = {0.75f, 0.88f},
    .front = 0.7f},
  [P_ARMCHAIR] = {PLACE_WALL, armchair, .w = {0.85f, 0.95f}, .d = {0.85f, 0.9f},
    .h = {0.75f, 0.88f}, .front = 0.4f},
  [P_CHAIR] = {PLACE_FREE, chair, .w = {0.42f, 0.46f}, .d = {0.42f, 0.46f}, .h = {0.84f, 0.98f}},
  [P_OFFICE_CHAIR] = {PLACE_FREE, office_chair, .w = {0.5f, 0.56f}, .d = {0.5f, 0.54f},
    .h = {0.9f, 1.1f}},
  [P_TABLE] = {PLACE_FREE, table, .w = {0.8f, 1.6f}, .d = {0.75f, 0.9f}, .h = {0.72f, 0.76f},
    .top = TOP_LIVING},
  [P_LOW_TABLE] = {PLACE_FREE, table, .w = {0.8f, 1.15f}, .d = {0.5f, 0.6f}, .h = {0.4f, 0.46f},
    .top = TOP_LIVING},
  [P_DESK] = {PLACE_WALL, desk, .w = {1.2f, 1.7f}, .d = {0.65f, 0.78f}, .h = {0.72f, 0.76f},
    .front = 0.75f, .top = TOP_DESK},
  [P_COUNTER] = {PLACE_WALL, counter, .w = {1.6f, 2.9f}, .d = {0.6f, 0.64f}, .h = {0.88f, 0.92f},
    .front = 0.7f, .top = TOP_KITCHEN},
  [P_REFRIDGERATOR] = {PLACE_WALL, refridgerator, .w = {0.6f, 0.75f}, .d = {0.62f, 0.68f},
    .h = {1.5f, 1.9f}, .front = 0.6f},
  [P_BOXES] = {PLACE_WALL, boxes, .w = {0.4f, 0.65f}, .d = {0.35f, 0.5f}, .h = {0.6f, 0.9f}},
  [P_BAG] = {PLACE_WALL, bag, .w = {0.36f, 0.5f}, .d = {0.2f, 0.28f}, .h = {0.3f, 0.42f}},
  [P_STANDING_LAMP] = {PLACE_WALL, standing_lamp, .w = {0.4f, 0.5f}, .d = {0.4f, 0.5f},
    .h = {1.5f, 1.75f}},
  [P_PLANT] = {PLACE_WALL, big_plant, .w = {0.4f, 0.6f}, .d = {0.4f, 0.6f}, .h = {0.9f, 1.4f}},
  [P_RUG] = {PLACE_FLAT, rug, .w = {1.3f, 2.2f}, .d = {1.2f, 1.7f}, .h = {0.012f, 0.02f}},
  [P_PICTURE] = {PLACE_MOUNTED, picture, .w = {0.4f, 1.1f}, .d = {0.025f, 0.03f}, .h = {0.4f, 0.8f},
    .z = {1.25f, 1.5f}},
  [P_MIRROR] = {PLACE_MOUNTED, mirror, .w = {0.5f, 0.8f}, .d = {0.025f, 0.03f}, .h = {0.7f, 1.2f},
    .z = {0.95f, 1.1f}},
  [P_TELEVISION] = {PLACE_MOUNTED, television, .w = {1.0f, 1.4f}, .d = {0.05f, 0.07f},
    .h = {0.6f, 0.8f}, .z = {1.05f, 1.2f}},
  [P_WHITEBOARD] = {PLACE_MOUNTED, whiteboard, .w = {1.4f, 2.4f}, .d = {0.02f, 0.03f},
    .h = {0.95f, 1.2f}, .z = {0.95f, 1.05f}},
  [P_WALL_CABINET] = {PLACE_MOUNTED, wall_cabinet, .w = {1.0f, 2.0f}, .d = {0.33f, 0.37f},
    .h = {0.6f, 0.7f}, .z = {1.45f, 1.5f}},
  [P_BOARD] = {PLACE_MOUNTED, board, .w = {0.7f, 1.2f}, .d = {0.2f, 0.24f}, .h = {0.3f, 0.34f},
    .z = {1.4f, 1.7f}},
  [P_CLOTHES] = {PLACE_MOUNTED, clothes, .w = {0.6f, 1.1f}, .d = {0.12f, 0.16f}, .h = {0.8f, 1.0f},
    .z = {0.75f, 0.85f}},
  [P_TOWEL] = {PLACE_MOUNTED, towel, .w = {0.5f, 0.6f}, .d = {0.03f, 0.04f}, .h = {0.5f, 0.6f},
    .z = {0.9f, 1.0f}},
  [P_RADIATOR] = {PLACE_MOUNTED, radiator, .w = {0.7f, 1.3f}, .d = {0.1f, 0.12f},
    .h = {0.55f, 0.6f}, .z = {0.12f, 0.15f}},
  [P_PILLAR] = {PLACE_WALL, pillar, .w = {0.3f, 0.5f}, .d = {0.3f, 0.4f}, .h = {9, 9}},
  [P_OTTOMAN] = {PLACE_WALL, ottoman, .w = {0.5f, 0.7f}, .d = {0.45f, 0.55f}, .h = {0.38f, 0.44f}},
  [P_DOOR] = {PLACE_MOUNTED, door, .w = {0.9f, 1.05f}, .d = {0.05f, 0.06f}, .h = {2.02f, 2.12f},
    .front = 0.9f},
  [P_WINDOW] = {PLACE_MOUNTED, window, .w = {1.0f, 1.9f}, .d = {0.05f, 0.06f}, .h = {1.1f, 1.4f},
    .z = {0.85f, 1.0f}},
  [P_PAPERS] = {PLACE_MOUNTED, papers, .w = {0.75f, 1.1f}, .d = {0.004f, 0.006f},
    .h = {0.35f, 0.5f}, .z = {1.2f, 1.5f}},
  [P_CURTAIN] = {PLACE_MOUNTED, curtain, .w = {0, 0}, .d = {0.18f, 0.18f}, .h = {0, 0}},
  [P_BLINDS] = {PLACE_MOUNTED, blinds, .w = {0, 0}, .d = {0.025f, 0.025f}, .h = {0, 0}},
  [P_CEILING_LAMP] = {PLACE_MOUNTED, ceiling_lamp, .w = {0.4f, 0.5f}, .d = {0, 0},
    .h = {0.5f, 0.7f}},
  [P_PANEL_LAMP] = {PLACE_MOUNTED, panel_lamp, .w = {1.1f, 1.3f}, .d = {0.28f, 0.34f},
    .h = {0.03f, 0.05f}},
};
/* clang-format on */
