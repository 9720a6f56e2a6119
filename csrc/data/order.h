/* The order of samples: a keyed permutation addressed by position.
 *
 * A Feistel network on the smallest even number of bits that holds n, its round function from the
 * counter generator, walked along its cycles until the result is below n (Black and Rogaway,
 * "Ciphers with arbitrary finite domains", CT-RSA 2002). Nothing is stored or shuffled, so going to
 * any position of any epoch costs the same. */
#ifndef ASL_DATA_ORDER_H
#define ASL_DATA_ORDER_H

#include <stdint.h>

/* The sample index, 0..n-1, at `position` of epoch `epoch`: for fixed (seed, epoch, n) a bijection
 * of [0, n). Expects 0 <= position < n <= 2^32. Cannot fail; fewer than 4 walks on average. */
int64_t asl_order(uint64_t seed, uint64_t epoch, int64_t n, int64_t position);

#endif
