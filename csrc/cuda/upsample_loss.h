/* What the losses on resized logits share: they never build the full-size logits.
 *
 * The unit of work is a cell: the label pixels between four logit pixels, its corners. A group of G lanes owns a
 * column of cells, each lane K = C / G of the classes, and walks down the label rows: a row of a cell is a run of
 * pixels. With the two corner rows blended, the run's logits are a line per class, z = p + across (q - p). A
 * lane keeps the powers 2^z of S pixels of the run for its K classes in registers (each is computed once), adds up over
 * its classes, and the group adds up over its lanes, after which each pixel has one lane that works out its loss and
 * its share of the gradient; these go back to all lanes, which add up the gradient of the run's two sides. At the
 * end of the row that goes to the corner row above and to the one below, which turns into the one above for the
 * next cell down. The work is about ten instructions per pixel and class, one of them the power: on an H200 it is bound
 * by both at once, and what it reads and writes, small pictures and labels, hardly counts.
 *
 * A block makes a tile, X columns of cells by R rows. Corners inside it are its own; those on its border, shared with
 * other tiles, it writes to scratch, and a second kernel adds up the two or four parts in order. So every sum has an
 * order that depends on the shapes only. The number of valid pixels, by which gradients may have to be divided,
 * is counted first, in a pass over the labels.
 *
 * Logits are kept in units of log 2 and relative to the largest of their pixel. So all are at most 0, also those of the
 * label pixels between them, whose own maximum nobody has to look for, except where all are so small that the
 * powers lose their accuracy: there the run is done again, exactly. */
#ifndef ASL_CUDA_UPSAMPLE_LOSS_H
#define ASL_CUDA_UPSAMPLE_LOSS_H

#include "cuda/resize.h"

enum {
  LOSS_THREADS = 128, /* of a block, at most */
  LOSS_IGNORE = 255,
  LOSS_PIECE = 16,    /* longer runs are done in pieces */
  LOSS_PIECE_PITCH = 20,
  LOSS_MOST = 8,      /* pixels of a run that are done together, at most */
  LOSS_COUNTS = 256   /* blocks that count valid pixels, at most */
};

/* What an op fills in; the rest is run_upsample_loss()'s. */
typedef struct loss_job {
  const void *logits, *target; /* target: soft losses */
  const uint8_t *labels;       /* NULL: all pixels are valid */
  const float *class_weight, *pixel_weight;
  bool half, half_target; /* bf16: logits and dlogits; target */
  bool divergence;
  float smoothing, sure; /* of every class; of the label: 1 - smoothing */
  const int64_t *count;           /* NULL, or takes the place of the normaliser */
  double normaliser, temperature; /* normaliser 0: the number of valid pixels */
  axis y, x;

  void *dlogits; /* NULL: no gradient is wanted */
  int64_t pictures, valid; /* valid: where there are no labels */
  int classes, cells, strip, strips, tiles_down; /* cells across and down a tile; tiles across and down a picture */
  float sharpness; /* of the logits: 1 / (temperature log 2) */
  const int64_t *counts; /* of valid pixels, to be added */
  int n_counts;
  float *border; /* (tiles, strip + 1, cells + 1, C): the corners on tiles' borders */
  double *loss;  /* per tile */
} loss_job;

typedef void (*loss_kernel)(loss_job job);
typedef struct loss_variant { /* in rising order of lanes * each */
  int lanes, each;            /* G and K */
  loss_kernel kernel;
  bool has_target;
} loss_variant;
enum { LOSS_VARIANT_COUNT = 9 };

/* Counts, runs the least of the variants that holds the classes, and finishes. Labels are to be below `label_classes`
 * (256: any are). */
asl_status run_upsample_loss(loss_job *job, const asl_call *call, int64_t height, int64_t width, bool align_corners,
                             const loss_variant *variants, int64_t label_classes);

/* ---- device: small parts ------------------------------------------------------------------------------- */
static const float LOSS_BELOW_ALL = -1e20f; /* below all that count, yet blends stay finite */
static const float LOSS_LOG_2 = 0.693147181f;

/* 2^x, x <= 0; 0 where it is below 2^-126. */
__device__ __forceinline__ float power_of_two(float x) {
#ifdef ASL_EMULATED
  return exp2f(x);
#else
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
#endif
}

