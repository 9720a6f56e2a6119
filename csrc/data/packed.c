#define _GNU_SOURCE
#include "data/packed.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/parallel.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "packs hold little-endian numbers as they lie in memory"
#endif

_Static_assert(sizeof(asl_pack_head) == ASL_PACK_HEAD, "the head is 64 bytes");
_Static_assert(sizeof(asl_pack_entry) == ASL_PACK_ENTRY, "an entry is 64 bytes");

enum { BLOCK = 1 << 20, MESSAGE_BYTES = 1024 };

/* ---- layout ------------------------------------------------------------------------------- */

static uint64_t align(uint64_t bytes) {
  return (bytes + ASL_PACK_ALIGN - 1) / ASL_PACK_ALIGN * ASL_PACK_ALIGN;
}

uint64_t asl_pack_plane_offset(uint32_t planes, int plane, int height, int width) {
  uint64_t at = 0;
  for (int p = 0; p < plane; p++)
    if (planes >> p & 1) at += align(asl_plane_bytes(p, height, width));
  return at;
}

uint64_t asl_pack_sample_bytes(uint32_t planes, int height, int width) {
  return asl_pack_plane_offset(planes, ASL_PLANES, height, width);
}

uint64_t asl_pack_index_offset(const asl_pack_head *head) {
  return align(ASL_PACK_HEAD + head->header_bytes);
}

uint64_t asl_pack_data_offset(const asl_pack_head *head) {
  return asl_pack_index_offset(head) + head->count * ASL_PACK_ENTRY;
}

static uint32_t entry_crc(const asl_pack_entry *entry) {
  return asl_crc32c(entry, offsetof(asl_pack_entry, entry_crc));
}

asl_status asl_pack_check_entry(const asl_pack_entry *entry, uint32_t planes, uint64_t expected) {
  if (entry->entry_crc != entry_crc(entry))
    return asl_fail(ASL_EDATA, "its index entry does not match its checksum");
  asl_status size = asl_picture_size_check(entry->height, entry->width);
  if (size != ASL_OK) return asl_wrap(ASL_EDATA, "its index entry");
  uint64_t bytes = asl_pack_sample_bytes(planes, (int)entry->height, (int)entry->width);
  if (entry->bytes != bytes || entry->offset != expected)
    return asl_fail(ASL_EDATA,
                    "its index entry says %llu bytes at %llu; %ux%u pixels (width x height) there "
                    "are %llu at %llu",
                    (unsigned long long)entry->bytes, (unsigned long long)entry->offset,
                    entry->width, entry->height, (unsigned long long)bytes,
                    (unsigned long long)expected);
  return ASL_OK;
}

/* ---- the file ----------------------------------------------------------------------------- */

struct asl_pack_writer {
  int fd;
  char *part;
  asl_pack_head head; /* as it stands in a file that is being made */
  char *header;
  int64_t done;
  uint64_t end; /* of the last sample */
};

static asl_status put_at(const asl_pack_writer *w, uint64_t at, const void *bytes, size_t n) {
  for (size_t done = 0; done < n;) {
    ssize_t put = pwrite(w->fd, (const char *)bytes + done, n - done, (off_t)(at + done));
    if (put < 0 && errno == EINTR) continue;
    if (put < 0)
      return asl_fail(ASL_EIO, "cannot write \"%s\": %m (%zu bytes at position %llu)", w->part, n,
                      (unsigned long long)at);
    done += (size_t)put;
  }
  return ASL_OK;
}

