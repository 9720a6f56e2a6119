/* Running one block: its threads take turns in a fixed order. */
#ifndef ASL_EMU_BLOCK_H
#define ASL_EMU_BLOCK_H

#include <stddef.h>
#include <stdint.h>

#include "emu_launch.h"
#include "emu_types.h"

struct asl_emu_kernel;

struct asl_emu_grid {
  const asl_emu_kernel *kernel;
  void *const *arguments;
  dim3 blocks, threads;
  size_t shared_bytes; /* dynamic */
};

#pragma GCC visibility push(hidden)
/* Block number `block`, counted with x fastest. */
void asl_emu_run_block(const asl_emu_grid *grid, int64_t block);
#pragma GCC visibility pop

#endif
