/* A source: an immutable, indexed collection of samples that loader threads decode from.
 *
 * An implementation embeds asl_source as its first member, fills a static asl_source_type and calls
 * asl_source_init(). References are counted atomically because loader threads hold them. */
#ifndef ASL_DATA_SOURCE_H
#define ASL_DATA_SOURCE_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/status.h"
#include "data/sample.h"

typedef struct asl_source asl_source;

/* Takes a path, which lives until it returns. It may also leave by longjmp (as Lua does), so
 * whoever calls it holds nothing then. */
typedef asl_status (*asl_path_visit)(void *context, const char *path);

typedef struct asl_source_type {
  const char *name; /* for messages: "files", "rooms" */

  /* Decodes sample `index` (0-based, already checked) with at least the planes of the mask, which
   * the source is known to have. Sets up `out` with asl_sample_new(); on failure leaves nothing
   * held in it. A pure function of (source, index, planes), called by several threads at once: no
   * state that shows, no clock, no global random numbers. */
  asl_status (*decode)(const asl_source *source, int64_t index, uint32_t planes, asl_sample *out);

  /* Visits the files that sample `index` (already checked) is read from, also those that it shares
   * with others; a failure of `visit` ends that and is returned. NULL: there are none. */
  asl_status (*files)(const asl_source *source, int64_t index, asl_path_visit visit, void *context);

  /* Frees the source; called when the last reference goes. Cannot fail. */
  void (*free)(asl_source *source);
} asl_source_type;

struct asl_source {
  const asl_source_type *type;
  atomic_int refs;
  int64_t count;   /* samples */
  uint32_t planes; /* mask of the planes every sample has */
};

/* Sets the members, with one reference for the caller. */
void asl_source_init(asl_source *source, const asl_source_type *type, int64_t count,
                     uint32_t planes);

asl_source *asl_source_retain(asl_source *source);
void asl_source_release(asl_source *source); /* NULL allowed; cannot fail */

/* ASL_EINVAL, saying what is there, when the source lacks the sample or a plane of the mask. */
asl_status asl_source_check(const asl_source *source, int64_t index, uint32_t planes);

/* type->decode with its arguments checked; on failure `out` is cleared. */
asl_status asl_source_decode(const asl_source *source, int64_t index, uint32_t planes,
                             asl_sample *out);

/* type->files with its index checked. */
asl_status asl_source_visit_files(const asl_source *source, int64_t index, asl_path_visit visit,
                                  void *context);

#endif
