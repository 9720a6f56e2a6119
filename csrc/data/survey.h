/* Looking at every sample of a data set: whether it can be decoded, what is in it, and the digests
 * of the files it is made from, in one pass. */
#ifndef ASL_DATA_SURVEY_H
#define ASL_DATA_SURVEY_H

#include <stdint.h>

#include "base/status.h"
#include "data/source.h"

enum { ASL_SURVEY_MESSAGE = 1024 };

/* A file, read as a stream. */
typedef struct asl_survey_file {
  const char *path;
  asl_status status;
  char message[ASL_SURVEY_MESSAGE]; /* when it cannot be read */
  int64_t bytes;
  char sha256[65];
} asl_survey_file;

typedef struct asl_survey_row {
  const asl_source *source;
  int64_t index;
  asl_survey_file *files; /* to digest */
  int file_count;
  /* What comes of it. */
  asl_status status;
  char message[ASL_SURVEY_MESSAGE]; /* when it cannot be decoded; what follows is 0 then */
  int height, width;
  int64_t labels[256];         /* pixels of each value; 0 without labels */
  int64_t depth_known;         /* pixels */
  float depth_low, depth_high; /* metres, of those */
  int64_t flow_known;          /* pixels that are not occluded, where that plane is */
  float flow_longest;          /* pixels, of those */
} asl_survey_row;

/* Fills in n rows, decoding all planes, with the threads of base/parallel.h. A sample's files are
 * digested right after it was decoded, when they still are in the system's cache, so that the disk
 * gives them once. */
void asl_survey_rows(asl_survey_row *rows, int64_t n);

/* Fills in one file. */
void asl_survey_digest(asl_survey_file *file);

#endif
