#include "data/hdf5_parts.h"

#include <stdlib.h>
#include <string.h>

/* Heaps of names; nodes of a tree of symbol tables. */
enum { MAX_HEAP = 1 << 26, MAX_LEVEL = 16, ENTRY_BYTES = 40 };

/* ---- old groups: a B-tree of symbol tables, whose names lie in a heap --------------------- */

typedef struct table {
  asl_hdf5_walk *walk;
  asl_hdf5_link_visit visit;
  void *context;
  char *names; /* the heap, with a NUL behind */
  uint64_t names_bytes;
} table;

static asl_status read_heap(table *t, uint64_t address) {
  uint8_t head[32];
  ASL_TRY(asl_hdf5_fetch(t->walk, address, head, sizeof head, "a group's heap of names"));
  asl_cursor c = {head + 8, 24, false};
  if (memcmp(head, "HEAP\0", 5) != 0)
    return asl_fail(ASL_EDATA, "damaged: no heap of names at %llu", (unsigned long long)address);
  t->names_bytes = asl_take(&c, 8);
  asl_take(&c, 8); /* the free list */
  uint64_t names = asl_take(&c, 8);
  if (t->names_bytes > MAX_HEAP)
    return asl_fail(ASL_EDATA, "a group with names of %llu bytes; at most %d MiB are read",
                    (unsigned long long)t->names_bytes, MAX_HEAP >> 20);
  uint8_t *bytes;
  ASL_TRY(asl_hdf5_fetch_new(t->walk, names, t->names_bytes, "a group's names", &bytes));
  t->names = (char *)bytes;
  t->names[t->names_bytes] = 0;
  return ASL_OK;
}

/* Cached kind 2 of an entry: a soft link. */
static asl_status visit_entry(table *t, const uint8_t *entry) {
  asl_cursor c = {entry, ENTRY_BYTES, false};
  uint64_t name = asl_take(&c, 8), header = asl_take(&c, 8), cached = asl_take(&c, 4);
  /* A name must end within the heap; the NUL behind it is ours. */
  if (name >= t->names_bytes || name + strlen(t->names + name) == t->names_bytes)
    return asl_fail(ASL_EDATA, "damaged: the name of a link lies outside the heap of names");
  if (!t->names[name]) return asl_fail(ASL_EDATA, "damaged: a link without a name");
  asl_hdf5_link link = {t->names + name, cached == 2 ? "soft" : "hard", header};
  return t->visit(t->context, &link);
}

static asl_status visit_symbols(table *t, uint64_t address) {
  uint8_t head[8], *entries;
  ASL_TRY(asl_hdf5_fetch(t->walk, address, head, sizeof head, "a symbol table"));
  if (memcmp(head, "SNOD\1", 5) != 0)
    return asl_fail(ASL_EDATA, "damaged: no symbol table at %llu", (unsigned long long)address);
  size_t n = (size_t)(head[6] | head[7] << 8);
  ASL_TRY(asl_hdf5_fetch_new(t->walk, address + sizeof head, n * ENTRY_BYTES, "a symbol table",
                             &entries));
  asl_status status = ASL_OK;
  for (size_t i = 0; i < n && status == ASL_OK; i++)
    status = visit_entry(t, entries + i * ENTRY_BYTES);
  free(entries);
  return status;
}

static asl_status visit_node(table *t, uint64_t address, int level);

static asl_status visit_children(table *t, uint64_t node, int level, size_t n) {
  uint8_t *bytes;
  ASL_TRY(asl_hdf5_fetch_new(t->walk, node + 24, 16 * n, "a B-tree", &bytes));
  asl_cursor c = {bytes, 16 * n, false};
  asl_status status = ASL_OK;
  for (size_t i = 0; i < n && status == ASL_OK; i++) {
    asl_take(&c, 8); /* the key: the first name */
    uint64_t child = asl_take(&c, 8);
    status = level ? visit_node(t, child, level - 1) : visit_symbols(t, child);
  }
  free(bytes);
  return status;
}

/* `level` is what the parent says; -1: the root of the tree, any. */
static asl_status visit_node(table *t, uint64_t address, int level) {
  uint8_t head[8];
  ASL_TRY(asl_hdf5_fetch(t->walk, address, head, sizeof head, "a B-tree"));
  if (memcmp(head, "TREE\0", 5) != 0 || (level >= 0 && head[5] != level) || head[5] > MAX_LEVEL)
    return asl_fail(ASL_EDATA, "damaged: no B-tree of a group at %llu",
                    (unsigned long long)address);
  return visit_children(t, address, head[5], (size_t)(head[6] | head[7] << 8));
}

