#include "data/hdf5_parts.h"

#include <stdlib.h>
#include <string.h>

/* ---- opening ------------------------------------------------------------------------------ */

static const uint8_t signature[8] = {0x89, 'H', 'D', 'F', '\r', '\n', 0x1A, '\n'};

/* What a superblock says; addresses in it are counted from its own place. */
typedef struct superblock {
  uint64_t base, end, root;
} superblock;

static asl_status check_sizes(unsigned offset, unsigned length) {
  if (offset == 8 && length == 8) return ASL_OK;
  return asl_fail(ASL_EDATA, "addresses of %u bytes and sizes of %u; read are those of 8", offset,
                  length);
}

/* Versions 0 and 1: version 1 has 4 more bytes before the addresses. */
static asl_status read_old(asl_hdf5_walk *walk, int version, superblock *out) {
  uint8_t bytes[24 + 4 + 4 * 8 + 40];
  size_t before = version == 0 ? 24 : 28;
  ASL_TRY(asl_hdf5_fetch(walk, 0, bytes, before + 4 * 8 + 40, "the superblock"));
  ASL_TRY(check_sizes(bytes[13], bytes[14]));
  asl_cursor c = {bytes + before, 4 * 8 + 40, false};
  out->base = asl_take(&c, 8);
  asl_take(&c, 8); /* free space */
  out->end = asl_take(&c, 8);
  asl_take(&c, 8); /* driver */
  asl_take(&c, 8); /* the root group's name */
  out->root = asl_take(&c, 8);
  return ASL_OK;
}

/* Versions 2 and 3. */
static asl_status read_new(asl_hdf5_walk *walk, superblock *out) {
  uint8_t bytes[48];
  ASL_TRY(asl_hdf5_fetch(walk, 0, bytes, sizeof bytes, "the superblock"));
  ASL_TRY(check_sizes(bytes[9], bytes[10]));
  asl_cursor c = {bytes + 12, 36, false};
  out->base = asl_take(&c, 8);
  asl_take(&c, 8); /* extension */
  out->end = asl_take(&c, 8);
  out->root = asl_take(&c, 8);
  if (asl_take(&c, 4) == asl_lookup3(bytes, 44)) return ASL_OK;
  return asl_fail(ASL_EDATA, "damaged: the superblock does not match its checksum");
}

/* The signature stands at 0, 512, 1024, 2048, ...: a user block may come before it. */
static asl_status find_superblock(asl_hdf5 *file) {
  uint8_t bytes[8];
  for (uint64_t at = 0;
       at < (uint64_t)file->input.size && sizeof bytes <= (uint64_t)file->input.size - at;
       at = at ? 2 * at : 512) {
    file->base = at;
    ASL_TRY(asl_hdf5_load(file, 0, bytes, sizeof bytes, "the signature"));
    if (memcmp(bytes, signature, sizeof bytes) == 0) return ASL_OK;
  }
  return asl_fail(ASL_EDATA, "no HDF5 file (it has no signature)");
}

static asl_status read_superblock(asl_hdf5 *file) {
  superblock s;
  uint8_t bytes[9];
  ASL_TRY(find_superblock(file));
  asl_hdf5_walk walk = asl_hdf5_start(file, 1);
  ASL_TRY(asl_hdf5_fetch(&walk, 0, bytes, sizeof bytes, "the superblock"));
  if (bytes[8] > 3)
    return asl_fail(ASL_EDATA, "a superblock of version %d; read are 0 to 3", bytes[8]);
  if (bytes[8] <= 1) ASL_TRY(read_old(&walk, bytes[8], &s));
  else ASL_TRY(read_new(&walk, &s));
  uint64_t room = (uint64_t)file->input.size - file->base;
  if (s.end < s.base || s.end - s.base > room)
    return asl_fail(ASL_EDATA, "truncated (%llu bytes; its superblock says it ends at %llu)",
                    (unsigned long long)file->input.size, (unsigned long long)s.end);
  file->root = s.root;
  return ASL_OK;
}

asl_status asl_hdf5_open(const char *path, asl_hdf5 **out) {
  asl_hdf5 *file = calloc(1, sizeof *file);
  *out = NULL;
  if (!file) return asl_fail(ASL_ENOMEM, "no memory");
  file->input.fd = -1;
  file->path = strdup(path);
  asl_status status =
      file->path ? asl_input_open(path, &file->input) : asl_fail(ASL_ENOMEM, "no memory");
  if (status == ASL_OK) status = asl_wrap(read_superblock(file), "%s", path);
  if (status == ASL_OK) *out = file;
  else asl_hdf5_close(file);
  return status;
}

