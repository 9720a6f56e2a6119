/* Unpacking tar archives: ustar, pax and GNU's long names, plain or compressed by gzip.
 *
 * Archives are not trusted. Only files and directories are taken: links, devices, sparse and split
 * files are refused by name, as are absolute names, names with "..", and a name that comes twice.
 * What is written lies below the folder; sizes are compared with the disk's room before a file is
 * begun. Owners, modes and times are not taken over. An archive has no checksum of its files'
 * bytes; compressed it has one of all. Messages do not name the archive. */
#ifndef ASL_DATA_TAR_H
#define ASL_DATA_TAR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

typedef struct asl_untar asl_untar;

typedef struct asl_untar_state {
  bool done;
  int64_t files, bytes; /* so far, of their content */
  int64_t room;         /* what they take on a disk, in whole blocks */
  int64_t read, length; /* of the archive */
} asl_untar_state;

/* `folder` must exist; NULL only counts. With `digest` the archive is hashed. ASL_EIO, ASL_EDATA,
 * ASL_ENOMEM. */
asl_status asl_untar_open(const char *archive, const char *folder, bool digest, asl_untar **out);

/* Frees it; what was unpacked stays. NULL allowed. */
void asl_untar_close(asl_untar *untar);

/* Goes on for about this many bytes. ASL_EDATA (damaged or refused, naming the entry), ASL_EIO
 * (disk full, ...): nothing more can be done with it then. */
asl_status asl_untar_step(asl_untar *untar, int64_t bytes, asl_untar_state *state);

/* Returns when what was unpacked is on the disk. ASL_EIO. */
asl_status asl_untar_sync(const asl_untar *untar);

/* SHA-256 of the archive, once it is done; "" without `digest`. */
void asl_untar_digest(asl_untar *untar, char hex[65]);

/* Whether counting needs no more than the headers. */
bool asl_untar_counts_fast(const asl_untar *untar);

/* Bytes that may still be written where `folder` is. ASL_EIO. */
asl_status asl_free_bytes(const char *folder, int64_t *bytes);

/* What lies below a folder: its files and their bytes. ASL_EIO, also for anything but files and
 * directories. */
asl_status asl_tree_size(const char *folder, int64_t *files, int64_t *bytes);

#endif
