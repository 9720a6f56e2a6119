#include "data/hdf5_parts.h"

#include <stdlib.h>
#include <string.h>

/* What has been found while the messages of a header pass by. */
typedef struct finding {
  asl_hdf5_form *form;
  bool space, type, layout, group, external;
  bool index_unknown;
  int dimensions; /* that the layout of chunks has: one more than the rank */
  uint64_t size[ASL_HDF5_MAX_RANK + 1];
  uint8_t fill[8];
  uint64_t fill_bytes; /* 0: the fill value is 0 */
} finding;

/* ---- shape -------------------------------------------------------------------------------- */

static asl_status read_space(finding *f, asl_cursor c) {
  asl_hdf5_dataset *d = &f->form->dataset;
  int version = (int)asl_take(&c, 1), rank = (int)asl_take(&c, 1);
  asl_take(&c, 1); /* flags: whether sizes have maxima, which follow and do not matter */
  int kind = (int)asl_take(&c, 1);
  if (version == 1) asl_take(&c, 4);
  if (version != 1 && version != 2)
    return asl_fail(ASL_EDATA, "a dataspace of version %d is not read", version);
  if (version == 2 && kind == 2) return asl_fail(ASL_EDATA, "it has no values (a null dataspace)");
  if (rank > ASL_HDF5_MAX_RANK)
    return asl_fail(ASL_EDATA, "it has %d dimensions; at most %d are read", rank,
                    ASL_HDF5_MAX_RANK);
  d->rank = rank;
  for (int i = 0; i < rank; i++) {
    uint64_t size = asl_take(&c, 8);
    if (size > INT64_MAX)
      return asl_fail(ASL_EDATA, "damaged: dimension %d has size %llu", i,
                      (unsigned long long)size);
    d->size[i] = (int64_t)size;
  }
  f->space = true;
  return asl_cursor_check(&c, "the dataspace");
}

bool asl_hdf5_bytes(const asl_hdf5_dataset *dataset, const int64_t *count, int64_t *bytes) {
  const int64_t most = (int64_t)1 << 62;
  int64_t product = dataset->value_bytes;
  bool empty = false;
  for (int i = 0; i < dataset->rank; i++) {
    if (count[i] == 0) empty = true;
    else if (count[i] > most / product) return false;
    else product *= count[i];
  }
  *bytes = empty ? 0 : product;
  return true;
}

/* ---- type of the values ------------------------------------------------------------------- */

static asl_status read_integer(finding *f, unsigned bits, uint32_t size, asl_cursor *c) {
  uint64_t offset = asl_take(c, 2), precision = asl_take(c, 2);
  if ((size != 1 && size != 2 && size != 4 && size != 8) || offset != 0 || precision != 8 * size)
    return asl_fail(ASL_EDATA,
                    "integers of %llu bits in %u bytes; read are whole ones of 1, 2, 4, 8 bytes",
                    (unsigned long long)precision, size);
  f->form->dataset.value_class = ASL_HDF5_INTEGER;
  f->form->dataset.is_signed = bits >> 3 & 1;
  f->form->swapped = (bits & 1) != (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__);
  return ASL_OK;
}

/* IEEE 754: binary16, 32 and 64. */
static asl_status read_float(finding *f, unsigned bits, uint32_t size, asl_cursor *c) {
  static const struct {
    uint32_t size, exponent_bits, fraction_bits;
  } known[] = {{2, 5, 10}, {4, 8, 23}, {8, 11, 52}};
  uint64_t offset = asl_take(c, 2), precision = asl_take(c, 2);
  uint64_t exponent_at = asl_take(c, 1), exponent_bits = asl_take(c, 1);
  uint64_t fraction_at = asl_take(c, 1), fraction_bits = asl_take(c, 1), bias = asl_take(c, 4);
  bool vax = bits >> 6 & 1, implied = (bits >> 4 & 3) == 2;
  f->form->dataset.value_class = ASL_HDF5_FLOAT;
  f->form->swapped = (bits & 1) != (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__);
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (known[i].size == size && precision == 8 * size && offset == 0 && !vax && implied &&
        (bits >> 8 & 0xFF) == 8 * size - 1 && exponent_bits == known[i].exponent_bits &&
        fraction_bits == known[i].fraction_bits && exponent_at == fraction_bits &&
        fraction_at == 0 && bias == (1u << (exponent_bits - 1)) - 1)
      return ASL_OK;
  return asl_fail(ASL_EDATA,
                  "floats of %u bytes with %llu bits of exponent and %llu of fraction; read are "
                  "those of IEEE 754 of 2, 4, 8 bytes",
                  size, (unsigned long long)exponent_bits, (unsigned long long)fraction_bits);
}

