#include "data/hdf5_parts.h"

#include <stdlib.h>
#include <string.h>

/* A header is a list of messages in one block or, by continuation messages, in several. */
enum { MAX_BLOCKS = 1024, MAX_HEADER_BYTES = 1 << 24 };

typedef struct reader {
  asl_hdf5_walk *walk;
  asl_hdf5_message_visit visit;
  void *context;
  int version;
  bool numbered; /* messages have a creation order */
  uint64_t bytes;
  int blocks;
  struct block {
    uint64_t at, n;
  } block[MAX_BLOCKS];
} reader;

static asl_status add_block(reader *r, uint64_t at, uint64_t n) {
  if (r->blocks == MAX_BLOCKS)
    return asl_fail(ASL_EDATA, "damaged: an object header of more than %d blocks", MAX_BLOCKS);
  if (n > MAX_HEADER_BYTES - r->bytes)
    return asl_fail(ASL_EDATA, "an object header of more than %d MiB", MAX_HEADER_BYTES >> 20);
  r->bytes += n;
  r->block[r->blocks++] = (struct block){at, n};
  return ASL_OK;
}

/* The message types above those known may be passed over unless the file forbids it. */
enum { FLAG_SHARED = 2, FLAG_FAIL_ALWAYS = 0x80 };

static asl_status visit_message(reader *r, int type, unsigned flags, asl_cursor body) {
  if (type == ASL_HDF5_CONTINUATION) {
    uint64_t at = asl_take(&body, 8), n = asl_take(&body, 8);
    ASL_TRY(asl_cursor_check(&body, "a continuation message"));
    return add_block(r, at, n);
  }
  if (type >= ASL_HDF5_MESSAGE_TYPES && flags & FLAG_FAIL_ALWAYS)
    return asl_fail(ASL_EDATA, "its header has a message of type %d, which is not known", type);
  asl_hdf5_message message = {type, flags & FLAG_SHARED, body.at, body.left};
  return r->visit(r->context, &message);
}

/* The messages of one block, without signature and checksum. What is left behind the last is too
 * short for one. */
static asl_status visit_block(reader *r, asl_cursor c) {
  const size_t head = r->version == 1 ? 8 : r->numbered ? 6 : 4;
  while (c.left >= head) {
    int type = (int)asl_take(&c, r->version == 1 ? 2 : 1);
    size_t n = (size_t)asl_take(&c, 2);
    unsigned flags = (unsigned)asl_take(&c, 1);
    asl_take_bytes(&c, r->version == 1 ? 3 : head - 4);
    if (n > c.left)
      return asl_fail(ASL_EDATA, "damaged: a header message of %zu bytes where %zu are left", n,
                      c.left);
    ASL_TRY(visit_message(r, type, flags, (asl_cursor){asl_take_bytes(&c, n), n, false}));
  }
  return ASL_OK;
}

/* Cuts off the checksum at the end. */
static asl_status check_sum(asl_cursor *c) {
  if (c->left < 4) return asl_fail(ASL_EDATA, "damaged: a block of %zu bytes", c->left);
  asl_cursor sum = {c->at + c->left - 4, 4, false};
  c->left -= 4;
  if (asl_take(&sum, 4) == asl_lookup3(c->at, c->left)) return ASL_OK;
  return asl_fail(ASL_EDATA, "damaged: an object header does not match its checksum");
}

static asl_status visit_later_block(reader *r, const uint8_t *bytes, size_t n) {
  asl_cursor c = {bytes, n, false};
  if (r->version == 2) {
    ASL_TRY(check_sum(&c));
    const uint8_t *mark = asl_take_bytes(&c, 4);
    if (!mark || memcmp(mark, "OCHK", 4) != 0)
      return asl_fail(ASL_EDATA, "damaged: an object header goes on where no block of it is");
  }
  return visit_block(r, c);
}

static asl_status visit_later_blocks(reader *r, int from) {
  for (int i = from; i < r->blocks; i++) {
    uint8_t *bytes;
    ASL_TRY(asl_hdf5_fetch_new(r->walk, r->block[i].at, r->block[i].n, "an object header", &bytes));
    asl_status status = visit_later_block(r, bytes, (size_t)r->block[i].n);
    free(bytes);
    ASL_TRY(status);
  }
  return ASL_OK;
}

static asl_status visit_old(reader *r, uint64_t header) {
  uint8_t head[16];
  ASL_TRY(asl_hdf5_fetch(r->walk, header, head, sizeof head, "an object header"));
  asl_cursor c = {head + 8, 4, false};
  r->version = 1;
  ASL_TRY(add_block(r, header + sizeof head, asl_take(&c, 4)));
  return visit_later_blocks(r, 0);
}

enum { FLAG_NUMBERED = 4, FLAG_PHASES = 0x10, FLAG_TIMES = 0x20 };

static asl_status visit_new(reader *r, uint64_t header, unsigned flags) {
  const int size_bytes = 1 << (flags & 3);
  const size_t before = 6u + (flags & FLAG_TIMES ? 16 : 0) + (flags & FLAG_PHASES ? 4 : 0);
  uint8_t head[34], *bytes;
  const size_t n = before + (size_t)size_bytes;
  r->version = 2;
  r->numbered = flags & FLAG_NUMBERED;
  ASL_TRY(asl_hdf5_fetch(r->walk, header, head, n, "an object header"));
  asl_cursor size = {head + before, (size_t)size_bytes, false};
  uint64_t messages = asl_take(&size, size_bytes);
  ASL_TRY(add_block(r, header, messages));
  ASL_TRY(asl_hdf5_fetch_new(r->walk, header, n + messages + 4, "an object header", &bytes));
  asl_cursor c = {bytes, n + (size_t)messages + 4, false};
  asl_status status = check_sum(&c);
  if (status == ASL_OK) {
    asl_take_bytes(&c, n);
    status = visit_block(r, c);
  }
  free(bytes);
  ASL_TRY(status);
  return visit_later_blocks(r, 1);
}

asl_status asl_hdf5_messages(asl_hdf5_walk *walk, uint64_t header, asl_hdf5_message_visit visit,
                             void *context) {
  reader r = {.walk = walk, .visit = visit, .context = context};
  uint8_t head[6];
  ASL_TRY(asl_hdf5_fetch(walk, header, head, sizeof head, "an object header"));
  if (memcmp(head, "OHDR\2", 5) == 0) return visit_new(&r, header, head[5]);
  if (head[0] == 1 && head[1] == 0) return visit_old(&r, header);
  return asl_fail(ASL_EDATA, "damaged: no object header at %llu", (unsigned long long)header);
}
