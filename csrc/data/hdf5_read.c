#include "data/hdf5_parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/f16.h"

/* Decoding a chunk of which little is wanted costs as much as a whole one. Files with reason to do
 * so stay far below this many bytes decoded for one that is wanted. */
enum { WASTE_FACTOR = 64, WASTE_BYTES = 1 << 28 };

/* A read on its way. Positions count values. */
typedef struct reading {
  const asl_hdf5 *file;
  const asl_hdf5_form *form;
  const int64_t *first, *count;
  uint8_t *to;
  size_t bytes;
  asl_hdf5_decoder decoder;
  uint64_t decoded;
} reading;

/* ---- values in one piece ------------------------------------------------------------------ */

static asl_status place(const reading *r, int64_t at, uint8_t *to, size_t n) {
  size_t offset = (size_t)at * (size_t)r->form->dataset.value_bytes;
  if (r->form->layout != ASL_HDF5_COMPACT)
    return asl_hdf5_load(r->file, r->form->address + offset, to, n, "what it holds");
  memcpy(to, r->form->compact + offset, n);
  return ASL_OK;
}

/* Counts an index up within `count`, its last dimension first; false after the last. */
static bool step(int64_t *index, const int64_t *count, int rank) {
  for (int d = rank - 1; d >= 0; d--) {
    if (++index[d] < count[d]) return true;
    index[d] = 0;
  }
  return false;
}

/* Trailing dimensions that are wanted whole are one run with the one before them. */
static asl_status read_piece(reading *r) {
  const asl_hdf5_dataset *d = &r->form->dataset;
  int outer = d->rank;
  int64_t run = 1, index[ASL_HDF5_MAX_RANK] = {0};
  while (outer > 0) {
    outer--;
    run *= r->count[outer];
    if (r->count[outer] != d->size[outer]) break;
  }
  size_t run_bytes = (size_t)run * (size_t)d->value_bytes;
  uint8_t *to = r->to;
  do {
    int64_t at = 0;
    for (int i = 0; i < d->rank; i++)
      at = at * d->size[i] + r->first[i] + (i < outer ? index[i] : 0);
    ASL_TRY(place(r, at, to, run_bytes));
    to += run_bytes;
  } while (step(index, r->count, outer));
  return ASL_OK;
}

/* ---- chunks ------------------------------------------------------------------------------- */

static void fill(const reading *r) {
  const size_t n = (size_t)r->form->dataset.value_bytes;
  bool zero = true;
  for (size_t i = 0; i < n; i++) zero = zero && r->form->fill[i] == 0;
  if (zero) memset(r->to, 0, r->bytes);
  else
    for (size_t at = 0; at < r->bytes; at += n) memcpy(r->to + at, r->form->fill, n);
}

#define SPREAD(type)                                                                               \
  for (int64_t i = 0; i < n; i++)                                                                  \
  memcpy(to + i * to_stride * (int64_t)sizeof(type),                                               \
         from + i * from_stride * (int64_t)sizeof(type), sizeof(type))

static void copy_run(uint8_t *to, int64_t to_stride, const uint8_t *from, int64_t from_stride,
                     int64_t n, int value_bytes) {
  if (to_stride == 1 && from_stride == 1) memcpy(to, from, (size_t)(n * value_bytes));
  else if (value_bytes == 1) SPREAD(uint8_t);
  else if (value_bytes == 2) SPREAD(uint16_t);
  else if (value_bytes == 4) SPREAD(uint32_t);
  else SPREAD(uint64_t);
}

/* The part of a chunk that is wanted, in both. */
typedef struct part {
  int64_t count[ASL_HDF5_MAX_RANK], to_stride[ASL_HDF5_MAX_RANK], from_stride[ASL_HDF5_MAX_RANK];
  int64_t to, from; /* of its first value */
} part;

static part part_of(const reading *r, const asl_hdf5_chunk *chunk) {
  part p = {.to = 0};
  int64_t to_stride = 1, from_stride = 1;
  for (int d = r->form->dataset.rank - 1; d >= 0; d--) {
    int64_t size = r->form->chunk[d], lo = chunk->at[d], hi = lo + size;
    int64_t end = r->first[d] + r->count[d];
    if (lo < r->first[d]) lo = r->first[d];
    if (hi > end) hi = end;
    p.count[d] = hi - lo;
    p.to += (lo - r->first[d]) * to_stride;
    p.from += (lo - chunk->at[d]) * from_stride;
    p.to_stride[d] = to_stride;
    p.from_stride[d] = from_stride;
    to_stride *= r->count[d];
    from_stride *= size;
  }
  return p;
}

