#include "cuda/upsample_loss.h"

/* ---- valid pixels --------------------------------------------------------------------------------------- */
typedef struct label_scan {
  const uint8_t *labels;
  int64_t n, classes;
  int64_t *counts; /* per block */
  asl_fault *fault;
} label_scan;

__device__ __forceinline__ int scan_label(const label_scan &s, int64_t at, int label) {
  if (label == LOSS_IGNORE) return 0;
  if (label >= s.classes) note_fault(s.fault, FAULT_LABEL, at, label);
  return 1;
}

/* 16 labels a thread and turn; those before the first and after the last 16-byte address one by one, by block 0. */
__global__ void __launch_bounds__(BLOCK) count_labels(label_scan s) {
  __shared__ int64_t shared[33];
  int64_t count = 0, head = min(s.n, (int64_t)(-(uintptr_t)s.labels % 16)), vectors = (s.n - head) / 16;
  GRID_LOOP(i, vectors) {
    const int64_t at = head + i * 16;
    vec<uint8_t, 16> label = *(const vec<uint8_t, 16> *)(s.labels + at);
    int some = 0;
#pragma unroll
    for (int k = 0; k < 16; k++) some += scan_label(s, at + k, label.v[k]);
    count += some;
  }
  if (blockIdx.x == 0 && threadIdx.x < 32) {
    const int64_t rest = head + vectors * 16, at = threadIdx.x < 16 ? threadIdx.x : rest + threadIdx.x - 16;
    if (at < (threadIdx.x < 16 ? head : s.n)) count += scan_label(s, at, s.labels[at]);
  }
  count = block_sum(count, shared);
  if (threadIdx.x == 0) s.counts[blockIdx.x] = count;
}

/* ---- finishing ------------------------------------------------------------------------------------------ */
typedef struct finish {
  float *loss;
  int64_t *valid;
  int64_t tiles, rows;           /* tiles; rows of corners of a picture that tiles share */
  divider columns;               /* columns of corners that tiles share; 1 where there are none */
  divider corners, vectors;      /* shared corners of a picture; vectors of classes */
  divider width, strip, cells;   /* of the corners of a picture; of a tile */
} finish;

/* The first and the last of `n` tiles that have corner `at` of an axis, and whether it is shared. */
__device__ __forceinline__ bool tiles_with(const divider &size, int64_t at, int64_t n, int64_t *first, int64_t *last) {
  int64_t rest, tile = divide_with_rest(size, at, &rest);
  *last = min(tile, n - 1);
  *first = rest == 0 && tile > 0 ? tile - 1 : *last;
  return *first != *last;
}

/* V classes of a corner: the parts of the tiles above left, above right, below left, below right, in this order. */
template <int V>
__device__ __forceinline__ void sum_parts(const loss_job &j, const finish &f, int64_t picture, int64_t row,
                                          int64_t column, int c, float sum[V]) {
  int64_t above, below, left, right;
  tiles_with(f.strip, row, j.tiles_down, &above, &below);
  tiles_with(f.cells, column, j.strips, &left, &right);
  for (int64_t y = above; y <= below; y++) {
    for (int64_t x = left; x <= right; x++) {
      const int64_t tile = (picture * j.tiles_down + y) * j.strips + x;
      const int64_t corner = (tile * (j.strip + 1) + row - y * j.strip) * (j.cells + 1) + column - x * j.cells;
      float part[V];
      load_floats<V>(j.border + corner * j.classes + c, part);
#pragma unroll
      for (int k = 0; k < V; k++) sum[k] += part[k];
    }
  }
}

/* Corner number i of the shared ones of a picture: first whole rows, then whole columns, of which those in the rows do
 * not count. */
__device__ __forceinline__ bool shared_corner(const loss_job &j, const finish &f, int64_t i, int64_t *row,
                                              int64_t *column) {
  int64_t first, last;
  if (i < f.rows * j.x.in) {
    *row = (divide_with_rest(f.width, i, column) + 1) * j.strip;
    return true;
  }
  *row = divide_with_rest(f.columns, i - f.rows * j.x.in, column);
  *column = (*column + 1) * j.cells;
  return !tiles_with(f.strip, *row, j.tiles_down, &first, &last);
}

/* Block 0: the loss. The others: the corners that several tiles have a part in, V classes a thread. */
template <int V> __global__ void __launch_bounds__(BLOCK) finish_loss(loss_job j, finish f) {
  __shared__ double shared[33];
  const int64_t valid = loss_valid(j);
  const double normaliser = loss_normaliser(j, valid);
  if (blockIdx.x == 0) {
    double sum = 0;
    for (int64_t i = threadIdx.x; i < f.tiles; i += BLOCK) sum += j.loss[i];
    sum = block_sum(sum, shared);
    if (threadIdx.x == 0) *f.loss = (float)(sum / normaliser), *f.valid = valid;
    return;
  }
  const float scale = (float)(1 / (normaliser * j.temperature));
  const int64_t step = (int64_t)(gridDim.x - 1) * BLOCK, n = j.pictures * f.corners.size * f.vectors.size;
  for (int64_t i = (int64_t)(blockIdx.x - 1) * BLOCK + threadIdx.x; i < n; i += step) {
    int64_t vector, corner, row, column;
    const int64_t picture = divide_with_rest(f.corners, divide_with_rest(f.vectors, i, &vector), &corner);
    if (!shared_corner(j, f, corner, &row, &column)) continue;
    float value[V] = {};
    sum_parts<V>(j, f, picture, row, column, (int)vector * V, value);
#pragma unroll
    for (int k = 0; k < V; k++) value[k] *= scale;
    const int64_t at = ((picture * j.y.in + row) * j.x.in + column) * j.classes + vector * V;
    if (j.half) store_floats<V>((bf16 *)j.dlogits + at, value);
    else store_floats<V>((float *)j.dlogits + at, value);
  }
}

