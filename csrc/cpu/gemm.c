#include "cpu/gemm.h"

#include "cpu/kernel.h"
#include "cpu/norm_value.h"
#include "cpu/simd.h"

/* ---- packing --------------------------------------------------------------------------------- */
static int64_t panels_of(int64_t n) { return ceil_div(n, GEMM_COLUMNS); }

int64_t gemm_packed_count(int64_t k, int64_t n) { return panels_of(n) * k * GEMM_COLUMNS; }

typedef struct pack_job {
  const float *b;
  int64_t row_stride, column_stride, first, last, k, n;
  float *packed;
} pack_job;

/* Panels follow each other in memory, so whichever index is contiguous in b is the inner one. */
static void pack_panel(void *context, int64_t panel) {
  const pack_job p = *(const pack_job *)context;
  const float *from = p.b + panel * GEMM_COLUMNS * p.column_stride;
  float *to = p.packed + (panel * p.k + p.first) * GEMM_COLUMNS;
  int64_t rows = p.last - p.first, columns = min_i64(GEMM_COLUMNS, p.n - panel * GEMM_COLUMNS);
  if (columns < GEMM_COLUMNS) memset(to, 0, (size_t)(rows * GEMM_COLUMNS) * sizeof *to);
  if (p.column_stride == 1) {
    for (int64_t i = 0; i < rows; i++)
      memcpy(to + i * GEMM_COLUMNS, from + i * p.row_stride, (size_t)columns * sizeof *to);
    return;
  }
  for (int64_t j = 0; j < columns; j++)
    for (int64_t i = 0; i < rows; i++)
      to[i * GEMM_COLUMNS + j] = from[i * p.row_stride + j * p.column_stride];
}

void gemm_pack(const float *b, int64_t row_stride, int64_t column_stride, int64_t first,
               int64_t last, int64_t k, int64_t n, float *packed) {
  pack_job job = {b, row_stride, column_stride, first, last, k, n, packed};
  asl_parallel(panels_of(n), pack_panel, &job);
}

/* ---- C = A B --------------------------------------------------------------------------------- */
ALWAYS_INLINE v8 start_of(const asl_product *p, const float *c, int64_t column, int64_t columns) {
  if (p->accumulate) return v8_load_some(c, columns);
  return p->bias ? v8_load_some(p->bias + column, columns) : v8_zero();
}

/* rows x (8 vectors) of C from column `column` on, of which `columns` exist. */
ALWAYS_INLINE void tile(int rows, int vectors, const asl_product *p, const float *a, float *c,
                        int64_t column, int64_t columns) {
  v8 sum[GEMM_ROWS][2];
  UNROLL for (int i = 0; i < rows; i++) __builtin_prefetch(c + i * p->c_stride, 1);
  UNROLL for (int i = 0; i < rows; i++)
    UNROLL for (int v = 0; v < vectors; v++)
      sum[i][v] = start_of(p, c + i * p->c_stride + v * LANES, column + v * LANES,
                           columns - v * LANES);
  for (int s = 0; s < p->count; s++) {
    const float *x = a + p->segments[s].a;
    const float *b = p->packed + column * p->k + p->segments[s].b * GEMM_COLUMNS;
    for (int64_t k = 0; k < p->segments[s].length; k++, b += GEMM_COLUMNS) {
      v8 b0 = v8_load(b), b1 = vectors > 1 ? v8_load(b + LANES) : v8_zero();
      UNROLL for (int i = 0; i < rows; i++) {
        v8 value = v8_set(x[i * p->a_stride + k]);
        sum[i][0] = v8_fma(value, b0, sum[i][0]);
        if (vectors > 1) sum[i][1] = v8_fma(value, b1, sum[i][1]);
      }
    }
  }
  UNROLL for (int i = 0; i < rows; i++) {
    UNROLL for (int v = 0; v < vectors; v++) {
      int64_t channel = p->channel + column + v * LANES, lanes = columns - v * LANES;
      if (p->norm) sum[i][v] = norm_act(p->norm, sum[i][v], channel, lanes);
      v8_store_some(c + i * p->c_stride + v * LANES, sum[i][v], lanes);
    }
  }
}

