#include "data/source.h"

void asl_source_init(asl_source *source, const asl_source_type *type, int64_t count,
                     uint32_t planes) {
  source->type = type;
  atomic_init(&source->refs, 1);
  source->count = count;
  source->planes = planes;
}

asl_source *asl_source_retain(asl_source *source) {
  atomic_fetch_add_explicit(&source->refs, 1, memory_order_relaxed);
  return source;
}

void asl_source_release(asl_source *source) {
  if (!source) return;
  if (atomic_fetch_sub_explicit(&source->refs, 1, memory_order_acq_rel) == 1)
    source->type->free(source);
}

asl_status asl_source_check(const asl_source *source, int64_t index, uint32_t planes) {
  if (index < 0 || index >= source->count)
    return asl_fail(ASL_EINVAL, "sample %lld of a source of %lld samples", (long long)index + 1,
                    (long long)source->count);
  for (int p = 0; p < ASL_PLANES; p++)
    if (planes >> p & ~source->planes >> p & 1)
      return asl_fail(ASL_EINVAL, "the source \"%s\" has no plane \"%s\"", source->type->name,
                      asl_planes[p].name);
  return ASL_OK;
}

asl_status asl_source_decode(const asl_source *source, int64_t index, uint32_t planes,
                             asl_sample *out) {
  *out = (asl_sample){0};
  ASL_TRY(asl_source_check(source, index, planes));
  return source->type->decode(source, index, planes, out);
}

asl_status asl_source_visit_files(const asl_source *source, int64_t index, asl_path_visit visit,
                                  void *context) {
  ASL_TRY(asl_source_check(source, index, 0));
  return source->type->files ? source->type->files(source, index, visit, context) : ASL_OK;
}