/* Over the G lanes of a group; all lanes of the warp take part. */
template <int G> __device__ __forceinline__ float group_sum(float x) {
#pragma unroll
  for (int o = G / 2; o > 0; o /= 2) x += __shfl_xor_sync(0xffffffffu, x, o);
  return x;
}
template <int G> __device__ __forceinline__ float group_max(float x) { /* NaN is passed over */
#pragma unroll
  for (int o = G / 2; o > 0; o /= 2) x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, o));
  return x;
}

/* Pixels of which a lane is the one, and the first of them. Where there are more lanes than pixels, G / S lanes have
 * the same; the first of those counts. */
template <int S, int G> struct own {
  enum { PIXELS = S > G ? S / G : 1, LANES = G > S ? G / S : 1 };
};
template <int S, int G> __device__ __forceinline__ int own_pixel(int lane) { return lane * S / G; }

/* v[0..S-1] summed over the group: afterwards v[i] is the sum of pixel own_pixel() + i. At each step a lane sends half
 * of what it has and keeps the other half. */
template <int S, int G> __device__ __forceinline__ void share_sums(float v[S], int lane) {
  int n = S;
#pragma unroll
  for (int o = G / 2; o > 0; o /= 2) {
    if (n > 1) {
      n /= 2;
      const bool upper = lane & o;
#pragma unroll
      for (int i = 0; i < n; i++) {
        float send = upper ? v[i] : v[i + n], keep = upper ? v[i + n] : v[i];
        v[i] = keep + __shfl_xor_sync(0xffffffffu, send, o);
      }
    } else {
      v[0] += __shfl_xor_sync(0xffffffffu, v[0], o);
    }
  }
}

/* The number of valid pixels. All threads of the block. */
__device__ __forceinline__ int64_t loss_valid(const loss_job &j) {
  __shared__ int64_t shared[33];
  int64_t count = 0;
  if (!j.labels) return j.valid;
  for (int i = (int)threadIdx.x; i < j.n_counts; i += (int)blockDim.x) count += j.counts[i];
  return block_sum(count, shared);
}

/* 1 / (normaliser temperature) is what gradients are multiplied with. */
__device__ __forceinline__ double loss_normaliser(const loss_job &j, int64_t valid) {
  if (!j.count && j.normaliser != 0) return j.normaliser;
  const int64_t count = j.count ? *j.count : valid;
  return (double)(count > 0 ? count : 1);
}

/* ---- device: a tile ------------------------------------------------------------------------------------ */
/* What a thread knows and keeps. The lanes of a group differ in `lane` and in what they add up. */
template <int K, int G> struct loss_state {
  enum { PITCH = (K | 1) * G }; /* floats of a corner: an odd number of groups, so that groups use different banks */
  int lane, cell;
  int first, n;      /* label columns of the cells */
  int64_t row;       /* label row: number of its first pixel */
  float down, whole; /* weight of the corner row below; what smoothing wants of all classes together */
  const float *above, *below, *t_above, *t_below; /* logits of the left corners; the right ones are PITCH further */
  const float *smooth_above, *smooth_below;       /* the sums of smoothed logits at the corners */
  float *across;     /* of the pixels of a piece */
  float4 *records;   /* of the pixels done together */
  float left[K], right[K]; /* gradient of the blended row */
  float *smooth;     /* weights of the four corners in what smoothing takes; in shared memory, seldom needed */
  float loss;        /* of a row of cells */
};

/* p and q - p of the blended row, for the lane's classes. */
template <int K, int G>
__device__ __forceinline__ void blend_corners(const float *above, const float *below, int lane, float down, float p[K],
                                              float d[K]) {
#pragma unroll
  for (int k = 0; k < K; k++) {
    const int c = k * G + lane;
    p[k] = asl_lerp(above[c], below[c], down);
    d[k] = asl_lerp(above[c + loss_state<K, G>::PITCH], below[c + loss_state<K, G>::PITCH], down) - p[k];
  }
}

template <int S> __device__ __forceinline__ void load_across(const float *from, float across[S]) {
#pragma unroll
  for (int i = 0; i < S; i++) across[i] = from[i];
}
template <> __device__ __forceinline__ void load_across<4>(const float *from, float across[4]) {
  load_floats<4>(from, across);
}
template <> __device__ __forceinline__ void load_across<8>(const float *from, float across[8]) {
  load_floats<4>(from, across);
  load_floats<4>(from + 4, across + 4);
}