static asl_status read_reference(finding *f, unsigned bits, uint32_t size) {
  if ((bits & 0xF) == 1) return asl_fail(ASL_EDATA, "references to regions are not read");
  if ((bits & 0xF) != 0 || size != 8)
    return asl_fail(ASL_EDATA, "references of kind %u and %u bytes are not read", bits & 0xF, size);
  f->form->dataset.value_class = ASL_HDF5_REFERENCE;
  f->form->swapped = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__;
  return ASL_OK;
}

static asl_status read_type(finding *f, asl_cursor c) {
  static const char *const others[] = {[2] = "times",
                                       [3] = "strings of fixed length",
                                       [4] = "bit fields",
                                       [5] = "opaque values",
                                       [6] = "compound values (structs)",
                                       [8] = "enumerations",
                                       [9] = "values of variable length",
                                       [10] = "arrays as values",
                                       [11] = "complex numbers"};
  unsigned kind = (unsigned)asl_take(&c, 1) & 15, bits = (unsigned)asl_take(&c, 3);
  uint32_t size = (uint32_t)asl_take(&c, 4);
  ASL_TRY(asl_cursor_check(&c, "the datatype"));
  f->type = true;
  if (kind == 0) ASL_TRY(read_integer(f, bits, size, &c));
  else if (kind == 1) ASL_TRY(read_float(f, bits, size, &c));
  else if (kind == 7) ASL_TRY(read_reference(f, bits, size));
  else if (kind < sizeof others / sizeof *others)
    return asl_fail(ASL_EDATA, "%s are not read", others[kind]);
  else return asl_fail(ASL_EDATA, "values of class %u are not read", kind);
  f->form->dataset.value_bytes = (int)size;
  return asl_cursor_check(&c, "the datatype");
}

/* ---- layout ------------------------------------------------------------------------------- */

static asl_status keep_compact(asl_hdf5_form *form, asl_cursor *c, size_t n) {
  const uint8_t *bytes = asl_take_bytes(c, n);
  if (!bytes) return asl_cursor_check(c, "the layout");
  form->layout = ASL_HDF5_COMPACT;
  form->stored = n;
  free(form->compact);
  form->compact = malloc(n + 1);
  if (!form->compact) return asl_fail(ASL_ENOMEM, "no memory for %zu bytes", n);
  memcpy(form->compact, bytes, n);
  return ASL_OK;
}

static asl_status read_dimensions(finding *f, asl_cursor *c, int n, int bytes) {
  if (n < 1 || n > ASL_HDF5_MAX_RANK + 1)
    return asl_fail(ASL_EDATA, "a layout of %d dimensions; 1 to %d are read", n,
                    ASL_HDF5_MAX_RANK + 1);
  f->dimensions = n;
  for (int i = 0; i < n; i++) f->size[i] = asl_take(c, bytes);
  return ASL_OK;
}

/* Versions 1 and 2. */
static asl_status read_old_layout(finding *f, asl_cursor *c) {
  asl_hdf5_form *form = f->form;
  int dimensions = (int)asl_take(c, 1), kind = (int)asl_take(c, 1);
  asl_take(c, 5);
  form->layout = (asl_hdf5_layout)kind;
  if (kind != ASL_HDF5_COMPACT) form->address = asl_take(c, 8);
  if (kind == ASL_HDF5_CHUNKED) return read_dimensions(f, c, dimensions, 4);
  asl_take_bytes(c, 4 * (size_t)dimensions);
  form->stored = UINT64_MAX; /* this version does not say */
  return kind == ASL_HDF5_COMPACT ? keep_compact(form, c, (size_t)asl_take(c, 4)) : ASL_OK;
}

