#include "data/json_elements.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/read.h"

enum { BLOCK = 1 << 20, END = -1 };

struct asl_json_elements {
  char *path;
  asl_input file;
  char *keys[ASL_JSON_MAX_KEYS];
  bool seen[ASL_JSON_MAX_KEYS];
  int n;
  int current; /* the key whose array is being read, -1 between members, -2 before the object */
  bool first;  /* no element or member of the current array or object yet */
  char *block; /* of the file */
  size_t at, filled;
  uint64_t before; /* bytes of the file before the block */
  char *text;      /* what is being captured */
  size_t length, room;
};

enum { BETWEEN_MEMBERS = -1, BEFORE_OBJECT = -2, FINISHED = -3 };

static asl_status broken(const asl_json_elements *e, const char *what) {
  return asl_fail(ASL_EDATA, "%s: byte %llu: %s", e->path, (unsigned long long)(e->before + e->at),
                  what);
}

static asl_status truncated(const asl_json_elements *e) {
  return asl_fail(ASL_EDATA, "%s: truncated: the JSON text goes on behind its %llu bytes", e->path,
                  (unsigned long long)(e->before + e->filled));
}

/* ---- bytes -------------------------------------------------------------------------------- */

/* The next block of the file; an empty one at its end. */
static asl_status fill(asl_json_elements *e) {
  e->before += e->filled;
  e->at = e->filled = 0;
  uint64_t left = (uint64_t)e->file.size - e->before;
  size_t n = left < BLOCK ? (size_t)left : BLOCK;
  ASL_TRY(asl_wrap(asl_input_read(&e->file, (int64_t)e->before, e->block, n), "%s", e->path));
  e->filled = n;
  return ASL_OK;
}

/* The byte at the current place, END at the end of the file. */
static asl_status peek(asl_json_elements *e, int *c) {
  if (e->at == e->filled) ASL_TRY(fill(e));
  *c = e->at == e->filled ? END : (unsigned char)e->block[e->at];
  return ASL_OK;
}

/* Moves over n bytes of the block, kept when `capture`. */
static asl_status pass(asl_json_elements *e, size_t n, bool capture) {
  if (capture) {
    if (n > ASL_JSON_MAX_ELEMENT - e->length) return broken(e, "an element of more than 256 MiB");
    if (n > e->room - e->length) {
      size_t room = 2 * e->room + n + 4096;
      char *grown = realloc(e->text, room);
      if (!grown) return asl_fail(ASL_ENOMEM, "%s: no memory for %zu bytes", e->path, room);
      e->text = grown;
      e->room = room;
    }
    memcpy(e->text + e->length, e->block + e->at, n);
    e->length += n;
  }
  e->at += n;
  return ASL_OK;
}

/* ---- tokens ------------------------------------------------------------------------------- */

static asl_status skip_blanks(asl_json_elements *e, int *c) {
  for (;;) {
    ASL_TRY(peek(e, c));
    if (*c != ' ' && *c != '\n' && *c != '\r' && *c != '\t') return ASL_OK;
    e->at++;
  }
}

/* A string; the current place is its opening quote. */
static asl_status pass_string(asl_json_elements *e, bool capture) {
  ASL_TRY(pass(e, 1, capture));
  for (bool escaped = false;;) {
    int c;
    ASL_TRY(peek(e, &c));
    if (c == END) return truncated(e);
    size_t n = 0;
    while (e->at + n < e->filled) {
      char here = e->block[e->at + n++];
      if (escaped) {
        escaped = false;
      } else if (here == '\\') {
        escaped = true;
      } else if (here == '"') {
        return pass(e, n, capture);
      }
    }
    ASL_TRY(pass(e, n, capture));
  }
}

/* What ends a run of bytes that need no look; commas matter outside brackets only. */
static const bool special[256] = {
    ['"'] = true, ['['] = true, [']'] = true, ['{'] = true, ['}'] = true};

static bool is_special(char c, int depth) {
  return special[(unsigned char)c] || (depth == 0 && c == ',');
}

/* One bracket: opens into or closes from the stack of closing ones. */
static asl_status bracket(const asl_json_elements *e, int c, char *stack, int *depth) {
  if (c == '[' || c == '{') {
    if (*depth == ASL_JSON_MAX_DEPTH) return broken(e, "nested more than 100 levels deep");
    stack[(*depth)++] = c == '[' ? ']' : '}';
    return ASL_OK;
  }
  if (*depth == 0 || stack[*depth - 1] != c)
    return broken(e, "a bracket closes that was not opened");
  --*depth;
  return ASL_OK;
}

/* A value of any kind, up to the comma or bracket behind it. */
static asl_status pass_value(asl_json_elements *e, bool capture) {
  char stack[ASL_JSON_MAX_DEPTH];
  int depth = 0, c;
  for (bool any = false;; any = true) {
    ASL_TRY(peek(e, &c));
    if (c == END) return truncated(e);
    size_t n = 0;
    while (e->at + n < e->filled && !is_special(e->block[e->at + n], depth)) n++;
    if (n > 0) {
      ASL_TRY(pass(e, n, capture));
      continue;
    }
    if (depth == 0 && (c == ',' || c == ']' || c == '}'))
      return any ? ASL_OK : broken(e, "a value is missing");
    if (c == '"') {
      ASL_TRY(pass_string(e, capture));
      continue;
    }
    if (c != ',') ASL_TRY(bracket(e, c, stack, &depth));
    ASL_TRY(pass(e, 1, capture));
  }
}

