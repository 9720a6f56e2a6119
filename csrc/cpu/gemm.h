/* Matrix products from a 6 x 16 register tile.
 *
 * Lanes are columns and the inner index runs in order with one fma per step, so a result does not
 * depend on how the product is cut into tiles, blocks or spans. */
#ifndef ASL_CPU_GEMM_H
#define ASL_CPU_GEMM_H

#include "cpu/norm.h"

enum { GEMM_COLUMNS = 16, GEMM_ROWS = 6 };

/* A run of the inner index: element k of the run is A[row][a + k] times B[b + k][column]. */
typedef struct asl_segment {
  int64_t a, b, length;
} asl_segment;

#define gemm_pack ASL_LOCAL(asl_gemm_pack)
#define gemm_packed_count ASL_LOCAL(asl_gemm_packed_count)
#define gemm_rows ASL_LOCAL(asl_gemm_rows)
#define gemm_outer ASL_LOCAL(asl_gemm_outer)
#define gemm_add_shards ASL_LOCAL(asl_gemm_add_shards)

/* Floats of a packed B of k rows and n columns: panels of 16 columns, the last padded with 0. */
int64_t gemm_packed_count(int64_t k, int64_t n);

/* In parallel over panels: packs rows [first, last) of a B of k rows and n columns: element (first + i, j) is
 * b[i row_stride + j column_stride]. */
void gemm_pack(const float *b, int64_t row_stride, int64_t column_stride, int64_t first,
               int64_t last, int64_t k, int64_t n, float *packed);

/* C = norm(start + sum over segments of A B), where start is C (accumulate), the bias of every
 * column or 0. A and C have row strides. */
typedef struct asl_product {
  const float *a, *packed; /* packed: k rows in all */
  int64_t a_stride, k, n;
  const asl_segment *segments;
  int count;
  float *c;
  int64_t c_stride;
  const float *bias;    /* of column 0, or NULL */
  const asl_norm *norm; /* or NULL; `channel`: of column 0 */
  int64_t channel;
  bool accumulate;
} asl_product;
void gemm_rows(int64_t rows, const asl_product *p);

/* C (m x n) = A^T B for A (rows x m) and B (rows x n), or C + that. n is a multiple of 16. */
void gemm_outer(int64_t rows, const float *a, int64_t a_stride, int64_t m, const float *b,
                int64_t b_stride, int64_t n, float *c, int64_t c_stride, bool accumulate);

/* to[i step] = sum of the `count` floats at `partial`, in the order of the shards, which lie
 * `shard_floats` apart; whole vectors of them can be read. */
void gemm_add_shards(const float *partial, int64_t shards, int64_t shard_floats, int64_t count,
                     float *to, int64_t step);

#endif