/* The chunks of version 4. */
static asl_status read_new_chunks(finding *f, asl_cursor *c) {
  static const char *const others[] = {
      [3] = "a fixed array", [4] = "an extensible array", [5] = "a version 2 B-tree"};
  asl_hdf5_form *form = f->form;
  unsigned flags = (unsigned)asl_take(c, 1);
  int dimensions = (int)asl_take(c, 1), bytes = (int)asl_take(c, 1);
  if (bytes < 1 || bytes > 8)
    return asl_fail(ASL_EDATA, "damaged: sizes of chunks in %d bytes", bytes);
  ASL_TRY(read_dimensions(f, c, dimensions, bytes));
  unsigned index = (unsigned)asl_take(c, 1);
  if (index >= 3 && index <= 5)
    return asl_fail(ASL_EDATA, "chunks that are found through %s are not read", others[index]);
  if (index != 1 && index != 2)
    return asl_fail(ASL_EDATA, "damaged: chunks with an index of kind %u", index);
  form->index = index == 1 ? ASL_HDF5_SINGLE : ASL_HDF5_IMPLICIT;
  form->stored = UINT64_MAX; /* as long as a chunk */
  form->single_mask = 0;
  if (index == 1 && flags & 2) {
    form->stored = asl_take(c, 8);
    form->single_mask = (uint32_t)asl_take(c, 4);
  }
  form->address = asl_take(c, 8);
  return ASL_OK;
}

/* Versions 3 and 4. */
static asl_status read_new_layout(finding *f, asl_cursor *c, int version) {
  asl_hdf5_form *form = f->form;
  int kind = (int)asl_take(c, 1);
  if (kind == ASL_HDF5_COMPACT) return keep_compact(form, c, (size_t)asl_take(c, 2));
  form->layout = (asl_hdf5_layout)kind;
  if (kind == ASL_HDF5_CHUNKED && version == 4) return read_new_chunks(f, c);
  if (kind == ASL_HDF5_CHUNKED) {
    int dimensions = (int)asl_take(c, 1);
    form->index = ASL_HDF5_BTREE;
    form->address = asl_take(c, 8);
    return read_dimensions(f, c, dimensions, 4);
  }
  form->address = asl_take(c, 8);
  form->stored = asl_take(c, 8);
  return ASL_OK;
}

static asl_status read_layout(finding *f, asl_cursor c) {
  int version = (int)asl_take(&c, 1);
  if (version < 1 || version > 4)
    return asl_fail(ASL_EDATA, "a layout of version %d is not read", version);
  /* The kind stands behind the number of dimensions in versions 1 and 2. */
  int kind = c.left > 1 ? c.at[version <= 2 ? 1 : 0] : -1;
  if (kind == 3) return asl_fail(ASL_EDATA, "a virtual dataset is not read");
  if (kind < 0 || kind > 3) return asl_fail(ASL_EDATA, "damaged: a layout of kind %d", kind);
  f->layout = true;
  f->dimensions = 0;
  if (version <= 2) ASL_TRY(read_old_layout(f, &c));
  else ASL_TRY(read_new_layout(f, &c, version));
  return asl_cursor_check(&c, "the layout");
}

/* ---- filters and fill value --------------------------------------------------------------- */

static const char *filter_name(int id) {
  switch (id) {
  case 4: return "szip";
  case 5: return "nbit";
  case 6: return "scaleoffset";
  case 307: return "bzip2";
  case 32000: return "lzf";
  case 32001: return "blosc";
  case 32004: return "lz4";
  case 32015: return "zstd";
  default: return "not known";
  }
}

