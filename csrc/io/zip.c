#include "io/zip.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "io/file.h"

enum {
  LOCAL = 0x04034b50,
  CENTRAL = 0x02014b50,
  END = 0x06054b50,
  END64 = 0x06064b50,
  LOCATOR64 = 0x07064b50,
  LOCAL_BYTES = 30,
  CENTRAL_BYTES = 46,
  END_BYTES = 22,
  END64_BYTES = 56,
  LOCATOR64_BYTES = 20,
  MAX_COMMENT = 65535,
  MAX_ENTRIES = 1 << 20,
  MAX_DIRECTORY = 256 << 20,
  ALIGN = 64,
  PADDING_ID = 0x4246, /* "FB": the extra field with which PyTorch aligns content */
};
#define NONE32 0xFFFFFFFFu

static uint16_t get16(const unsigned char *p) { return (uint16_t)(p[0] | p[1] << 8); }
static uint32_t get32(const unsigned char *p) { return get16(p) | (uint32_t)get16(p + 2) << 16; }
static uint64_t get64(const unsigned char *p) { return get32(p) | (uint64_t)get32(p + 4) << 32; }

static uint32_t table[256];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void fill_table(void) {
  for (uint32_t i = 0; i < 256; i++) {
    uint32_t c = i;
    for (int k = 0; k < 8; k++) c = c & 1 ? (c >> 1) ^ 0xEDB88320u : c >> 1;
    table[i] = c;
  }
}

uint32_t asl_crc32(const void *bytes, size_t n) {
  pthread_once(&once, fill_table);
  const unsigned char *p = bytes;
  uint32_t c = 0xFFFFFFFFu;
  while (n--) c = (c >> 8) ^ table[(c ^ *p++) & 255];
  return ~c;
}

/* ---- the directory -------------------------------------------------------------------------- */

struct asl_zip {
  const asl_input *source;
  unsigned char *directory;
  int64_t directory_at;
  size_t directory_bytes, count;
  asl_zip_entry *entries;
};

static asl_status wrong(const char *why) { return asl_fail(ASL_EDATA, "zip: %s", why); }

/* The position of the end record, which only a comment follows. */
static asl_status find_end(const asl_input *source, unsigned char end[END_BYTES], int64_t *at) {
  enum { MOST = END_BYTES + MAX_COMMENT };
  int64_t n = source->size < MOST ? source->size : MOST;
  unsigned char *tail = malloc((size_t)n + 1);
  if (!tail) return asl_fail(ASL_ENOMEM, "out of memory for the end of an archive");
  asl_status status = asl_input_read(source, source->size - n, tail, (size_t)n);
  *at = -1;
  for (int64_t i = n - END_BYTES; status == ASL_OK && i >= 0 && *at < 0; i--)
    if (get32(tail + i) == END && i + END_BYTES + get16(tail + i + 20) == n) {
      *at = source->size - n + i;
      memcpy(end, tail + i, END_BYTES);
    }
  free(tail);
  ASL_TRY(status);
  return *at >= 0 ? ASL_OK : wrong("it has no end record: it is cut off, or no archive");
}

typedef struct extent {
  uint64_t count, bytes, at;
  int64_t limit; /* the directory ends at or before it */
} extent;

/* A field of the old end record says the same as the new one's, or "see there". */
static bool agrees(uint64_t small, uint64_t none, uint64_t large) {
  return small == none || small == large;
}

static asl_status read_end64(const asl_input *source, int64_t end_at,
                             const unsigned char end[END_BYTES], extent *e) {
  unsigned char locator[LOCATOR64_BYTES], record[END64_BYTES];
  if (end_at < LOCATOR64_BYTES + END64_BYTES) return ASL_OK;
  ASL_TRY(asl_input_read(source, end_at - LOCATOR64_BYTES, locator, sizeof locator));
  if (get32(locator) != LOCATOR64) return ASL_OK;
  uint64_t at = get64(locator + 8);
  if (at > (uint64_t)(end_at - LOCATOR64_BYTES - END64_BYTES))
    return wrong("its 64-bit end record lies outside");
  ASL_TRY(asl_input_read(source, (int64_t)at, record, sizeof record));
  if (get32(record) != END64) return wrong("its 64-bit end record is none");
  *e = (extent){get64(record + 32), get64(record + 40), get64(record + 48), (int64_t)at};
  if (!agrees(get16(end + 10), 0xFFFF, e->count) || !agrees(get32(end + 12), NONE32, e->bytes) ||
      !agrees(get32(end + 16), NONE32, e->at))
    return wrong("its two end records disagree");
  return ASL_OK;
}

