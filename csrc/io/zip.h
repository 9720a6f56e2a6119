/* Zip archives of stored (uncompressed) entries, as PyTorch writes them: APPNOTE.TXT of PKWARE.
 *
 * Reading believes the central directory only: sizes in local headers may be left out. Archives are
 * not trusted: entries must lie within the file without overlap, have different names, and match
 * their CRC-32 when read, so that all entries together have at most the file's bytes. Compressed or
 * encrypted entries may be there; reading one is ASL_ENOTSUP. Messages do not name the file. */
#ifndef ASL_IO_ZIP_H
#define ASL_IO_ZIP_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "base/read.h"

typedef struct asl_zip_entry {
  const char *name; /* `name_bytes` bytes, not NUL-terminated */
  size_t name_bytes;
  int64_t bytes; /* of the content */
  int64_t at;    /* of the local header */
  int64_t limit; /* where the next entry or the directory begins */
  uint32_t crc;
  uint16_t method, flags;
} asl_zip_entry;

typedef struct asl_zip asl_zip;

/* Reads the directory of `source`, which must outlive the archive. ASL_EDATA, ASL_EIO, ASL_ENOMEM.
 */
asl_status asl_zip_open(const asl_input *source, asl_zip **out);
void asl_zip_close(asl_zip *zip); /* NULL allowed */

/* The entries, sorted by name. */
size_t asl_zip_count(const asl_zip *zip);
const asl_zip_entry *asl_zip_entry_at(const asl_zip *zip, size_t i);

/* The entry with the name root + name; NULL when there is none. */
const asl_zip_entry *asl_zip_find(const asl_zip *zip, const char *root, size_t root_bytes,
                                  const char *name, size_t name_bytes);

/* The whole content, entry->bytes of it. */
asl_status asl_zip_read(const asl_zip *zip, const asl_zip_entry *entry, void *bytes);

/* ---- writing: archives below 4 GiB with less than 65535 entries -------------------------------
 */

typedef struct asl_zip_writer asl_zip_writer;

/* Starts an archive that will replace `path`. */
asl_status asl_zip_create(const char *path, asl_zip_writer **out);

/* Adds an entry whose content begins at a multiple of 64. ASL_EINVAL when it does not fit. */
asl_status asl_zip_add(asl_zip_writer *writer, const char *name, const void *bytes, size_t n);

/* Writes the directory, puts the archive in place durably and frees the writer, also on failure. */
asl_status asl_zip_finish(asl_zip_writer *writer);

/* Frees a writer; what was at its path stays. NULL allowed. */
void asl_zip_abandon(asl_zip_writer *writer);

/* CRC-32 of the bytes; crc32("123456789") = 0xCBF43926. */
uint32_t asl_crc32(const void *bytes, size_t n);

#endif
