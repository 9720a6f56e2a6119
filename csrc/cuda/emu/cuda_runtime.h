/* The CUDA runtime on the processor: what the sources of csrc/cuda need of CUDA when g++ compiles
 * them for the device `emu`. Put this folder first on the include path:
 *
 *   g++ -x c++ -std=c++17 -Wno-unknown-pragmas -I csrc/cuda/emu -I csrc file.cu
 *
 * The blocks of a grid run in parallel on the thread pool of base/parallel.h; the threads of a
 * block are fibers that change places at barriers and warp operations only, so shared memory,
 * barriers and shuffles mean what they mean on a GPU. Not modelled: tensor cores, bank conflicts,
 * speed, and the order in which threads run: it is fixed. ASL_EMU_REVERSE=1 reverses it, which
 * shows most missing barriers; a build with -fsanitize=thread finds races between the threads of a
 * block and between blocks, one with -fsanitize=address,undefined writes beyond allocations and
 * shared memory. Without it a write beyond a __shared__ array may destroy anything.
 *
 * The program ends with a message (abort) where a GPU would hang or corrupt memory: a barrier that
 * not all threads of a block reach, warp operations whose threads disagree, writes beyond an
 * allocation or beyond the dynamic shared memory, as far as red zones show them. What CUDA reports
 * as an error value is one here too.
 *
 * Environment: ASL_EMU_REVERSE=1, ASL_EMU_DEVICES (1), ASL_EMU_MEMORY (bytes per device, 8 GiB). */
#ifndef ASL_EMU_CUDA_RUNTIME_H
#define ASL_EMU_CUDA_RUNTIME_H

#ifdef __CUDACC__
#error "csrc/cuda/emu is on nvcc's include path: it is for g++"
#endif

#include <assert.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "emu_types.h"
#include "emu_api.h"
#include "emu_launch.h"
#include "emu_thread.h"
#include "emu_atomic.h"
#include "emu_math.h"

#endif