static asl_status find_directory(const asl_input *source, extent *e) {
  unsigned char end[END_BYTES] = {0};
  int64_t at = 0;
  ASL_TRY(find_end(source, end, &at));
  *e = (extent){get16(end + 10), get32(end + 12), get32(end + 16), at};
  ASL_TRY(read_end64(source, at, end, e));
  if (e->count > MAX_ENTRIES || e->bytes > MAX_DIRECTORY)
    return asl_fail(
        ASL_EDATA, "zip: %llu entries in a directory of %llu bytes; at most %d in %d are read",
        (unsigned long long)e->count, (unsigned long long)e->bytes, MAX_ENTRIES, MAX_DIRECTORY);
  if (e->at > (uint64_t)e->limit || e->bytes > (uint64_t)e->limit - e->at)
    return wrong("its directory reaches outside");
  if (e->count * CENTRAL_BYTES > e->bytes)
    return wrong("its directory is too short for its entries");
  return ASL_OK;
}

/* Sizes that do not fit 32 bits stand in extra field 1, those only, in this order. */
static asl_status read_extra64(const unsigned char *extra, size_t n, uint64_t *full,
                               uint64_t *packed, uint64_t *at) {
  uint64_t *fields[] = {full, packed, at};
  for (size_t i = 0; i + 4 <= n;) {
    size_t id = get16(extra + i), bytes = get16(extra + i + 2), used = 0;
    if (bytes > n - i - 4) return wrong("an extra field reaches outside its entry");
    for (int f = 0; id == 1 && f < 3; f++) {
      if (*fields[f] != NONE32) continue;
      if (used + 8 > bytes) return wrong("a 64-bit size is missing");
      *fields[f] = get64(extra + i + 4 + used);
      used += 8;
    }
    if (id == 1) return ASL_OK;
    i += 4 + bytes;
  }
  return ASL_OK;
}

static asl_status read_entry(asl_zip *zip, size_t *at, asl_zip_entry *entry) {
  const unsigned char *p = zip->directory + *at;
  size_t left = zip->directory_bytes - *at;
  if (left < CENTRAL_BYTES || get32(p) != CENTRAL)
    return wrong("an entry of its directory is none");
  size_t name = get16(p + 28), extra = get16(p + 30), comment = get16(p + 32);
  if (name + extra + comment > left - CENTRAL_BYTES)
    return wrong("an entry of its directory reaches outside");
  uint64_t packed = get32(p + 20), full = get32(p + 24), where = get32(p + 42);
  ASL_TRY(read_extra64(p + CENTRAL_BYTES + name, extra, &full, &packed, &where));
  *entry = (asl_zip_entry){.name = (const char *)p + CENTRAL_BYTES,
                           .name_bytes = name,
                           .crc = get32(p + 16),
                           .method = get16(p + 10),
                           .flags = get16(p + 8)};
  if (where > (uint64_t)zip->directory_at || full > (uint64_t)zip->directory_at ||
      (entry->method == 0 && full != packed))
    return asl_fail(ASL_EDATA, "zip: entry \"%s\" lies outside",
                    asl_show(entry->name, entry->name_bytes).text);
  entry->at = (int64_t)where;
  /* Of a compressed entry only the place counts, for nothing reads it. */
  entry->bytes = (int64_t)(entry->method == 0 ? full : packed);
  *at += CENTRAL_BYTES + name + extra + comment;
  return ASL_OK;
}

static int compare_names(const char *a, size_t na, const char *b, size_t nb) {
  int order = memcmp(a, b, na < nb ? na : nb);
  return order ? order : (na > nb) - (na < nb);
}

static int by_place(const void *a, const void *b) {
  const asl_zip_entry *x = a, *y = b;
  return (x->at > y->at) - (x->at < y->at);
}

static int by_name(const void *a, const void *b) {
  const asl_zip_entry *x = a, *y = b;
  return compare_names(x->name, x->name_bytes, y->name, y->name_bytes);
}

