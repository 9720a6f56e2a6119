/* A trace of what the script's thread does: spans of time with a name, a place and a cost, nested.
 *
 * Only the thread that started the trace records; in all others it is off, so kernels may open spans
 * without asking who runs them. While it is off a span costs one branch. Nothing here fails: where a
 * span cannot be kept it is counted as dropped, and the trace ends there. */
#ifndef ASL_BASE_TRACE_H
#define ASL_BASE_TRACE_H

#include <stdbool.h>
#include <stdint.h>

enum { ASL_TRACE_MAX_SPANS = 4 << 20 }; /* about 300 MB */

typedef struct asl_span {
  const char *name; /* valid, as is `at`, until asl_trace_clear() */
  const char *at;   /* where: the layer's path, or NULL */
  int64_t start_ns; /* CLOCK_MONOTONIC */
  int64_t end_ns;   /* 0 while open */
  int64_t macs, bytes;
  int64_t outer; /* PRIVATE: index of the span it was opened in, -1: none */
  int depth;     /* how many spans it lies in */
} asl_span;

/* Is this thread recording? */
bool asl_trace_on(void);

/* Records in this thread, after what was recorded before. */
void asl_trace_start(void);

/* Ends the spans that are open and stops recording. */
void asl_trace_stop(void);

/* Forgets all spans, open ones too, and gives their memory back; recording goes on or not as before. */
void asl_trace_clear(void);

/* Opens a span inside the one that is open: its handle, or -1 when the trace is off or full. Both
 * strings are copied. */
int64_t asl_trace_begin(const char *name, const char *at);

/* Ends a span, and those opened in it that still are open. `macs` multiply-adds were done and `bytes`
 * bytes had to be moved; 0: not known. Does nothing with -1 or a span that has ended or is forgotten. */
void asl_trace_end(int64_t span, int64_t macs, int64_t bytes);

/* The spans recorded, numbered from 0 in the order they were opened; valid until the next is opened. */
int64_t asl_trace_count(void);
const asl_span *asl_trace_span(int64_t i);

/* Spans that were not kept: beyond ASL_TRACE_MAX_SPANS, or without memory. */
int64_t asl_trace_dropped(void);

#endif
