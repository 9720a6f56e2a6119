#include "data/hdf5_parts.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

/* Filters add to a chunk at most this much. */
enum { CHECKSUM_BYTES = 4, MOST_ADDED = ASL_HDF5_MAX_FILTERS * CHECKSUM_BYTES };

/* Bytes on their way through the filters, backwards. */
typedef struct passing {
  uint8_t *bytes; /* in one of the decoder's memories */
  size_t n;
} passing;

/* Undoes deflate; what comes out must have exactly `expected` bytes. */
static asl_status inflate_exactly(passing *p, uint8_t *to, size_t expected) {
  z_stream z = {
      .next_in = p->bytes, .avail_in = (uInt)p->n, .next_out = to, .avail_out = (uInt)expected};
  if (inflateInit(&z) != Z_OK) return asl_fail(ASL_ENOMEM, "no memory to decompress a chunk");
  int state = inflate(&z, Z_FINISH);
  size_t got = expected - z.avail_out;
  inflateEnd(&z);
  if (state == Z_STREAM_END && got == expected) {
    *p = (passing){to, expected};
    return ASL_OK;
  }
  /* No room is left, and there is more. */
  bool longer = state == Z_BUF_ERROR && z.avail_out == 0 && z.avail_in > 0;
  if (longer || state == Z_STREAM_END)
    return asl_fail(ASL_EDATA, "damaged: a chunk decompresses to %s%zu bytes, not %zu",
                    longer ? "more than " : "", got, expected);
  return asl_fail(ASL_EDATA, "damaged: a chunk does not decompress (%s)",
                  z.msg ? z.msg : "it ends too early");
}

/* Undoes shuffle: first bytes of all elements, then second ones, and so on; what is no whole
 * element stands at the end as it was. */
static asl_status unshuffle(passing *p, uint8_t *to, size_t cap, size_t element) {
  if (p->n > cap) return asl_fail(ASL_EDATA, "damaged: a chunk of %zu bytes", p->n);
  size_t elements = p->n / element;
  for (size_t j = 0; j < element && elements > 0; j++) {
    const uint8_t *from = p->bytes + j * elements;
    for (size_t i = 0; i < elements; i++) to[i * element + j] = from[i];
  }
  memcpy(to + elements * element, p->bytes + elements * element, p->n - elements * element);
  p->bytes = to;
  return ASL_OK;
}

/* Fletcher's sum of big-endian words of 16 bits. */
static uint32_t fletcher32(const uint8_t *bytes, size_t n) {
  uint32_t a = 0, b = 0;
  for (size_t i = 0; i < n; i += 2) {
    a += (uint32_t)bytes[i] << 8 | (i + 1 < n ? bytes[i + 1] : 0u);
    a = (a & 0xFFFF) + (a >> 16);
    b += a;
    b = (b & 0xFFFF) + (b >> 16);
  }
  return b << 16 | a;
}

static asl_status check_sum(passing *p) {
  if (p->n < CHECKSUM_BYTES) return asl_fail(ASL_EDATA, "damaged: a chunk of %zu bytes", p->n);
  p->n -= CHECKSUM_BYTES;
  asl_cursor stored = {p->bytes + p->n, CHECKSUM_BYTES, false};
  if ((uint32_t)asl_take(&stored, 4) == fletcher32(p->bytes, p->n)) return ASL_OK;
  return asl_fail(ASL_EDATA, "damaged: a chunk does not match its checksum (fletcher32)");
}

/* Bytes that filter i was given when the chunk was written, which follow from the size of the chunk
 * unless something before it was of varying length. */
static asl_status given_to(const asl_hdf5_form *form, uint32_t mask, int i, size_t *bytes) {
  *bytes = form->chunk_bytes;
  for (int j = 0; j < i; j++) {
    if (mask >> j & 1) continue;
    if (form->filter[j].id == ASL_HDF5_DEFLATE)
      return asl_fail(ASL_EDATA, "a chunk that is deflated twice is not read");
    if (form->filter[j].id == ASL_HDF5_FLETCHER32) *bytes += CHECKSUM_BYTES;
  }
  return ASL_OK;
}

static asl_status undo(asl_hdf5_decoder *d, const asl_hdf5_form *form, uint32_t mask, passing *p) {
  for (int i = form->filters - 1; i >= 0; i--) {
    if (mask >> i & 1) continue;
    uint8_t *to = p->bytes == d->a ? d->b : d->a;
    size_t expected;
    switch (form->filter[i].id) {
    case ASL_HDF5_DEFLATE:
      ASL_TRY(given_to(form, mask, i, &expected));
      ASL_TRY(inflate_exactly(p, to, expected));
      break;
    case ASL_HDF5_SHUFFLE: ASL_TRY(unshuffle(p, to, d->work_bytes, form->filter[i].value)); break;
    default: ASL_TRY(check_sum(p));
    }
  }
  return ASL_OK;
}

static asl_status grow(uint8_t **memory, size_t *have, size_t n) {
  if (*memory && n <= *have) return ASL_OK;
  free(*memory);
  *memory = malloc(n + 1);
  *have = *memory ? n : 0;
  return *memory ? ASL_OK : asl_fail(ASL_ENOMEM, "no memory for a chunk of %zu bytes", n);
}

static asl_status take_memory(asl_hdf5_decoder *d, const asl_hdf5_form *form, size_t raw) {
  ASL_TRY(grow(&d->raw, &d->raw_bytes, raw));
  if (form->filters == 0) return ASL_OK;
  size_t bytes = d->work_bytes;
  ASL_TRY(grow(&d->a, &bytes, form->chunk_bytes + MOST_ADDED));
  return grow(&d->b, &d->work_bytes, form->chunk_bytes + MOST_ADDED);
}

asl_status asl_hdf5_decode(asl_hdf5_decoder *decoder, const asl_hdf5 *file,
                           const asl_hdf5_form *form, const asl_hdf5_chunk *chunk,
                           const uint8_t **values) {
  const uint64_t most = (uint64_t)form->chunk_bytes + form->chunk_bytes / 8 + (1 << 20);
  ASL_TRY(asl_hdf5_reach(file, chunk->address, chunk->stored, "a chunk"));
  if (chunk->stored > most)
    return asl_fail(ASL_EDATA, "damaged: %llu bytes stored for a chunk of %zu",
                    (unsigned long long)chunk->stored, form->chunk_bytes);
  ASL_TRY(take_memory(decoder, form, (size_t)chunk->stored));
  ASL_TRY(asl_hdf5_load(file, chunk->address, decoder->raw, (size_t)chunk->stored, "a chunk"));
  passing p = {decoder->raw, (size_t)chunk->stored};
  ASL_TRY(undo(decoder, form, chunk->mask, &p));
  if (p.n != form->chunk_bytes)
    return asl_fail(ASL_EDATA, "damaged: a chunk of %zu bytes, not %zu", p.n, form->chunk_bytes);
  *values = p.bytes;
  return ASL_OK;
}

void asl_hdf5_decoder_free(asl_hdf5_decoder *decoder) {
  free(decoder->raw);
  free(decoder->a);
  free(decoder->b);
  *decoder = (asl_hdf5_decoder){0};
}
