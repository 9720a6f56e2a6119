/* Atomic operations on whole numbers. Those on floats do not compile: their order would decide the
 * result. */
#ifndef ASL_EMU_ATOMIC_H
#define ASL_EMU_ATOMIC_H

float atomicAdd(float *address, float value) = delete;
double atomicAdd(double *address, double value) = delete;

#define ASL_EMU_ATOMIC(T)                                                                          \
  static inline T atomicAdd(T *address, T value) {                                                 \
    return __atomic_fetch_add(address, value, __ATOMIC_RELAXED);                                   \
  }                                                                                                \
  static inline T atomicExch(T *address, T value) {                                                \
    return __atomic_exchange_n(address, value, __ATOMIC_RELAXED);                                  \
  }                                                                                                \
  static inline T atomicCAS(T *address, T compare, T value) {                                      \
    __atomic_compare_exchange_n(address, &compare, value, false, __ATOMIC_RELAXED,                 \
                                __ATOMIC_RELAXED);                                                 \
    return compare;                                                                                \
  }
#define ASL_EMU_ATOMIC_BITS(T)                                                                     \
  static inline T atomicMin(T *address, T value) {                                                 \
    T old = __atomic_load_n(address, __ATOMIC_RELAXED);                                            \
    while (value < old && !__atomic_compare_exchange_n(address, &old, value, false,                \
                                                       __ATOMIC_RELAXED, __ATOMIC_RELAXED))        \
      ;                                                                                            \
    return old;                                                                                    \
  }                                                                                                \
  static inline T atomicMax(T *address, T value) {                                                 \
    T old = __atomic_load_n(address, __ATOMIC_RELAXED);                                            \
    while (value > old && !__atomic_compare_exchange_n(address, &old, value, false,                \
                                                       __ATOMIC_RELAXED, __ATOMIC_RELAXED))        \
      ;                                                                                            \
    return old;                                                                                    \
  }                                                                                                \
  static inline T atomicAnd(T *address, T value) {                                                 \
    return __atomic_fetch_and(address, value, __ATOMIC_RELAXED);                                   \
  }                                                                                                \
  static inline T atomicOr(T *address, T value) {                                                  \
    return __atomic_fetch_or(address, value, __ATOMIC_RELAXED);                                    \
  }                                                                                                \
  static inline T atomicXor(T *address, T value) {                                                 \
    return __atomic_fetch_xor(address, value, __ATOMIC_RELAXED);                                   \
  }

/* The types for which CUDA has each. */
ASL_EMU_ATOMIC(int)
ASL_EMU_ATOMIC(unsigned int)
ASL_EMU_ATOMIC(unsigned long long)
ASL_EMU_ATOMIC_BITS(int)
ASL_EMU_ATOMIC_BITS(unsigned int)
ASL_EMU_ATOMIC_BITS(unsigned long long)
#undef ASL_EMU_ATOMIC
#undef ASL_EMU_ATOMIC_BITS

static inline int atomicSub(int *address, int value) {
  return __atomic_fetch_sub(address, value, __ATOMIC_RELAXED);
}

static inline unsigned int atomicSub(unsigned int *address, unsigned int value) {
  return __atomic_fetch_sub(address, value, __ATOMIC_RELAXED);
}

#endif
