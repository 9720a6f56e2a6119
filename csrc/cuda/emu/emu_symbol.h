/* The name of a function, also of one that is not exported, for messages. */
#ifndef ASL_EMU_SYMBOL_H
#define ASL_EMU_SYMBOL_H

#include <stddef.h>

#pragma GCC visibility push(hidden)
/* As the source has it, without parameters where that is known; else its address. Slow. */
void asl_emu_symbol(const void *function, char *name, size_t bytes);
#pragma GCC visibility pop

#endif
