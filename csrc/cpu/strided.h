/* Walking several tensors that broadcast against one shape, row by row.
 *
 * Dimensions that are adjacent in memory for every operand are merged first, so contiguous tensors
 * of equal shape are one long row. */
#ifndef ASL_CPU_STRIDED_H
#define ASL_CPU_STRIDED_H

#include "cpu/cpu.h"

enum { WALK_OPERANDS = 4 };

typedef struct asl_walk {
  int operands, rank;
  int64_t count;
  int64_t size[ASL_MAX_RANK];
  int64_t step[ASL_MAX_RANK][WALK_OPERANDS]; /* bytes; 0 where an operand broadcasts */
  char *base[WALK_OPERANDS];
} asl_walk;

/* One row of n elements: operand k's start at at[k], step[k] bytes apart. */
typedef void (*asl_row_fn)(void *context, char *const at[], const int64_t step[], int64_t n);

#define asl_walk_init ASL_LOCAL(asl_walk_init)
#define asl_walk_rows ASL_LOCAL(asl_walk_rows)

/* Operands are right-aligned against `shape`, which they must broadcast to. */
void asl_walk_init(asl_walk *walk, asl_shape shape, int operands, asl_tensor *const operand[]);

/* Calls fn for the elements first <= position < end in row-major order, in pieces of rows. */
void asl_walk_rows(const asl_walk *walk, int64_t first, int64_t end, asl_row_fn fn, void *context);

#endif