static asl_status read_filter(asl_hdf5_form *form, int version, asl_cursor *c) {
  int id = (int)asl_take(c, 2);
  size_t name = version == 1 || id >= 256 ? (size_t)asl_take(c, 2) : 0;
  asl_take(c, 2);
  size_t values = (size_t)asl_take(c, 2);
  asl_take_bytes(c, version == 1 ? (name + 7) / 8 * 8 : name);
  uint32_t value = values > 0 ? (uint32_t)asl_take(c, 4) : 0;
  for (size_t i = 1; i < values && !c->over; i++) asl_take(c, 4);
  if (version == 1 && values % 2) asl_take(c, 4);
  ASL_TRY(asl_cursor_check(c, "the list of filters"));
  if (id < ASL_HDF5_DEFLATE || id > ASL_HDF5_FLETCHER32)
    return asl_fail(ASL_EDATA, "filter %d (%s); read are deflate (gzip), shuffle and fletcher32",
                    id, filter_name(id));
  if (id == ASL_HDF5_SHUFFLE && value < 1)
    return asl_fail(ASL_EDATA, "damaged: shuffled values of %u bytes", value);
  form->filter[form->filters++] = (struct asl_hdf5_filter){id, value};
  return ASL_OK;
}

static asl_status read_filters(finding *f, asl_cursor c) {
  int version = (int)asl_take(&c, 1), n = (int)asl_take(&c, 1);
  if (version == 1) asl_take(&c, 6);
  if (version != 1 && version != 2)
    return asl_fail(ASL_EDATA, "a list of filters of version %d is not read", version);
  if (n > ASL_HDF5_MAX_FILTERS)
    return asl_fail(ASL_EDATA, "%d filters; at most %d are read", n, ASL_HDF5_MAX_FILTERS);
  f->form->filters = 0;
  for (int i = 0; i < n; i++) ASL_TRY(read_filter(f->form, version, &c));
  return ASL_OK;
}

static asl_status read_fill(finding *f, asl_cursor c, bool old) {
  bool given = true;
  if (!old) {
    int version = (int)asl_take(&c, 1);
    if (version < 1 || version > 3)
      return asl_fail(ASL_EDATA, "a fill value of version %d is not read", version);
    if (version == 3) given = asl_take(&c, 1) >> 5 & 1;
    else {
      asl_take(&c, 2);
      unsigned defined = (unsigned)asl_take(&c, 1);
      given = version == 1 || defined;
    }
  }
  f->fill_bytes = given ? asl_take(&c, 4) : 0;
  if (f->fill_bytes > sizeof f->fill)
    return asl_fail(ASL_EDATA, "damaged: a fill value of %llu bytes",
                    (unsigned long long)f->fill_bytes);
  const uint8_t *value = asl_take_bytes(&c, (size_t)f->fill_bytes);
  if (value) memcpy(f->fill, value, (size_t)f->fill_bytes);
  return asl_cursor_check(&c, "the fill value");
}

/* ---- all of it ---------------------------------------------------------------------------- */

static asl_status visit(void *context, const asl_hdf5_message *message) {
  finding *f = context;
  asl_cursor c = {message->bytes, message->n, false};
  switch (message->type) {
  case ASL_HDF5_LINK_INFO:
  case ASL_HDF5_LINK:
  case ASL_HDF5_GROUP_INFO:
  case ASL_HDF5_SYMBOL_TABLE: f->group = true; return ASL_OK;
  case ASL_HDF5_EXTERNAL_FILES: f->external = true; return ASL_OK;
  case ASL_HDF5_DATASPACE:
  case ASL_HDF5_DATATYPE:
  case ASL_HDF5_OLD_FILL:
  case ASL_HDF5_FILL:
  case ASL_HDF5_LAYOUT:
  case ASL_HDF5_FILTERS: break;
  default: return ASL_OK;
  }
  if (message->shared)
    return asl_fail(ASL_EDATA,
                    "a header that shares messages (type %d: a named datatype, or a "
                    "file with shared messages) is not read",
                    message->type);
  switch (message->type) {
  case ASL_HDF5_DATASPACE: return read_space(f, c);
  case ASL_HDF5_DATATYPE: return read_type(f, c);
  case ASL_HDF5_LAYOUT: return read_layout(f, c);
  case ASL_HDF5_FILTERS: return read_filters(f, c);
  case ASL_HDF5_FILL: return read_fill(f, c, false);
  default: return f->fill_bytes ? ASL_OK : read_fill(f, c, true); /* the newer one counts */
  }
}

