#define _GNU_SOURCE
#include "data/tar.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "data/stream.h"

enum {
  BLOCK = 512,
  MAX_NAME = 4095,
  MAX_EXTENSION = 1 << 20, /* of a pax header or long name */
  MAX_COMPONENTS = 64,     /* of a name */
  DISK_BLOCK = 4096,
  BUFFER = 1 << 18,
};

struct asl_untar {
  asl_stream *stream;
  bool begun;                   /* a header was read */
  int folder;                   /* -1 = only count */
  int file;                     /* the one being written, or -1 */
  uint64_t left, padding;       /* bytes of the entry at hand, and after it to the next block */
  char name[MAX_NAME + 1];      /* of the entry at hand */
  char long_name[MAX_NAME + 1]; /* for the next entry; "" = none */
  bool has_size;
  uint64_t long_size;
  char made[MAX_NAME + 1]; /* the folder that was made last */
  asl_untar_state state;
  uint8_t buffer[BUFFER];
};

/* ---- headers ------------------------------------------------------------------------------ */

/* A field is octal, or, when its first bit is set, binary (GNU). Negative numbers are refused. */
static asl_status number(const uint8_t *field, size_t n, const char *what, uint64_t *out) {
  uint64_t value = 0;
  size_t i = 0;
  *out = 0;
  if (field[0] & 0x80) {
    value = field[0] & 0x7f;
    for (i = 1; i < n; i++) {
      if (value >> 55) return asl_fail(ASL_EDATA, "its %s is too large", what);
      value = value << 8 | field[i];
    }
  } else {
    while (i < n && field[i] == ' ') i++;
    for (; i < n && field[i] >= '0' && field[i] <= '7'; i++)
      value = value << 3 | (uint64_t)(field[i] - '0');
    if (i < n && field[i] != 0 && field[i] != ' ')
      return asl_fail(ASL_EDATA, "its %s is no octal number", what);
  }
  if (value >> 55) return asl_fail(ASL_EDATA, "its %s is too large", what);
  *out = value;
  return ASL_OK;
}

static bool is_zero(const uint8_t *block) {
  for (int i = 0; i < BLOCK; i++)
    if (block[i]) return false;
  return true;
}

static asl_status check_sum(const asl_untar *u, const uint8_t *block) {
  uint64_t wanted = 0, sum = 0;
  asl_status status = number(block + 148, 8, "checksum", &wanted);
  for (int i = 0; i < BLOCK; i++) sum += i >= 148 && i < 156 ? ' ' : block[i];
  if (status == ASL_OK && sum == wanted) return ASL_OK;
  if (!u->begun) return asl_fail(ASL_EDATA, "it is no tar file");
  return asl_fail(ASL_EDATA, "the header after %s does not match its checksum: it is damaged",
                  *u->name ? u->name : "the first");
}

/* A whole number of blocks into the buffer, or ASL_EDATA. */
static asl_status read_exactly(asl_untar *u, void *to, size_t n) {
  size_t got;
  ASL_TRY(asl_stream_read(u->stream, to, n, &got));
  if (got == n) return ASL_OK;
  return asl_fail(ASL_EDATA, "it ends too early, within or after %s: it is cut off",
                  *u->name ? u->name : "its first header");
}

/* ---- names -------------------------------------------------------------------------------- */

/* Drops "." and empty components; a directory's last slash too. */
static asl_status clean_name(const char *from, size_t n, char *to) {
  size_t used = 0, components = 0;
  if (n == 0 || n > MAX_NAME) return asl_fail(ASL_EDATA, "a name of %zu bytes", n);
  if (memchr(from, 0, n)) return asl_fail(ASL_EDATA, "a name with a NUL in it");
  if (*from == '/') return asl_fail(ASL_EDATA, "the name %.*s is absolute", (int)n, from);
  for (size_t i = 0; i < n;) {
    const char *part = from + i, *slash = memchr(part, '/', n - i);
    size_t length = slash ? (size_t)(slash - part) : n - i;
    i += length + 1;
    if (length == 0 || (length == 1 && *part == '.')) continue;
    if (length == 2 && part[0] == '.' && part[1] == '.')
      return asl_fail(ASL_EDATA, "the name %.*s leads out of the folder", (int)n, from);
    if (length > NAME_MAX || ++components > MAX_COMPONENTS)
      return asl_fail(ASL_EDATA, "the name %.*s is too long or too deep", (int)n, from);
    if (used) to[used++] = '/';
    memcpy(to + used, part, length);
    used += length;
  }
  to[used] = 0;
  return ASL_OK;
}

