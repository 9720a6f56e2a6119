#include "data/survey.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/digest.h"
#include "base/parallel.h"
#include "base/read.h"

enum { BLOCK = 1 << 18 };

/* ---- files -------------------------------------------------------------------------------- */

static asl_status digest_input(const asl_input *input, asl_sha256 *sha, char *block,
                               asl_survey_file *file) {
  while (file->bytes < input->size) {
    int64_t left = input->size - file->bytes;
    size_t n = left < BLOCK ? (size_t)left : BLOCK;
    ASL_TRY(asl_wrap(asl_input_read(input, file->bytes, block, n), "\"%s\"", file->path));
    asl_sha256_add(sha, block, n);
    file->bytes += (int64_t)n;
  }
  return ASL_OK;
}

static asl_status digest(asl_survey_file *file) {
  asl_input input;
  ASL_TRY(asl_input_open(file->path, &input));
  char *block = malloc(BLOCK);
  asl_sha256 *sha = asl_sha256_new();
  asl_status status = block && sha ? digest_input(&input, sha, block, file)
                                   : asl_fail(ASL_ENOMEM, "no memory to read \"%s\"", file->path);
  if (sha) asl_sha256_finish(sha, file->sha256);
  free(block);
  asl_input_close(&input);
  return status;
}

void asl_survey_digest(asl_survey_file *file) {
  file->bytes = 0;
  file->message[0] = file->sha256[0] = 0;
  file->status = digest(file);
  if (file->status != ASL_OK) snprintf(file->message, sizeof file->message, "%s", asl_message());
}

/* ---- planes ------------------------------------------------------------------------------- */

static void survey_depth(asl_survey_row *row, const float *depth, size_t n) {
  for (size_t i = 0; i < n; i++) {
    float z = depth[i];
    if (!(z > 0) || !isfinite(z)) continue;
    if (row->depth_known == 0 || z < row->depth_low) row->depth_low = z;
    if (row->depth_known == 0 || z > row->depth_high) row->depth_high = z;
    row->depth_known++;
  }
}

static void survey_flow(asl_survey_row *row, const float *flow, const uint8_t *occlusion,
                        size_t n) {
  for (size_t i = 0; i < n; i++) {
    if (occlusion && occlusion[i]) continue;
    float length = hypotf(flow[2 * i], flow[2 * i + 1]);
    if (!isfinite(length)) continue;
    if (length > row->flow_longest) row->flow_longest = length;
    row->flow_known++;
  }
}

static asl_status survey_sample(asl_survey_row *row) {
  asl_sample sample;
  ASL_TRY(asl_source_decode(row->source, row->index, row->source->planes, &sample));
  size_t n = (size_t)sample.height * (size_t)sample.width;
  row->height = sample.height;
  row->width = sample.width;
  if (sample.label)
    for (size_t i = 0; i < n; i++) row->labels[sample.label[i]]++;
  if (sample.depth) survey_depth(row, sample.depth, n);
  if (sample.flow) survey_flow(row, sample.flow, sample.occlusion, n);
  asl_sample_free(&sample);
  return ASL_OK;
}

static void survey_row(void *context, int64_t i) {
  asl_survey_row *row = (asl_survey_row *)context + i;
  row->message[0] = 0;
  row->status = survey_sample(row);
  if (row->status != ASL_OK) snprintf(row->message, sizeof row->message, "%s", asl_message());
  for (int f = 0; f < row->file_count; f++) asl_survey_digest(&row->files[f]);
}

void asl_survey_rows(asl_survey_row *rows, int64_t n) { asl_parallel(n, survey_row, rows); }