ALWAYS_INLINE void tile_of(int rows, const asl_product *p, int64_t row, int64_t column) {
  const float *a = p->a + row * p->a_stride;
  float *c = p->c + row * p->c_stride + column;
  int64_t columns = p->n - column;
  if (columns >= GEMM_COLUMNS) tile(rows, 2, p, a, c, column, GEMM_COLUMNS);
  else if (columns > LANES) tile(rows, 2, p, a, c, column, columns);
  else tile(rows, 1, p, a, c, column, columns);
}

void gemm_rows(int64_t rows, const asl_product *given) {
  const asl_product p = *given; /* which the compiler sees nobody write */
  for (int64_t j = 0; j < p.n; j += GEMM_COLUMNS) {
    for (int64_t i = 0; i < rows; i += GEMM_ROWS) {
      switch (rows - i) {
        case 1: tile_of(1, &p, i, j); break;
        case 2: tile_of(2, &p, i, j); break;
        case 3: tile_of(3, &p, i, j); break;
        case 4: tile_of(4, &p, i, j); break;
        case 5: tile_of(5, &p, i, j); break;
        default: tile_of(6, &p, i, j); break;
      }
    }
  }
}

/* ---- C = A^T B ------------------------------------------------------------------------------- */
typedef struct outer {
  int64_t rows, a_stride, b_stride, c_stride;
  bool accumulate;
} outer;

ALWAYS_INLINE void outer_tile(int m, const outer *p, const float *a, const float *b, float *c) {
  v8 sum[GEMM_ROWS][2];
  UNROLL for (int i = 0; i < m; i++) sum[i][0] = sum[i][1] = v8_zero();
  for (int64_t r = 0; r < p->rows; r++, a += p->a_stride, b += p->b_stride) {
    v8 b0 = v8_load(b), b1 = v8_load(b + LANES);
    UNROLL for (int i = 0; i < m; i++) {
      v8 value = v8_set(a[i]);
      sum[i][0] = v8_fma(value, b0, sum[i][0]);
      sum[i][1] = v8_fma(value, b1, sum[i][1]);
    }
  }
  UNROLL for (int i = 0; i < m; i++) {
    UNROLL for (int v = 0; v < 2; v++) {
      float *to = c + i * p->c_stride + v * LANES;
      v8_store(to, p->accumulate ? v8_add(v8_load(to), sum[i][v]) : sum[i][v]);
    }
  }
}

void gemm_outer(int64_t rows, const float *a, int64_t a_stride, int64_t m, const float *b,
                int64_t b_stride, int64_t n, float *c, int64_t c_stride, bool accumulate) {
  const outer p = {rows, a_stride, b_stride, c_stride, accumulate};
  for (int64_t j = 0; j < n; j += GEMM_COLUMNS) {
    for (int64_t i = 0; i < m; i += GEMM_ROWS) {
      const float *ai = a + i, *bj = b + j;
      float *ci = c + i * c_stride + j;
      switch (m - i) {
        case 1: outer_tile(1, &p, ai, bj, ci); break;
        case 2: outer_tile(2, &p, ai, bj, ci); break;
        case 3: outer_tile(3, &p, ai, bj, ci); break;
        case 4: outer_tile(4, &p, ai, bj, ci); break;
        case 5: outer_tile(5, &p, ai, bj, ci); break;
        default: outer_tile(6, &p, ai, bj, ci); break;
      }
    }
  }
}

void gemm_add_shards(const float *partial, int64_t shards, int64_t shard_floats, int64_t count,
                     float *to, int64_t step) {
  for (int64_t i = 0; i < count; i += LANES) {
    v8 sum = v8_load(partial + i);
    for (int64_t s = 1; s < shards; s++) sum = v8_add(sum, v8_load(partial + s * shard_floats + i));
    float lane[LANES];
    v8_store(lane, sum);
    for (int64_t j = 0; j < LANES && i + j < count; j++) to[(i + j) * step] = lane[j];
  }
}
