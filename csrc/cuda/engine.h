/* The engine: one device of the machine, opened once a process; what the rest of the core sees of it is
 * asl_device_api (tensor/device.h) and asl_backend (ops/ops.h). */
#ifndef ASL_CUDA_ENGINE_H
#define ASL_CUDA_ENGINE_H

#include "cuda/cuda.h"

/* Gives everything noted down to the device and waits until it is done; then reports launch errors and what
 * kernels found wrong in data. */
asl_status engine_wait(void);

/* What kernels that are done have found wrong in data. */
asl_status engine_check_faults(void);

/* Between host and device, csrc/cuda/transfer.cu */
asl_status transfer_upload(void *to, const void *from, size_t bytes);
asl_status transfer_download(void *to, const void *from, size_t bytes);
asl_status transfer_fetch(const void *from, size_t bytes, int64_t *ticket);
asl_status transfer_fetched(int64_t ticket, void *to, size_t bytes);

/* Asynchronous memory, csrc/cuda/memory.cu: blocks are reused in the order of the queue. */
asl_status memory_take(size_t bytes, void **out);
void memory_give(void *block);
asl_memory memory_held(void);
void memory_reset_peak(void);
void memory_trim(void);

/* Ranks, csrc/cuda/ranks.cu */
asl_status ranks_unique_id(char id[ASL_UNIQUE_ID_BYTES]);
asl_status ranks_join(const char id[ASL_UNIQUE_ID_BYTES], int rank, int ranks);
asl_status ranks_all_gather(const void *mine, void *all, size_t bytes);
asl_status ranks_broadcast(void *data, size_t bytes, int root);

/* The table of kernels, csrc/cuda/backend.cu */
extern const asl_backend engine_backend;
asl_status engine_measure_peaks(asl_peaks *peaks);

/* csrc/cuda/norm.h: values of a pending tensor */
asl_status norm_settle(const asl_pending *p, void *y);

#endif