static asl_status check_chunk(finding *f) {
  asl_hdf5_form *form = f->form;
  const asl_hdf5_dataset *d = &form->dataset;
  if (f->dimensions != d->rank + 1 || f->size[d->rank] != (uint64_t)d->value_bytes)
    return asl_fail(ASL_EDATA, "damaged: its chunks have %d dimensions; its values %d of %d bytes",
                    f->dimensions - 1, d->rank, d->value_bytes);
  for (int i = 0; i < d->rank; i++) {
    if (f->size[i] < 1 || f->size[i] > ASL_HDF5_MAX_CHUNK)
      return asl_fail(ASL_EDATA, "a chunk of size %llu in dimension %d; 1 to 2^28 are read",
                      (unsigned long long)f->size[i], i);
    form->chunk[i] = (int64_t)f->size[i];
  }
  int64_t bytes;
  if (!asl_hdf5_bytes(d, form->chunk, &bytes) || bytes > ASL_HDF5_MAX_CHUNK)
    return asl_fail(ASL_EDATA, "its chunks have more than %d MiB", ASL_HDF5_MAX_CHUNK >> 20);
  form->chunk_bytes = (size_t)bytes;
  return ASL_OK;
}

static asl_status check_piece(const asl_hdf5 *file, asl_hdf5_form *form, uint64_t bytes) {
  if (form->filters > 0) return asl_fail(ASL_EDATA, "damaged: it has filters, but no chunks");
  if (form->layout == ASL_HDF5_CONTIGUOUS && form->address == ASL_HDF5_NOWHERE) return ASL_OK;
  if (form->stored < bytes)
    return asl_fail(ASL_EDATA, "damaged: %llu bytes are stored of %llu",
                    (unsigned long long)form->stored, (unsigned long long)bytes);
  if (form->layout == ASL_HDF5_COMPACT) return ASL_OK;
  return asl_hdf5_reach(file, form->address, bytes, "what it holds");
}

/* How the parts fit together. */
static asl_status check(const asl_hdf5 *file, finding *f) {
  asl_hdf5_form *form = f->form;
  const asl_hdf5_dataset *d = &form->dataset;
  if (f->group && !f->layout) return asl_fail(ASL_EDATA, "it is a group, not a dataset");
  if (f->type && !f->space && !f->layout)
    return asl_fail(ASL_EDATA, "it is a named datatype, not a dataset");
  if (!f->space || !f->type || !f->layout)
    return asl_fail(ASL_EDATA, "damaged: a header without %s",
                    !f->space  ? "dataspace"
                    : !f->type ? "datatype"
                               : "layout");
  if (f->external) return asl_fail(ASL_EDATA, "values in other files are not read");
  int64_t bytes;
  if (!asl_hdf5_bytes(d, d->size, &bytes))
    return asl_fail(ASL_EDATA, "damaged: it has more than 2^62 bytes");
  if (f->fill_bytes && f->fill_bytes != (uint64_t)d->value_bytes)
    return asl_fail(ASL_EDATA, "damaged: a fill value of %llu bytes for values of %d",
                    (unsigned long long)f->fill_bytes, d->value_bytes);
  memcpy(form->fill, f->fill, sizeof form->fill);
  return form->layout == ASL_HDF5_CHUNKED ? check_chunk(f)
                                          : check_piece(file, form, (uint64_t)bytes);
}

asl_status asl_hdf5_form_read(asl_hdf5_walk *walk, uint64_t header, asl_hdf5_form *out) {
  *out = (asl_hdf5_form){.address = ASL_HDF5_NOWHERE};
  finding f = {.form = out};
  out->dataset.header = header;
  ASL_TRY(asl_hdf5_messages(walk, header, visit, &f));
  return check(walk->file, &f);
}

void asl_hdf5_form_free(asl_hdf5_form *form) {
  free(form->compact);
  form->compact = NULL;
}
