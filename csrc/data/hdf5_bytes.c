#include "data/hdf5_parts.h"

#include <stdlib.h>

/* ---- reading ------------------------------------------------------------------------------ */

asl_status asl_hdf5_reach(const asl_hdf5 *file, uint64_t address, uint64_t n, const char *what) {
  uint64_t room = (uint64_t)file->input.size - file->base;
  if (address <= room && n <= room - address) return ASL_OK;
  return asl_fail(ASL_EDATA, "%s (%llu bytes at %llu) lies outside the file of %llu bytes", what,
                  (unsigned long long)n, (unsigned long long)address,
                  (unsigned long long)file->input.size);
}

asl_status asl_hdf5_load(const asl_hdf5 *file, uint64_t address, void *to, size_t n,
                         const char *what) {
  ASL_TRY(asl_hdf5_reach(file, address, n, what));
  return asl_input_read(&file->input, (int64_t)(file->base + address), to, n);
}

asl_hdf5_walk asl_hdf5_start(const asl_hdf5 *file, uint64_t times) {
  enum { SLACK = 4096 }; /* heads are read twice */
  return (asl_hdf5_walk){file, (uint64_t)file->input.size * times + SLACK};
}

static asl_status charge(asl_hdf5_walk *walk, uint64_t n, const char *what) {
  if (n > walk->left)
    return asl_fail(ASL_EDATA, "damaged: its parts refer to each other in a circle (at %s)", what);
  walk->left -= n;
  return ASL_OK;
}

asl_status asl_hdf5_fetch(asl_hdf5_walk *walk, uint64_t address, void *to, size_t n,
                          const char *what) {
  ASL_TRY(asl_hdf5_reach(walk->file, address, n, what));
  ASL_TRY(charge(walk, n, what));
  return asl_hdf5_load(walk->file, address, to, n, what);
}

asl_status asl_hdf5_fetch_new(asl_hdf5_walk *walk, uint64_t address, uint64_t n, const char *what,
                              uint8_t **out) {
  *out = NULL;
  ASL_TRY(asl_hdf5_reach(walk->file, address, n, what));
  ASL_TRY(charge(walk, n, what));
  uint8_t *bytes = malloc((size_t)n + 1);
  if (!bytes)
    return asl_fail(ASL_ENOMEM, "no memory for the %llu bytes of %s", (unsigned long long)n, what);
  asl_status status = asl_hdf5_load(walk->file, address, bytes, (size_t)n, what);
  if (status == ASL_OK) *out = bytes;
  else free(bytes);
  return status;
}

/* ---- taking apart ------------------------------------------------------------------------- */

const uint8_t *asl_take_bytes(asl_cursor *c, size_t n) {
  if (n > c->left) {
    c->over = true;
    c->left = 0;
    return NULL;
  }
  const uint8_t *bytes = c->at;
  c->at += n;
  c->left -= n;
  return bytes;
}

uint64_t asl_take(asl_cursor *c, int bytes) {
  const uint8_t *p = asl_take_bytes(c, (size_t)bytes);
  uint64_t value = 0;
  for (int i = 0; p && i < bytes; i++) value |= (uint64_t)p[i] << 8 * i;
  return value;
}

asl_status asl_cursor_check(const asl_cursor *c, const char *what) {
  return c->over ? asl_fail(ASL_EDATA, "damaged: %s ends too early", what) : ASL_OK;
}

static uint32_t rotate(uint32_t x, int k) { return x << k | x >> (32 - k); }

static uint32_t word(const uint8_t *p, size_t n) {
  uint32_t value = 0;
  for (size_t i = 0; i < n && i < 4; i++) value |= (uint32_t)p[i] << 8 * i;
  return value;
}

static void mix(uint32_t s[3]) {
  static const int turn[6] = {4, 6, 8, 16, 19, 4};
  for (int i = 0; i < 6; i++) {
    uint32_t *a = &s[i % 3], *b = &s[(i + 1) % 3], *c = &s[(i + 2) % 3];
    *a = (*a - *c) ^ rotate(*c, turn[i]);
    *c += *b;
  }
}

uint32_t asl_lookup3(const uint8_t *bytes, size_t n) {
  static const int turn[7] = {14, 11, 25, 16, 4, 14, 24};
  uint32_t start = 0xdeadbeefu + (uint32_t)n, s[3] = {start, start, start};
  for (; n > 12; n -= 12, bytes += 12) {
    for (int i = 0; i < 3; i++) s[i] += word(bytes + 4 * i, 4);
    mix(s);
  }
  if (n == 0) return s[2];
  for (size_t i = 0; i < 3 && 4 * i < n; i++) s[i] += word(bytes + 4 * i, n - 4 * i);
  for (int i = 0; i < 7; i++) { /* c by b, a by c, b by a, c by b, ... */
    uint32_t *to = &s[(i + 2) % 3], from = s[(i + 1) % 3];
    *to = (*to ^ from) - rotate(from, turn[i]);
  }
  return s[2];
}
