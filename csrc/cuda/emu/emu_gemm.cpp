#include "emu_gemm.h"

#include <algorithm>
#include <math.h>
#include <memory>
#include <stdlib.h>
#include <string.h>

#include "cuda_bf16.h"

extern "C" {
#include "base/parallel.h"
}

/* A tile of C is made of ROWS x COLUMNS at a time in registers, from panels as wide as that. */
enum { ROWS = 16, COLUMNS = 6, TILE_M = 6 * ROWS, TILE_N = 16 * COLUMNS, TILE = TILE_M * TILE_N };

static int64_t ceil_of(int64_t a, int64_t b) { return (a + b - 1) / b; }

/* ---- packing --------------------------------------------------------------------------------- */
static float value_of(float x) { return x; }
static float value_of(unsigned short x) { return asl_emu_bfloat16_value(x); }

/* Lines of one operand, across k: rows of A or columns of B. Those beyond the end are zeros. */
struct lines {
  int64_t line_step, k_step; /* one of them is 1 */
  int64_t first, count;      /* of lines */
  int64_t k_first, k_count;
};

template <class T>
static void pack_panel(const T *data, const lines &l, int64_t at, int width, float *to) {
  int64_t n = std::min((int64_t)width, l.count - at);
  const T *from = data + (l.first + at) * l.line_step + l.k_first * l.k_step;
  if (n < width) memset(to, 0, (size_t)(l.k_count * width) * sizeof *to);
  if (l.line_step == 1) {
    for (int64_t k = 0; k < l.k_count; k++)
      for (int64_t i = 0; i < n; i++) to[k * width + i] = value_of(from[k * l.k_step + i]);
  } else {
    for (int64_t i = 0; i < n; i++)
      for (int64_t k = 0; k < l.k_count; k++)
        to[k * width + i] = value_of(from[i * l.line_step + k]);
  }
}

static void pack(const asl_emu_operand *x, int64_t batch, const lines &l, int width, float *to) {
  for (int64_t at = 0; at < l.count; at += width, to += l.k_count * width) {
    if (x->is_bf16)
      pack_panel((const unsigned short *)x->data + batch * x->stride, l, at, width, to);
    else pack_panel((const float *)x->data + batch * x->stride, l, at, width, to);
  }
}

/* ---- the innermost product ------------------------------------------------------------------- */
/* sum[j][i] = the sum over k of a[k][i] b[k][j]. Both versions give the same bits. */
static void multiply_plain(int64_t k, const float *a, const float *b, float sum[COLUMNS][ROWS]) {
  memset(sum, 0, sizeof(float) * COLUMNS * ROWS);
  for (; k > 0; k--, a += ROWS, b += COLUMNS)
    for (int j = 0; j < COLUMNS; j++)
      for (int i = 0; i < ROWS; i++) sum[j][i] = fmaf(a[i], b[j], sum[j][i]);
}

#ifdef __x86_64__
typedef float v8 __attribute__((vector_size(32)));
typedef float v8_anywhere __attribute__((vector_size(32), aligned(4)));

__attribute__((target("avx2,fma"))) static void
multiply_fma(int64_t k, const float *a, const float *b, float sum[COLUMNS][ROWS]) {
  v8 s[COLUMNS][2] = {};
  for (; k > 0; k--, a += ROWS, b += COLUMNS) {
    v8 low = *(const v8_anywhere *)a, high = *(const v8_anywhere *)(a + 8);
#pragma GCC unroll 6
    for (int j = 0; j < COLUMNS; j++) {
      v8 value = {b[j], b[j], b[j], b[j], b[j], b[j], b[j], b[j]};
      s[j][0] = __builtin_ia32_vfmaddps256(low, value, s[j][0]);
      s[j][1] = __builtin_ia32_vfmaddps256(high, value, s[j][1]);
    }
  }
#pragma GCC unroll 6
  for (int j = 0; j < COLUMNS; j++) {
    *(v8_anywhere *)sum[j] = s[j][0];
    *(v8_anywhere *)(sum[j] + 8) = s[j][1];
  }
}

static void multiply(int64_t k, const float *a, const float *b, float sum[COLUMNS][ROWS]) {
  static const bool has_fma = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  (has_fma ? multiply_fma : multiply_plain)(k, a, b, sum);
}
#else
static void multiply(int64_t k, const float *a, const float *b, float sum[COLUMNS][ROWS]) {
  multiply_plain(k, a, b, sum);
}
#endif

/* ---- tiles ----------------------------------------------------------------------------------- */
struct job {
  const asl_emu_product *p;
  int64_t m_tiles, n_tiles, slabs;
  float *partial; /* with several slabs: the tile of each, batch by batch, tile by tile */
};