/* Each entry ends before the next; no two have one name. */
static asl_status check_entries(asl_zip *zip) {
  asl_zip_entry *e = zip->entries;
  qsort(e, zip->count, sizeof *e, by_place);
  for (size_t i = 0; i < zip->count; i++) {
    e[i].limit = i + 1 < zip->count ? e[i + 1].at : zip->directory_at;
    if (e[i].at + LOCAL_BYTES + (int64_t)e[i].name_bytes + e[i].bytes > e[i].limit)
      return asl_fail(ASL_EDATA, "zip: entry \"%s\" reaches into what follows it",
                      asl_show(e[i].name, e[i].name_bytes).text);
  }
  qsort(e, zip->count, sizeof *e, by_name);
  for (size_t i = 1; i < zip->count; i++)
    if (by_name(&e[i - 1], &e[i]) == 0)
      return asl_fail(ASL_EDATA, "zip: two entries are called \"%s\"",
                      asl_show(e[i].name, e[i].name_bytes).text);
  return ASL_OK;
}

static asl_status read_directory(asl_zip *zip) {
  extent e;
  ASL_TRY(find_directory(zip->source, &e));
  zip->directory_at = (int64_t)e.at;
  zip->directory_bytes = (size_t)e.bytes;
  zip->count = (size_t)e.count;
  zip->directory = malloc(zip->directory_bytes + 1);
  zip->entries = calloc(zip->count + 1, sizeof *zip->entries);
  if (!zip->directory || !zip->entries)
    return asl_fail(ASL_ENOMEM, "out of memory for the directory of an archive");
  ASL_TRY(asl_input_read(zip->source, zip->directory_at, zip->directory, zip->directory_bytes));
  size_t at = 0;
  for (size_t i = 0; i < zip->count; i++) ASL_TRY(read_entry(zip, &at, &zip->entries[i]));
  if (at != zip->directory_bytes) return wrong("its directory has more than its entries");
  return check_entries(zip);
}

asl_status asl_zip_open(const asl_input *source, asl_zip **out) {
  *out = NULL;
  asl_zip *zip = calloc(1, sizeof *zip);
  if (!zip) return asl_fail(ASL_ENOMEM, "out of memory for an archive");
  zip->source = source;
  asl_status status = read_directory(zip);
  if (status == ASL_OK) *out = zip;
  else asl_zip_close(zip);
  return status;
}

void asl_zip_close(asl_zip *zip) {
  if (!zip) return;
  free(zip->directory);
  free(zip->entries);
  free(zip);
}

size_t asl_zip_count(const asl_zip *zip) { return zip->count; }
const asl_zip_entry *asl_zip_entry_at(const asl_zip *zip, size_t i) { return &zip->entries[i]; }

/* ---- an entry ------------------------------------------------------------------------------- */

/* Compares an entry's name with root + name. */
static int compare_joined(const asl_zip_entry *entry, const char *root, size_t root_bytes,
                          const char *name, size_t name_bytes) {
  size_t head = entry->name_bytes < root_bytes ? entry->name_bytes : root_bytes;
  int order = compare_names(entry->name, head, root, root_bytes);
  return order ? order
               : compare_names(entry->name + head, entry->name_bytes - head, name, name_bytes);
}

const asl_zip_entry *asl_zip_find(const asl_zip *zip, const char *root, size_t root_bytes,
                                  const char *name, size_t name_bytes) {
  size_t low = 0, high = zip->count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    const asl_zip_entry *entry = &zip->entries[middle];
    int order = compare_joined(entry, root, root_bytes, name, name_bytes);
    if (order == 0) return entry;
    if (order < 0) low = middle + 1;
    else high = middle;
  }
  return NULL;
}

static asl_status read_content(const asl_zip *zip, const asl_zip_entry *entry, void *bytes) {
  unsigned char head[LOCAL_BYTES];
  enum { ENCRYPTED = 1 };
  if (entry->method != 0 || entry->flags & ENCRYPTED)
    return asl_fail(ASL_ENOTSUP, "it is %s; PyTorch only stores",
                    entry->flags & ENCRYPTED ? "encrypted" : "compressed");
  ASL_TRY(asl_input_read(zip->source, entry->at, head, sizeof head));
  int64_t start = entry->at + LOCAL_BYTES + get16(head + 26) + get16(head + 28);
  if (get32(head) != LOCAL || get16(head + 26) != entry->name_bytes)
    return asl_fail(ASL_EDATA, "its local header is none");
  if (start + entry->bytes > entry->limit)
    return asl_fail(ASL_EDATA, "it reaches into what follows it");
  ASL_TRY(asl_input_read(zip->source, start, bytes, (size_t)entry->bytes));
  uint32_t crc = asl_crc32(bytes, (size_t)entry->bytes);
  if (crc != entry->crc)
    return asl_fail(ASL_EDATA, "its content is damaged: its CRC-32 is %08x, should be %08x", crc,
                    entry->crc);
  return ASL_OK;
}

