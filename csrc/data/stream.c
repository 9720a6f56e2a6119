#define _GNU_SOURCE
#include "data/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <zlib.h>

#include "base/digest.h"

enum { CHUNK = 1 << 20 };

struct asl_stream {
  int fd;
  int64_t length, done; /* bytes of the file */
  asl_sha256 *sha;
  bool gzip, inflating; /* between two members it is not inflating */
  bool begun;           /* the inflater has been set up */
  z_stream z;           /* its input is what of the chunk is left, also of plain files */
  uint8_t chunk[CHUNK];
};

static asl_status truncated(const asl_stream *s) {
  return asl_fail(ASL_EDATA, "it ends too early, after %lld bytes: it is cut off",
                  (long long)s->done);
}

/* The next chunk of the file; none at its end. */
static asl_status refill(asl_stream *s) {
  ssize_t got;
  do got = read(s->fd, s->chunk, CHUNK);
  while (got < 0 && errno == EINTR);
  if (got < 0) return asl_fail(ASL_EIO, "cannot read it: %m");
  if (s->sha) asl_sha256_add(s->sha, s->chunk, (size_t)got);
  s->done += got;
  s->z.next_in = s->chunk;
  s->z.avail_in = (uInt)got;
  return ASL_OK;
}

/* ---- gzip --------------------------------------------------------------------------------- */

static asl_status begin_member(asl_stream *s) {
  int code = s->begun ? inflateReset(&s->z) : inflateInit2(&s->z, 15 + 16);
  if (code != Z_OK) return asl_fail(ASL_ENOMEM, "no memory to inflate it");
  s->begun = s->inflating = true;
  return ASL_OK;
}

/* After a member: another, or zeros, with which tapes are filled up. */
static asl_status between_members(asl_stream *s, bool *end) {
  for (;;) {
    if (s->z.avail_in == 0) ASL_TRY(refill(s));
    *end = s->z.avail_in == 0;
    if (*end) return ASL_OK;
    if (*s->z.next_in == 0x1f) return begin_member(s);
    if (*s->z.next_in != 0)
      return asl_fail(ASL_EDATA, "something that is not gzip follows its end (byte %lld)",
                      (long long)s->done - s->z.avail_in);
    s->z.next_in++;
    s->z.avail_in--;
  }
}

static asl_status inflate_some(asl_stream *s, void *to, size_t n, size_t *got) {
  s->z.next_out = to;
  s->z.avail_out = (uInt)(n < CHUNK ? n : CHUNK);
  size_t room = s->z.avail_out;
  while (s->z.avail_out == room) {
    bool end = false;
    if (!s->inflating) ASL_TRY(between_members(s, &end));
    if (end) break;
    if (s->z.avail_in == 0) ASL_TRY(refill(s));
    if (s->z.avail_in == 0) return truncated(s);
    int code = inflate(&s->z, Z_NO_FLUSH);
    if (code == Z_STREAM_END) s->inflating = false;
    else if (code == Z_MEM_ERROR) return asl_fail(ASL_ENOMEM, "no memory to inflate it");
    else if (code != Z_OK && code != Z_BUF_ERROR)
      return asl_fail(ASL_EDATA, "it is damaged before byte %lld: %s",
                      (long long)s->done - s->z.avail_in, s->z.msg ? s->z.msg : "not gzip");
  }
  *got = room - s->z.avail_out;
  return ASL_OK;
}

/* ---- both --------------------------------------------------------------------------------- */

static asl_status copy_some(asl_stream *s, void *to, size_t n, size_t *got) {
  if (s->z.avail_in == 0) ASL_TRY(refill(s));
  *got = n < s->z.avail_in ? n : s->z.avail_in;
  if (*got) memcpy(to, s->z.next_in, *got);
  s->z.next_in += *got;
  s->z.avail_in -= (uInt)*got;
  return ASL_OK;
}

asl_status asl_stream_read(asl_stream *s, void *to, size_t n, size_t *got) {
  *got = 0;
  while (*got < n) {
    size_t some;
    ASL_TRY((s->gzip ? inflate_some : copy_some)(s, (uint8_t *)to + *got, n - *got, &some));
    if (some == 0) return ASL_OK;
    *got += some;
  }
  return ASL_OK;
}