/* The powers e of S pixels for the lane's classes, and the totals over all classes of the lane's own pixels. */
template <int S, int K, int G>
__device__ __forceinline__ void powers(const float *above, const float *below, float down, const float *places,
                                       int lane,
                                       float e[K][S], float total[S]) {
  float p[K], d[K], across[S];
  blend_corners<K, G>(above, below, lane, down, p, d);
  load_across<S>(places, across);
#pragma unroll
  for (int i = 0; i < S; i++) total[i] = 0;
#pragma unroll
  for (int k = 0; k < K; k++) {
#pragma unroll
    for (int i = 0; i < S; i++) {
      e[k][i] = power_of_two(fmaf(across[i], d[k], p[k]));
      total[i] += e[k][i];
    }
  }
  share_sums<S, G>(total, lane);
}

/* Are totals too small for what powers leave out, or NaN, for any pixel of the warp? */
template <int S, int G> __device__ __forceinline__ bool any_inexact(const float total[S]) {
  bool inexact = false;
#pragma unroll
  for (int i = 0; i < own<S, G>::PIXELS; i++) inexact |= !(total[i] > 0x1p-40f);
  return __any_sync(0xffffffffu, inexact) != 0;
}

/* powers() for any logits: relative to the pixel's largest, shift[i] for the lane's own pixels. */
template <int S, int K, int G>
__device__ __forceinline__ void exact_powers(const float *above, const float *below, float down, const float *places,
                                             int lane, float e[K][S], float total[S], float shift[S]) {
  float p[K], d[K], across[S];
  __syncwarp(); /* or all that powers() had would be kept for this seldom case: registers for K S values */
  blend_corners<K, G>(above, below, lane, down, p, d);
  load_across<S>(places, across);
#pragma unroll
  for (int i = 0; i < S; i++) {
    float top = -INFINITY;
#pragma unroll
    for (int k = 0; k < K; k++) top = fmaxf(top, fmaf(across[i], d[k], p[k]));
    top = group_max<G>(top);
    total[i] = 0;
#pragma unroll
    for (int k = 0; k < K; k++) {
      e[k][i] = power_of_two(fmaf(across[i], d[k], p[k]) - top);
      total[i] += e[k][i];
    }
#pragma unroll
    for (int o = 0; o < own<S, G>::PIXELS; o++)
      if (own_pixel<S, G>(lane) + o == i) shift[o] = top;
  }
  share_sums<S, G>(total, lane);
}

/* Takes out the pixels that are not valid, whose powers may be NaN. `valid`: of the lane's own pixels. */
template <int S, int K, int G>
__device__ __forceinline__ void drop_ignored(const bool valid[own<S, G>::PIXELS], float e[K][S]) {
  const int group = (int)threadIdx.x % WARP / G * G;
  unsigned lanes[own<S, G>::PIXELS];
#pragma unroll
  for (int o = 0; o < own<S, G>::PIXELS; o++) lanes[o] = __ballot_sync(0xffffffffu, valid[o]);
#pragma unroll
  for (int i = 0; i < S; i++) {
    const int lane = group + i / own<S, G>::PIXELS * own<S, G>::LANES;
    const bool keep = lanes[i % own<S, G>::PIXELS] >> lane & 1;
#pragma unroll
    for (int k = 0; k < K; k++) e[k][i] = keep ? e[k][i] : 0.0f;
  }
}

/* Logit row `row` of the tile's corners, into shared memory; with `smooth`, the sums of smoothing's share of each.
 * All threads; reads nothing shared. */
