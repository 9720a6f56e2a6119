/* ThreadSanitizer finds the races of kernels: each thread of a grid is one to it, ordered with
 * others by barriers, __syncwarp and __threadfence alone. So it finds a missing barrier also where
 * the order in which threads run hides it. The scheduler itself it must not see. */
#ifndef ASL_EMU_TSAN_H
#define ASL_EMU_TSAN_H

#ifdef __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>
#define ASL_EMU_UNSEEN __attribute__((no_sanitize("thread")))
/* What came before leave(place) comes before what follows a later meet(place). */
static inline void asl_emu_leave(void *place) { __tsan_release(place); }
static inline void asl_emu_meet(void *place) { __tsan_acquire(place); }
static const bool asl_emu_one_fiber_each = true;
#else
#define ASL_EMU_UNSEEN
static inline void asl_emu_leave(void *) {}
static inline void asl_emu_meet(void *) {}
static const bool asl_emu_one_fiber_each = false;
#endif

#endif