/* The name in a header itself: `prefix` is ustar's. */
static asl_status header_name(const uint8_t *block, char *to) {
  char whole[BLOCK];
  bool ustar = memcmp(block + 257, "ustar\0", 6) == 0;
  size_t prefix = ustar ? strnlen((const char *)block + 345, 155) : 0;
  int n = snprintf(whole, sizeof whole, "%.*s%s%.100s", (int)prefix, (const char *)block + 345,
                   prefix ? "/" : "", (const char *)block);
  return clean_name(whole, (size_t)n, to);
}

/* ---- extensions --------------------------------------------------------------------------- */

static asl_status take_long_name(asl_untar *u, const char *bytes, size_t n) {
  while (n > 0 && bytes[n - 1] == 0) n--;
  ASL_TRY(clean_name(bytes, n, u->long_name));
  return *u->long_name ? ASL_OK : asl_fail(ASL_EDATA, "the name %.*s names nothing", (int)n, bytes);
}

static asl_status take_long_size(asl_untar *u, const char *bytes, size_t n) {
  u->long_size = 0;
  for (size_t i = 0; i < n; i++) {
    if (bytes[i] < '0' || bytes[i] > '9' || u->long_size >> 51)
      return asl_fail(ASL_EDATA, "a size of %.*s bytes", (int)n, bytes);
    u->long_size = 10 * u->long_size + (uint64_t)(bytes[i] - '0');
  }
  u->has_size = n > 0;
  return ASL_OK;
}

static bool is_key(const char *key, size_t n, const char *name) {
  return n == strlen(name) && memcmp(key, name, n) == 0;
}

/* A record of a pax header is "LENGTH KEY=VALUE\n". */
static asl_status take_record(asl_untar *u, const char *record, size_t n, bool global) {
  const char *key = memchr(record, ' ', n),
             *equal = key ? memchr(key, '=', n - (size_t)(key - record)) : NULL;
  if (!equal || record[n - 1] != '\n') return asl_fail(ASL_EDATA, "a pax header is damaged");
  key++;
  size_t key_bytes = (size_t)(equal - key), bytes = n - (size_t)(equal + 1 - record) - 1;
  bool path = is_key(key, key_bytes, "path"), size = is_key(key, key_bytes, "size");
  if ((path || size) && global) return asl_fail(ASL_EDATA, "one name or size for all entries");
  if (path) return take_long_name(u, equal + 1, bytes);
  if (size) return take_long_size(u, equal + 1, bytes);
  if (key_bytes >= 11 && memcmp(key, "GNU.sparse.", 11) == 0)
    return asl_fail(ASL_EDATA, "a sparse file, which is not taken; make the archive without them");
  return ASL_OK;
}

static asl_status take_pax(asl_untar *u, const char *bytes, size_t n, bool global) {
  while (n > 0) {
    size_t length = 0, i = 0;
    for (; i < n && i < 8 && bytes[i] >= '0' && bytes[i] <= '9'; i++)
      length = 10 * length + (size_t)(bytes[i] - '0');
    if (i == 0 || length <= i + 1 || length > n || bytes[i] != ' ')
      return asl_fail(ASL_EDATA, "a pax header is damaged");
    ASL_TRY(take_record(u, bytes, length, global));
    bytes += length;
    n -= length;
  }
  return ASL_OK;
}

static asl_status take_extension(asl_untar *u, char type, uint64_t size) {
  if (size > MAX_EXTENSION)
    return asl_fail(ASL_EDATA, "a name or pax header of %llu bytes", (unsigned long long)size);
  size_t whole = ((size_t)size + BLOCK - 1) / BLOCK * BLOCK;
  char *bytes = malloc(whole + 1);
  if (!bytes) return asl_fail(ASL_ENOMEM, "no memory for a name");
  asl_status status = read_exactly(u, bytes, whole);
  if (status == ASL_OK && type == 'L') status = take_long_name(u, bytes, (size_t)size);
  if (status == ASL_OK && (type == 'x' || type == 'g'))
    status = take_pax(u, bytes, (size_t)size, type == 'g');
  free(bytes);
  return status;
}

/* ---- files and folders -------------------------------------------------------------------- */