/* ---- the whole ------------------------------------------------------------------------------------------ */
/* Tiles: as wide as the threads of a block reach, strips of about equal width; higher ones have less border and stage
 * fewer rows twice, as long as there are tiles enough for a large GPU. */
static void plan_tiles(loss_job *j, const loss_variant *v) {
  const int64_t across = axis_bands(j->x), down = axis_bands(j->y), cells_of_warp = WARP / v->lanes;
  const int64_t warps = ceil_div(across, cells_of_warp), strips = ceil_div(warps, LOSS_THREADS / WARP);
  j->cells = (int)(ceil_div(warps, strips) * cells_of_warp);
  j->strips = (int)ceil_div(across, j->cells);
  j->strip = (int)max_i64(1, min_i64(min_i64(8, down), j->pictures * j->strips * down / 2048));
  j->tiles_down = (int)ceil_div(down, j->strip);
}

static const loss_variant *variant_for(const loss_variant *variants, int64_t classes) {
  for (int i = 0; i < LOSS_VARIANT_COUNT - 1; i++)
    if (variants[i].lanes * variants[i].each >= classes) return &variants[i];
  return &variants[LOSS_VARIANT_COUNT - 1];
}

static asl_status count_valid(loss_job *j, const asl_call *call, int64_t classes, int64_t *counts) {
  if (!j->labels) return ASL_OK;
  label_scan s = {j->labels, j->valid, classes, counts, fault_slot(call, classes)};
  j->counts = counts;
  j->n_counts = (int)max_i64(1, min_i64(LOSS_COUNTS, ceil_div(s.n, 16 * BLOCK)));
  return launch(count_labels, dim3((unsigned)j->n_counts), dim3(BLOCK), 0, s);
}

static asl_status finish_job(const loss_job *j, const asl_call *call, int64_t tiles) {
  finish f = {};
  f.loss = data_of<float>(call->out[0]), f.valid = data_of<int64_t>(call->out[1]);
  f.tiles = tiles, f.rows = j->tiles_down - 1;
  const int64_t columns = j->strips - 1, corners = f.rows * j->x.in + columns * j->y.in;
  const int v = j->classes % 4 == 0 && (uintptr_t)j->dlogits % 16 == 0 ? 4 : 1;
  f.columns = divider_of(max_i64(1, columns)), f.corners = divider_of(max_i64(1, corners));
  f.vectors = divider_of(j->classes / v), f.width = divider_of(j->x.in);
  f.strip = divider_of(j->strip), f.cells = divider_of(j->cells);
  const int64_t n = j->dlogits ? j->pictures * corners * (j->classes / v) : 0;
  const dim3 grid((unsigned)(1 + min_i64(132 * 16, ceil_div(n, BLOCK))));
  return v == 4 ? launch(finish_loss<4>, grid, dim3(BLOCK), 0, *j, f)
                : launch(finish_loss<1>, grid, dim3(BLOCK), 0, *j, f);
}

asl_status run_upsample_loss(loss_job *j, const asl_call *call, int64_t height, int64_t width, bool align_corners,
                             const loss_variant *variants, int64_t label_classes) {
  const asl_tensor *logits = call->in[0], *dlogits = call->out[2];
  const int64_t *in = logits->shape.size;
  j->logits = asl_tensor_data(logits), j->half = logits->dtype == ASL_BF16;
  j->dlogits = dlogits ? asl_tensor_data(dlogits) : nullptr;
  j->pictures = in[0], j->valid = in[0] * height * width, j->classes = (int)in[3];
  j->y = axis_of(in[1], height, align_corners), j->x = axis_of(in[2], width, align_corners);
  j->sharpness = (float)(1.44269504088896 / j->temperature);
  const loss_variant *v = variant_for(variants, in[3]);
  plan_tiles(j, v);
  const int64_t tiles = j->pictures * j->tiles_down * j->strips;
  const int64_t corners = dlogits ? tiles * (j->strip + 1) * (j->cells + 1) * j->classes : 0;

  scratch memory;
  const int64_t losses = ceil_div(tiles, 2) * 2; /* so that the border is aligned to 16 bytes */
  ASL_TRY(memory.take((LOSS_COUNTS + losses) * 8 + corners * (int64_t)sizeof *j->border));
  int64_t *counts = memory.as<int64_t>();
  j->loss = (double *)(counts + LOSS_COUNTS), j->border = (float *)(j->loss + losses);
  ASL_TRY(count_valid(j, call, label_classes, counts));
  const size_t shared = (size_t)loss_shared_floats(j->cells, v->lanes, v->each, v->has_target) * sizeof(float);
  if (tiles > 0)
    ASL_TRY(launch(v->kernel, dim3((unsigned)tiles), dim3((unsigned)(j->cells * v->lanes)), shared, *j));
  return finish_job(j, call, tiles);
}
