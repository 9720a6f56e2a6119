/* The safetensors format: 8 bytes with the length N of the header (little endian), N bytes of JSON,
 * then the tensors' elements, row-major, little endian. The header says where each is: the caller
 * reads and makes it; here are the frame and the elements.
 *
 * Files are not trusted; messages of reading begin with the path. */
#ifndef ASL_IO_SAFETENSORS_H
#define ASL_IO_SAFETENSORS_H

#include "io/torch_dtype.h"

/* The format allows 100 MB; a header of 16 MiB names some 100,000 tensors. */
enum { ASL_SAFETENSORS_MAX_HEADER = 16 << 20 };

typedef struct asl_safetensors asl_safetensors;

/* Opens a file and reads its header. ASL_EDATA, ASL_EIO, ASL_ENOMEM. */
asl_status asl_safetensors_open(const char *path, asl_safetensors **out);
void asl_safetensors_close(asl_safetensors *file); /* NULL allowed */

/* NUL-terminated, valid until close. */
const char *asl_safetensors_header(const asl_safetensors *file, size_t *bytes);

/* Bytes of elements behind the header. */
int64_t asl_safetensors_room(const asl_safetensors *file);

/* The elements from byte `begin` of that part on, as a new tensor, converted as torch_dtype.h says.
 * ASL_EDATA when they reach over the end; these messages do not name the tensor. */
asl_status asl_safetensors_tensor(const asl_safetensors *file, asl_file_dtype dtype,
                                  asl_shape shape, int64_t begin, bool narrow, asl_tensor **out);

/* Writes the header and contiguous CPU tensors one after the other, durably in place of `path`. */
asl_status asl_safetensors_write(const char *path, const char *header, size_t bytes,
                                 asl_tensor *const tensors[], size_t count);

#endif
