#include "io/container.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/digest.h"
#include "io/file.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "containers hold little-endian numbers as they lie in memory"
#endif

static const char magic[8] = "ASLCKPT1";
enum { HEAD = 16, FOOT = 40, BLOCK = 1 << 20 };

/* The next multiple of the alignment. */
static int64_t align(int64_t bytes) {
  return (bytes + ASL_CONTAINER_ALIGN - 1) / ASL_CONTAINER_ALIGN * ASL_CONTAINER_ALIGN;
}

static void hex_to_bytes(const char hex[65], unsigned char out[32]) {
  for (int i = 0; i < 32; i++) {
    int high = hex[2 * i], low = hex[2 * i + 1];
    out[i] = (unsigned char)((high <= '9' ? high - '0' : high - 'a' + 10) << 4 |
                             (low <= '9' ? low - '0' : low - 'a' + 10));
  }
}

/* ---- writing ---------------------------------------------------------------------------- */

typedef struct writer {
  asl_file *file;
  asl_sha256 *sha;
} writer;

static asl_status put(writer *w, const void *bytes, size_t n) {
  asl_sha256_add(w->sha, bytes, n);
  return asl_file_write(w->file, bytes, n);
}

static asl_status put_padding(writer *w) {
  static const char zeros[ASL_CONTAINER_ALIGN];
  int64_t size = asl_file_size(w->file);
  return put(w, zeros, (size_t)(align(size) - size));
}

/* The elements in row-major order, whatever the strides. */
static asl_status put_elements(writer *w, const asl_tensor *t) {
  if (asl_tensor_contiguous(t)) return put(w, asl_tensor_data(t), (size_t)asl_tensor_bytes(t));
  char gathered[4096];
  size_t size = asl_dtype_size(t->dtype), n = 0;
  const char *data = asl_tensor_data(t);
  for (int64_t i = 0, count = asl_tensor_count(t); i < count; i++) {
    memcpy(gathered + n, data + asl_tensor_at(t, i) * (int64_t)size, size);
    n += size;
    if (n == sizeof gathered || i == count - 1) {
      ASL_TRY(put(w, gathered, n));
      n = 0;
    }
  }
  return ASL_OK;
}

static asl_status put_footer(writer *w) {
  char hex[65];
  unsigned char digest[32];
  asl_sha256_finish(w->sha, hex);
  w->sha = NULL;
  hex_to_bytes(hex, digest);
  uint64_t length = (uint64_t)asl_file_size(w->file) + FOOT;
  ASL_TRY(asl_file_write(w->file, digest, sizeof digest));
  return asl_file_write(w->file, &length, sizeof length);
}

static asl_status put_all(writer *w, const char *header, size_t bytes, asl_tensor *const tensors[],
                          int64_t count) {
  uint64_t length = bytes;
  ASL_TRY(put(w, magic, sizeof magic));
  ASL_TRY(put(w, &length, sizeof length));
  ASL_TRY(put(w, header, bytes));
  ASL_TRY(put_padding(w));
  for (int64_t i = 0; i < count; i++) {
    ASL_TRY(put_elements(w, tensors[i]));
    ASL_TRY(put_padding(w));
  }
  return put_footer(w);
}

asl_status asl_container_write(const char *path, const char *header, size_t bytes,
                               asl_tensor *const tensors[], int64_t count) {
  if (bytes > ASL_CONTAINER_MAX_HEADER)
    return asl_fail(ASL_EINVAL, "cannot write \"%s\": its header has %zu bytes, at most %d fit",
                    path, bytes, ASL_CONTAINER_MAX_HEADER);
  writer w = {0};
  ASL_TRY(asl_file_replace(path, &w.file));
  w.sha = asl_sha256_new();
  asl_status status = w.sha ? put_all(&w, header, bytes, tensors, count)
                            : asl_fail(ASL_ENOMEM, "out of memory for a digest");
  char unused[65];
  if (w.sha) asl_sha256_finish(w.sha, unused);
  if (status == ASL_OK) return asl_file_commit(w.file, true);
  asl_file_close(w.file);
  return status;
}

/* ---- reading ---------------------------------------------------------------------------- */

struct asl_container {
  int fd;
  char *path;
  char *header;
  size_t header_bytes;
  int64_t next; /* position of the next tensor */
  int64_t end;  /* position E */
};

static asl_status broken(const asl_container *c, const char *why) {
  return asl_fail(ASL_EDATA, "\"%s\" is no valid checkpoint: %s", c->path, why);
}

