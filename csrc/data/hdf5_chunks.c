#include "data/hdf5_parts.h"

#include <stdlib.h>
#include <string.h>

/* The chunks that a block touches: those whose first values lie between two corners. */
typedef struct wanted {
  asl_hdf5_walk *walk;
  const asl_hdf5_form *form;
  int rank;
  int64_t lo[ASL_HDF5_MAX_RANK], hi[ASL_HDF5_MAX_RANK]; /* both wanted */
  asl_hdf5_chunk_visit visit;
  void *context;
} wanted;

static int compare(const int64_t *a, const int64_t *b, int rank) {
  for (int d = 0; d < rank; d++)
    if (a[d] != b[d]) return a[d] < b[d] ? -1 : 1;
  return 0;
}

/* The next chunk of the grid between the corners, counting the last dimensions up first, where
 * those from `d` on start again; false behind the last. */
static bool carry(const wanted *w, int d, int64_t *at) {
  while (d > 0) {
    d--;
    if (at[d] < w->hi[d]) {
      at[d] += w->form->chunk[d];
      memcpy(at + d + 1, w->lo + d + 1, sizeof *at * (size_t)(w->rank - d - 1));
      return true;
    }
  }
  return false;
}

/* The first wanted chunk that is not before `from`, a chunk of the grid; false when there is none.
 */
static bool first_wanted(const wanted *w, const int64_t *from, int64_t *at) {
  memcpy(at, from, sizeof *at * (size_t)w->rank);
  for (int d = 0; d < w->rank; d++) {
    if (at[d] < w->lo[d]) {
      memcpy(at + d, w->lo + d, sizeof *at * (size_t)(w->rank - d));
      return true;
    }
    if (at[d] > w->hi[d]) return carry(w, d, at);
  }
  return true;
}

/* ---- version 1 B-trees -------------------------------------------------------------------- */

enum { MAX_LEVEL = 16 };

/* The key before a child: the first chunk below it. Keys rise from left to right and from one node
 * to the next (the last key of a node stands behind its children, says nothing and is not read). */
static asl_status read_key(const wanted *w, asl_cursor *c, asl_hdf5_chunk *key) {
  key->stored = asl_take(c, 4);
  key->mask = (uint32_t)asl_take(c, 4);
  for (int d = 0; d <= w->rank; d++) {
    uint64_t at = asl_take(c, 8);
    if (d == w->rank ? at != 0 : at > INT64_MAX || at % (uint64_t)w->form->chunk[d] != 0)
      return asl_fail(ASL_EDATA, "damaged: a chunk at %llu in dimension %d, where none begins",
                      (unsigned long long)at, d);
    if (d < w->rank) key->at[d] = (int64_t)at;
  }
  key->address = asl_take(c, 8);
  return ASL_OK;
}

/* The chunks below lie in [from, to); NULL: anywhere. */
typedef struct range {
  const int64_t *from, *to;
} range;

static asl_status visit_node(const wanted *w, uint64_t address, int level, range bounds);

/* Follows the child at `key`, whose chunks lie before `to`, if a wanted one may be there. */
static asl_status visit_child(const wanted *w, const asl_hdf5_chunk *key, int level,
                              const int64_t *to) {
  int64_t at[ASL_HDF5_MAX_RANK];
  if (!first_wanted(w, key->at, at) || (to && compare(at, to, w->rank) >= 0)) return ASL_OK;
  if (level > 0) return visit_node(w, key->address, level - 1, (range){key->at, to});
  return compare(at, key->at, w->rank) == 0 ? w->visit(w->context, key) : ASL_OK;
}

static asl_status visit_children(const wanted *w, asl_cursor c, int level, size_t n, range bounds) {
  asl_hdf5_chunk key, next;
  ASL_TRY(read_key(w, &c, &next));
  for (size_t i = 0; i < n; i++) {
    key = next;
    if (i + 1 < n) ASL_TRY(read_key(w, &c, &next));
    const int64_t *to = i + 1 < n ? next.at : bounds.to;
    if ((bounds.from && compare(key.at, bounds.from, w->rank) < 0) ||
        (to && compare(key.at, to, w->rank) >= 0))
      return asl_fail(ASL_EDATA, "damaged: the chunks of a B-tree are not in order");
    ASL_TRY(visit_child(w, &key, level, to));
  }
  return ASL_OK;
}