template <int K, int G>
__device__ __forceinline__ void stage_row(const loss_job &j, const void *from, bool half, int picture, int row,
                                          int column,
                                          const loss_state<K, G> &s, float *to, float *smooth) {
  const int warp_first = (int)threadIdx.x / WARP * WARP / G;
  const int64_t line = ((int64_t)picture * j.y.in + min(row, (int)j.y.in - 1)) * j.x.in;
  for (int first = 0; first + warp_first <= j.cells; first += j.cells) {
    const int corner = first + s.cell;
    const int64_t at = (line + min(column + corner, (int)j.x.in - 1)) * j.classes;
    float z[K], top = LOSS_BELOW_ALL, sum = 0;
#pragma unroll
    for (int k = 0; k < K; k++) {
      const int c = k * G + s.lane;
      z[k] = LOSS_BELOW_ALL;
      if (c < j.classes) {
        const float x = half ? to_float(((const bf16 *)from)[at + c]) : ((const float *)from)[at + c];
        z[k] = __fmul_rn(x, j.sharpness);
        if (z[k] < LOSS_BELOW_ALL) z[k] = LOSS_BELOW_ALL; /* NaN stays NaN */
      }
      top = fmaxf(top, z[k]);
    }
    top = group_max<G>(top);
#pragma unroll
    for (int k = 0; k < K; k++) {
      const int c = k * G + s.lane;
      z[k] -= top;
      if (corner <= j.cells) to[corner * loss_state<K, G>::PITCH + c] = z[k];
      if (smooth && c < j.classes) sum = fmaf(j.smoothing * (j.class_weight ? j.class_weight[c] : 1.0f), z[k], sum);
    }
    if (!smooth) continue;
    sum = group_sum<G>(sum);
    if (corner <= j.cells && s.lane == 0) smooth[corner] = sum;
  }
}

/* Positions of the pixels of a piece of the run, beginning with its pixel `at`. */
template <int K, int G>
__device__ __forceinline__ void place_piece(const loss_job &j, const loss_state<K, G> &s, int at) {
  __syncwarp();
  for (int i = s.lane; i < LOSS_PIECE; i += G)
    s.across[i] = at + i < s.n ? axis_at(j.x, s.first + at + i).weight : 0.0f;
  __syncwarp();
}

/* A label row of the warp's cells, whose longest run is `longest`. */
template <class Part, int K, int G>
__device__ __forceinline__ void do_row(const loss_job &j, loss_state<K, G> &s, int longest) {
#pragma unroll 1
  for (int piece = 0; piece < longest; piece += LOSS_PIECE) {
    if (longest > LOSS_PIECE) place_piece(j, s, piece);
    const int end = min((int)LOSS_PIECE, longest - piece);
#pragma unroll 1
    for (int at = 0; at < end;) {
      if (end - at > Part::FEW) {
        Part::template run<Part::MANY>(j, s, piece, at);
        at += Part::MANY;
      } else {
        Part::template run<Part::FEW>(j, s, piece, at);
        at += Part::FEW;
      }
    }
  }
}

/* The label rows of a band: adds to the gradients [left, right] of the corner rows above and below. */
template <class Part, int K, int G>
__device__ __forceinline__ void do_band(const loss_job &j, loss_state<K, G> &s, int picture, int band, int longest,
                                        float above[2][K], float below[2][K]) {
  const int first = (int)axis_first(j.y, band), end = (int)axis_first(j.y, band + 1);
  float weight = 0;
#pragma unroll 1
  for (int y = first; y < end; y++) {
    const int at = (y - first) % WARP;
    if (at == 0) weight = axis_at(j.y, min(y + (int)threadIdx.x % WARP, end - 1)).weight;
    s.down = __shfl_sync(0xffffffffu, weight, at);
    s.row = ((int64_t)picture * j.y.out + y) * j.x.out;
#pragma unroll
    for (int k = 0; k < K; k++) s.left[k] = s.right[k] = 0;
    do_row<Part>(j, s, longest);
#pragma unroll
    for (int k = 0; k < K; k++) {
      above[0][k] = fmaf(1.0f - s.down, s.left[k], above[0][k]);
      above[1][k] = fmaf(1.0f - s.down, s.right[k], above[1][k]);
      below[0][k] = fmaf(s.down, s.left[k], below[0][k]);
      below[1][k] = fmaf(s.down, s.right[k], below[1][k]);
    }
  }
}

