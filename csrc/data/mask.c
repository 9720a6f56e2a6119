#include "data/mask.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

/* The middle of column i lies between the fifths FIFTHS i + MIDDLE and the next one. */
enum { FIFTHS = ASL_MASK_FIFTHS, MIDDLE = 2 };

asl_status asl_polygon_fifths(const double *corners, size_t n, int32_t *out) {
  if (n < 3) return asl_fail(ASL_EDATA, "a polygon of %zu corners; it needs 3", n);
  for (size_t i = 0; i < 2 * n; i++) {
    if (!(fabs(corners[i]) <= ASL_MASK_FARTHEST))
      return asl_fail(ASL_EDATA, "corner %zu of a polygon is at %s = %g", i / 2 + 1,
                      i % 2 ? "y" : "x", corners[i]);
    out[i] = (int32_t)(FIFTHS * corners[i] + 0.5);
  }
  return ASL_OK;
}

/* Where boundaries cross the middles of columns: positions counted down the columns. */
typedef struct crossings {
  asl_runs at; /* here only a list that grows */
  int height, width;
} crossings;

/* A crossing in a column at v, in fifths: all pixels from there on are turned over. */
static asl_status cross(crossings *c, int column, int64_t v) {
  int64_t y = v <= MIDDLE ? 0 : (v - MIDDLE + FIFTHS - 1) / FIFTHS;
  if (y > c->height) y = c->height;
  if (c->at.n == ASL_MASK_MAX_CROSSINGS)
    return asl_fail(ASL_EDATA, "a polygon crosses columns of pixels more than %d times",
                    ASL_MASK_MAX_CROSSINGS);
  return asl_runs_add(&c->at, (uint32_t)((int64_t)column * c->height + y));
}

/* The columns whose middles lie between the fifths from and end. */
static int first_column(const crossings *c, int from) {
  int first = from <= MIDDLE ? 0 : (from - MIDDLE + FIFTHS - 1) / FIFTHS;
  return first < c->width ? first : c->width;
}

static int last_column(const crossings *c, int end) {
  int last = end <= MIDDLE ? -1 : (end - 1 - MIDDLE) / FIFTHS;
  return last < c->width ? last : c->width - 1;
}

/* A point of an edge: what the longer axis has gone, the shorter follows. */
static int follow(int start, double slope, int gone) { return (int)(start + slope * gone + 0.5); }

/* An edge that goes further to the right than it goes up or down: from (x, y), dx > 0. */
static asl_status cross_flat(crossings *c, int x, int y, int dx, double slope) {
  int last = last_column(c, x + dx);
  for (int column = first_column(c, x); column <= last; column++) {
    int gone = FIFTHS * column + MIDDLE - x;
    int v = follow(y, slope, gone), next = follow(y, slope, gone + 1);
    ASL_TRY(cross(c, column, v < next ? v : next));
  }
  return ASL_OK;
}

/* Whether a steep edge is still on the side of a middle, at the fifth u, that it comes from. */
static bool before(int x, double slope, int gone, int u) {
  int at = follow(x, slope, gone);
  return slope > 0 ? at <= u : at > u;
}

/* An edge that goes further down than to a side: from (x, y), dy > 0. */
static asl_status cross_steep(crossings *c, int x, int y, int dy, int to_x) {
  double slope = (double)(to_x - x) / dy;
  int least = x < to_x ? x : to_x, most = x < to_x ? to_x : x, last = last_column(c, most);
  for (int column = first_column(c, least); column <= last; column++) {
    int u = FIFTHS * column + MIDDLE;
    double guess = floor((u + 0.5 - x) / slope);
    int gone = guess < 0 ? 0 : guess > dy ? dy : (int)guess;
    while (gone > 0 && !before(x, slope, gone, u)) gone--;
    while (gone < dy && before(x, slope, gone + 1, u)) gone++;
    ASL_TRY(cross(c, column, (int64_t)y + gone));
  }
  return ASL_OK;
}

static asl_status cross_edge(crossings *c, const int32_t *a, const int32_t *b) {
  int dx = abs(b[0] - a[0]), dy = abs(b[1] - a[1]);
  if (dx == 0) return ASL_OK;
  bool flat = dx >= dy;
  if (flat ? a[0] > b[0] : a[1] > b[1]) {
    const int32_t *swap = a;
    a = b;
    b = swap;
  }
  if (flat) return cross_flat(c, a[0], a[1], dx, (double)(b[1] - a[1]) / dx);
  return cross_steep(c, a[0], a[1], dy, b[0]);
}

static int by_position(const void *a, const void *b) {
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return (x > y) - (x < y);
}

/* Runs between the places that are turned over an odd number of times. */
static asl_status make_runs(const crossings *c, asl_runs *out) {
  uint32_t from = 0, pixels = (uint32_t)c->height * (uint32_t)c->width;
  const uint32_t *at = c->at.run;
  for (size_t i = 0, same; i < c->at.n && at[i] < pixels; i += same) {
    for (same = 1; i + same < c->at.n && at[i + same] == at[i]; same++) continue;
    if (same % 2 == 0) continue;
    ASL_TRY(asl_runs_add(out, at[i] - from));
    from = at[i];
  }
  return asl_runs_add(out, pixels - from);
}

asl_status asl_polygon_runs(const int32_t *fifths, size_t n, int height, int width, asl_runs *out) {
  crossings c = {.height = height, .width = width};
  asl_status status = ASL_OK;
  for (size_t i = 0; i < n && status == ASL_OK; i++)
    status = cross_edge(&c, fifths + 2 * i, fifths + 2 * ((i + 1) % n));
  if (status == ASL_OK) {
    if (c.at.n) qsort(c.at.run, c.at.n, sizeof *c.at.run, by_position);
    status = make_runs(&c, out);
  }
  asl_runs_free(&c.at);
  return status;
}
