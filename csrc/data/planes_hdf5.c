#include "data/planes_hdf5.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void type_name(const asl_hdf5_dataset *d, char *out, size_t n) {
  if (d->value_class == ASL_HDF5_REFERENCE) snprintf(out, n, "references");
  else
    snprintf(out, n, "%c%d",
             d->value_class == ASL_HDF5_FLOAT ? 'f'
             : d->is_signed                   ? 'i'
                                              : 'u',
             8 * d->value_bytes);
}

static void shape_text(const asl_hdf5_dataset *d, char *out, size_t n) {
  size_t used = 0;
  out[0] = 0;
  for (int i = 0; i < d->rank && used < n; i++)
    used += (size_t)snprintf(out + used, n - used, i ? ", %lld" : "%lld", (long long)d->size[i]);
}

asl_status asl_hdf5_expect(const asl_hdf5 *file, const char *name, const char *type, int rank,
                           const char *shape, asl_hdf5_dataset *out) {
  char found[16], size[32 * ASL_HDF5_MAX_RANK];
  ASL_TRY(asl_hdf5_find(file, name, out));
  type_name(out, found, sizeof found);
  bool fits = strcmp(found, type) == 0 || (strcmp(type, "f") == 0 && found[0] == 'f');
  if (fits && out->rank == rank) return ASL_OK;
  shape_text(out, size, sizeof size);
  return asl_fail(ASL_EDATA, "\"%s\" is %s (%s); expected %s (%s)", name, found, size,
                  strcmp(type, "f") == 0 ? "floats" : type, shape);
}

asl_status asl_label_class(const asl_label_table *table, int value, int offset, int row, int column,
                           uint8_t *out) {
  int at = value + offset;
  int class_id = at >= 0 && at < table->values ? table->map[at] : ASL_LABEL_UNKNOWN;
  if (class_id == ASL_LABEL_UNKNOWN)
    return asl_fail(ASL_EDATA, "the label value %d (row %d, column %d) is not in the table %s",
                    value, row + 1, column + 1, table->name);
  *out = (uint8_t)class_id;
  return ASL_OK;
}

bool asl_label_table_copy(const asl_label_table *table, asl_label_table *out) {
  size_t bytes = (size_t)table->values * sizeof *table->map;
  int16_t *map = malloc(bytes + 1);
  char *name = strdup(table->name);
  *out = (asl_label_table){map, table->values, name};
  if (map) memcpy(map, table->map, bytes);
  return map && name;
}

void asl_label_table_free(asl_label_table *table) {
  free((void *)(uintptr_t)table->map);
  free((void *)(uintptr_t)table->name);
  *table = (asl_label_table){0};
}