struct room {
  float a[TILE_M * ASL_EMU_CHUNK], b[TILE_N * ASL_EMU_CHUNK], sum[TILE];
};

struct tile {
  int64_t batch, m_first, n_first, m, n;
};

static tile tile_of(const job *j, int64_t number) {
  tile t;
  t.m_first = number % j->m_tiles * TILE_M;
  t.n_first = number / j->m_tiles % j->n_tiles * TILE_N;
  t.batch = number / (j->m_tiles * j->n_tiles);
  t.m = std::min((int64_t)TILE_M, j->p->m - t.m_first);
  t.n = std::min((int64_t)TILE_N, j->p->n - t.n_first);
  return t;
}

/* sum (by columns of TILE_M) = or += the products of one chunk along k. */
static void add_chunk(const asl_emu_product *p, const tile &t, int64_t first, int64_t count,
                      bool is_first, room *r, float *sum) {
  bool a_down = !p->a.is_transposed, b_down = p->b.is_transposed; /* lines lie side by side */
  pack(&p->a, t.batch, {a_down ? 1 : p->a.ld, a_down ? p->a.ld : 1, t.m_first, t.m, first, count},
       ROWS, r->a);
  pack(&p->b, t.batch, {b_down ? 1 : p->b.ld, b_down ? p->b.ld : 1, t.n_first, t.n, first, count},
       COLUMNS, r->b);
  for (int64_t j = 0; j < t.n; j += COLUMNS) {
    for (int64_t i = 0; i < t.m; i += ROWS) {
      float part[COLUMNS][ROWS];
      multiply(count, r->a + i * count, r->b + j * count, part);
      for (int y = 0; y < COLUMNS; y++) {
        float *to = sum + (j + y) * TILE_M + i;
        for (int x = 0; x < ROWS; x++) to[x] = is_first ? part[y][x] : to[x] + part[y][x];
      }
    }
  }
}

static float finish(const asl_emu_product *p, float sum, float old) {
  return p->beta == 0 ? p->alpha * sum : p->alpha * sum + p->beta * old;
}

static void store(const asl_emu_product *p, const tile &t, const float *sum) {
  for (int64_t j = 0; j < t.n; j++) {
    int64_t at = t.batch * p->c_stride + (t.n_first + j) * p->c_ld + t.m_first;
    const float *column = sum + j * TILE_M;
    if (p->c_is_bf16) {
      unsigned short *c = (unsigned short *)p->c + at;
      for (int64_t i = 0; i < t.m; i++) {
        float old = p->beta == 0 ? 0.0f : value_of(c[i]);
        c[i] = asl_emu_bfloat16_bits(finish(p, column[i], old));
      }
    } else {
      float *c = (float *)p->c + at;
      for (int64_t i = 0; i < t.m; i++) c[i] = finish(p, column[i], p->beta == 0 ? 0.0f : c[i]);
    }
  }
}

static void run_slab(void *context, int64_t number) {
  static thread_local std::unique_ptr<room> kept(new room);
  const job *j = (const job *)context;
  tile t = tile_of(j, number / j->slabs);
  float *sum = j->slabs > 1 ? j->partial + number * TILE : kept->sum;
  int64_t first = number % j->slabs * ASL_EMU_SLAB;
  int64_t end = std::min(j->p->k, first + ASL_EMU_SLAB);
  if (j->p->k == 0) memset(sum, 0, sizeof kept->sum);
  for (int64_t k = first; k < end; k += ASL_EMU_CHUNK)
    add_chunk(j->p, t, k, std::min((int64_t)ASL_EMU_CHUNK, end - k), k == first, kept.get(), sum);
  if (j->slabs == 1) store(j->p, t, sum);
}

static void add_slabs(void *context, int64_t number) {
  const job *j = (const job *)context;
  float *sum = j->partial + number * j->slabs * TILE;
  for (int64_t s = 1; s < j->slabs; s++)
    for (int64_t i = 0; i < TILE; i++) sum[i] += sum[s * TILE + i];
  store(j->p, tile_of(j, number), sum);
}

bool asl_emu_gemm(const asl_emu_product *p) {
  int64_t slabs = std::max<int64_t>(1, ceil_of(p->k, ASL_EMU_SLAB));
  job j = {p, ceil_of(p->m, TILE_M), ceil_of(p->n, TILE_N), slabs, nullptr};
  int64_t tiles = j.m_tiles * j.n_tiles * p->batch;
  if (j.slabs > 1) j.partial = (float *)calloc((size_t)(tiles * j.slabs), TILE * sizeof(float));
  if (j.slabs > 1 && !j.partial) return false;
  asl_parallel(tiles * j.slabs, run_slab, &j);
  if (j.slabs > 1) asl_parallel(tiles, add_slabs, &j);
  free(j.partial);
  return true;
}
