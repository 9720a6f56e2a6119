/* Walking several tensors that broadcast against one shape (tensor/walk.h), row by row. */
#ifndef ASL_CPU_STRIDED_H
#define ASL_CPU_STRIDED_H

#include "cpu/cpu.h"
#include "tensor/walk.h"

/* One row of n elements: operand k's start at at[k], step[k] bytes apart. */
typedef void (*asl_row_fn)(void *context, char *const at[], const int64_t step[], int64_t n);

#define asl_walk_rows ASL_LOCAL(asl_walk_rows)

/* Calls fn for the elements first <= position < end in row-major order, in pieces of rows. */
void asl_walk_rows(const asl_walk *walk, int64_t first, int64_t end, asl_row_fn fn, void *context);

#endif
