/* The kernels that are known, and launching them. */
#ifndef ASL_EMU_KERNEL_H
#define ASL_EMU_KERNEL_H

#include <atomic>
#include <stddef.h>

#include "emu_launch.h"
#include "emu_types.h"

struct asl_emu_kernel {
  const void *address;
  const asl_emu_signature *signature;
  const char *name;                /* NULL: not given */
  std::atomic<size_t> most_shared; /* bytes of dynamic shared memory a launch may ask for */
};

#pragma GCC visibility push(hidden)

/* NULL when it was not registered. */
asl_emu_kernel *asl_emu_find_kernel(const void *address);

/* Its name for messages; valid until the thread asks again. */
const char *asl_emu_kernel_name(const asl_emu_kernel *kernel);

/* What CUDA says to a launch of this size. */
cudaError_t asl_emu_check_launch(const asl_emu_kernel *kernel, dim3 grid, dim3 block,
                                 size_t shared_bytes);

/* Runs all blocks; the launch was checked. */
void asl_emu_run_grid(const asl_emu_kernel *kernel, dim3 grid, dim3 block, void *const *arguments,
                      size_t shared_bytes);

#pragma GCC visibility pop
#endif