/* `level` is what the parent says; -1: the root of the tree, any. */
static asl_status visit_node(const wanted *w, uint64_t address, int level, range bounds) {
  uint8_t head[8], *bytes;
  const char *what = "a B-tree of chunks";
  ASL_TRY(asl_hdf5_fetch(w->walk, address, head, sizeof head, what));
  if (memcmp(head, "TREE\1", 5) != 0 || (level >= 0 && head[5] != level) || head[5] > MAX_LEVEL)
    return asl_fail(ASL_EDATA, "damaged: no B-tree of chunks at %llu", (unsigned long long)address);
  size_t n = (size_t)(head[6] | head[7] << 8), entry = 8 + 8 * ((size_t)w->rank + 1) + 8;
  if (n == 0) return ASL_OK;
  ASL_TRY(asl_hdf5_fetch_new(w->walk, address + 24, n * entry, what, &bytes));
  asl_status status = visit_children(w, (asl_cursor){bytes, n * entry, false}, head[5], n, bounds);
  free(bytes);
  return status;
}

/* ---- other indices ------------------------------------------------------------------------ */

static asl_status visit_single(const wanted *w) {
  const asl_hdf5_form *form = w->form;
  for (int d = 0; d < w->rank; d++)
    if (form->chunk[d] < form->dataset.size[d])
      return asl_fail(ASL_EDATA, "damaged: one chunk does not hold all its values");
  asl_hdf5_chunk chunk = {
      .address = form->address,
      .stored = form->stored == UINT64_MAX ? form->chunk_bytes : form->stored,
      .mask = form->single_mask,
  };
  return w->visit(w->context, &chunk);
}

/* Chunks without filters, in row-major order. */
static asl_status visit_implicit(const wanted *w) {
  const asl_hdf5_form *form = w->form;
  int64_t at[ASL_HDF5_MAX_RANK];
  memcpy(at, w->lo, sizeof at);
  if (form->filters > 0)
    return asl_fail(ASL_EDATA, "damaged: chunks without an index that have filters");
  do {
    uint64_t position = 0;
    asl_hdf5_chunk chunk = {.stored = form->chunk_bytes};
    for (int d = 0; d < w->rank; d++) {
      int64_t along = (form->dataset.size[d] - 1) / form->chunk[d] + 1;
      position = position * (uint64_t)along + (uint64_t)(at[d] / form->chunk[d]);
      chunk.at[d] = at[d];
    }
    if (__builtin_mul_overflow(position, form->chunk_bytes, &chunk.address) ||
        __builtin_add_overflow(chunk.address, form->address, &chunk.address))
      chunk.address = ASL_HDF5_NOWHERE; /* outside any file */
    ASL_TRY(w->visit(w->context, &chunk));
  } while (carry(w, w->rank, at));
  return ASL_OK;
}

asl_status asl_hdf5_chunks(asl_hdf5_walk *walk, const asl_hdf5_form *form, const int64_t *first,
                           const int64_t *count, asl_hdf5_chunk_visit visit, void *context) {
  wanted w = {
      .walk = walk, .form = form, .rank = form->dataset.rank, .visit = visit, .context = context};
  for (int d = 0; d < w.rank; d++) {
    int64_t chunk = form->chunk[d];
    w.lo[d] = first[d] / chunk * chunk;
    w.hi[d] = (first[d] + count[d] - 1) / chunk * chunk;
  }
  if (form->address == ASL_HDF5_NOWHERE) return ASL_OK;
  switch (form->index) {
  case ASL_HDF5_SINGLE: return visit_single(&w);
  case ASL_HDF5_IMPLICIT: return visit_implicit(&w);
  default: return visit_node(&w, form->address, -1, (range){NULL, NULL});
  }
}
