/* Digests: SHA-256 (of libcrypto) for identity, CRC-32C for framing. */
#ifndef ASL_BASE_DIGEST_H
#define ASL_BASE_DIGEST_H

#include <stddef.h>
#include <stdint.h>

typedef struct asl_sha256 asl_sha256;

/* NULL when out of memory. Free with asl_sha256_finish(). */
asl_sha256 *asl_sha256_new(void);
void asl_sha256_add(asl_sha256 *sha, const void *bytes, size_t n);
/* Writes 64 lower-case hex digits and a NUL, frees `sha`. */
void asl_sha256_finish(asl_sha256 *sha, char hex[65]);

/* CRC-32C (Castagnoli) of the bytes; crc32c("123456789") = 0xE3069283. */
uint32_t asl_crc32c(const void *bytes, size_t n);

#endif
