/* What the files hdf5*.c share. After the "HDF5 File Format Specification, version 3.0" of The HDF
 * Group, whose words (object header, message, symbol table, B-tree) are used.
 *
 * Nothing in a file is believed: what is asked for must lie within the file before memory is taken
 * for it, and one operation reads no more bytes of structure than the file has, so that structures
 * that refer to each other in a circle end with an error. Messages of the functions here do not
 * name file or dataset. */
#ifndef ASL_DATA_HDF5_PARTS_H
#define ASL_DATA_HDF5_PARTS_H

#include "base/read.h"
#include "data/hdf5.h"

struct asl_hdf5 {
  asl_input input;
  uint64_t base; /* of all addresses */
  uint64_t root; /* object header of the root group */
  char *path;
};

#define ASL_HDF5_NOWHERE UINT64_MAX /* the address of what is not there */

/* ---- hdf5_bytes.c: bytes at addresses ---------------------------------------------------------
 */

/* ASL_EDATA, naming `what`, unless n bytes from an address on lie in the file. */
asl_status asl_hdf5_reach(const asl_hdf5 *file, uint64_t address, uint64_t n, const char *what);

/* Reads n bytes, checked as above; ASL_EIO. */
asl_status asl_hdf5_load(const asl_hdf5 *file, uint64_t address, void *to, size_t n,
                         const char *what);

/* One operation on the structure of a file: what it may still read. */
typedef struct asl_hdf5_walk {
  const asl_hdf5 *file;
  uint64_t left;
} asl_hdf5_walk;

/* May read as many bytes as `times` files. */
asl_hdf5_walk asl_hdf5_start(const asl_hdf5 *file, uint64_t times);

/* Like asl_hdf5_load(), out of what the walk may still read. */
asl_status asl_hdf5_fetch(asl_hdf5_walk *walk, uint64_t address, void *to, size_t n,
                          const char *what);

/* The same into new memory, to be freed; *out is NULL after a failure. */
asl_status asl_hdf5_fetch_new(asl_hdf5_walk *walk, uint64_t address, uint64_t n, const char *what,
                              uint8_t **out);

/* A position in bytes; what is taken behind their end is 0 and leaves a mark. */
typedef struct asl_cursor {
  const uint8_t *at;
  size_t left;
  bool over;
} asl_cursor;

uint64_t asl_take(asl_cursor *c, int bytes);            /* a little-endian number of 1 to 8 bytes */
const uint8_t *asl_take_bytes(asl_cursor *c, size_t n); /* NULL when over */
asl_status asl_cursor_check(const asl_cursor *c, const char *what); /* ASL_EDATA when over */

/* Bob Jenkins' lookup3, with which newer structures are protected. */
uint32_t asl_lookup3(const uint8_t *bytes, size_t n);


/* ---- hdf5_header.c: object headers ------------------------------------------------------------
 */

enum {
  ASL_HDF5_DATASPACE = 0x01,
  ASL_HDF5_LINK_INFO = 0x02,
  ASL_HDF5_DATATYPE = 0x03,
  ASL_HDF5_OLD_FILL = 0x04,
  ASL_HDF5_FILL = 0x05,
  ASL_HDF5_LINK = 0x06,
  ASL_HDF5_EXTERNAL_FILES = 0x07,
  ASL_HDF5_LAYOUT = 0x08,
  ASL_HDF5_GROUP_INFO = 0x0A,
  ASL_HDF5_FILTERS = 0x0B,
  ASL_HDF5_CONTINUATION = 0x10,
  ASL_HDF5_SYMBOL_TABLE = 0x11,
  ASL_HDF5_MESSAGE_TYPES = 0x19 /* those from here on are not known */
};

typedef struct asl_hdf5_message {
  int type;
  bool shared; /* the bytes say where it stands, and are not the message */
  const uint8_t *bytes;
  size_t n;
} asl_hdf5_message;

typedef asl_status (*asl_hdf5_message_visit)(void *context, const asl_hdf5_message *message);

/* Calls visit for every message of an object header until it fails. ASL_EDATA, ASL_EIO, ASL_ENOMEM,
 * or what visit returned. */
asl_status asl_hdf5_messages(asl_hdf5_walk *walk, uint64_t header, asl_hdf5_message_visit visit,
                             void *context);

/* ---- hdf5_form.c: what a dataset's header says ------------------------------------------------
 */

typedef enum asl_hdf5_layout {
  ASL_HDF5_COMPACT,    /* the values stand in the header */
  ASL_HDF5_CONTIGUOUS, /* in one piece */
  ASL_HDF5_CHUNKED
} asl_hdf5_layout;

