/* Rows of a batch from pictures and label maps that lie on the device, each through its transform: the bytes of the
 * loader's (ops/math/transform.h). What a transform asks for is known to the device alone, so every step is launched
 * for the most it could be and leaves at once where there is nothing to do. */
#include "cuda/cuda.h"
extern "C" {
#include "ops/math/shrink.h"
#include "ops/math/transform.h"
}

enum { QUAD = 4 }; /* neighbouring pixels, or bytes, of a thread */

typedef struct batch {
  int64_t first; /* of these rows, in the whole batch */
  const uint8_t *x, *labels; /* labels and y_labels: null without */
  const int64_t *index;
  const asl_transform *transform;
  uint8_t *y, *y_labels;
  int64_t table, rows; /* pictures there are, and to make */
  int from_height, from_width, height, width;
  int64_t pitch;           /* bytes between rows of the pictures below */
  uint8_t *narrow, *small; /* narrower but as high as before; both. One of each row of the batch */
  int *filters;
  unsigned long long *grey; /* of each row of the batch: grey values and number of covered pixels */
  asl_fault *fault;
} batch;

/* A picture on its way. */
typedef struct picture {
  const uint8_t *data;
  int64_t pitch;
  int height, width;
} picture;

/* Which of the batch's rows a block works on, and its place among the blocks of that row. */
__device__ __forceinline__ int64_t row_of_block(unsigned blocks) { return blockIdx.x / blocks; }
__device__ __forceinline__ int thread_in_row(unsigned blocks) {
  return (int)(blockIdx.x % blocks * blockDim.x + threadIdx.x);
}

/* Null where the row's index is outside the table. */
__device__ __forceinline__ const uint8_t *source_of(const batch &b, int64_t row) {
  int64_t at = b.index[row];
  return at < 0 || at >= b.table ? nullptr : b.x + at * b.from_height * b.from_width * 3;
}
__device__ __forceinline__ int shrunk_height(const batch &b, int64_t row) {
  return asl_transform_side(b.transform[row].height, b.from_height);
}
__device__ __forceinline__ int shrunk_width(const batch &b, int64_t row) {
  return asl_transform_side(b.transform[row].width, b.from_width);
}

/* ---- filters ----------------------------------------------------------------------------------------- */
/* Of one side: first pixel and number of weights of each position, then the weights, asl_shrink_taps() of each. */
typedef struct filter {
  int *first, *count, *weights;
} filter;
enum { INTS_PER_PIXEL = 7 }; /* 2, and at most 5 weights */

__device__ __forceinline__ filter filter_at(const batch &b, int64_t row, bool of_rows) {
  int *data = b.filters + (row * (b.from_width + b.from_height) + (of_rows ? b.from_width : 0)) * INTS_PER_PIXEL;
  int side = of_rows ? b.from_height : b.from_width;
  filter f = {data, data + side, data + 2 * side};
  return f;
}

/* A thread a position: first the columns, then the rows. */
__global__ void weigh_kernel(batch b, unsigned blocks) {
  int64_t row = row_of_block(blocks);
  int at = thread_in_row(blocks);
  if (at == 0) {
    b.grey[2 * row] = b.grey[2 * row + 1] = 0;
    if (!source_of(b, row)) note_fault(b.fault, FAULT_INDEX, b.first + row, 0);
  }
  bool of_rows = at >= b.from_width;
  if (of_rows) at -= b.from_width;
  int from = of_rows ? b.from_height : b.from_width;
  int to = of_rows ? shrunk_height(b, row) : shrunk_width(b, row);
  if (to == from || at >= to) return;
  filter f = filter_at(b, row, of_rows);
  f.count[at] = asl_shrink_weigh(at, from, to, f.weights + at * asl_shrink_taps(from, to), &f.first[at]);
}

