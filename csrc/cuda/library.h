/* Libraries of NVIDIA's that are found when they are needed, so that one build runs where only some of them are:
 * cuBLAS for every computation, cuDNN and NCCL for some. */
#ifndef ASL_CUDA_LIBRARY_H
#define ASL_CUDA_LIBRARY_H

extern "C" {
#include "base/status.h"
}

/* Loads "libcublas.so.13" or the like. Searched are, in this order: the folders of ASL_CUDA_LIBRARIES (separated by
 * ':'), what the system's loader knows, the toolkit (CUDA_HOME, /usr/local/cuda), and the Python packages nvidia-*
 * (of VIRTUAL_ENV and CONDA_PREFIX, the user's and the system's). ASL_ENOTSUP says what was tried. */
asl_status library_open(const char *name, void **library);

/* A function of it, into *function, a function pointer. */
asl_status library_function(void *library, const char *name, void *function);

#endif
