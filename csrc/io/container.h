/* The container: one file that holds a text header and tensors, sealed by a digest.
 *
 *   0      8   magic "ASLCKPT1"
 *   8      8   H, the header's length (integers are unsigned, little endian)
 *   16     H   header: text that the caller understands; it lists dtype and shape of every tensor
 *   D          the tensors' elements, row-major, little endian, one after the other; D and every
 *              tensor begin at a multiple of 64, the gaps are zero
 *   E      32  SHA-256 of all bytes before E, a multiple of 64
 *   E+32   8   E+40, the length of the file
 *
 * The same header and tensors give the same bytes. Files are not trusted: the digest is checked at
 * open, every size before memory is taken, and tensors are read one after the other, so a file cannot
 * ask for more memory than it has bytes. ASL_EDATA tells what is broken, ASL_EIO what could not be
 * read, with the path. */
#ifndef ASL_IO_CONTAINER_H
#define ASL_IO_CONTAINER_H

#include <stddef.h>
#include <stdint.h>

#include "tensor/tensor.h"

enum { ASL_CONTAINER_ALIGN = 64, ASL_CONTAINER_MAX_HEADER = 64 << 20 };

/* Writes a container and puts it in place of `path` at once, durably. ASL_EINVAL when the header is
 * too long; on any failure what was at `path` stays. */
asl_status asl_container_write(const char *path, const char *header, size_t bytes,
                               asl_tensor *const tensors[], int64_t count);

typedef struct asl_container asl_container;

/* Opens and checks a whole file. */
asl_status asl_container_open(const char *path, asl_container **out);

/* The header, NUL-terminated; valid until close. */
const char *asl_container_header(const asl_container *container, size_t *bytes);

/* Reads the next tensor; dtype and shape are what the header says of it. */
asl_status asl_container_tensor(asl_container *container, asl_dtype dtype, asl_shape shape,
                                asl_tensor **out);

/* ASL_EDATA unless every tensor has been read. */
asl_status asl_container_end(const asl_container *container);

void asl_container_close(asl_container *container); /* NULL allowed */

#endif
