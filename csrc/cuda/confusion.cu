/* confusion: pixels by label and prediction. Whole numbers: the order of the additions does not matter. */
#include "cuda/labels.h"

enum { RUN = 16, IN_SHARED = 110 }; /* pixels a thread takes; classes whose counts fit into 48 KiB */

typedef struct confusion_job {
  const uint8_t *prediction, *labels;
  int64_t count, classes;
  unsigned long long *y;
  asl_fault *fault;
} confusion_job;

/* Where a pixel counts, or -1. */
__device__ __forceinline__ int cell_of(const confusion_job &j, int64_t i) {
  int label = j.labels[i], predicted = j.prediction[i];
  if (!label_is_class(label, j.classes, i, j.fault)) return -1;
  if (predicted < j.classes) return label * (int)j.classes + predicted;
  note_fault(j.fault, FAULT_PREDICTION, i, predicted);
  return -1;
}

/* Neighbours mostly belong to the same cell: they are counted before memory is touched. */
template <class Counter> __device__ __forceinline__ void count_runs(const confusion_job &j, Counter *counts) {
  GRID_LOOP(chunk, (j.count + RUN - 1) / RUN) {
    int64_t first = chunk * RUN, end = first + RUN < j.count ? first + RUN : j.count;
    int cell = -1, length = 0;
    for (int64_t i = first; i < end; i++) {
      int next = cell_of(j, i);
      if (next != cell) {
        if (cell >= 0) atomicAdd(counts + cell, (Counter)length);
        cell = next;
        length = 0;
      }
      length++;
    }
    if (cell >= 0) atomicAdd(counts + cell, (Counter)length);
  }
}

__global__ void confusion_shared_kernel(confusion_job j) {
  ASL_DYNAMIC_SHARED(unsigned int, counts);
  const int cells = (int)(j.classes * j.classes);
  for (int c = threadIdx.x; c < cells; c += blockDim.x) counts[c] = 0;
  __syncthreads();
  count_runs(j, counts);
  __syncthreads();
  for (int c = threadIdx.x; c < cells; c += blockDim.x)
    if (counts[c] > 0) atomicAdd(j.y + c, (unsigned long long)counts[c]);
}

__global__ void confusion_global_kernel(confusion_job j) { count_runs(j, j.y); }

asl_status k_confusion(const asl_call *call) {
  enum { MOST_BLOCKS = 2 * 132 };
  asl_tensor *y = call->out[0];
  confusion_job j = {};
  j.prediction = asl_u8(call->in[0]);
  j.labels = asl_u8(call->in[1]);
  j.count = asl_tensor_count(call->in[1]);
  j.classes = ASL_PARAMS(confusion, call)->classes;
  j.y = data_of<unsigned long long>(y);
  ASL_TRY(queue_set(j.y, 0, (size_t)asl_tensor_bytes(y)));
  if (j.count == 0) return ASL_OK;
  j.fault = fault_slot(call, j.classes);
  dim3 grid((unsigned)min_i64(MOST_BLOCKS, ceil_div(j.count, RUN * BLOCK)));
  if (j.classes > IN_SHARED) return launch(confusion_global_kernel, grid, dim3(BLOCK), 0, j);
  size_t shared = (size_t)(j.classes * j.classes) * sizeof(unsigned int);
  return launch(confusion_shared_kernel, grid, dim3(BLOCK), shared, j);
}
