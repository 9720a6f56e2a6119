/* Python's pickles (protocols 2 to 5), read as data: nothing in them is ever run.
 *
 * A pickle is a program for a small stack machine. This one builds plain values (numbers, strings,
 * lists, dictionaries) and knows only the opcodes that data needs. What a pickle calls by name, the
 * caller lists with a function of its own; any other name is an error or, if the caller says so, an
 * inert object that remembers its class and swallows what is done to it.
 *
 * A pickle is not trusted: every length is checked before it is used, and values take at most
 * 64 times the pickle's bytes (and 64 KiB, and never more than 512 MiB). A list may contain itself,
 * and one value may be reached on many ways: whoever walks values bounds depth and steps.
 *
 * Errors are ASL_EDATA with position and opcode: "byte 57 (GLOBAL): ...". */
#ifndef ASL_IO_PICKLE_H
#define ASL_IO_PICKLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef enum asl_pickle_type {
  ASL_PICKLE_NONE,
  ASL_PICKLE_BOOL,
  ASL_PICKLE_INT,
  ASL_PICKLE_LONG, /* an integer beyond 64 bits: its n bytes, two's complement, little endian */
  ASL_PICKLE_FLOAT,
  ASL_PICKLE_STRING, /* n bytes, not NUL-terminated; UTF-8 if the pickle was honest */
  ASL_PICKLE_BYTES,
  ASL_PICKLE_LIST, /* n items; sets too */
  ASL_PICKLE_TUPLE,
  ASL_PICKLE_DICT,   /* n pairs: items[2i] is the key of items[2i + 1]; equal keys are not merged */
  ASL_PICKLE_GLOBAL, /* a listed name */
  ASL_PICKLE_OBJECT, /* an unlisted name or what it was to make: n bytes "module.name" */
  ASL_PICKLE_OTHER,  /* what the caller's functions made */
} asl_pickle_type;

typedef struct asl_pickle_value asl_pickle_value;
typedef struct asl_pickle asl_pickle;

/* A name that pickles may mention: `call` makes the result of calling it, NULL when it is only a
 * name. `tag` is the caller's. */
typedef struct asl_pickle_global {
  const char *module, *name;
  asl_status (*call)(asl_pickle *machine, const asl_pickle_value *arguments,
                     asl_pickle_value **out);
  int tag;
} asl_pickle_global;

struct asl_pickle_value {
  asl_pickle_type type;
  int tag; /* of OTHER: the caller's */
  size_t n, room;
  union {
    bool truth;
    int64_t integer;
    double number;
    const char *text; /* into the pickle's bytes, or the machine's memory */
    asl_pickle_value **items;
    const asl_pickle_global *global;
    void *other;
  };
};

typedef struct asl_pickle_rules {
  const asl_pickle_global *globals; /* up to one without a module */
  bool keep_objects;                /* unlisted names are inert objects, not errors */
  /* The object that a persistent id stands for; NULL when there are none. */
  asl_status (*persistent)(asl_pickle *machine, const asl_pickle_value *id, asl_pickle_value **out);
  void *context; /* for the functions: asl_pickle_context() */
} asl_pickle_rules;

/* A machine for pickles of `bytes` bytes in all; it owns all values. ASL_ENOMEM. */
asl_status asl_pickle_new(const asl_pickle_rules *rules, size_t bytes, asl_pickle **out);
void asl_pickle_free(asl_pickle *machine); /* NULL allowed */

/* Reads one pickle at the start of `bytes`, which must stay as long as its values; `used` is its
 * length. */
asl_status asl_pickle_run(asl_pickle *machine, const char *bytes, size_t n, size_t *used,
                          asl_pickle_value **out);

/* The highest protocol that a pickle named. */
int asl_pickle_protocol(const asl_pickle *machine);

/* For the caller's functions. Memory is zeroed and lives as long as the machine; ASL_EDATA when the
 * budget is used up. */
void *asl_pickle_context(const asl_pickle *machine);
asl_status asl_pickle_alloc(asl_pickle *machine, size_t bytes, void **out);
asl_status asl_pickle_make(asl_pickle *machine, asl_pickle_type type, asl_pickle_value **out);
asl_status asl_pickle_set(asl_pickle *machine, asl_pickle_value *dict, asl_pickle_value *key,
                          asl_pickle_value *value);

/* "a string", "a dictionary", "an object of class os.system" ... for messages; valid until the next
 * call in this thread. */
const char *asl_pickle_describe(const asl_pickle_value *value);

#endif
