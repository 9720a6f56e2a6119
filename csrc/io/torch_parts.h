/* What torch_file.c, torch_legacy.c, torch_rules.c and torch_flatten.c share. */
#ifndef ASL_IO_TORCH_PARTS_H
#define ASL_IO_TORCH_PARTS_H

#include "io/torch_file.h"
#include "io/zip.h"

/* What a persistent id says of a storage; several may speak of one. */
typedef struct asl_torch_storage {
  const char *key;
  size_t key_bytes;
  asl_file_dtype dtype;
  int64_t count;              /* elements of the whole storage */
  int64_t view, view_count;   /* the part meant here, in elements */
  size_t number;              /* 1, 2, ...: which storage of the file; 0: not found yet */
  const asl_zip_entry *entry; /* where it is in an archive */
  int64_t at;                 /* where it is in a legacy file */
  struct asl_torch_storage *next;
} asl_torch_storage;

/* Tags of ASL_PICKLE_OTHER; `other` is an asl_torch_storage or an asl_torch_array. */
enum { ASL_TORCH_STORAGE = 1, ASL_TORCH_ARRAY = 2 };

/* The context of the pickle machine: storages in the order in which they were met, last first. */
typedef struct asl_torch_met {
  asl_torch_storage *storages;
  size_t count;
} asl_torch_met;

/* The allow-list and the persistent ids of PyTorch; its context is an asl_torch_met. */
extern const asl_pickle_global asl_torch_globals[];
asl_status asl_torch_persistent(asl_pickle *machine, const asl_pickle_value *id,
                                asl_pickle_value **out);

/* The entries of an object, in memory of the machine. */
asl_status asl_torch_flatten(asl_pickle *machine, asl_pickle_value *root, asl_torch_entry **entries,
                             size_t *count);

/* Reads the five pickles at the start of a legacy file (`n` bytes of it) and finds its storages. */
asl_status asl_torch_read_legacy(const asl_input *source, const char *bytes, size_t n,
                                 asl_pickle *machine, asl_torch_met *met, asl_pickle_value **root);

#endif
