/* Philox4x32-10, the counter-based random generator (Salmon et al., "Parallel random numbers: as
 * easy as 1, 2, 3", SC 2011). Random numbers are a pure function of (key, counter): there is no
 * state, so nothing depends on order, threads, ranks or resuming. Compiles as C and as CUDA. */
#ifndef ASL_BASE_PHILOX_H
#define ASL_BASE_PHILOX_H

#include <stdint.h>

#include "base/hd.h"

typedef struct asl_philox4 {
  uint32_t v[4];
} asl_philox4;

/* What a stream of random numbers is for; part of the key, so that streams never meet. */
enum asl_purpose {
  ASL_PURPOSE_INIT = 1,    /* initial weights: counter = (tensor, element) */
  ASL_PURPOSE_ORDER = 2,   /* order of samples */
  ASL_PURPOSE_AUGMENT = 3, /* augmentation: counter = (step, row) */
  ASL_PURPOSE_DROPOUT = 4, /* counter = (step and layer, element) */
  ASL_PURPOSE_REPLAY = 5,  /* what enters, leaves and is drawn from the buffer */
  ASL_PURPOSE_ROOMS = 6,   /* the procedural data set */
  ASL_PURPOSE_USER = 16,   /* tensors filled by the user: asl.rand, asl.randn */
};

ASL_HD asl_philox4 asl_philox(uint64_t seed, uint32_t purpose, uint64_t hi, uint64_t lo) {
  uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32) ^ (purpose * 0x9E3779B9u);
  uint32_t c0 = (uint32_t)lo, c1 = (uint32_t)(lo >> 32), c2 = (uint32_t)hi,
           c3 = (uint32_t)(hi >> 32);
  for (int round = 0; round < 10; round++) {
    uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
    uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0, n2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
    c1 = (uint32_t)p1;
    c3 = (uint32_t)p0;
    c0 = n0;
    c2 = n2;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  asl_philox4 out = {{c0, c1, c2, c3}};
  return out;
}

/* Uniform in [0, 1) with 24 bits: exact in float. */
ASL_HD float asl_uniform(uint32_t bits) { return (float)(bits >> 8) * 0x1p-24f; }

/* Uniform integer in [0, n) by multiplication; bias below n / 2^32. */
ASL_HD uint32_t asl_below(uint32_t bits, uint32_t n) {
  return (uint32_t)(((uint64_t)bits * n) >> 32);
}

#endif
