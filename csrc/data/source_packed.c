#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/parallel.h"
#include "data/packed.h"

typedef struct packed {
  asl_source base;
  char *path;
  int fd; /* kept open to see whether the file still has its length */
  const uint8_t *map;
  uint64_t bytes;
  asl_pack_head head;
  const asl_pack_entry *index; /* in the map */
  atomic_uchar *checked;       /* a bit for each sample */
} packed;

static const asl_source_type type;

int asl_pack_is(const asl_source *source) { return source->type == &type; }

/* ---- opening ------------------------------------------------------------------------------ */

static asl_status check_head(packed *s) {
  const asl_pack_head *h = &s->head;
  if (s->bytes < sizeof *h || memcmp(s->map, "ASL PACK", 8) != 0)
    return asl_fail(ASL_EDATA, "it is no pack: it does not begin with \"ASL PACK\"");
  memcpy(&s->head, s->map, sizeof s->head);
  if (h->version != ASL_PACK_VERSION)
    return asl_fail(ASL_EDATA, "a pack of version %u; this program reads version %d", h->version,
                    ASL_PACK_VERSION);
  if (h->file_bytes == 0)
    return asl_fail(ASL_EDATA, "it is not finished; the command that began it goes on with it");
  if (h->file_bytes != s->bytes)
    return asl_fail(ASL_EDATA, "it has %llu bytes and says %llu: it is cut off or damaged",
                    (unsigned long long)s->bytes, (unsigned long long)h->file_bytes);
  if (h->header_bytes > ASL_PACK_MAX_HEADER || h->count < 1 ||
      h->count > s->bytes / ASL_PACK_ENTRY || asl_pack_data_offset(h) + ASL_PACK_FOOT > s->bytes)
    return asl_fail(ASL_EDATA, "%llu samples and a header of %llu bytes do not fit in %llu bytes",
                    (unsigned long long)h->count, (unsigned long long)h->header_bytes,
                    (unsigned long long)s->bytes);
  if (h->planes == 0 || h->planes >> ASL_PLANES || h->classes < 1 || h->classes > ASL_IGNORE)
    return asl_fail(ASL_EDATA, "planes %#x and %u classes; planes are below %#x, classes 1 to %d",
                    h->planes, h->classes, 1u << ASL_PLANES, ASL_IGNORE);
  return ASL_OK;
}

static asl_status check_digest(const packed *s) {
  char hex[65], want[65];
  asl_sha256 *sha = asl_sha256_new();
  if (!sha) return asl_fail(ASL_ENOMEM, "no memory for a digest");
  asl_sha256_add(sha, s->map, asl_pack_data_offset(&s->head));
  asl_sha256_finish(sha, hex);
  const uint8_t *foot = s->map + s->bytes - ASL_PACK_FOOT;
  for (int i = 0; i < ASL_PACK_FOOT; i++) snprintf(want + 2 * i, 3, "%02x", foot[i]);
  if (strcmp(hex, want) == 0) return ASL_OK;
  return asl_fail(ASL_EDATA, "header and index do not match their digest: it is damaged");
}

/* Every sample lies where the one before it ends, and the last where the footer begins. */
static asl_status check_index(const packed *s) {
  uint64_t at = asl_pack_data_offset(&s->head), end = s->bytes - ASL_PACK_FOOT;
  for (int64_t i = 0; i < s->base.count; i++) {
    asl_status status = asl_pack_check_entry(&s->index[i], s->head.planes, at);
    if (status == ASL_OK && s->index[i].bytes > end - at)
      status = asl_fail(ASL_EDATA, "it reaches over the end");
    ASL_TRY(asl_wrap(status, "sample %lld", (long long)i + 1));
    at += s->index[i].bytes;
  }
  if (at != end) return asl_fail(ASL_EDATA, "its samples end before its end");
  return ASL_OK;
}

