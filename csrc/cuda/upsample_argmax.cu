/* argmax(resize(logits)) without the full-size logits: the class map of a segmentation, or straight its confusion
 * matrix. Logits are blended as the CPU does, rows first and each step rounded alike, so maps are the same bit for bit.
 *
 * A block makes the label pixels between two logit rows, over a strip of columns. It brings the logits around them into
 * shared memory, class by class, so that neighbouring threads, which work on neighbouring columns, read neighbouring
 * values. A thread makes the pixels of a label row that lie between two columns, P at a time: for each class it
 * blends down once, and P times across. Confusions are counted in shared memory where the matrix fits; whole numbers
 * may be added in any order. */
#include "cuda/resize.h"

enum {
  STRIP = 32,           /* columns of a block, at most */
  STAGED_FLOATS = 10240, /* of shared memory for logits, at most */
  MOST_COUNTED = 64,    /* classes whose matrix fits beside them */
  IGNORED_LABEL = 255
};

typedef struct argmax_job {
  const void *logits; /* (N, in, in, C) */
  bool half;          /* bf16 */
  int classes, strip, strips;
  axis y, x;
  uint8_t *map;          /* what is wanted: the map ... */
  const uint8_t *labels; /* ... or, where it is NULL, the confusion with these */
  unsigned long long *confusion;
  asl_fault *fault;
} argmax_job;

/* The logits at the corners of the block's columns, [row][class][corner]. A class map cannot say NaN, so it is looked
 * for * here. */
__device__ __forceinline__ void stage_logits(const argmax_job &j, int64_t picture, int64_t band, int64_t first,
                                             float *corners) {
  const int pitch = j.strip + 1, columns = (int)min((int64_t)pitch, j.x.in - first), n = columns * j.classes;
  for (int row = 0; row < 2; row++) {
    const int64_t line = picture * j.y.in + min(band + row, j.y.in - 1);
    const int64_t from = (line * j.x.in + first) * j.classes;
    for (int i = (int)threadIdx.x; i < n; i += BLOCK) {
      const float z = j.half ? to_float(((const bf16 *)j.logits)[from + i]) : ((const float *)j.logits)[from + i];
      if (!(fabsf(z) <= 3.402823466e38f)) /* a NaN stays one in its upper half */
        note_fault(j.fault, FAULT_LOGIT, from + i, (int)(__float_as_uint(z) >> 16 | (z != z ? 0x40 : 0)));
      corners[(row * j.classes + i % j.classes) * pitch + i / j.classes] = z;
    }
  }
}

/* The first of the greatest classes at P places across; `corners`: of class 0, above left. */
template <int P>
__device__ __forceinline__ void best_classes(const argmax_job &j, const float *corners, int right, float down,
                                             const float across[P], int best[P]) {
  const int pitch = j.strip + 1, below = j.classes * pitch;
  float top[P] = {};
#pragma unroll 2
  for (int c = 0; c < j.classes; c++, corners += pitch) {
    const float p = asl_lerp(corners[0], corners[below], down);
    const float q = asl_lerp(corners[right], corners[below + right], down);
#pragma unroll
    for (int i = 0; i < P; i++) {
      const float z = asl_lerp(p, q, across[i]);
      const bool greater = c == 0 || z > top[i];
      top[i] = greater ? z : top[i];
      best[i] = greater ? c : best[i];
    }
  }
}

__device__ __forceinline__ void count_pair(const argmax_job &j, unsigned *counts, int cell, unsigned times) {
  if (times == 0) return;
  if (counts) atomicAdd(&counts[cell], times);
  else atomicAdd(&j.confusion[cell], (unsigned long long)times);
}

/* n <= P pixels from label pixel `at` on. */
template <int P>
__device__ __forceinline__ void give_classes(const argmax_job &j, int64_t at, int n, const int best[P],
                                             unsigned *counts) {
  int cell = 0;
  unsigned times = 0; /* neighbours mostly belong to the same cell of the matrix */
#pragma unroll
  for (int i = 0; i < P; i++) {
    if (i >= n) continue;
    if (j.map) {
      j.map[at + i] = (uint8_t)best[i];
      continue;
    }
    const int label = j.labels[at + i];
    if (label == IGNORED_LABEL) continue;
    if (label >= j.classes) {
      note_fault(j.fault, FAULT_LABEL, at + i, label);
      continue;
    }
    const int now = label * j.classes + best[i];
    if (now != cell) {
      count_pair(j, counts, cell, times);
      cell = now, times = 0;
    }
    times++;
  }
  count_pair(j, counts, cell, times);
}