/* ---- shrinking --------------------------------------------------------------------------------------- */
/* A thread a pixel of a picture that becomes narrower. */
__global__ void narrow_kernel(batch b, unsigned blocks) {
  int64_t row = row_of_block(blocks);
  int to = shrunk_width(b, row), i = thread_in_row(blocks), y = i / to, x = i - y * to;
  const uint8_t *from = source_of(b, row);
  if (to == b.from_width || y >= b.from_height || !from) return;
  filter f = filter_at(b, row, false);
  const int *weight = f.weights + x * asl_shrink_taps(b.from_width, to);
  const uint8_t *pixel = from + ((int64_t)y * b.from_width + f.first[x]) * 3;
  int sum[3] = {ASL_SHRINK_HALF, ASL_SHRINK_HALF, ASL_SHRINK_HALF};
  for (int k = 0, n = f.count[x]; k < n; k++, pixel += 3) {
    int w = weight[k];
    sum[0] += pixel[0] * w;
    sum[1] += pixel[1] * w;
    sum[2] += pixel[2] * w;
  }
  uint8_t *result = b.narrow + (row * b.from_height + y) * b.pitch + 3 * x;
#pragma unroll
  for (int c = 0; c < 3; c++) result[c] = asl_shrink_round(sum[c]);
}

/* The picture after narrow_kernel. */
__device__ __forceinline__ picture narrowed(const batch &b, int64_t row) {
  int width = shrunk_width(b, row);
  picture p = {source_of(b, row), (int64_t)3 * b.from_width, b.from_height, width};
  if (width == b.from_width || !p.data) return p;
  p.data = b.narrow + row * b.from_height * b.pitch;
  p.pitch = b.pitch;
  return p;
}

/* A thread up to four bytes of a row of a picture that becomes lower. */
__global__ void lower_kernel(batch b, unsigned blocks) {
  int64_t row = row_of_block(blocks);
  picture p = narrowed(b, row);
  int to = shrunk_height(b, row), bytes = 3 * p.width, quads = (bytes + QUAD - 1) / QUAD;
  int i = thread_in_row(blocks), y = i / quads, x = (i - y * quads) * QUAD;
  if (to == b.from_height || y >= to || !p.data) return;
  filter f = filter_at(b, row, true);
  const int *weight = f.weights + y * asl_shrink_taps(b.from_height, to);
  const uint8_t *from = p.data + f.first[y] * p.pitch + x;
  uint8_t *result = b.small + (row * b.from_height + y) * b.pitch + x;
  int sum[QUAD] = {ASL_SHRINK_HALF, ASL_SHRINK_HALF, ASL_SHRINK_HALF, ASL_SHRINK_HALF};
  int n = f.count[y], own = bytes - x < QUAD ? bytes - x : QUAD;
  if (own == QUAD && ((uintptr_t)p.data | (uintptr_t)p.pitch) % QUAD == 0) {
    for (int k = 0; k < n; k++, from += p.pitch) {
      vec<uint8_t, QUAD> four = *reinterpret_cast<const vec<uint8_t, QUAD> *>(from);
      int w = weight[k];
#pragma unroll
      for (int c = 0; c < QUAD; c++) sum[c] += four.v[c] * w;
    }
  } else {
    for (int k = 0; k < n; k++, from += p.pitch)
      for (int c = 0; c < own; c++) sum[c] += from[c] * weight[k];
  }
  for (int c = 0; c < own; c++) result[c] = asl_shrink_round(sum[c]);
}

/* The picture after both. */
__device__ __forceinline__ picture shrunk(const batch &b, int64_t row) {
  picture p = narrowed(b, row);
  int height = shrunk_height(b, row);
  if (height == b.from_height || !p.data) return p;
  p.data = b.small + row * b.from_height * b.pitch;
  p.pitch = b.pitch;
  p.height = height;
  return p;
}

