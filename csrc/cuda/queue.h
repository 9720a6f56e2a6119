/* The queue: all work on the device passes through here, in order.
 *
 * Ordinarily it is given to the stream at once. Between queue_begin() and queue_end() it is only noted
 * down; at the end the notes are compared with those of earlier steps. A sequence seen before has an
 * executable CUDA graph, in which the kernels' arguments that differ (a learning rate, a counter, an
 * address) are exchanged before it is launched; a new sequence runs directly the first time and is
 * captured the second. So every step runs exactly what the script asked for, whatever the script does, and
 * the graph is never wrong, only new. */
#ifndef ASL_CUDA_QUEUE_H
#define ASL_CUDA_QUEUE_H

#include <cuda_runtime.h>
#include <stddef.h>
#include <tuple>
#include <type_traits>

extern "C" {
#include "tensor/device.h"
}

/* ASL_OK, or the error's name and text, with `what` in front. */
asl_status cuda_status(cudaError_t error, const char *what);
#define CUDA_TRY(call) ASL_TRY(cuda_status((call), #call))

cudaStream_t queue_stream(void);

/* A kernel with its arguments (copied). */
asl_status queue_kernel(const void *kernel, dim3 grid, dim3 block, size_t shared, void *const args[],
                        const size_t sizes[], int n);

/* A call into a library: issue(args) gives work to queue_stream(), now or while it is captured, and maybe again;
 * args is copied. Equal args must mean equal work. */
asl_status queue_call(asl_status (*issue)(const void *args), const void *args, size_t bytes);

/* Copies within the device and fills with a byte. */
asl_status queue_copy(void *to, const void *from, size_t bytes);
asl_status queue_set(void *to, int byte, size_t bytes);

asl_status queue_begin(void);
asl_status queue_end(void);

/* Gives what is noted down to the stream: whoever is about to wait calls this. The rest of the step is then given
 * directly. */
asl_status queue_flush(void);

asl_graph_counts queue_count(void);

/* Frees all graphs; before the memory they use is freed. */
void queue_forget(void);

/* launch(kernel, grid, block, shared, args...): arguments are converted to the kernel's parameters. */
template <class... P, class... A>
static inline asl_status launch(void (*kernel)(P...), dim3 grid, dim3 block, size_t shared, A... given) {
#ifdef ASL_EMULATED
  asl_emu_register(kernel);
#endif
  std::tuple<std::remove_cv_t<P>...> values(static_cast<P>(given)...);
  return std::apply(
      [&](auto &...value) {
        void *args[] = {(void *)&value...};
        const size_t sizes[] = {sizeof value...};
        return queue_kernel((const void *)kernel, grid, block, shared, args, sizes, (int)sizeof...(P));
      },
      values);
}

#endif