asl_status asl_zip_read(const asl_zip *zip, const asl_zip_entry *entry, void *bytes) {
  return asl_wrap(read_content(zip, entry, bytes), "zip: entry \"%s\"",
                  asl_show(entry->name, entry->name_bytes).text);
}

/* ---- writing -------------------------------------------------------------------------------- */

struct asl_zip_writer {
  asl_file *file;
  unsigned char *directory; /* grows as entries are added */
  size_t used, room, count;
};

static unsigned char *put16(unsigned char *p, size_t v) {
  p[0] = (unsigned char)v;
  p[1] = (unsigned char)(v >> 8);
  return p + 2;
}
static unsigned char *put32(unsigned char *p, size_t v) { return put16(put16(p, v), v >> 16); }

asl_status asl_zip_create(const char *path, asl_zip_writer **out) {
  *out = calloc(1, sizeof **out);
  if (!*out) return asl_fail(ASL_ENOMEM, "out of memory for an archive");
  asl_status status = asl_file_replace(path, &(*out)->file);
  if (status != ASL_OK) {
    free(*out);
    *out = NULL;
  }
  return status;
}

/* What local header and directory share: version 2.0, stored, 1 January 1980. */
static unsigned char *put_common(unsigned char *p, uint32_t crc, size_t n, size_t name,
                                 size_t extra) {
  p = put16(put16(put16(p, 20), 0), 0);
  p = put16(put16(p, 0), 1 << 5 | 1);
  p = put32(put32(put32(p, crc), n), n);
  return put16(put16(p, name), extra);
}

static asl_status add_to_directory(asl_zip_writer *w, const char *name, uint32_t crc, size_t n,
                                   size_t at) {
  size_t length = strlen(name), needed = w->used + CENTRAL_BYTES + length;
  if (needed > w->room) {
    unsigned char *moved = realloc(w->directory, 2 * needed);
    if (!moved) return asl_fail(ASL_ENOMEM, "out of memory for the directory of an archive");
    w->directory = moved;
    w->room = 2 * needed;
  }
  unsigned char *p = put16(put32(w->directory + w->used, CENTRAL), 20);
  p = put_common(p, crc, n, length, 0);
  p = put32(put32(put16(put16(put16(p, 0), 0), 0), 0), at);
  memcpy(p, name, length);
  w->used = needed;
  w->count++;
  return ASL_OK;
}

asl_status asl_zip_add(asl_zip_writer *w, const char *name, const void *bytes, size_t n) {
  unsigned char head[LOCAL_BYTES + 256 + 4 + ALIGN] = {0};
  size_t length = strlen(name), at = (size_t)asl_file_size(w->file);
  size_t bare = at + LOCAL_BYTES + length + 4, padding = (ALIGN - bare % ALIGN) % ALIGN;
  if (length > 256 || w->count >= 65534 || n > NONE32 - (16u << 20) ||
      bare + n > NONE32 - (16u << 20))
    return asl_fail(
        ASL_EINVAL,
        "entry \"%s\" of %zu bytes does not fit: this kind of file has less than 4 GiB and "
        "65534 entries; the safetensors format has more room",
        asl_show(name, length).text, n);
  uint32_t crc = asl_crc32(bytes, n);
  unsigned char *p = put_common(put32(head, LOCAL), crc, n, length, 4 + padding);
  memcpy(p, name, length);
  put16(put16(p + length, PADDING_ID), padding);
  ASL_TRY(asl_file_write(w->file, head, LOCAL_BYTES + length + 4 + padding));
  ASL_TRY(asl_file_write(w->file, bytes, n));
  return add_to_directory(w, name, crc, n, at);
}

static asl_status put_directory(asl_zip_writer *w) {
  unsigned char end[END_BYTES];
  size_t at = (size_t)asl_file_size(w->file);
  if (w->used) ASL_TRY(asl_file_write(w->file, w->directory, w->used));
  unsigned char *p = put16(put16(put32(end, END), 0), 0);
  put16(put32(put32(put16(put16(p, w->count), w->count), w->used), at), 0);
  return asl_file_write(w->file, end, sizeof end);
}

asl_status asl_zip_finish(asl_zip_writer *w) {
  asl_status status = put_directory(w);
  if (status == ASL_OK) {
    status = asl_file_commit(w->file, true);
    w->file = NULL;
  }
  asl_zip_abandon(w);
  return status;
}

void asl_zip_abandon(asl_zip_writer *w) {
  if (!w) return;
  asl_file_close(w->file);
  free(w->directory);
  free(w);
}