/* ---- drawing ----------------------------------------------------------------------------------------- */
/* Result pixel (x, y); whether the picture covers it. */
__device__ __forceinline__ bool picture_pixel(const picture &p, const asl_affine *map, int x, int y, uint8_t *to) {
  bool covered = p.data && asl_affine_inside(map, x, y, p.height, p.width);
  if (covered) {
    asl_bilinear(map, p.data, p.pitch, p.height, p.width, x, y, to);
  } else {
#pragma unroll
    for (int c = 0; c < 3; c++) to[c] = asl_mean_colour(c);
  }
  return covered;
}

__device__ __forceinline__ uint8_t label_pixel(const batch &b, const uint8_t *labels, const asl_affine *map, int x,
                                               int y) {
  if (!labels || !asl_affine_inside(map, x, y, b.from_height, b.from_width)) return ASL_NO_LABEL;
  return labels[asl_nearest(map, b.from_height, b.from_width, x, y)];
}

/* A thread V neighbouring pixels of a row. Colours that do not depend on the picture's mean grey are final. */
template <int V> __global__ void draw_kernel(batch b, unsigned blocks) {
  __shared__ unsigned long long shared[WARP + 1];
  int64_t row = row_of_block(blocks);
  const asl_transform &t = b.transform[row];
  picture p = shrunk(b, row);
  bool mean = t.grey != 0, change = !mean && asl_colours_change(&t);
  asl_colour_map colours = asl_colours(&t, 0, 0);
  int first = thread_in_row(blocks) * V, y = first / b.width, x = first - y * b.width;
  int64_t to = (row * b.height + y) * b.width + x;
  unsigned long long grey = 0, pixels = 0;
  if (y < b.height) {
    alignas(QUAD) uint8_t out[3 * V];
#pragma unroll
    for (int v = 0; v < V; v++) {
      if (!picture_pixel(p, &t.to_shrunk, x + v, y, out + 3 * v)) continue;
      pixels++;
      if (mean) grey += (unsigned)asl_grey(out + 3 * v);
      if (change) asl_colour_apply(&colours, out + 3 * v);
    }
#pragma unroll
    for (int v = 0; v < 3; v++)
      reinterpret_cast<vec<uint8_t, V> *>(b.y + 3 * to)[v] = reinterpret_cast<const vec<uint8_t, V> *>(out)[v];
    if (b.labels) {
      const uint8_t *labels = p.data ? b.labels + b.index[row] * b.from_height * b.from_width : nullptr;
      vec<uint8_t, V> map;
#pragma unroll
      for (int v = 0; v < V; v++) map.v[v] = label_pixel(b, labels, &t.to_source, x + v, y);
      *reinterpret_cast<vec<uint8_t, V> *>(b.y_labels + to) = map;
    }
  }
  if (!mean) return; /* the whole block */
  grey = block_sum(grey, shared);
  pixels = block_sum(pixels, shared);
  if (threadIdx.x > 0 || pixels == 0) return;
  atomicAdd(&b.grey[2 * row], grey); /* whole numbers: the order does not matter */
  atomicAdd(&b.grey[2 * row + 1], pixels);
}

/* The colours that do depend on it; a thread a pixel. */
__global__ void colour_kernel(batch b, unsigned blocks) {
  int64_t row = row_of_block(blocks);
  int i = thread_in_row(blocks), y = i / b.width, x = i - y * b.width;
  const asl_transform *t = &b.transform[row];
  if (t->grey == 0 || y >= b.height || !source_of(b, row)) return;
  if (!asl_affine_inside(&t->to_shrunk, x, y, shrunk_height(b, row), shrunk_width(b, row))) return;
  asl_colour_map colours = asl_colours(t, (int64_t)b.grey[2 * row], (int64_t)b.grey[2 * row + 1]);
  asl_colour_apply(&colours, b.y + 3 * (row * b.height * b.width + i));
}