/* A corner's gradient: into dlogits, or to the border where other tiles have a part in it. */
template <int K, int G>
__device__ __forceinline__ void store_corner(const loss_job &j, int picture, int row, int column, int down, int right,
                                             int rows, int lane, float scale, const float v[K]) {
  const bool shared_row = (down == 0 && row > 0) || (down == rows && row < axis_bands(j.y));
  const bool shared_column = (right == 0 && column > 0) || (right == j.cells && column < axis_bands(j.x));
  if (column >= j.x.in) return;
  const int64_t corner = ((int64_t)blockIdx.x * (j.strip + 1) + down) * (j.cells + 1) + right;
  const int64_t pixel = ((int64_t)picture * j.y.in + row) * j.x.in + column;
#pragma unroll
  for (int k = 0; k < K; k++) {
    const int c = k * G + lane;
    if (c >= j.classes) continue;
    if (shared_row || shared_column) j.border[corner * j.classes + c] = v[k];
    else if (j.half) ((bf16 *)j.dlogits)[pixel * j.classes + c] = from_float<bf16>(v[k] * scale);
    else ((float *)j.dlogits)[pixel * j.classes + c] = v[k] * scale;
  }
}

/* Smoothing's part of the gradient, which is the same for all pixels but for their weights. */
template <int K, int G>
__device__ __forceinline__ void take_smoothing(const loss_job &j, loss_state<K, G> &s, float above[2][K],
                                               float below[2][K]) {
  float weight[4];
#pragma unroll
  for (int i = 0; i < 4; i++) {
    weight[i] = group_sum<G>(s.smooth[i]);
    s.smooth[i] = 0;
  }
#pragma unroll
  for (int k = 0; k < K; k++) {
    const int c = k * G + s.lane;
    const float smooth = c < j.classes ? j.smoothing * (j.class_weight ? j.class_weight[c] : 1.0f) : 0.0f;
    above[0][k] = fmaf(-smooth, weight[0], above[0][k]);
    above[1][k] = fmaf(-smooth, weight[1], above[1][k]);
    below[0][k] = fmaf(-smooth, weight[2], below[0][k]);
    below[1][k] = fmaf(-smooth, weight[3], below[1][k]);
  }
}

/* A row of corners: the left one of a cell is the right one of the cell before. All threads; leaves `exchange` to be
 * read, so that a barrier must come before the next row. */
template <int K, int G>
__device__ __forceinline__ void store_row(const loss_job &j, const loss_state<K, G> &s, int picture, int row,
                                          int column,
                                          int down, int rows, float scale, float *exchange,
                                          const float v[2][K]) {
  float *mine = exchange + s.cell * loss_state<K, G>::PITCH + s.lane;
#pragma unroll
  for (int k = 0; k < K; k++) mine[k * G] = v[1][k];
  __syncthreads();
  float left[K];
#pragma unroll
  for (int k = 0; k < K; k++) left[k] = s.cell > 0 ? v[0][k] + mine[k * G - loss_state<K, G>::PITCH] : v[0][k];
  store_corner<K, G>(j, picture, row, column + s.cell, down, s.cell, rows, s.lane, scale, left);
  if (s.cell == j.cells - 1)
    store_corner<K, G>(j, picture, row, column + j.cells, down, j.cells, rows, s.lane, scale, v[1]);
}

/* Floats of dynamic shared memory for X cells, in this order: records, places, weights of smoothing, exchanged
 * gradients, two rows of corners of the logits, the sums of smoothing, two rows of the target. */
static inline __host__ __device__ int loss_corner_row(int cells, int lanes, int each) {
  return (cells + 1) * (each | 1) * lanes;
}
static inline __host__ __device__ int loss_shared_floats(int cells, int lanes, int each, bool target) {
  return cells * ((LOSS_MOST + 1) * 4 + LOSS_PIECE_PITCH + (each | 1) * lanes + 4 * lanes) +
         (target ? 4 : 2) * loss_corner_row(cells, lanes, each) + 2 * (cells + 1);
}

