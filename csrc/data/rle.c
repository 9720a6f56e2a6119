#include "data/rle.h"

#include <stdbool.h>
#include <stdlib.h>

enum { FIRST_CHARACTER = 48, LAST_CHARACTER = 48 + 63, MAX_GROUPS = 8 };

void asl_runs_free(asl_runs *runs) {
  free(runs->run);
  *runs = (asl_runs){0};
}

asl_status asl_runs_add(asl_runs *runs, uint32_t run) {
  if (runs->n == runs->room) {
    size_t room = 2 * runs->room + 32;
    uint32_t *grown = realloc(runs->run, room * sizeof *grown);
    if (!grown) return asl_fail(ASL_ENOMEM, "no memory for %zu runs of a mask", room);
    runs->run = grown;
    runs->room = room;
  }
  runs->run[runs->n++] = run;
  return ASL_OK;
}

asl_status asl_runs_check(const uint32_t *run, size_t n, int height, int width) {
  uint64_t sum = 0, pixels = (uint64_t)height * (uint64_t)width;
  for (size_t i = 0; i < n; i++) sum += run[i];
  if (sum == pixels) return ASL_OK;
  return asl_fail(ASL_EDATA,
                  "the runs of the mask sum to %llu pixels; it has %dx%d = %llu (width x height)",
                  (unsigned long long)sum, width, height, (unsigned long long)pixels);
}

/* One number of the text; moves *at behind it. */
static asl_status read_number(const char *text, size_t n, size_t *at, int64_t *out) {
  int64_t value = 0;
  for (int group = 0; group < MAX_GROUPS; group++) {
    if (*at == n)
      return asl_fail(ASL_EDATA, "the runs of the mask are cut off after %zu characters", n);
    int code = (unsigned char)text[*at];
    if (code < FIRST_CHARACTER || code > LAST_CHARACTER)
      return asl_fail(ASL_EDATA, "the runs of the mask hold the byte 0x%02x at %zu", code, *at);
    code -= FIRST_CHARACTER;
    (*at)++;
    value |= (int64_t)(code & 0x1f) << 5 * group;
    if (code & 0x20) continue;
    *out = code & 0x10 ? value - ((int64_t)1 << 5 * (group + 1)) : value;
    return ASL_OK;
  }
  return asl_fail(ASL_EDATA, "a run of the mask has more than %d characters (at %zu)", MAX_GROUPS,
                  *at);
}

asl_status asl_rle_decode(const char *text, size_t n, asl_runs *out) {
  size_t first = out->n;
  for (size_t at = 0; at < n;) {
    int64_t value = 0;
    ASL_TRY(read_number(text, n, &at, &value));
    if (out->n - first > 2) value += out->run[out->n - 2];
    if (value < 0 || value > UINT32_MAX)
      return asl_fail(ASL_EDATA, "run %zu of the mask has %lld pixels", out->n - first + 1,
                      (long long)value);
    ASL_TRY(asl_runs_add(out, (uint32_t)value));
  }
  return ASL_OK;
}

asl_status asl_rle_encode(const uint32_t *run, size_t n, char **text, size_t *length) {
  char *out = malloc(MAX_GROUPS * n + 1);
  if (!out) return asl_fail(ASL_ENOMEM, "no memory for the text of %zu runs", n);
  size_t at = 0;
  for (size_t i = 0; i < n; i++) {
    int64_t value = i > 2 ? (int64_t)run[i] - (int64_t)run[i - 2] : run[i];
    for (bool more = true; more;) {
      int code = (int)(value & 0x1f);
      value >>= 5; /* keeps the sign */
      more = code & 0x10 ? value != -1 : value != 0;
      out[at++] = (char)(FIRST_CHARACTER + code + (more ? 0x20 : 0));
    }
  }
  *text = out;
  *length = at;
  return ASL_OK;
}

asl_status asl_runs_of_mask(const uint8_t *pixels, int height, int width, asl_runs *out) {
  bool in_mask = false;
  uint32_t run = 0;
  for (int x = 0; x < width; x++)
    for (int y = 0; y < height; y++, run++) {
      if ((pixels[(size_t)y * (size_t)width + (size_t)x] != 0) == in_mask) continue;
      ASL_TRY(asl_runs_add(out, run));
      in_mask = !in_mask;
      run = 0;
    }
  return asl_runs_add(out, run);
}

/* Pixels from..end, counted down the columns. */
static void paint(uint32_t from, uint32_t end, int height, int width, uint8_t value,
                  uint8_t *pixels) {
  uint32_t x = from / (uint32_t)height, y = from % (uint32_t)height;
  while (from < end) {
    uint32_t stop = end - from < (uint32_t)height - y ? y + (end - from) : (uint32_t)height;
    uint8_t *to = pixels + (size_t)y * (size_t)width + x;
    from += stop - y;
    for (; y < stop; y++, to += width) *to = value;
    x++;
    y = 0;
  }
}

void asl_runs_paint(const uint32_t *run, size_t n, int height, int width, uint8_t value,
                    uint8_t *pixels) {
  uint32_t at = 0;
  for (size_t i = 0; i < n; at += run[i++])
    if (i % 2) paint(at, at + run[i], height, width, value, pixels);
}