/* ---- the host's side --------------------------------------------------------------------------------- */
/* `threads` for each row of the batch, in whole blocks. */
static asl_status launch_rows(void (*kernel)(batch, unsigned), const batch &b, int64_t threads) {
  unsigned blocks = (unsigned)ceil_div(threads, BLOCK);
  if (b.rows * blocks > INT32_MAX)
    return asl_fail(ASL_EINVAL, "a batch of %lld pictures of %dx%d pixels is too large", (long long)b.rows,
                    b.width, b.height);
  return launch(kernel, dim3((unsigned)b.rows * blocks), dim3(BLOCK), 0, b, blocks);
}

static asl_status make_rows(const batch &b) {
  int64_t pixels = (int64_t)b.height * b.width;
  bool quads = b.width % QUAD == 0 && ((uintptr_t)b.y | (uintptr_t)b.y_labels) % QUAD == 0;
  ASL_TRY(launch_rows(weigh_kernel, b, b.from_width + b.from_height));
  ASL_TRY(launch_rows(narrow_kernel, b, (int64_t)b.from_height * b.from_width));
  ASL_TRY(launch_rows(lower_kernel, b, b.from_height * ceil_div(3 * b.from_width, QUAD)));
  if (quads) ASL_TRY(launch_rows(draw_kernel<QUAD>, b, pixels / QUAD));
  else ASL_TRY(launch_rows(draw_kernel<1>, b, pixels));
  return launch_rows(colour_kernel, b, pixels);
}

/* Of one row of the batch. */
typedef struct row_bytes {
  int64_t picture, filters, grey;
} row_bytes;

/* Some rows at a time: large pictures on their way do not take memory for the whole batch, and stay in the cache. */
static asl_status make_batch(batch b, row_bytes bytes) {
  const int64_t most = (int64_t)1 << 26;
  int64_t rows = b.rows, group = min_i64(rows, max_i64(1, most / (2 * bytes.picture)));
  int64_t pixels = (int64_t)b.height * b.width;
  scratch narrow, small, filters, grey;
  ASL_TRY(narrow.take(group * bytes.picture));
  ASL_TRY(small.take(group * bytes.picture));
  ASL_TRY(filters.take(group * bytes.filters));
  ASL_TRY(grey.take(group * bytes.grey));
  b.narrow = narrow.as<uint8_t>();
  b.small = small.as<uint8_t>();
  b.filters = filters.as<int>();
  b.grey = grey.as<unsigned long long>();
  for (; b.first < rows; b.first += b.rows) {
    b.rows = min_i64(group, rows - b.first);
    ASL_TRY(make_rows(b));
    b.index += b.rows;
    b.transform += b.rows;
    b.y += b.rows * pixels * 3;
    if (b.labels) b.y_labels += b.rows * pixels;
  }
  return ASL_OK;
}

asl_status k_augment(const asl_call *call) {
  const asl_tensor *x = call->in[0], *index = call->in[2], *y = call->out[0];
  batch b = {};
  b.x = asl_u8(x);
  b.labels = data_of<const uint8_t>(call->in[1]);
  b.index = asl_i64(index);
  b.transform = data_of<const asl_transform>(call->in[3]);
  b.y = asl_u8(y);
  b.y_labels = data_of<uint8_t>(call->out[1]);
  b.table = x->shape.size[0];
  b.rows = y->shape.size[0];
  b.from_height = (int)x->shape.size[1];
  b.from_width = (int)x->shape.size[2];
  b.height = (int)y->shape.size[1];
  b.width = (int)y->shape.size[2];
  if (b.rows == 0) return ASL_OK;
  b.pitch = ceil_div(3 * b.from_width, 16) * 16;
  b.fault = fault_slot(call, b.table);
  row_bytes bytes = {};
  bytes.picture = b.from_height * b.pitch;
  bytes.filters = (b.from_width + b.from_height) * INTS_PER_PIXEL * (int64_t)sizeof(int);
  bytes.grey = 2 * (int64_t)sizeof *b.grey;
  return make_batch(b, bytes);
}