template <class Part> __global__ void __launch_bounds__(LOSS_THREADS, Part::EACH > 5 ? 3 : 4) loss_tile(loss_job j) {
  enum { K = Part::EACH, G = Part::LANES };
  ASL_DYNAMIC_SHARED(float, memory);
  __shared__ double shared_loss[33];
  const int corner_row = loss_corner_row(j.cells, G, K);
  float *places = memory + j.cells * (LOSS_MOST + 1) * 4, *weights = places + j.cells * LOSS_PIECE_PITCH;
  float *exchange = weights + j.cells * G * 4;
  float *rows = exchange + j.cells * loss_state<K, G>::PITCH, *smooth = rows + 2 * corner_row;
  float *target = smooth + 2 * (j.cells + 1);

  const int tile = (int)blockIdx.x, column = tile % j.strips * j.cells;
  const int picture = tile / j.strips / j.tiles_down, first = tile / j.strips % j.tiles_down * j.strip;
  const int n = min(j.strip, (int)axis_bands(j.y) - first);

  loss_state<K, G> s = {};
  s.lane = (int)threadIdx.x % G, s.cell = (int)threadIdx.x / G;
  s.first = (int)axis_first(j.x, column + s.cell);
  s.n = (int)axis_first(j.x, column + s.cell + 1) - s.first;
  s.across = places + s.cell * LOSS_PIECE_PITCH;
  s.smooth = weights + threadIdx.x * 4;
  s.smooth[0] = s.smooth[1] = s.smooth[2] = s.smooth[3] = 0;
  s.records = (float4 *)memory + s.cell * (LOSS_MOST + 1);
  int longest = s.n;
#pragma unroll
  for (int o = WARP / 2; o > 0; o /= 2) longest = max(longest, __shfl_xor_sync(0xffffffffu, longest, o));
  place_piece(j, s, 0);
  Part::weigh_classes(j, s);
  const int64_t valid = j.count || j.normaliser != 0 ? 0 : loss_valid(j); /* where it matters */
  const float scale = (float)(1 / (loss_normaliser(j, valid) * j.temperature));

  float above[2][K] = {}, below[2][K] = {};
  double loss = 0;
  float *const smoothed = j.smoothing != 0 ? smooth : nullptr;
  for (int r = 0; r < 2; r++) {
    stage_row<K, G>(j, j.logits, j.half, picture, first + r, column, s, rows + r * corner_row,
                    smoothed ? smoothed + r * (j.cells + 1) : nullptr);
    if (Part::TARGET)
      stage_row<K, G>(j, j.target, j.half_target, picture, first + r, column, s, target + r * corner_row, nullptr);
  }
  __syncthreads();
#pragma unroll 1
  for (int r = 0; r < n; r++) {
    const int up = r % 2, down = 1 - up, corner = s.cell * loss_state<K, G>::PITCH;
    s.above = rows + up * corner_row + corner, s.below = rows + down * corner_row + corner;
    s.t_above = target + up * corner_row + corner, s.t_below = target + down * corner_row + corner;
    s.smooth_above = smooth + up * (j.cells + 1) + s.cell, s.smooth_below = smooth + down * (j.cells + 1) + s.cell;
    do_band<Part>(j, s, picture, first + r, longest, above, below);
    loss += s.loss, s.loss = 0;
    if (j.dlogits) {
      if (smoothed) take_smoothing<K, G>(j, s, above, below);
      store_row<K, G>(j, s, picture, first + r, column, r, n, scale, exchange, above);
    } else {
      __syncthreads();
    }
    if (r + 1 < n) {
      stage_row<K, G>(j, j.logits, j.half, picture, first + r + 2, column, s, rows + up * corner_row,
                      smoothed ? smoothed + up * (j.cells + 1) : nullptr);
      if (Part::TARGET)
        stage_row<K, G>(j, j.target, j.half_target, picture, first + r + 2, column, s, target + up * corner_row,
                        nullptr);
    }
#pragma unroll
    for (int k = 0; k < K; k++) {
      above[0][k] = below[0][k], above[1][k] = below[1][k];
      below[0][k] = below[1][k] = 0;
    }
    __syncthreads();
  }
  if (j.dlogits && first + n < j.y.in)
    store_row<K, G>(j, s, picture, first + n, column, n, n, scale, exchange, above);
  loss = block_sum(loss, shared_loss);
  if (threadIdx.x == 0) j.loss[blockIdx.x] = loss;
}

/* The variants of a loss: classes up to lanes * each. */
#define LOSS_VARIANT(part, lanes, each) {lanes, each, loss_tile<part<each, lanes>>, part<each, lanes>::TARGET}
#define LOSS_VARIANTS(part)                                                                        \
  {LOSS_VARIANT(part, 4, 3),  LOSS_VARIANT(part, 4, 5),  LOSS_VARIANT(part, 8, 3),                 \
   LOSS_VARIANT(part, 8, 5),  LOSS_VARIANT(part, 16, 3), LOSS_VARIANT(part, 16, 5),                \
   LOSS_VARIANT(part, 32, 3), LOSS_VARIANT(part, 32, 5), LOSS_VARIANT(part, 32, 8)}

#endif
