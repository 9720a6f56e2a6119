#include "base/trace.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { FIRST_SPANS = 1024, FIRST_STRINGS = 256 };

static _Thread_local bool recording;

static struct {
  asl_span *span;
  int64_t count, room, dropped;
  int64_t open;  /* the innermost open span, -1: none */
  int64_t first; /* handle of span 0: handles from before a clear lie below it */
} trace = {.open = -1};

/* Names and places repeat: each text is kept once, in a hash table with open addressing. */
static struct {
  char **slot;
  size_t count, room; /* room: a power of two */
} strings;

/* ---- strings --------------------------------------------------------------------------------- */
/* Where `text` stands in the table, or the free slot for it. FNV-1a. */
static char **slot_of(char **slot, size_t room, const char *text) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (const char *c = text; *c; c++) hash = (hash ^ (uint8_t)*c) * 0x100000001b3u;
  size_t i = (size_t)(hash ^ hash >> 32) & (room - 1);
  while (slot[i] && strcmp(slot[i], text) != 0) i = (i + 1) & (room - 1);
  return &slot[i];
}

static bool grow_strings(void) {
  size_t room = strings.room ? 2 * strings.room : FIRST_STRINGS;
  char **slot = calloc(room, sizeof *slot);
  if (!slot) return false;
  for (size_t i = 0; i < strings.room; i++)
    if (strings.slot[i]) *slot_of(slot, room, strings.slot[i]) = strings.slot[i];
  free(strings.slot);
  strings.slot = slot;
  strings.room = room;
  return true;
}

/* The kept copy of `text`; NULL without memory. */
static const char *keep(const char *text) {
  if (2 * strings.count >= strings.room && !grow_strings()) return NULL;
  char **slot = slot_of(strings.slot, strings.room, text);
  if (!*slot) {
    *slot = strdup(text);
    if (*slot) strings.count++;
  }
  return *slot;
}

/* ---- spans ----------------------------------------------------------------------------------- */
static int64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static bool make_room(void) {
  if (trace.count < trace.room) return true;
  int64_t room = trace.room ? 2 * trace.room : FIRST_SPANS;
  if (room > ASL_TRACE_MAX_SPANS) return false;
  asl_span *grown = realloc(trace.span, (size_t)room * sizeof *grown);
  if (!grown) return false;
  trace.span = grown;
  trace.room = room;
  return true;
}

/* Ends the open spans from the innermost out to number `last`. */
static void close_to(int64_t last) {
  int64_t now = now_ns();
  while (trace.open >= last) {
    asl_span *span = &trace.span[trace.open];
    span->end_ns = now;
    trace.open = span->outer;
  }
}

bool asl_trace_on(void) { return recording; }

void asl_trace_start(void) { recording = true; }

void asl_trace_stop(void) {
  if (recording) close_to(0);
  recording = false;
}

void asl_trace_clear(void) {
  for (size_t i = 0; i < strings.room; i++) free(strings.slot[i]);
  free(strings.slot);
  free(trace.span);
  memset(&strings, 0, sizeof strings);
  trace.span = NULL;
  trace.first += trace.count;
  trace.count = trace.room = trace.dropped = 0;
  trace.open = -1;
}

int64_t asl_trace_begin(const char *name, const char *at) {
  if (!recording) return -1;
  const char *kept_name = NULL, *kept_at = NULL;
  /* Once one is missing the others would hang on the wrong span. */
  bool fits = trace.dropped == 0 && make_room() && (kept_name = keep(name)) != NULL &&
              (!at || (kept_at = keep(at)) != NULL);
  if (!fits) {
    trace.dropped++;
    return -1;
  }
  int depth = trace.open < 0 ? 0 : trace.span[trace.open].depth + 1;
  int64_t i = trace.count++;
  trace.span[i] = (asl_span){.name = kept_name, .at = kept_at, .outer = trace.open, .depth = depth};
  trace.open = i;
  trace.span[i].start_ns = now_ns(); /* last: what is above is no part of it */
  return trace.first + i;
}

void asl_trace_end(int64_t handle, int64_t macs, int64_t bytes) {
  if (handle < trace.first || handle - trace.first >= trace.count) return;
  int64_t i = handle - trace.first;
  if (trace.span[i].end_ns) return;
  close_to(i);
  trace.span[i].macs = macs;
  trace.span[i].bytes = bytes;
}

int64_t asl_trace_count(void) { return trace.count; }
const asl_span *asl_trace_span(int64_t i) { return &trace.span[i]; }
int64_t asl_trace_dropped(void) { return trace.dropped; }