void asl_hdf5_close(asl_hdf5 *file) {
  if (!file) return;
  asl_input_close(&file->input);
  free(file->path);
  free(file);
}

/* ---- names -------------------------------------------------------------------------------- */

enum { NAMES_SHOWN = 12 };

/* A link that is looked for by its name, and what else is there. */
typedef struct search {
  const char *name;
  size_t n;
  bool found;
  const char *kind;
  uint64_t header;
  int others;
  char listed[NAMES_SHOWN * 88];
} search;

static void list_other(search *s, const char *name) {
  if (s->others++ >= NAMES_SHOWN) return;
  if (s->others > 1) strcat(s->listed, ", ");
  strcat(s->listed, asl_show(name, strlen(name)).text);
}

static asl_status look(void *context, const asl_hdf5_link *link) {
  search *s = context;
  if (strlen(link->name) != s->n || memcmp(link->name, s->name, s->n) != 0) {
    list_other(s, link->name);
    return ASL_OK;
  }
  s->found = true;
  s->kind = link->kind;
  s->header = link->header;
  return ASL_OK;
}

static asl_status check_found(const search *s) {
  if (!s->found)
    return asl_fail(ASL_EDATA, "not there; there %s%s%s", s->others ? "are " : "is nothing",
                    s->listed, s->others > NAMES_SHOWN ? ", ..." : "");
  if (strcmp(s->kind, "hard") != 0)
    return asl_fail(ASL_EDATA, "a link (%s), which is not followed", s->kind);
  return ASL_OK;
}

/* The object header of a name, group by group. */
static asl_status resolve(const asl_hdf5 *file, const char *name, uint64_t *header) {
  *header = file->root;
  for (const char *at = name + strspn(name, "/"); *at;) {
    asl_hdf5_walk walk = asl_hdf5_start(file, 1);
    search s = {.name = at, .n = strcspn(at, "/")};
    ASL_TRY(asl_hdf5_links(&walk, *header, look, &s));
    ASL_TRY(check_found(&s));
    *header = s.header;
    at += s.n;
    at += strspn(at, "/");
  }
  return ASL_OK;
}

/* The dataset with an object header. */
static asl_status describe(const asl_hdf5 *file, uint64_t header, asl_hdf5_dataset *out) {
  asl_hdf5_walk walk = asl_hdf5_start(file, 1);
  asl_hdf5_form form;
  asl_status status = asl_hdf5_form_read(&walk, header, &form);
  *out = form.dataset;
  asl_hdf5_form_free(&form);
  return status;
}

asl_status asl_hdf5_find(const asl_hdf5 *file, const char *name, asl_hdf5_dataset *out) {
  uint64_t header;
  *out = (asl_hdf5_dataset){0};
  asl_status status = resolve(file, name, &header);
  if (status == ASL_OK) status = describe(file, header, out);
  return asl_wrap(status, "%s: \"%s\"", file->path, asl_show(name, strlen(name)).text);
}

asl_status asl_hdf5_refer(const asl_hdf5 *file, uint64_t reference, asl_hdf5_dataset *out) {
  *out = (asl_hdf5_dataset){0};
  asl_status status = reference == 0 || reference == ASL_HDF5_NOWHERE
                          ? asl_fail(ASL_EDATA, "it refers to nothing")
                          : describe(file, reference, out);
  return asl_wrap(status, "%s: the reference %llu", file->path, (unsigned long long)reference);
}

typedef struct listing {
  asl_hdf5_walk looks; /* at what the links lead to: several may lead to the same */
  asl_status (*visit)(void *context, const char *name, bool is_group);
  void *context;
} listing;

enum { LISTING_LOOKS = 64 };

static asl_status list_link(void *context, const asl_hdf5_link *link) {
  listing *l = context;
  bool is_group = false;
  if (strcmp(link->kind, "hard") == 0)
    ASL_TRY(asl_wrap(asl_hdf5_is_group(&l->looks, link->header, &is_group), "\"%s\"",
                     asl_show(link->name, strlen(link->name)).text));
  return l->visit(l->context, link->name, is_group);
}

asl_status asl_hdf5_list(const asl_hdf5 *file, const char *group,
                         asl_status (*visit)(void *context, const char *name, bool is_group),
                         void *context) {
  uint64_t header;
  listing l = {asl_hdf5_start(file, LISTING_LOOKS), visit, context};
  asl_hdf5_walk walk = asl_hdf5_start(file, 1);
  asl_status status = resolve(file, group, &header);
  if (status == ASL_OK) status = asl_hdf5_links(&walk, header, list_link, &l);
  return asl_wrap(status, "%s: \"%s\"", file->path, asl_show(group, strlen(group)).text);
}