static asl_status visit_table(asl_hdf5_walk *walk, uint64_t tree, uint64_t heap,
                              asl_hdf5_link_visit visit, void *context) {
  table t = {walk, visit, context, NULL, 0};
  asl_status status = read_heap(&t, heap);
  if (status == ASL_OK) status = visit_node(&t, tree, -1);
  free(t.names);
  return status;
}

/* ---- new groups: links in the header ------------------------------------------------------ */

enum { LINK_NUMBERED = 4, LINK_KIND = 8, LINK_CHARSET = 16 };

static asl_status visit_link(asl_cursor c, asl_hdf5_link_visit visit, void *context) {
  int version = (int)asl_take(&c, 1);
  unsigned flags = (unsigned)asl_take(&c, 1);
  if (version != 1) return asl_fail(ASL_EDATA, "a link of version %d is not read", version);
  int kind = flags & LINK_KIND ? (int)asl_take(&c, 1) : 0;
  if (flags & LINK_NUMBERED) asl_take(&c, 8);
  if (flags & LINK_CHARSET) asl_take(&c, 1);
  uint64_t n = asl_take(&c, 1 << (flags & 3));
  const uint8_t *bytes = n <= c.left ? asl_take_bytes(&c, (size_t)n) : NULL;
  if (!bytes || n == 0 || memchr(bytes, 0, (size_t)n))
    return asl_fail(ASL_EDATA, "damaged: the name of a link");
  asl_hdf5_link link = {.kind = kind == 0    ? "hard"
                                : kind == 1  ? "soft"
                                : kind == 64 ? "external"
                                             : "user-defined",
                        .header = kind == 0 ? asl_take(&c, 8) : ASL_HDF5_NOWHERE};
  ASL_TRY(asl_cursor_check(&c, "a link"));
  char *name = malloc((size_t)n + 1);
  if (!name)
    return asl_fail(ASL_ENOMEM, "no memory for a name of %llu bytes", (unsigned long long)n);
  memcpy(name, bytes, (size_t)n);
  name[n] = 0;
  link.name = name;
  asl_status status = visit(context, &link);
  free(name);
  return status;
}

/* ---- groups of either kind ---------------------------------------------------------------- */

typedef struct group {
  asl_hdf5_link_visit visit; /* NULL: only what it is is asked */
  void *context;
  uint64_t tree, heap;
  bool found, dense, has_table, is_dataset;
} group;

/* Where the links are: many of them lie in a heap of their own. */
static asl_status read_link_info(group *g, asl_cursor c) {
  asl_take(&c, 1);
  unsigned flags = (unsigned)asl_take(&c, 1);
  if (flags & 1) asl_take(&c, 8);
  g->dense = asl_take(&c, 8) != ASL_HDF5_NOWHERE;
  return asl_cursor_check(&c, "the head of a group");
}

static asl_status visit_message(void *context, const asl_hdf5_message *message) {
  group *g = context;
  asl_cursor c = {message->bytes, message->n, false};
  switch (message->type) {
  case ASL_HDF5_LAYOUT: g->is_dataset = true; return ASL_OK;
  case ASL_HDF5_GROUP_INFO: g->found = true; return ASL_OK;
  case ASL_HDF5_SYMBOL_TABLE:
    g->found = g->has_table = true;
    g->tree = asl_take(&c, 8);
    g->heap = asl_take(&c, 8);
    return asl_cursor_check(&c, "the head of a group");
  case ASL_HDF5_LINK_INFO: g->found = true; return read_link_info(g, c);
  case ASL_HDF5_LINK:
    g->found = true;
    return g->visit ? visit_link(c, g->visit, g->context) : ASL_OK;
  default: return ASL_OK;
  }
}

asl_status asl_hdf5_is_group(asl_hdf5_walk *walk, uint64_t header, bool *is_group) {
  group g = {.visit = NULL};
  *is_group = false;
  ASL_TRY(asl_hdf5_messages(walk, header, visit_message, &g));
  *is_group = g.found && !g.is_dataset;
  return ASL_OK;
}

asl_status asl_hdf5_links(asl_hdf5_walk *walk, uint64_t header, asl_hdf5_link_visit visit,
                          void *context) {
  group g = {.visit = visit, .context = context};
  ASL_TRY(asl_hdf5_messages(walk, header, visit_message, &g));
  if (g.is_dataset) return asl_fail(ASL_EDATA, "it is a dataset, not a group");
  if (!g.found) return asl_fail(ASL_EDATA, "it is no group");
  if (g.dense)
    return asl_fail(ASL_EDATA,
                    "a group whose links lie in a heap of their own (dense) is not read");
  return g.has_table ? visit_table(walk, g.tree, g.heap, visit, context) : ASL_OK;
}
