/* What the sources of HDF5 files share: datasets of an expected kind, label values to classes. */
#ifndef ASL_DATA_PLANES_HDF5_H
#define ASL_DATA_PLANES_HDF5_H

#include "data/hdf5.h"
#include "data/source_files.h"

/* The dataset of a name, which must have this type and rank. `type` is "u8", "u16", "i16", ..., or
 * "f": a float of any size; `shape` says for messages what its dimensions are. ASL_EDATA. */
asl_status asl_hdf5_expect(const asl_hdf5 *file, const char *name, const char *type, int rank,
                           const char *shape, asl_hdf5_dataset *out);

/* The class of a label value: `value` + `offset` is where the table has it (tables of values from
 * -1 have the offset 1). ASL_EDATA, naming value, place and table, when it is not there. */
asl_status asl_label_class(const asl_label_table *table, int value, int offset, int row, int column,
                           uint8_t *out);

/* A copy of a table; `name` and `map` are to be freed. False without memory. */
bool asl_label_table_copy(const asl_label_table *table, asl_label_table *out);
void asl_label_table_free(asl_label_table *table); /* a cleared one is allowed */

#endif
