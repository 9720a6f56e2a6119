/* The bytes of a file one after the other, inflated where it is gzip (RFC 1952; several members may
 * follow each other, as pigz and bgzip write them). Damage is an error: a checksum that does not
 * match, an end that comes too early, bytes that do not belong to it. Messages do not name the
 * file. */
#ifndef ASL_DATA_STREAM_H
#define ASL_DATA_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef struct asl_stream asl_stream;

/* With `digest` the file's own bytes, compressed as they are, are hashed as they pass. ASL_EIO,
 * ASL_EDATA (empty, compressed otherwise: xz, bzip2, zstd, zip), ASL_ENOMEM. */
asl_status asl_stream_open(const char *path, bool digest, asl_stream **out);
void asl_stream_close(asl_stream *stream); /* NULL allowed */

/* Whether bytes can be passed over without reading them: a plain file that is not hashed. */
bool asl_stream_seekable(const asl_stream *stream);

/* At most n bytes, fewer only where the end comes: *got says how many. */
asl_status asl_stream_read(asl_stream *stream, void *to, size_t n, size_t *got);

/* Passes over n bytes; ASL_EDATA where there are fewer. */
asl_status asl_stream_skip(asl_stream *stream, uint64_t n);

/* Reads to the end, so that all of it has been checked and hashed. */
asl_status asl_stream_drain(asl_stream *stream);

/* Of the file: its length, and how many of its bytes have been read. */
int64_t asl_stream_length(const asl_stream *stream);
int64_t asl_stream_done(const asl_stream *stream);

/* SHA-256 of the file, once it has been drained. */
void asl_stream_digest(asl_stream *stream, char hex[65]);

#endif