/* Runs along the last dimension in which the part is longer than 1. */
static void copy_part(const reading *r, const part *p, const uint8_t *values) {
  const int bytes = r->form->dataset.value_bytes;
  int inner = r->form->dataset.rank - 1;
  int64_t index[ASL_HDF5_MAX_RANK] = {0};
  while (inner > 0 && p->count[inner] == 1) inner--;
  do {
    int64_t to = p->to, from = p->from;
    for (int d = 0; d < inner; d++) {
      to += index[d] * p->to_stride[d];
      from += index[d] * p->from_stride[d];
    }
    copy_run(r->to + to * bytes, p->to_stride[inner], values + from * bytes, p->from_stride[inner],
             p->count[inner], bytes);
  } while (step(index, p->count, inner));
}

static asl_status read_chunk(void *context, const asl_hdf5_chunk *chunk) {
  reading *r = context;
  const uint8_t *values;
  r->decoded += r->form->chunk_bytes;
  if (r->decoded / WASTE_FACTOR > r->bytes + WASTE_BYTES / WASTE_FACTOR)
    return asl_fail(ASL_EDATA, "chunks of %zu bytes each are too large for the %zu bytes wanted",
                    r->form->chunk_bytes, r->bytes);
  ASL_TRY(asl_hdf5_decode(&r->decoder, r->file, r->form, chunk, &values));
  if (r->form->dataset.rank == 0) { /* one value */
    memcpy(r->to, values, r->bytes);
    return ASL_OK;
  }
  part p = part_of(r, chunk);
  copy_part(r, &p, values);
  return ASL_OK;
}

/* ---- any of them -------------------------------------------------------------------------- */

static void swap(uint8_t *values, size_t bytes, size_t n) {
  for (size_t at = 0; at < bytes; at += n)
    for (size_t i = 0; i < n / 2; i++) {
      uint8_t first = values[at + i];
      values[at + i] = values[at + n - 1 - i];
      values[at + n - 1 - i] = first;
    }
}

static asl_status read_values(reading *r, asl_hdf5_walk *walk) {
  asl_status status = ASL_OK;
  if (r->form->layout == ASL_HDF5_CHUNKED) {
    fill(r);
    status = asl_hdf5_chunks(walk, r->form, r->first, r->count, read_chunk, r);
    asl_hdf5_decoder_free(&r->decoder);
  } else if (r->form->layout == ASL_HDF5_CONTIGUOUS && r->form->address == ASL_HDF5_NOWHERE) {
    fill(r);
  } else {
    status = read_piece(r);
  }
  if (status == ASL_OK && r->form->swapped)
    swap(r->to, r->bytes, (size_t)r->form->dataset.value_bytes);
  return status;
}

/* The dataset may have been found in another file, or in this one before it was written again. */
static asl_status check_same(const asl_hdf5_dataset *a, const asl_hdf5_dataset *b) {
  bool same = a->rank == b->rank && a->value_class == b->value_class &&
              a->value_bytes == b->value_bytes && a->is_signed == b->is_signed;
  for (int d = 0; same && d < a->rank; d++) same = a->size[d] == b->size[d];
  return same ? ASL_OK : asl_fail(ASL_EDATA, "it changed since it was found");
}

static asl_status check_block(const asl_hdf5_dataset *d, const int64_t *first, const int64_t *count,
                              size_t bytes) {
  int64_t wanted;
  for (int i = 0; i < d->rank; i++)
    if (first[i] < 0 || count[i] < 0 || first[i] > d->size[i] || count[i] > d->size[i] - first[i])
      return asl_fail(ASL_EINVAL, "%lld values from %lld on in dimension %d, which has %lld",
                      (long long)count[i], (long long)first[i], i, (long long)d->size[i]);
  if (!asl_hdf5_bytes(d, count, &wanted) || (uint64_t)wanted != bytes)
    return asl_fail(ASL_EINVAL, "%zu bytes for a block that has another size", bytes);
  return ASL_OK;
}

static asl_status read_block(const asl_hdf5 *file, const asl_hdf5_dataset *dataset,
                             const int64_t *first, const int64_t *count, void *values,
                             size_t bytes) {
  asl_hdf5_walk walk = asl_hdf5_start(file, 1);
  asl_hdf5_form form;
  ASL_TRY(check_block(dataset, first, count, bytes));
  asl_status status = asl_hdf5_form_read(&walk, dataset->header, &form);
  if (status == ASL_OK) status = check_same(dataset, &form.dataset);
  reading r = {
      .file = file, .form = &form, .first = first, .count = count, .to = values, .bytes = bytes};
  if (status == ASL_OK && bytes > 0) status = read_values(&r, &walk);
  asl_hdf5_form_free(&form);
  return status;
}