/* The label row y of the column of cells at corner `left` of the strip. */
template <int P>
__device__ __forceinline__ void do_cell(const argmax_job &j, int64_t picture, int64_t y, int64_t column,
                                        const float *corners, unsigned *counts) {
  const int64_t first = axis_first(j.x, column), end = axis_first(j.x, column + 1);
  const float down = axis_at(j.y, y).weight;
  for (int64_t x = first; x < end; x += P) {
    float across[P];
    int best[P] = {};
#pragma unroll
    for (int i = 0; i < P; i++) across[i] = axis_at(j.x, min(x + i, end - 1)).weight;
    best_classes<P>(j, corners, j.x.in > 1 ? 1 : 0, down, across, best);
    give_classes<P>(j, (picture * j.y.out + y) * j.x.out + x, (int)min((int64_t)P, end - x), best, counts);
  }
}

template <int P> __global__ void __launch_bounds__(BLOCK) argmax_kernel(argmax_job j) {
  ASL_DYNAMIC_SHARED(float, corners);
  const int64_t bands = axis_bands(j.y), first = (int64_t)(blockIdx.x % j.strips) * j.strip;
  const int64_t picture = blockIdx.x / j.strips / bands, band = blockIdx.x / j.strips % bands;
  const int columns = (int)min((int64_t)j.strip, axis_bands(j.x) - first), cells = j.classes * j.classes;
  const bool counted = !j.map && j.classes <= MOST_COUNTED;
  unsigned *counts = counted ? (unsigned *)(corners + 2 * j.classes * (j.strip + 1)) : nullptr;
  for (int i = (int)threadIdx.x; counts && i < cells; i += BLOCK) counts[i] = 0;
  stage_logits(j, picture, band, first, corners);
  __syncthreads();
  const int64_t top = axis_first(j.y, band), items = (axis_first(j.y, band + 1) - top) * columns;
  for (int64_t i = threadIdx.x; i < items; i += BLOCK) {
    const int64_t row = i / columns;
    const int left = (int)(i - row * columns);
    do_cell<P>(j, picture, top + row, first + left, corners + left, counts);
  }
  if (!counts) return;
  __syncthreads();
  for (int i = (int)threadIdx.x; i < cells; i += BLOCK)
    if (counts[i]) atomicAdd(&j.confusion[i], (unsigned long long)counts[i]);
}

typedef void (*argmax_variant)(argmax_job job);

/* Pixels done together: most runs in one go. */
static argmax_variant variant_of(const axis &x) {
  const int64_t run = x.out / axis_bands(x) + 1;
  if (run <= 2) return argmax_kernel<2>;
  if (run <= 3) return argmax_kernel<3>;
  if (run <= 5) return argmax_kernel<5>;
  return run <= 9 ? argmax_kernel<9> : argmax_kernel<17>;
}

static asl_status compute(argmax_job *j, const asl_call *call, int64_t height, int64_t width, bool align_corners) {
  const asl_tensor *logits = call->in[0];
  const int64_t *in = logits->shape.size;
  j->logits = asl_tensor_data(logits), j->half = logits->dtype == ASL_BF16, j->classes = (int)in[3];
  j->y = axis_of(in[1], height, align_corners), j->x = axis_of(in[2], width, align_corners);
  const int64_t across = axis_bands(j->x);
  const int64_t strip = min_i64(min_i64(STRIP, across), STAGED_FLOATS / (2 * j->classes) - 1);
  j->strips = (int)ceil_div(across, strip), j->strip = (int)ceil_div(across, j->strips);
  j->fault = fault_slot(call, in[3]);
  const int64_t blocks = in[0] * axis_bands(j->y) * j->strips;
  int64_t shared = 2 * j->classes * (j->strip + 1);
  if (!j->map && j->classes <= MOST_COUNTED) shared += j->classes * j->classes;
  if (blocks == 0) return ASL_OK;
  return launch(variant_of(j->x), dim3((unsigned)blocks), dim3(BLOCK), (size_t)shared * sizeof(float), *j);
}

asl_status k_upsample_argmax(const asl_call *call) {
  const asl_upsample_argmax_params *p = ASL_PARAMS(upsample_argmax, call);
  argmax_job j = {};
  j.map = data_of<uint8_t>(call->out[0]);
  return compute(&j, call, p->height, p->width, p->align_corners != 0);
}

asl_status k_upsample_confusion(const asl_call *call) {
  const asl_tensor *labels = call->in[1], *y = call->out[0];
  argmax_job j = {};
  j.labels = data_of<uint8_t>(labels);
  j.confusion = data_of<unsigned long long>(y);
  ASL_TRY(queue_set(j.confusion, 0, (size_t)asl_tensor_bytes(y)));
  return compute(&j, call, labels->shape.size[1], labels->shape.size[2],
                 ASL_PARAMS(upsample_confusion, call)->align_corners != 0);
}