bool asl_stream_seekable(const asl_stream *s) { return !s->gzip && !s->sha; }

asl_status asl_stream_skip(asl_stream *s, uint64_t n) {
  uint64_t here = n < s->z.avail_in ? n : s->z.avail_in;
  if (asl_stream_seekable(s)) {
    s->z.next_in += here;
    s->z.avail_in -= (uInt)here;
    n -= here;
    if (n > (uint64_t)(s->length - s->done)) {
      s->done = s->length;
      return truncated(s);
    }
    if (n && lseek(s->fd, (off_t)n, SEEK_CUR) < 0) return asl_fail(ASL_EIO, "cannot read it: %m");
    s->done += (int64_t)n;
    return ASL_OK;
  }
  uint8_t waste[4096];
  while (n > 0) {
    size_t got;
    ASL_TRY(asl_stream_read(s, waste, n < sizeof waste ? (size_t)n : sizeof waste, &got));
    if (got == 0) return truncated(s);
    n -= got;
  }
  return ASL_OK;
}

asl_status asl_stream_drain(asl_stream *s) {
  uint8_t waste[4096];
  if (asl_stream_seekable(s)) return ASL_OK;
  for (size_t got = 1; got > 0;) ASL_TRY(asl_stream_read(s, waste, sizeof waste, &got));
  return ASL_OK;
}

int64_t asl_stream_length(const asl_stream *s) { return s->length; }
int64_t asl_stream_done(const asl_stream *s) { return s->done; }

void asl_stream_digest(asl_stream *s, char hex[65]) {
  if (s->sha) asl_sha256_finish(s->sha, hex);
  else *hex = 0;
  s->sha = NULL;
}

/* ---- opening ------------------------------------------------------------------------------ */

static asl_status check_kind(asl_stream *s) {
  static const struct {
    const char *name, *bytes;
    size_t n;
  } others[] = {{"zip", "PK\3\4", 4},
                {"xz",
                 "\xfd"
                 "7zXZ",
                 5},
                {"bzip2", "BZh", 3},
                {"zstd", "\x28\xb5\x2f\xfd", 4}};
  ASL_TRY(refill(s));
  if (s->z.avail_in == 0) return asl_fail(ASL_EDATA, "it is empty");
  for (size_t i = 0; i < sizeof others / sizeof *others; i++)
    if (s->z.avail_in >= others[i].n && memcmp(s->chunk, others[i].bytes, others[i].n) == 0)
      return asl_fail(ASL_EDATA, "it is %s; a tar file is read, plain or compressed by gzip",
                      others[i].name);
  s->gzip = s->z.avail_in >= 2 && s->chunk[0] == 0x1f && s->chunk[1] == 0x8b;
  return s->gzip ? begin_member(s) : ASL_OK;
}

static asl_status open_stream(asl_stream *s, const char *path, bool digest) {
  struct stat st;
  s->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (s->fd < 0) return asl_fail(ASL_EIO, "cannot open it: %m");
  if (fstat(s->fd, &st) != 0) return asl_fail(ASL_EIO, "cannot look at it: %m");
  if (!S_ISREG(st.st_mode)) return asl_fail(ASL_EIO, "it is no file");
  s->length = (int64_t)st.st_size;
  if (digest && !(s->sha = asl_sha256_new())) return asl_fail(ASL_ENOMEM, "no memory for a digest");
  return check_kind(s);
}

asl_status asl_stream_open(const char *path, bool digest, asl_stream **out) {
  *out = NULL;
  asl_stream *s = malloc(sizeof *s);
  if (!s) return asl_fail(ASL_ENOMEM, "no memory to read an archive");
  memset(s, 0, offsetof(asl_stream, chunk));
  s->fd = -1;
  asl_status status = open_stream(s, path, digest);
  if (status == ASL_OK) *out = s;
  else asl_stream_close(s);
  return status;
}

void asl_stream_close(asl_stream *s) {
  if (!s) return;
  char hex[65];
  asl_stream_digest(s, hex);
  if (s->begun) inflateEnd(&s->z);
  if (s->fd >= 0) close(s->fd);
  free(s);
}