asl_status asl_hdf5_read(const asl_hdf5 *file, const asl_hdf5_dataset *dataset,
                         const int64_t *first, const int64_t *count, void *values, size_t bytes) {
  return asl_wrap(read_block(file, dataset, first, count, values, bytes), "%s: dataset at %llu",
                  file->path, (unsigned long long)dataset->header);
}

/* ---- as f32 ------------------------------------------------------------------------------- */

static float from_f64(double x) { return (float)x; }

#define CONVERT(type, function)                                                                    \
  for (size_t i = 0; i < n; i++) {                                                                 \
    type x;                                                                                        \
    memcpy(&x, from + i * sizeof x, sizeof x);                                                     \
    to[i] = (float)function(x);                                                                    \
  }

/* `from` may be the end of `to`: see read_f32(). */
static void convert(const asl_hdf5_dataset *d, const uint8_t *from, size_t n, float *to) {
  bool is_float = d->value_class == ASL_HDF5_FLOAT;
  switch (d->value_bytes * 4 + (is_float ? 2 : d->is_signed ? 1 : 0)) {
  case 1 * 4: CONVERT(uint8_t, ); break;
  case 1 * 4 + 1: CONVERT(int8_t, ); break;
  case 2 * 4: CONVERT(uint16_t, ); break;
  case 2 * 4 + 1: CONVERT(int16_t, ); break;
  case 2 * 4 + 2: CONVERT(uint16_t, asl_f16_to_f32); break;
  case 4 * 4: CONVERT(uint32_t, ); break;
  case 4 * 4 + 1: CONVERT(int32_t, ); break;
  case 8 * 4: CONVERT(uint64_t, ); break;
  case 8 * 4 + 1: CONVERT(int64_t, ); break;
  default: CONVERT(double, from_f64); break;
  }
}

/* The first value that was finite and is not any more. */
static asl_status check_narrow(const uint8_t *from, size_t n, const float *to) {
  for (size_t i = 0; i < n; i++) {
    double x;
    memcpy(&x, from + i * sizeof x, sizeof x);
    if (isfinite(x) && !isfinite(to[i]))
      return asl_fail(ASL_EDATA, "its value %g does not fit into f32", x);
  }
  return ASL_OK;
}

/* Values of 8 bytes need memory of their own. */
static asl_status read_long(const asl_hdf5 *file, const asl_hdf5_dataset *dataset,
                            const int64_t *first, const int64_t *count, size_t n, float *values) {
  uint8_t *raw = malloc(n * sizeof(double) + 1);
  if (!raw) return asl_fail(ASL_ENOMEM, "no memory for %zu values", n);
  asl_status status = read_block(file, dataset, first, count, raw, n * sizeof(double));
  if (status == ASL_OK) convert(dataset, raw, n, values);
  if (status == ASL_OK && dataset->value_class == ASL_HDF5_FLOAT)
    status = check_narrow(raw, n, values);
  free(raw);
  return status;
}

static asl_status read_f32(const asl_hdf5 *file, const asl_hdf5_dataset *dataset,
                           const int64_t *first, const int64_t *count, float *values) {
  int64_t bytes;
  if (dataset->value_class == ASL_HDF5_REFERENCE)
    return asl_fail(ASL_EINVAL, "references are no numbers");
  for (int d = 0; d < dataset->rank; d++)
    if (count[d] < 0) return asl_fail(ASL_EINVAL, "%lld values", (long long)count[d]);
  if (!asl_hdf5_bytes(dataset, count, &bytes))
    return asl_fail(ASL_EINVAL, "a block of more than 2^62 bytes");
  size_t value_bytes = (size_t)dataset->value_bytes, n = (size_t)bytes / value_bytes;
  if (value_bytes > sizeof *values) return read_long(file, dataset, first, count, n, values);
  /* At the end of `values` they are ahead of what they become until both meet at the last. */
  uint8_t *raw = (uint8_t *)values + n * (sizeof *values - value_bytes);
  ASL_TRY(read_block(file, dataset, first, count, raw, (size_t)bytes));
  if (dataset->value_class == ASL_HDF5_INTEGER || value_bytes < sizeof *values)
    convert(dataset, raw, n, values);
  return ASL_OK;
}

asl_status asl_hdf5_read_f32(const asl_hdf5 *file, const asl_hdf5_dataset *dataset,
                             const int64_t *first, const int64_t *count, float *values) {
  return asl_wrap(read_f32(file, dataset, first, count, values), "%s: dataset at %llu", file->path,
                  (unsigned long long)dataset->header);
}
