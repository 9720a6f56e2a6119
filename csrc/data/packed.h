/* Packs: data sets decoded once, in one file that is read by mapping it into memory.
 *
 *   0      8   magic "ASL PACK"
 *   8      4   version, 1 (integers are unsigned, little endian)
 *   12     4   mask of the planes every sample has
 *   16     8   H, the header's length
 *   24     8   N, the number of samples
 *   32     8   the length of the file; 0 while it is being made
 *   40     4   C, the number of classes: labels are below C, or ASL_IGNORE
 *   44     20  zero
 *   64     H   header: JSON that the caller understands
 *   I          index: 64 bytes for each sample
 *                0   8   where it begins      16  4  height       24  4   CRC-32C of its bytes
 *                8   8   its bytes            20  4  width        28  4   CRC-32C of the 28 before
 *                32  32  SHA-256 of its bytes
 *   D          the samples in the order of the index: their planes in the order of data/sample.h,
 *              elements row-major, little endian; D, I and every plane begin at a multiple of 64,
 *              the gaps are zero
 *   E      32  SHA-256 of all bytes before D; E + 32 is the length of the file
 *
 * The same data set gives the same bytes, for any number of threads. While it is made the file is
 * called PATH.part; a sample's index entry is written after its bytes, so the file itself says how
 * far it is.
 *
 * Files are not trusted: sizes are checked at open, and the digest E; a sample's checksum and
 * labels are checked the first time it is touched, so that later epochs run at the speed of memory.
 * A file that is cut while it is open is an error at the next sample. Should it be cut (or its disk
 * fail) at the very moment a sample is copied, the system ends the process with SIGBUS: that is the
 * price of mapping. Packs are made beside their name and renamed, so making one again never does
 * this. */
#ifndef ASL_DATA_PACKED_H
#define ASL_DATA_PACKED_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "data/source.h"

enum {
  ASL_PACK_ALIGN = 64,
  ASL_PACK_VERSION = 1,
  ASL_PACK_HEAD = 64,
  ASL_PACK_ENTRY = 64,
  ASL_PACK_FOOT = 32,
  ASL_PACK_MAX_HEADER = 1 << 28,
};

/* Where a sample is; `offset` and `bytes` are multiples of 64. */
typedef struct asl_pack_entry {
  uint64_t offset, bytes;
  uint32_t height, width;
  uint32_t crc;
  uint32_t entry_crc; /* of what stands before it here */
  uint8_t sha256[32];
} asl_pack_entry;

/* The first 64 bytes. */
typedef struct asl_pack_head {
  char magic[8];
  uint32_t version, planes;
  uint64_t header_bytes, count, file_bytes;
  uint32_t classes, zero[5];
} asl_pack_head;

/* Bytes of one sample in a file, and where its plane lies in them. Cannot fail: the size must have
 * been checked. */
uint64_t asl_pack_sample_bytes(uint32_t planes, int height, int width);
uint64_t asl_pack_plane_offset(uint32_t planes, int plane, int height, int width);

/* Where index and samples begin. */
uint64_t asl_pack_index_offset(const asl_pack_head *head);
uint64_t asl_pack_data_offset(const asl_pack_head *head);

/* ASL_EDATA unless the entry's own checksum is right, its size is one of a picture and its place is
 * `expected`. */
asl_status asl_pack_check_entry(const asl_pack_entry *entry, uint32_t planes, uint64_t expected);

/* ---- writing ------------------------------------------------------------------------------- */

typedef struct asl_pack_writer asl_pack_writer;

typedef struct asl_pack_spec {
  const char *path; /* of the file when it is done */
  const char *header;
  size_t header_bytes;
  int64_t count;
  uint32_t planes;
  int classes;
} asl_pack_spec;

/* Begins PATH.part, or goes on with the one that is there, whose samples are checked. ASL_EIO (one
 * that another process is writing too); ASL_EINVAL (one of another header, limits); ASL_ENOMEM. */
asl_status asl_pack_create(const asl_pack_spec *spec, asl_pack_writer **out);

/* How many samples, from the first on, it holds. */
int64_t asl_pack_done(const asl_pack_writer *writer);

/* ASL_EIO when the disk has no room for this many more bytes, naming both. */
asl_status asl_pack_room(const asl_pack_writer *writer, uint64_t bytes);

typedef struct asl_pack_row {
  const asl_source *source;
  int64_t index;
} asl_pack_row;

/* Decodes the next n samples with the threads of base/parallel.h and appends them. When one fails,
 * those before it are kept and its failure is returned. */
asl_status asl_pack_add(asl_pack_writer *writer, const asl_pack_row *rows, int n);

/* Writes what makes the file whole and brings it to the disk; it still is called PATH.part.
 * ASL_EINVAL unless it holds every sample. */
asl_status asl_pack_finish(asl_pack_writer *writer);

void asl_pack_close(asl_pack_writer *writer); /* NULL allowed; PATH.part stays */

/* ---- reading (source_packed.c) ------------------------------------------------------------- */

/* Opens a pack as a source called "packed". ASL_EIO, ASL_EDATA (not a pack, of another version, cut
 * off, damaged: what is broken), ASL_ENOMEM; messages name the file. */
asl_status asl_pack_open(const char *path, asl_source **out);

/* What follows is for such a source. The header, not terminated, lives as long as the source. */
const char *asl_pack_header(const asl_source *source, size_t *bytes);
int asl_pack_classes(const asl_source *source);
asl_pack_entry asl_pack_look(const asl_source *source, int64_t index);
int64_t asl_pack_file_bytes(const asl_source *source);

/* Checks samples first..last - 1 against their checksums, in threads; the failure of the first that
 * is broken. */
asl_status asl_pack_verify(const asl_source *source, int64_t first, int64_t last);

/* Whether a source is of this kind. */
int asl_pack_is(const asl_source *source);

#endif
