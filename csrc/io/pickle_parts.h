/* What pickle.c and pickle_value.c share: the machine's insides. */
#ifndef ASL_IO_PICKLE_PARTS_H
#define ASL_IO_PICKLE_PARTS_H

#include "io/pickle.h"

typedef struct asl_pickle_block asl_pickle_block;

typedef struct asl_pickle_stack {
  asl_pickle_value **items;
  size_t n, room;
} asl_pickle_stack;

struct asl_pickle {
  asl_pickle_rules rules;
  asl_pickle_block *blocks; /* of memory, freed with the machine */
  size_t left, budget;
  asl_pickle_stack stack, memo;
  size_t *marks, mark_count, mark_room; /* heights of the stack */
  const unsigned char *bytes, *at, *end;
  asl_pickle_value *result; /* set by STOP */
  int protocol;
};

/* Appends n items to a list or tuple. */
asl_status asl_pickle_append_all(asl_pickle *machine, asl_pickle_value *list,
                                 asl_pickle_value **items, size_t n);

/* Appends n keys and values in turn to a dictionary. */
asl_status asl_pickle_set_all(asl_pickle *machine, asl_pickle_value *dict, asl_pickle_value **items,
                              size_t n);

/* A list or tuple of n items. */
asl_status asl_pickle_make_filled(asl_pickle *machine, asl_pickle_type type,
                                  asl_pickle_value **items, size_t n, asl_pickle_value **out);

#endif