static asl_status get(const asl_container *c, int64_t at, void *bytes, size_t n) {
  for (size_t done = 0; done < n;) {
    ssize_t got = pread(c->fd, (char *)bytes + done, n - done, (off_t)(at + (int64_t)done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return asl_fail(ASL_EIO, "cannot read \"%s\": %m", c->path);
    if (got == 0) return broken(c, "it shrank while it was read");
    done += (size_t)got;
  }
  return ASL_OK;
}

static asl_status check_digest(const asl_container *c) {
  char *block = malloc(BLOCK);
  asl_sha256 *sha = asl_sha256_new();
  asl_status status = block && sha ? ASL_OK : asl_fail(ASL_ENOMEM, "out of memory for a digest");
  for (int64_t at = 0; at < c->end && status == ASL_OK; at += BLOCK) {
    size_t n = (size_t)(c->end - at < BLOCK ? c->end - at : BLOCK);
    status = get(c, at, block, n);
    if (status == ASL_OK) asl_sha256_add(sha, block, n);
  }
  char hex[65] = "";
  unsigned char want[32], have[32];
  if (sha) asl_sha256_finish(sha, hex);
  free(block);
  ASL_TRY(status);
  hex_to_bytes(hex, have);
  ASL_TRY(get(c, c->end, want, sizeof want));
  return memcmp(want, have, sizeof want) == 0 ? ASL_OK
                                              : broken(c, "its content does not match its digest");
}

static asl_status check_frame(asl_container *c) {
  struct stat st;
  if (fstat(c->fd, &st) != 0) return asl_fail(ASL_EIO, "cannot look at \"%s\": %m", c->path);
  if (!S_ISREG(st.st_mode)) return broken(c, "it is no file");
  int64_t size = (int64_t)st.st_size;
  char found[sizeof magic];
  uint64_t header, length;
  if (size < HEAD + FOOT) return broken(c, "it is too short");
  ASL_TRY(get(c, 0, found, sizeof found));
  if (memcmp(found, magic, sizeof magic) != 0) return broken(c, "it does not begin with ASLCKPT1");
  ASL_TRY(get(c, 8, &header, sizeof header));
  ASL_TRY(get(c, size - 8, &length, sizeof length));
  if (length != (uint64_t)size)
    return asl_fail(ASL_EDATA, "\"%s\" is no valid checkpoint: it has %lld bytes and its last "
                    "8 bytes do not say so: it is cut off or damaged", c->path, (long long)size);
  c->end = size - FOOT;
  if (c->end % ASL_CONTAINER_ALIGN != 0) return broken(c, "its parts are not aligned");
  if (header > ASL_CONTAINER_MAX_HEADER || (int64_t)header > c->end - HEAD)
    return broken(c, "its header is longer than the file or too long");
  c->header_bytes = (size_t)header;
  c->next = align(HEAD + (int64_t)header);
  return ASL_OK;
}

static asl_status read_container(asl_container *c) {
  ASL_TRY(check_frame(c));
  ASL_TRY(check_digest(c));
  c->header = malloc(c->header_bytes + 1);
  if (!c->header) return asl_fail(ASL_ENOMEM, "out of memory for the header of \"%s\"", c->path);
  c->header[c->header_bytes] = 0;
  return get(c, HEAD, c->header, c->header_bytes);
}

asl_status asl_container_open(const char *path, asl_container **out) {
  *out = NULL;
  asl_container *c = calloc(1, sizeof *c);
  if (!c) return asl_fail(ASL_ENOMEM, "out of memory for a container");
  c->fd = -1;
  c->path = strdup(path);
  asl_status status = c->path ? ASL_OK : asl_fail(ASL_ENOMEM, "out of memory for a path");
  if (status == ASL_OK) {
    c->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (c->fd < 0) status = asl_fail(ASL_EIO, "cannot open \"%s\": %m", path);
  }
  if (status == ASL_OK) status = read_container(c);
  if (status == ASL_OK) *out = c;
  else asl_container_close(c);
  return status;
}

const char *asl_container_header(const asl_container *container, size_t *bytes) {
  *bytes = container->header_bytes;
  return container->header;
}

asl_status asl_container_tensor(asl_container *c, asl_dtype dtype, asl_shape shape,
                                asl_tensor **out) {
  *out = NULL;
  int64_t bytes = (int64_t)asl_dtype_size(dtype), span = 1;
  for (int d = 0; d < shape.rank; d++)
    if (shape.size[d] < 0 || __builtin_mul_overflow(bytes, shape.size[d], &bytes) ||
        __builtin_mul_overflow(span, shape.size[d] ? shape.size[d] : 1, &span))
      return broken(c, "a tensor has an impossible shape");
  if (bytes > c->end - c->next) return broken(c, "a tensor reaches over the end");
  ASL_TRY(asl_tensor_new(dtype, shape, ASL_CPU, out));
  asl_status status = get(c, c->next, asl_tensor_data(*out), (size_t)bytes);
  if (status != ASL_OK) {
    asl_tensor_release(*out);
    *out = NULL;
    return status;
  }
  c->next += align(bytes);
  return ASL_OK;
}

asl_status asl_container_end(const asl_container *c) {
  return c->next == c->end ? ASL_OK : broken(c, "it holds more than its header names");
}

void asl_container_close(asl_container *c) {
  if (!c) return;
  if (c->fd >= 0) close(c->fd);
  free(c->header);
  free(c->path);
  free(c);
}
