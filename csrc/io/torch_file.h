/* PyTorch's checkpoints (torch.save): zip archives, and the legacy stream of PyTorch before 1.6.
 *
 *   zip     ROOT/data.pkl: a pickle whose persistent ids name storages; ROOT/data/KEY: their bytes;
 *           ROOT/version; ROOT/byteorder
 *   legacy  five pickles (magic number, protocol, system, the object, the list of storage keys),
 * then per key the number of elements (64 bits) and the elements
 *
 * The object is flattened: what lies in dictionaries and lists is called by its keys, joined with
 * dots, list positions counted from 0. Nothing of a file is run (io/pickle.h). Files are not
 * trusted: a tensor must lie within its storage, a storage within the file; all tensors together
 * have at most 16 times the file's bytes (and 1 MiB), however often they share storages.
 *
 * Failures are ASL_EDATA, ASL_ENOTSUP, ASL_EIO, ASL_ENOMEM; messages begin with the path. */
#ifndef ASL_IO_TORCH_FILE_H
#define ASL_IO_TORCH_FILE_H

#include "io/pickle.h"
#include "io/torch_dtype.h"
#include "tensor/tensor.h"

typedef enum asl_weights_kind {
  ASL_WEIGHTS_UNKNOWN,
  ASL_WEIGHTS_TORCH_ZIP,
  ASL_WEIGHTS_TORCH_LEGACY,
  ASL_WEIGHTS_TORCH_TAR, /* before PyTorch 0.1.10; not read */
  ASL_WEIGHTS_SAFETENSORS,
} asl_weights_kind;

/* What kind of file it is, by its first bytes. */
asl_status asl_weights_kind_of(const char *path, asl_weights_kind *kind);

typedef struct asl_torch_array {
  struct asl_torch_storage *storage;
  asl_file_dtype dtype;
  asl_shape shape;
  int64_t stride[ASL_MAX_RANK], offset; /* in elements */
  int64_t count, reach;                 /* asl_file_array_extent() */
} asl_torch_array;

typedef struct asl_torch_entry {
  const char *name; /* `name_bytes` bytes, not NUL-terminated */
  size_t name_bytes;
  size_t container_bytes; /* the part of the name that names the dictionary or list it is in */
  const asl_torch_array *array;  /* NULL: no tensor, but ... */
  const asl_pickle_value *value; /* ... this; never a dictionary, list or tuple */
} asl_torch_entry;

typedef struct asl_torch asl_torch;

/* Opens a file and reads what is in it, but no tensor. `keep_objects`: what is not plain data is
 * kept as an inert object instead of being an error. */
asl_status asl_torch_open(const char *path, bool keep_objects, asl_torch **out);
void asl_torch_close(asl_torch *file); /* NULL allowed */

asl_weights_kind asl_torch_kind(const asl_torch *file);
int asl_torch_protocol(const asl_torch *file); /* of the pickle */

/* The entries, in the file's order; valid until close. */
size_t asl_torch_count(const asl_torch *file);
const asl_torch_entry *asl_torch_entry_at(const asl_torch *file, size_t i);

/* Which storage the tensor of an entry is in: 1, 2, ... */
size_t asl_torch_storage_number(const asl_torch_entry *entry);

/* The tensor of entry i, contiguous, with memory of its own, converted as torch_dtype.h says. The
 * last storage stays in memory: tensors that share one are best read one after the other. */
asl_status asl_torch_tensor(asl_torch *file, size_t i, bool narrow, asl_tensor **out);

/* Writes a zip checkpoint, an ordered dictionary of these names and contiguous CPU tensors, that
 * torch.load reads, with weights_only too. The same tensors give the same bytes. ASL_EINVAL for
 * more than such a file holds. */
asl_status asl_torch_write(const char *path, const char *const names[], asl_tensor *const tensors[],
                           size_t count);

#endif
