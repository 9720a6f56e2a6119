/* ASL_HD: a small function that is compiled for the host and, by a CUDA compiler, for the device.
 */
#ifndef ASL_BASE_HD_H
#define ASL_BASE_HD_H

#ifdef __CUDACC__
#define ASL_HD static __host__ __device__ __forceinline__
#else
#define ASL_HD static inline
#endif

#endif
