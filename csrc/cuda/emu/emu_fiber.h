/* Fibers: stacks that an OS thread changes between by hand. A fiber belongs to the OS thread that
 * made it. AddressSanitizer, ThreadSanitizer and valgrind are told of the changes. */
#ifndef ASL_EMU_FIBER_H
#define ASL_EMU_FIBER_H

#include <stddef.h>

struct asl_emu_fiber;

/* `entry` runs at the first change to the fiber and must never return. `index` is the fiber's place
 * among those of its thread: their stacks are laid out so that few share lines of the caches. */
asl_emu_fiber *asl_emu_fiber_new(void (*entry)(void), int index);

/* A place to come back to: the OS thread's own stack. */
asl_emu_fiber *asl_emu_fiber_native(void);

void asl_emu_fiber_free(asl_emu_fiber *fiber);

/* Leaves `from`, which is running, and goes on with `to`; returns when something changes to `from`.
 */
void asl_emu_fiber_switch(asl_emu_fiber *from, asl_emu_fiber *to);

#endif