/* Makes the folders that `name` lies in; with `all` also itself. */
static asl_status make_folders(asl_untar *u, const char *name, bool all) {
  char path[MAX_NAME + 1];
  size_t n = all ? strlen(name) : (size_t)(strrchr(name, '/') ? strrchr(name, '/') - name : 0);
  memcpy(path, name, n);
  path[n] = 0;
  if (n == 0 || strcmp(path, u->made) == 0) return ASL_OK;
  for (size_t i = 1; i <= n; i++) {
    if (i < n && path[i] != '/') continue;
    char kept = path[i];
    path[i] = 0;
    if (mkdirat(u->folder, path, 0777) != 0) {
      struct stat st;
      int cause = errno;
      bool there = cause == EEXIST && fstatat(u->folder, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
      if (there && !S_ISDIR(st.st_mode))
        return asl_fail(ASL_EDATA, "%s is a file and also a folder", path);
      errno = cause;
      if (!there) return asl_fail(ASL_EIO, "cannot make the folder %s: %m", path);
    }
    path[i] = kept;
  }
  memcpy(u->made, path, n + 1);
  return ASL_OK;
}

static asl_status check_room(const asl_untar *u, uint64_t size) {
  struct statvfs fs;
  if (fstatvfs(u->folder, &fs) != 0) return asl_fail(ASL_EIO, "cannot look at the disk: %m");
  uint64_t room = (uint64_t)fs.f_bavail * fs.f_frsize;
  if (size <= room) return ASL_OK;
  return asl_fail(ASL_EIO, "%s has %llu bytes and the disk has room for %llu", u->name,
                  (unsigned long long)size, (unsigned long long)room);
}

static asl_status begin_file(asl_untar *u, uint64_t size) {
  u->state.files++;
  u->state.bytes += (int64_t)size;
  u->state.room += (int64_t)((size + DISK_BLOCK - 1) / DISK_BLOCK * DISK_BLOCK);
  if (u->folder < 0) return ASL_OK;
  ASL_TRY(check_room(u, size));
  ASL_TRY(make_folders(u, u->name, false));
  u->file = openat(u->folder, u->name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
  if (u->file >= 0) return ASL_OK;
  if (errno == EEXIST) return asl_fail(ASL_EDATA, "%s is in it twice", u->name);
  return asl_fail(ASL_EIO, "cannot make %s: %m", u->name);
}

static asl_status end_file(asl_untar *u) {
  int fd = u->file;
  u->file = -1;
  if (fd >= 0 && close(fd) != 0) return asl_fail(ASL_EIO, "cannot finish %s: %m", u->name);
  return ASL_OK;
}

static asl_status write_all(asl_untar *u, size_t n) {
  for (size_t done = 0; done < n;) {
    ssize_t put = write(u->file, u->buffer + done, n - done);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return asl_fail(ASL_EIO, "cannot write %s: %m", u->name);
    done += (size_t)put;
  }
  return ASL_OK;
}

/* Some of the content of the entry at hand; then what fills its last block. */
static asl_status advance(asl_untar *u, int64_t *budget) {
  if (u->left > 0 && u->file < 0) { /* only counted */
    uint64_t all = u->left;
    u->left = 0;
    ASL_TRY(asl_wrap(asl_stream_skip(u->stream, all), "%s", u->name));
    *budget -= asl_stream_seekable(u->stream) ? BLOCK : (int64_t)all;
  } else if (u->left > 0) {
    size_t n = u->left < BUFFER ? (size_t)u->left : BUFFER;
    ASL_TRY(read_exactly(u, u->buffer, n));
    ASL_TRY(write_all(u, n));
    u->left -= n;
    *budget -= (int64_t)n;
  }
  if (u->left > 0) return ASL_OK;
  ASL_TRY(end_file(u));
  uint64_t padding = u->padding;
  u->padding = 0;
  return asl_wrap(asl_stream_skip(u->stream, padding), "%s", u->name);
}

/* ---- entries ------------------------------------------------------------------------------ */

static const char *kind_of(char type) {
  switch (type) {
  case '1': return "a hard link";
  case '2': return "a symbolic link";
  case '3':
  case '4': return "a device";
  case '6': return "a pipe";
  case 'S': return "a sparse file";
  case 'M': return "a part of a file";
  default: return "of an unknown kind";
  }
}

static asl_status take_name(asl_untar *u, const uint8_t *block) {
  if (*u->long_name) memcpy(u->name, u->long_name, sizeof u->name);
  else ASL_TRY(header_name(block, u->name));
  *u->long_name = 0;
  return ASL_OK;
}

static asl_status begin_entry(asl_untar *u, const uint8_t *block, char type, uint64_t size) {
  ASL_TRY(take_name(u, block));
  if (u->has_size) size = u->long_size;
  u->has_size = false;
  bool old_folder = type == 0 && block[0] && block[strnlen((const char *)block, 100) - 1] == '/';
  if (type == '5' || old_folder) { /* "." is the folder itself */
    if (size)
      return asl_fail(ASL_EDATA, "the folder %s has %llu bytes", u->name, (unsigned long long)size);
    return u->folder < 0 ? ASL_OK : make_folders(u, u->name, true);
  }
  if (type != '0' && type != 0 && type != '7')
    return asl_fail(ASL_EDATA, "%s is %s; only files and folders are taken", u->name,
                    kind_of(type));
  if (!*u->name) return asl_fail(ASL_EDATA, "a file without a name");
  u->left = size;
  u->padding = (BLOCK - size % BLOCK) % BLOCK;
  return begin_file(u, size);
}

/* Two blocks of zeros end an archive. */
static asl_status end_archive(asl_untar *u) {
  uint8_t block[BLOCK];
  ASL_TRY(read_exactly(u, block, BLOCK));
  if (!is_zero(block)) return asl_fail(ASL_EDATA, "a block of zeros stands after %s", u->name);
  if (u->has_size || *u->long_name)
    return asl_fail(ASL_EDATA, "its last header belongs to nothing");
  ASL_TRY(asl_stream_drain(u->stream));
  u->state.done = true;
  return ASL_OK;
}

static asl_status next_header(asl_untar *u) {
  uint8_t block[BLOCK];
  uint64_t size = 0;
  ASL_TRY(read_exactly(u, block, BLOCK));
  if (is_zero(block)) return end_archive(u);
  ASL_TRY(check_sum(u, block));
  u->begun = true;
  char type = (char)block[156];
  ASL_TRY(number(block + 124, 12, "size", &size));
  if (type == 'L' || type == 'K' || type == 'x' || type == 'g')
    return take_extension(u, type, size);
  return begin_entry(u, block, type, size);
}

asl_status asl_untar_step(asl_untar *u, int64_t bytes, asl_untar_state *state) {
  while (bytes > 0 && !u->state.done) {
    if (u->left > 0 || u->padding > 0 || u->file >= 0) {
      ASL_TRY(advance(u, &bytes));
    } else {
      ASL_TRY(next_header(u));
      bytes -= BLOCK;
    }
  }
  *state = u->state;
  state->read = asl_stream_done(u->stream);
  state->length = asl_stream_length(u->stream);
  return ASL_OK;
}

asl_status asl_untar_sync(const asl_untar *u) {
  if (u->folder < 0 || syncfs(u->folder) == 0) return ASL_OK;
  return asl_fail(ASL_EIO, "cannot bring it to the disk: %m");
}

bool asl_untar_counts_fast(const asl_untar *u) { return asl_stream_seekable(u->stream); }

void asl_untar_digest(asl_untar *u, char hex[65]) { asl_stream_digest(u->stream, hex); }

asl_status asl_untar_open(const char *archive, const char *folder, bool digest, asl_untar **out) {
  *out = NULL;
  asl_untar *u = calloc(1, sizeof *u);
  if (!u) return asl_fail(ASL_ENOMEM, "no memory to unpack an archive");
  u->folder = u->file = -1;
  asl_status status = asl_stream_open(archive, digest, &u->stream);
  if (status == ASL_OK && folder) {
    u->folder = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (u->folder < 0) status = asl_fail(ASL_EIO, "cannot open the folder \"%s\": %m", folder);
  }
  if (status == ASL_OK) *out = u;
  else asl_untar_close(u);
  return status;
}

void asl_untar_close(asl_untar *u) {
  if (!u) return;
  if (u->file >= 0) close(u->file);
  if (u->folder >= 0) close(u->folder);
  asl_stream_close(u->stream);
  free(u);
}

/* ---- disks -------------------------------------------------------------------------------- */

asl_status asl_free_bytes(const char *folder, int64_t *bytes) {
  struct statvfs fs;
  if (statvfs(folder, &fs) != 0) return asl_fail(ASL_EIO, "cannot look at \"%s\": %m", folder);
  *bytes = (int64_t)fs.f_bavail * (int64_t)fs.f_frsize;
  return ASL_OK;
}

asl_status asl_tree_size(const char *folder, int64_t *files, int64_t *bytes) {
  char *const roots[] = {(char *)(uintptr_t)folder, NULL};
  *files = *bytes = 0;
  FTS *tree = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
  if (!tree) return asl_fail(ASL_EIO, "cannot walk \"%s\": %m", folder);
  asl_status status = ASL_OK;
  FTSENT *entry;
  while (status == ASL_OK && (errno = 0, entry = fts_read(tree)) != NULL) {
    if (entry->fts_info == FTS_F) {
      (*files)++;
      *bytes += (int64_t)entry->fts_statp->st_size;
    } else if (entry->fts_info != FTS_D && entry->fts_info != FTS_DP) {
      errno = entry->fts_errno;
      status = asl_fail(ASL_EIO, "\"%s\" is not to be read, or neither file nor folder",
                        entry->fts_path);
    }
  }
  if (status == ASL_OK && errno) status = asl_fail(ASL_EIO, "cannot walk \"%s\": %m", folder);
  fts_close(tree);
  return status;
}
