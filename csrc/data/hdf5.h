/* Reading HDF5 files: the part of the format that h5py writes by default and MATLAB writes as "v7.3".
 *
 * Why own code: the files are hostile until read, loader threads read many at once, and the library
 * reads one at a time behind a lock. Understood are superblocks 0 to 3 (also behind a user block),
 * object headers 1 and 2, old groups (symbol tables) and compact new ones (links in the header),
 * datasets that are compact, contiguous or chunked (found through a version 1 B-tree; of the newer
 * ways a single chunk and chunks without an index), with the filters deflate, shuffle and
 * fletcher32, and integers, floats (16, 32, 64 bits) and object references, of either byte order.
 * Anything else is refused with what it is. Soft and external links are listed, but not followed.
 * Values that were never written are the dataset's fill value.
 *
 * Nothing of a file is believed: see hdf5_parts.h.
 *
 * A file is read by positions (pread), never mapped: one that shrinks meanwhile gives an error. All
 * functions may be called by several threads with one file. */
#ifndef ASL_DATA_HDF5_H
#define ASL_DATA_HDF5_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

enum { ASL_HDF5_MAX_RANK = 8 };

typedef struct asl_hdf5 asl_hdf5; /* an open file */

typedef enum asl_hdf5_class { ASL_HDF5_INTEGER, ASL_HDF5_FLOAT, ASL_HDF5_REFERENCE } asl_hdf5_class;

/* A dataset of a file, plain data: nothing to free. Where its values lie is the reader's business. */
typedef struct asl_hdf5_dataset {
  int rank; /* 0: one value */
  int64_t size[ASL_HDF5_MAX_RANK];
  asl_hdf5_class value_class;
  int value_bytes; /* 1, 2, 4, 8 */
  bool is_signed;  /* of an integer */
  uint64_t header; /* address of its object header */
} asl_hdf5_dataset;

/* ASL_EIO, ASL_EDATA (no HDF5 file, a superblock that is not understood), ASL_ENOMEM. */
asl_status asl_hdf5_open(const char *path, asl_hdf5 **out);
void asl_hdf5_close(asl_hdf5 *file); /* NULL allowed; cannot fail */

/* The dataset of a name ("images", "#refs#/a"). ASL_EDATA: not there, with what is; a group; a type
 * or layout that is not understood; damaged. */
asl_status asl_hdf5_find(const asl_hdf5 *file, const char *name, asl_hdf5_dataset *out);

/* The dataset that an object reference (a value of ASL_HDF5_REFERENCE) refers to. ASL_EDATA. */
asl_status asl_hdf5_refer(const asl_hdf5 *file, uint64_t reference, asl_hdf5_dataset *out);

/* Calls visit for every link of a group, in the file's order, until it fails. `name` lives during
 * the call. A group may be reached through itself. ASL_EDATA, or what visit returned. */
asl_status asl_hdf5_list(const asl_hdf5 *file, const char *group,
                         asl_status (*visit)(void *context, const char *name, bool is_group),
                         void *context);

/* The values of a block, `first` (0-based) and `count` in each dimension, row-major, in this
 * machine's byte order, as they are: values x value_bytes bytes, which must be `bytes`. Of chunked
 * ones only the chunks that the block touches are read, and of their index only what leads there.
 * ASL_EINVAL (outside, bytes), ASL_EIO, ASL_EDATA (damaged; chunks of more than 256 MiB, or far
 * larger than what is wanted of them), ASL_ENOMEM. */
asl_status asl_hdf5_read(const asl_hdf5 *file, const asl_hdf5_dataset *dataset,
                         const int64_t *first, const int64_t *count, void *values, size_t bytes);

/* Likewise as f32, from integers and floats of any size, rounded; float16 is exact. ASL_EDATA also
 * for a finite f64 that does not fit; ASL_EINVAL for references. */
asl_status asl_hdf5_read_f32(const asl_hdf5 *file, const asl_hdf5_dataset *dataset,
                             const int64_t *first, const int64_t *count, float *values);

#endif
