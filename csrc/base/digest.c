#include "base/digest.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

struct asl_sha256 {
  EVP_MD_CTX *context;
};

asl_sha256 *asl_sha256_new(void) {
  asl_sha256 *sha = malloc(sizeof *sha);
  if (!sha) return NULL;
  sha->context = EVP_MD_CTX_new();
  if (!sha->context || EVP_DigestInit_ex(sha->context, EVP_sha256(), NULL) != 1) {
    EVP_MD_CTX_free(sha->context);
    free(sha);
    return NULL;
  }
  return sha;
}

void asl_sha256_add(asl_sha256 *sha, const void *bytes, size_t n) {
  EVP_DigestUpdate(sha->context, bytes, n);
}

void asl_sha256_finish(asl_sha256 *sha, char hex[65]) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int n = 0;
  EVP_DigestFinal_ex(sha->context, digest, &n);
  for (int i = 0; i < 32; i++) snprintf(hex + 2 * i, 3, "%02x", digest[i]);
  EVP_MD_CTX_free(sha->context);
  free(sha);
}

static uint32_t table[8][256]; /* slicing by eight: eight bytes a round */
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void fill_table(void) {
  for (uint32_t i = 0; i < 256; i++) {
    uint32_t c = i;
    for (int k = 0; k < 8; k++) c = c & 1 ? (c >> 1) ^ 0x82F63B78u : c >> 1;
    table[0][i] = c;
  }
  for (int t = 1; t < 8; t++)
    for (int i = 0; i < 256; i++)
      table[t][i] = (table[t - 1][i] >> 8) ^ table[0][table[t - 1][i] & 255];
}

uint32_t asl_crc32c(const void *bytes, size_t n) {
  pthread_once(&once, fill_table);
  const unsigned char *p = bytes;
  uint32_t c = 0xFFFFFFFFu;
  for (; n >= 8; n -= 8, p += 8) {
    c ^= (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
    c = table[7][c & 255] ^ table[6][c >> 8 & 255] ^ table[5][c >> 16 & 255] ^ table[4][c >> 24] ^
        table[3][p[4]] ^ table[2][p[5]] ^ table[1][p[6]] ^ table[0][p[7]];
  }
  while (n--) c = (c >> 8) ^ table[0][(c ^ *p++) & 255];
  return ~c;
}