typedef enum asl_hdf5_index { /* of chunks */
                              ASL_HDF5_BTREE,
                              ASL_HDF5_SINGLE,  /* there is one */
                              ASL_HDF5_IMPLICIT /* all of them lie one after the other */
} asl_hdf5_index;

enum { ASL_HDF5_DEFLATE = 1, ASL_HDF5_SHUFFLE = 2, ASL_HDF5_FLETCHER32 = 3 };
enum { ASL_HDF5_MAX_FILTERS = 8, ASL_HDF5_MAX_CHUNK = 1 << 28 /* bytes */ };

typedef struct asl_hdf5_form {
  asl_hdf5_dataset dataset;
  bool swapped; /* the other byte order than here */
  asl_hdf5_layout layout;
  uint64_t address; /* of the values or their index; ASL_HDF5_NOWHERE: not written, all are fill */
  uint64_t stored;  /* bytes at the address, where they are not to be found there */
  uint8_t *compact; /* owned */
  asl_hdf5_index index;
  uint32_t single_mask; /* filters left out, of ASL_HDF5_SINGLE */
  int64_t chunk[ASL_HDF5_MAX_RANK];
  size_t chunk_bytes; /* at most ASL_HDF5_MAX_CHUNK */
  int filters;        /* in the order in which they were applied */
  struct asl_hdf5_filter {
    int id;
    uint32_t value; /* of shuffle: bytes of an element */
  } filter[ASL_HDF5_MAX_FILTERS];
  uint8_t fill[8]; /* as in the file */
} asl_hdf5_form;

/* Reads the header of a dataset; values in one piece have been found to lie in the file. ASL_EDATA
 * also for a group and for what is not understood. To be freed with asl_hdf5_form_free(), also
 * after a failure. */
asl_status asl_hdf5_form_read(asl_hdf5_walk *walk, uint64_t header, asl_hdf5_form *out);
void asl_hdf5_form_free(asl_hdf5_form *form);

/* Bytes of all values, and whether the product fits (2^62). */
bool asl_hdf5_bytes(const asl_hdf5_dataset *dataset, const int64_t *count, int64_t *bytes);

/* ---- hdf5_group.c: links ----------------------------------------------------------------------
 */

typedef struct asl_hdf5_link {
  const char *name; /* lives during the visit */
  const char *kind; /* "hard", "soft", "external", "user-defined" */
  uint64_t header;  /* of a hard link */
} asl_hdf5_link;

typedef asl_status (*asl_hdf5_link_visit)(void *context, const asl_hdf5_link *link);

/* Calls visit for every link of a group until it fails. ASL_EDATA when it is no group. */
asl_status asl_hdf5_links(asl_hdf5_walk *walk, uint64_t header, asl_hdf5_link_visit visit,
                          void *context);

/* Whether an object header is that of a group. */
asl_status asl_hdf5_is_group(asl_hdf5_walk *walk, uint64_t header, bool *is_group);

/* ---- hdf5_chunks.c, hdf5_filters.c: chunks ----------------------------------------------------
 */

typedef struct asl_hdf5_chunk {
  int64_t at[ASL_HDF5_MAX_RANK]; /* position of its first value */
  uint64_t address, stored;      /* where its bytes lie, and how many */
  uint32_t mask;                 /* bit i: filter i was left out */
} asl_hdf5_chunk;

typedef asl_status (*asl_hdf5_chunk_visit)(void *context, const asl_hdf5_chunk *chunk);

/* Calls visit for every stored chunk that touches the block, until it fails. The block lies in the
 * dataset and is not empty. Chunks that were never written are not visited. */
asl_status asl_hdf5_chunks(asl_hdf5_walk *walk, const asl_hdf5_form *form, const int64_t *first,
                           const int64_t *count, asl_hdf5_chunk_visit visit, void *context);

/* Memory for decoding one chunk after the other; {0} at first. */
typedef struct asl_hdf5_decoder {
  uint8_t *raw, *a, *b;
  size_t raw_bytes, work_bytes;
} asl_hdf5_decoder;

/* The chunk's form->chunk_bytes bytes, valid until the next call. ASL_EDATA, ASL_EIO, ASL_ENOMEM.
 */
asl_status asl_hdf5_decode(asl_hdf5_decoder *decoder, const asl_hdf5 *file,
                           const asl_hdf5_form *form, const asl_hdf5_chunk *chunk,
                           const uint8_t **values);
void asl_hdf5_decoder_free(asl_hdf5_decoder *decoder);

#endif
