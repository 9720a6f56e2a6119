/* What a kernel must be told to the emulator before it is launched through its address alone. */
#ifndef ASL_EMU_LAUNCH_H
#define ASL_EMU_LAUNCH_H

#include <stddef.h>
#include <type_traits>
#include <utility>

/* A kernel's type, once per list of parameters. */
struct asl_emu_signature {
  void (*invoke)(const void *kernel, void *const *arguments); /* as one thread */
  size_t count;
  const size_t *bytes; /* of each parameter */
};

#pragma GCC visibility push(hidden)
/* Cheap when it is known already, safe from any thread. `name` must outlive the program; it is for
 * messages. */
void asl_emu_register_kernel(const void *kernel, const asl_emu_signature *signature,
                             const char *name);
#pragma GCC visibility pop

template <class... P, size_t... I>
static inline void asl_emu_apply(const void *kernel, void *const *arguments,
                                 std::index_sequence<I...>) {
  (void)arguments;
  ((void (*)(P...))kernel)(*(const P *)arguments[I]...);
}

template <class... P> void asl_emu_invoke(const void *kernel, void *const *arguments) {
  asl_emu_apply<P...>(kernel, arguments, std::index_sequence_for<P...>());
}

/* Makes `kernel` known to cudaLaunchKernel() and to captured graphs. */
template <class... P>
static inline void asl_emu_register(void (*kernel)(P...), const char *name = nullptr) {
  static_assert((std::is_trivially_copyable<P>::value && ...),
                "a kernel's parameters are copied as bytes");
  static const size_t bytes[] = {sizeof(P)..., 0};
  static const asl_emu_signature signature = {asl_emu_invoke<P...>, sizeof...(P), bytes};
  asl_emu_register_kernel((const void *)kernel, &signature, name);
}

#endif