/* How many of the n bytes there are; -1 when they cannot be read. */
static ssize_t get_at(const asl_pack_writer *w, uint64_t at, void *bytes, size_t n) {
  size_t done = 0;
  while (done < n) {
    ssize_t got = pread(w->fd, (char *)bytes + done, n - done, (off_t)(at + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return -1;
    if (got == 0) break;
    done += (size_t)got;
  }
  return (ssize_t)done;
}

static asl_status lock(const asl_pack_writer *w) {
  struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
  if (fcntl(w->fd, F_OFD_SETLK, &whole) == 0) return ASL_OK;
  if (errno == EAGAIN || errno == EACCES)
    return asl_fail(ASL_EIO, "\"%s\" is being written by another process", w->part);
  return asl_fail(ASL_EIO, "cannot lock \"%s\": %m", w->part);
}

/* That PATH.part still is the file that was opened: another process may have finished it and given
 * it its name before we had the lock. */
static asl_status check_name(const asl_pack_writer *w) {
  struct stat ours, named;
  if (fstat(w->fd, &ours) == 0 && stat(w->part, &named) == 0 && ours.st_ino == named.st_ino &&
      ours.st_dev == named.st_dev)
    return ASL_OK;
  return asl_fail(ASL_EIO, "\"%s\" was just finished by another process", w->part);
}

static asl_status cut(asl_pack_writer *w, uint64_t end) {
  if (ftruncate(w->fd, (off_t)end) != 0)
    return asl_fail(ASL_EIO, "cannot cut \"%s\" to %llu bytes: %m", w->part,
                    (unsigned long long)end);
  return ASL_OK;
}

/* ---- going on with what is there ---------------------------------------------------------- */

/* Whether the file begins with `n` bytes of ours at `at`, as far as it goes: 1, else 0; -1 where it
 * cannot be read. `whole` becomes whether it has all of them. */
static int begins_with(const asl_pack_writer *w, uint64_t at, const char *bytes, size_t n,
                       bool *whole) {
  char block[4096];
  for (size_t done = 0; done < n;) {
    size_t part = n - done < sizeof block ? n - done : sizeof block;
    ssize_t got = get_at(w, at + done, block, part);
    if (got < 0) return -1;
    if (memcmp(block, bytes + done, (size_t)got) != 0) return 0;
    if ((size_t)got < part) {
      *whole = false;
      return 1;
    }
    done += part;
  }
  return 1;
}

/* Whether the sample's bytes are there and right. */
static bool is_right(const asl_pack_writer *w, const asl_pack_entry *entry) {
  char *bytes = malloc(entry->bytes);
  bool right = bytes && get_at(w, entry->offset, bytes, entry->bytes) == (ssize_t)entry->bytes &&
               asl_crc32c(bytes, entry->bytes) == entry->crc;
  free(bytes);
  return right;
}

/* Counts the samples that are there, from the first on. */
static void count_done(asl_pack_writer *w) {
  uint64_t index = asl_pack_index_offset(&w->head);
  w->end = asl_pack_data_offset(&w->head);
  for (w->done = 0; (uint64_t)w->done < w->head.count; w->done++) {
    asl_pack_entry entry;
    uint64_t at = index + (uint64_t)w->done * sizeof entry;
    if (get_at(w, at, &entry, sizeof entry) != (ssize_t)sizeof entry) return;
    if (asl_pack_check_entry(&entry, w->head.planes, w->end) != ASL_OK) return;
    if (!is_right(w, &entry)) return;
    w->end += entry.bytes;
  }
}

static asl_status begin(asl_pack_writer *w) {
  ASL_TRY(cut(w, 0));
  ASL_TRY(put_at(w, 0, &w->head, sizeof w->head));
  ASL_TRY(put_at(w, sizeof w->head, w->header, w->head.header_bytes));
  w->end = asl_pack_data_offset(&w->head);
  return cut(w, w->end);
}

static asl_status take_up(asl_pack_writer *w) {
  asl_pack_head found = w->head;
  bool whole = true;
  ssize_t got = get_at(w, 0, &found, sizeof found);
  if (got >= 0 && (size_t)got >= offsetof(asl_pack_head, classes)) found.file_bytes = 0;
  int same = got < 0 ? -1 : memcmp(&found, &w->head, (size_t)got) == 0;
  if (got < (ssize_t)sizeof found) whole = false;
  if (same == 1 && whole)
    same = begins_with(w, sizeof found, w->header, w->head.header_bytes, &whole);
  if (same < 0) return asl_fail(ASL_EIO, "cannot read \"%s\": %m", w->part);
  if (same == 0)
    return asl_fail(ASL_EINVAL,
                    "\"%s\" is the beginning of another pack (other options, other data or another "
                    "version); remove it, or pack into another folder",
                    w->part);
  if (!whole) return begin(w);
  count_done(w);
  return cut(w, w->end); /* what follows is of a sample that was not written to its end */
}

static asl_status open_part(asl_pack_writer *w) {
  w->fd = open(w->part, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (w->fd < 0) return asl_fail(ASL_EIO, "cannot create \"%s\": %m", w->part);
  ASL_TRY(lock(w));
  ASL_TRY(check_name(w));
  return take_up(w);
}

asl_status asl_pack_create(const asl_pack_spec *spec, asl_pack_writer **out) {
  *out = NULL;
  if (spec->header_bytes > ASL_PACK_MAX_HEADER || spec->count < 1 || spec->classes < 1 ||
      spec->classes > ASL_IGNORE)
    return asl_fail(ASL_EINVAL,
                    "a pack of %lld samples, %d classes and %zu bytes of header; it has at least 1 "
                    "sample, 1 to %d classes and at most %d bytes",
                    (long long)spec->count, spec->classes, spec->header_bytes, ASL_IGNORE,
                    ASL_PACK_MAX_HEADER);
  asl_pack_writer *w = calloc(1, sizeof *w);
  if (!w) return asl_fail(ASL_ENOMEM, "no memory to write a pack");
  w->fd = -1;
  w->head = (asl_pack_head){.version = ASL_PACK_VERSION,
                            .planes = spec->planes,
                            .header_bytes = spec->header_bytes,
                            .count = (uint64_t)spec->count,
                            .classes = (uint32_t)spec->classes};
  memcpy(w->head.magic, "ASL PACK", sizeof w->head.magic);
  w->header = malloc(spec->header_bytes + 1);
  if (asprintf(&w->part, "%s.part", spec->path) < 0) w->part = NULL;
  asl_status status = ASL_OK;
  if (!w->header || !w->part) status = asl_fail(ASL_ENOMEM, "no memory to write a pack");
  else memcpy(w->header, spec->header, spec->header_bytes);
  if (status == ASL_OK) status = open_part(w);
  if (status == ASL_OK) *out = w;
  else asl_pack_close(w);
  return status;
}

int64_t asl_pack_done(const asl_pack_writer *writer) { return writer->done; }

asl_status asl_pack_room(const asl_pack_writer *w, uint64_t bytes) {
  struct statvfs disk;
  if (fstatvfs(w->fd, &disk) != 0)
    return asl_fail(ASL_EIO, "cannot look at the disk of \"%s\": %m", w->part);
  double room = (double)disk.f_bavail * (double)disk.f_frsize;
  if (room >= (double)bytes) return ASL_OK;
  return asl_fail(ASL_EIO, "\"%s\" needs %.1f MiB more, and its disk has %.1f MiB free", w->part,
                  (double)bytes / 1048576, room / 1048576);
}

/* ---- adding samples ----------------------------------------------------------------------- */

typedef struct decoded {
  char *bytes;
  asl_pack_entry entry; /* without its offset */
  asl_status status;
  char message[MESSAGE_BYTES];
} decoded;

typedef struct job {
  const asl_pack_row *rows;
  decoded *samples;
  uint32_t planes;
} job;

/* Digits of asl_sha256_finish() as bytes. */
static void bytes_of_hex(const char hex[65], uint8_t out[32]) {
  for (int i = 0; i < 32; i++) {
    unsigned byte = 0;
    for (int j = 0; j < 2; j++) {
      int digit = hex[2 * i + j];
      byte = byte << 4 | (unsigned)(digit <= '9' ? digit - '0' : digit - 'a' + 10);
    }
    out[i] = (uint8_t)byte;
  }
}

static asl_status sha256_of(const void *bytes, size_t n, uint8_t out[32]) {
  char hex[65];
  asl_sha256 *sha = asl_sha256_new();
  if (!sha) return asl_fail(ASL_ENOMEM, "no memory for a digest");
  asl_sha256_add(sha, bytes, n);
  asl_sha256_finish(sha, hex);
  bytes_of_hex(hex, out);
  return ASL_OK;
}

/* The sample as it lies in the file. */
static asl_status serialise(asl_sample *sample, uint32_t planes, decoded *out) {
  int h = sample->height, w = sample->width;
  size_t bytes = asl_pack_sample_bytes(planes, h, w);
  out->bytes = calloc(1, bytes); /* the gaps are zero */
  if (!out->bytes) return asl_fail(ASL_ENOMEM, "no memory for a sample of %zu bytes", bytes);
  for (int p = 0; p < ASL_PLANES; p++)
    if (planes >> p & 1)
      memcpy(out->bytes + asl_pack_plane_offset(planes, p, h, w), asl_sample_plane(sample, p),
             asl_plane_bytes(p, h, w));
  out->entry = (asl_pack_entry){.bytes = bytes,
                                .height = (uint32_t)h,
                                .width = (uint32_t)w,
                                .crc = asl_crc32c(out->bytes, bytes)};
  return sha256_of(out->bytes, bytes, out->entry.sha256);
}

static void decode_one(void *context, int64_t i) {
  job *j = context;
  decoded *d = &j->samples[i];
  asl_sample sample;
  d->status = asl_source_decode(j->rows[i].source, j->rows[i].index, j->planes, &sample);
  if (d->status == ASL_OK) {
    d->status = serialise(&sample, j->planes, d);
    asl_sample_free(&sample);
  }
  if (d->status != ASL_OK) snprintf(d->message, sizeof d->message, "%s", asl_message());
}

/* The sample's bytes first: an entry says that they are there. */
static asl_status append(asl_pack_writer *w, decoded *d) {
  d->entry.offset = w->end;
  d->entry.entry_crc = entry_crc(&d->entry);
  ASL_TRY(put_at(w, w->end, d->bytes, d->entry.bytes));
  uint64_t at = asl_pack_index_offset(&w->head) + (uint64_t)w->done * sizeof d->entry;
  ASL_TRY(put_at(w, at, &d->entry, sizeof d->entry));
  w->end += d->entry.bytes;
  w->done++;
  return ASL_OK;
}

asl_status asl_pack_add(asl_pack_writer *w, const asl_pack_row *rows, int n) {
  if (n < 0 || (uint64_t)n > w->head.count - (uint64_t)w->done)
    return asl_fail(ASL_EINVAL, "%d samples more for a pack that has %lld of %llu", n,
                    (long long)w->done, (unsigned long long)w->head.count);
  decoded *samples = calloc((size_t)n + 1, sizeof *samples);
  if (!samples) return asl_fail(ASL_ENOMEM, "no memory to pack %d samples", n);
  job j = {rows, samples, w->head.planes};
  asl_parallel(n, decode_one, &j);
  asl_status status = ASL_OK;
  for (int i = 0; i < n; i++) {
    if (status == ASL_OK)
      status = samples[i].status == ASL_OK ? append(w, &samples[i])
                                           : asl_fail(samples[i].status, "%s", samples[i].message);
    free(samples[i].bytes);
  }
  free(samples);
  return status;
}

/* ---- the end ------------------------------------------------------------------------------ */

/* SHA-256 of all bytes before the samples. */
static asl_status digest_of_front(const asl_pack_writer *w, uint8_t out[32]) {
  char *block = malloc(BLOCK), hex[65];
  asl_sha256 *sha = asl_sha256_new();
  asl_status status = block && sha ? ASL_OK : asl_fail(ASL_ENOMEM, "no memory for a digest");
  uint64_t end = asl_pack_data_offset(&w->head);
  for (uint64_t at = 0; at < end && status == ASL_OK; at += BLOCK) {
    size_t n = (size_t)(end - at < BLOCK ? end - at : BLOCK);
    if (get_at(w, at, block, n) == (ssize_t)n) asl_sha256_add(sha, block, n);
    else status = asl_fail(ASL_EIO, "cannot read back \"%s\"", w->part);
  }
  if (sha) asl_sha256_finish(sha, hex);
  if (sha) bytes_of_hex(hex, out);
  free(block);
  return status;
}

asl_status asl_pack_finish(asl_pack_writer *w) {
  if ((uint64_t)w->done != w->head.count)
    return asl_fail(ASL_EINVAL, "\"%s\" has %lld of %llu samples", w->part, (long long)w->done,
                    (unsigned long long)w->head.count);
  asl_pack_head head = w->head;
  head.file_bytes = w->end + ASL_PACK_FOOT;
  uint8_t digest[ASL_PACK_FOOT];
  ASL_TRY(put_at(w, 0, &head, sizeof head));
  ASL_TRY(digest_of_front(w, digest));
  ASL_TRY(put_at(w, w->end, digest, sizeof digest));
  if (fsync(w->fd) != 0) return asl_fail(ASL_EIO, "cannot bring \"%s\" to the disk: %m", w->part);
  return ASL_OK;
}

void asl_pack_close(asl_pack_writer *writer) {
  if (!writer) return;
  if (writer->fd >= 0) close(writer->fd);
  free(writer->part);
  free(writer->header);
  free(writer);
}
