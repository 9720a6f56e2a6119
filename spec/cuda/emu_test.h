/* Tests of the CUDA emulator (csrc/cuda/emu), run by emu_spec.lua: `emu_test NAME` runs one and
 * prints what it has to say. The sources also compile with nvcc, where those of the emulator's own
 * rules are left out. */
#ifndef EMU_TEST_H
#define EMU_TEST_H

#include <cuda_runtime.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tuple>
#include <type_traits>
#include <vector>

#ifdef __CUDACC__
#define DYNAMIC_SHARED(type, name)                                                                 \
  extern __shared__ __align__(16) unsigned char dynamic_shared[];                                  \
  type *name = reinterpret_cast<type *>(dynamic_shared)
template <class K> static inline void know(K) {}
#else
#define DYNAMIC_SHARED(type, name) type *name = (type *)asl_emu_dynamic_shared()
template <class K> static inline void know(K kernel) { asl_emu_register(kernel); }
#endif

typedef void (*test_function)(void);
struct test {
  const char *name;
  test_function run;
  const test *next;
  test(const char *n, test_function f);
};
#define TEST(name)                                                                                 \
  static void name(void);                                                                          \
  static const test name##_entry(#name, name);                                                     \
  static void name(void)

[[noreturn]] void failed(const char *file, int line, const char *what);
#define CHECK(condition)                                                                           \
  do {                                                                                             \
    if (!(condition)) failed(__FILE__, __LINE__, #condition);                                      \
  } while (0)
#define GIVES(error, call) gives(error, call, #call, __FILE__, __LINE__)
#define OK(call) GIVES(cudaSuccess, call)

static inline void gives(cudaError_t expected, cudaError_t got, const char *call, const char *file,
                         int line) {
  if (expected == got) return;
  char text[512];
  snprintf(text, sizeof text, "%s gives %s, not %s", call, cudaGetErrorName(got),
           cudaGetErrorName(expected));
  failed(file, line, text);
}

/* Arguments are converted to the kernel's parameters. */
template <class... P, class... A>
static inline cudaError_t launch(void (*kernel)(P...), dim3 grid, dim3 block, size_t shared,
                                 cudaStream_t stream, A... given) {
  know(kernel);
  std::tuple<std::remove_cv_t<P>...> values(static_cast<P>(given)...);
  return std::apply(
      [&](auto &...value) {
        void *args[] = {(void *)&value..., nullptr};
        return cudaLaunchKernel((const void *)kernel, grid, block, args, shared, stream);
      },
      values);
}

/* Device memory with a copy in the host's. */
template <class T> struct array {
  std::vector<T> host;
  T *device = nullptr;
  explicit array(size_t count, T value = T()) : host(count, value) {
    OK(cudaMalloc(&device, count * sizeof(T)));
    up();
  }
  ~array() { OK(cudaFree(device)); }
  void up() {
    OK(cudaMemcpy(device, host.data(), host.size() * sizeof(T), cudaMemcpyHostToDevice));
  }
  void down() {
    OK(cudaMemcpy(host.data(), device, host.size() * sizeof(T), cudaMemcpyDeviceToHost));
  }
};

/* Whole numbers that look random. */
static inline __host__ __device__ uint32_t scramble(uint32_t x) {
  x = (x ^ x >> 16) * 0x7feb352du;
  x = (x ^ x >> 15) * 0x846ca68bu;
  return x ^ x >> 16;
}

#endif