/* ---- the object --------------------------------------------------------------------------- */

static asl_status expect(asl_json_elements *e, int wanted, const char *what) {
  int c;
  ASL_TRY(skip_blanks(e, &c));
  if (c == END) return truncated(e);
  if (c != wanted) return broken(e, what);
  e->at++;
  return ASL_OK;
}

/* The name of a member and the colon behind it; which of the keys it is, or BETWEEN_MEMBERS. */
static asl_status pass_name(asl_json_elements *e, int *key) {
  e->length = 0;
  ASL_TRY(pass_string(e, true));
  *key = BETWEEN_MEMBERS;
  for (int k = 0; k < e->n; k++)
    if (e->length == strlen(e->keys[k]) + 2 && memcmp(e->text + 1, e->keys[k], e->length - 2) == 0)
      *key = k;
  return expect(e, ':', "expected a colon behind the name of a member");
}

/* The comma before all but the first, or the closing bracket; *end says which. */
static asl_status next_of(asl_json_elements *e, int closing, bool *end) {
  int c;
  ASL_TRY(skip_blanks(e, &c));
  if (c == END) return truncated(e);
  *end = c == closing;
  if (*end) {
    e->at++;
    return ASL_OK;
  }
  if (!e->first) {
    if (c != ',') return broken(e, closing == ']' ? "expected , or ]" : "expected , or }");
    e->at++;
    ASL_TRY(skip_blanks(e, &c));
    if (c == END) return truncated(e);
  }
  e->first = false;
  return ASL_OK;
}

static asl_status finish(asl_json_elements *e) {
  int c;
  ASL_TRY(skip_blanks(e, &c));
  if (c != END) return broken(e, "something stands behind the end of the JSON text");
  for (int k = 0; k < e->n; k++)
    if (!e->seen[k]) return asl_fail(ASL_EDATA, "%s: it has no \"%s\"", e->path, e->keys[k]);
  e->current = FINISHED;
  return ASL_OK;
}

/* Up to the first element of the next wanted array; FINISHED when there is none. */
static asl_status next_member(asl_json_elements *e) {
  bool end = false;
  int c, key;
  ASL_TRY(next_of(e, '}', &end));
  if (end) return finish(e);
  ASL_TRY(skip_blanks(e, &c));
  if (c != '"') return broken(e, "expected the name of a member");
  ASL_TRY(pass_name(e, &key));
  ASL_TRY(skip_blanks(e, &c));
  if (key < 0) return pass_value(e, false);
  if (e->seen[key]) return asl_fail(ASL_EDATA, "%s: it has \"%s\" twice", e->path, e->keys[key]);
  if (c != '[') return asl_fail(ASL_EDATA, "%s: \"%s\" is no list", e->path, e->keys[key]);
  e->seen[key] = true;
  e->at++;
  e->current = key;
  e->first = true;
  return ASL_OK;
}

asl_status asl_json_next(asl_json_elements *e, const char **text, size_t *n, int *key) {
  *text = NULL;
  if (e->current == BEFORE_OBJECT) {
    ASL_TRY(expect(e, '{', "expected a JSON object"));
    e->current = BETWEEN_MEMBERS;
    e->first = true;
  }
  while (e->current != FINISHED) {
    if (e->current == BETWEEN_MEMBERS) {
      ASL_TRY(next_member(e));
      continue;
    }
    bool end = false;
    ASL_TRY(next_of(e, ']', &end));
    if (end) {
      e->current = BETWEEN_MEMBERS;
      e->first = false;
      continue;
    }
    e->length = 0;
    ASL_TRY(pass_value(e, true));
    *text = e->text;
    *n = e->length;
    *key = e->current;
    return ASL_OK;
  }
  return ASL_OK;
}

/* ---- opening ------------------------------------------------------------------------------ */

void asl_json_close(asl_json_elements *e) {
  if (!e) return;
  asl_input_close(&e->file);
  for (int k = 0; k < e->n; k++) free(e->keys[k]);
  free(e->path);
  free(e->block);
  free(e->text);
  free(e);
}

asl_status asl_json_open(const char *path, const char *const *keys, int n,
                         asl_json_elements **out) {
  if (n < 1 || n > ASL_JSON_MAX_KEYS)
    return asl_fail(ASL_EINVAL, "%d keys of a JSON file; there can be 1 to %d", n,
                    ASL_JSON_MAX_KEYS);
  asl_json_elements *e = calloc(1, sizeof *e);
  if (!e) return asl_fail(ASL_ENOMEM, "no memory to read \"%s\"", path);
  e->file.fd = -1;
  e->current = BEFORE_OBJECT;
  e->path = strdup(path);
  e->block = malloc(BLOCK);
  bool done = e->path && e->block;
  for (e->n = 0; done && e->n < n; e->n += done) done = (e->keys[e->n] = strdup(keys[e->n]));
  asl_status status = done ? asl_input_open(e->path, &e->file) : asl_fail(ASL_ENOMEM, "no memory to read \"%s\"", path);
  if (status == ASL_OK) *out = e;
  else asl_json_close(e);
  return status;
}
