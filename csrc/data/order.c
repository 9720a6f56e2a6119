#include "data/order.h"

#include "base/philox.h"

enum { ROUNDS = 6 };

static uint64_t feistel(uint64_t seed, uint64_t epoch, int half, uint64_t value) {
  uint64_t mask = ((uint64_t)1 << half) - 1;
  uint64_t left = value >> half, right = value & mask;
  for (uint64_t round = 0; round < ROUNDS; round++) {
    asl_philox4 f = asl_philox(seed, ASL_PURPOSE_ORDER, epoch, round << 32 | right);
    uint64_t next = left ^ (f.v[0] & mask);
    left = right;
    right = next;
  }
  return left << half | right;
}

int64_t asl_order(uint64_t seed, uint64_t epoch, int64_t n, int64_t position) {
  int half = 1;
  while ((int64_t)1 << 2 * half < n) half++;
  uint64_t value = (uint64_t)position;
  do {
    value = feistel(seed, epoch, half, value);
  } while (value >= (uint64_t)n);
  return (int64_t)value;
}