static asl_status map_file(packed *s) {
  s->fd = open(s->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (s->fd < 0) return asl_fail(ASL_EIO, "cannot open it: %m");
  struct stat st;
  if (fstat(s->fd, &st) != 0) return asl_fail(ASL_EIO, "cannot look at it: %m");
  if (!S_ISREG(st.st_mode)) return asl_fail(ASL_EIO, "it is no file");
  if (st.st_size == 0) return asl_fail(ASL_EDATA, "it is empty");
  s->bytes = (uint64_t)st.st_size;
  void *map = mmap(NULL, s->bytes, PROT_READ, MAP_SHARED, s->fd, 0);
  if (map == MAP_FAILED)
    return asl_fail(ASL_ENOMEM, "cannot map its %llu bytes: %m", (unsigned long long)s->bytes);
  s->map = map;
  return ASL_OK;
}

static asl_status open_packed(packed *s) {
  ASL_TRY(map_file(s));
  ASL_TRY(check_head(s));
  ASL_TRY(check_digest(s));
  s->base.count = (int64_t)s->head.count;
  s->base.planes = s->head.planes;
  s->index = (const asl_pack_entry *)(s->map + asl_pack_index_offset(&s->head));
  ASL_TRY(check_index(s));
  s->checked = calloc((size_t)s->head.count / 8 + 1, sizeof *s->checked);
  return s->checked ? ASL_OK : asl_fail(ASL_ENOMEM, "no memory for its samples");
}

asl_status asl_pack_open(const char *path, asl_source **out) {
  *out = NULL;
  packed *s = calloc(1, sizeof *s);
  if (!s) return asl_fail(ASL_ENOMEM, "no memory for a source");
  asl_source_init(&s->base, &type, 0, 0);
  s->fd = -1;
  s->path = strdup(path);
  asl_status status = s->path ? open_packed(s) : asl_fail(ASL_ENOMEM, "no memory for a path");
  if (status == ASL_OK) *out = &s->base;
  else asl_source_release(&s->base);
  return asl_wrap(status, "%s", path);
}

static void free_source(asl_source *source) {
  packed *s = (packed *)source;
  if (s->map) munmap((void *)(uintptr_t)s->map, s->bytes);
  if (s->fd >= 0) close(s->fd);
  free(s->checked);
  free(s->path);
  free(s);
}

/* ---- samples ------------------------------------------------------------------------------ */

/* A map of a file that was cut cannot be read beyond the cut. */
static asl_status check_length(const packed *s) {
  struct stat st;
  if (fstat(s->fd, &st) != 0) return asl_fail(ASL_EIO, "cannot look at \"%s\": %m", s->path);
  if ((uint64_t)st.st_size == s->bytes) return ASL_OK;
  return asl_fail(ASL_EIO, "%s: it had %llu bytes when it was opened and has %lld now", s->path,
                  (unsigned long long)s->bytes, (long long)st.st_size);
}

static asl_status check_labels(const packed *s, const asl_pack_entry *entry) {
  int h = (int)entry->height, w = (int)entry->width;
  if (!(s->head.planes >> ASL_PLANE_LABEL & 1)) return ASL_OK;
  const uint8_t *label =
      s->map + entry->offset + asl_pack_plane_offset(s->head.planes, ASL_PLANE_LABEL, h, w);
  size_t n = asl_plane_bytes(ASL_PLANE_LABEL, h, w);
  for (size_t i = 0; i < n; i++)
    if (label[i] >= s->head.classes && label[i] != ASL_IGNORE)
      return asl_fail(ASL_EDATA, "the label %d (row %zu, column %zu) of %u classes", label[i],
                      i / (size_t)w + 1, i % (size_t)w + 1, s->head.classes);
  return ASL_OK;
}

/* Asks for the sample's pages: they are needed at once, and reading ahead stops at their end. */
static void fetch(const packed *s, const asl_pack_entry *entry) {
  uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
  uintptr_t first = (uintptr_t)(s->map + entry->offset) / page * page;
  uintptr_t end = (uintptr_t)(s->map + entry->offset + entry->bytes);
  madvise((void *)first, end - first,
          MADV_WILLNEED); /* only advice: that it fails does not matter */
}

/* The first time, the sample's bytes are compared with its checksum. Two threads may both do it. */
static asl_status check_sample(const packed *s, int64_t i) {
  atomic_uchar *bits = &s->checked[i / 8];
  unsigned char bit = (unsigned char)(1u << i % 8);
  if (atomic_load_explicit(bits, memory_order_acquire) & bit) return ASL_OK;
  const asl_pack_entry *entry = &s->index[i];
  fetch(s, entry);
  asl_status status = ASL_OK;
  if (asl_crc32c(s->map + entry->offset, entry->bytes) != entry->crc)
    status = asl_fail(ASL_EDATA, "its bytes do not match their checksum: the file is damaged");
  if (status == ASL_OK) status = check_labels(s, entry);
  if (status != ASL_OK) return asl_wrap(status, "%s: sample %lld", s->path, (long long)i + 1);
  atomic_fetch_or_explicit(bits, bit, memory_order_release);
  return ASL_OK;
}

static asl_status decode(const asl_source *source, int64_t index, uint32_t planes,
                         asl_sample *out) {
  const packed *s = (const packed *)source;
  const asl_pack_entry *entry = &s->index[index];
  int h = (int)entry->height, w = (int)entry->width;
  ASL_TRY(check_length(s));
  ASL_TRY(check_sample(s, index));
  ASL_TRY(asl_sample_new(out, h, w, planes));
  for (int p = 0; p < ASL_PLANES; p++)
    if (planes >> p & 1)
      memcpy(asl_sample_plane(out, p),
             s->map + entry->offset + asl_pack_plane_offset(s->head.planes, p, h, w),
             asl_plane_bytes(p, h, w));
  return ASL_OK;
}

static asl_status visit_files(const asl_source *source, int64_t index, asl_path_visit visit,
                              void *context) {
  (void)index;
  return visit(context, ((const packed *)source)->path);
}

static const asl_source_type type = {"packed", decode, visit_files, free_source};

/* ---- looking ------------------------------------------------------------------------------ */

const char *asl_pack_header(const asl_source *source, size_t *bytes) {
  const packed *s = (const packed *)source;
  *bytes = (size_t)s->head.header_bytes;
  return (const char *)s->map + ASL_PACK_HEAD;
}

int asl_pack_classes(const asl_source *source) {
  return (int)((const packed *)source)->head.classes;
}

asl_pack_entry asl_pack_look(const asl_source *source, int64_t index) {
  return ((const packed *)source)->index[index];
}

int64_t asl_pack_file_bytes(const asl_source *source) {
  return (int64_t)((const packed *)source)->bytes;
}

typedef struct verifying {
  const packed *s;
  int64_t first;
  atomic_llong broken; /* the first that is */
} verifying;

static void verify_one(void *context, int64_t i) {
  verifying *v = context;
  int64_t index = v->first + i;
  if (check_sample(v->s, index) == ASL_OK) return;
  long long broken = atomic_load(&v->broken);
  while (index < broken && !atomic_compare_exchange_weak(&v->broken, &broken, index)) continue;
}

asl_status asl_pack_verify(const asl_source *source, int64_t first, int64_t last) {
  const packed *s = (const packed *)source;
  if (first < 0 || last < first || last > source->count)
    return asl_fail(ASL_EINVAL, "samples %lld to %lld of %lld", (long long)first + 1,
                    (long long)last, (long long)source->count);
  ASL_TRY(check_length(s));
  verifying v = {s, first, last};
  asl_parallel(last - first, verify_one, &v);
  int64_t broken = atomic_load(&v.broken);
  return broken < last ? check_sample(s, broken) : ASL_OK; /* again, for its message */
}
