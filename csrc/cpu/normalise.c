/* u8 pictures to normalised f32: (x / 255 - mean) / std per channel, through a table. */
#include "cpu/kernel.h"
#include "ops/math/normalise.h"

typedef struct job {
  const uint8_t *x;
  float *y;
  int64_t pixels;
  float table[256][3];
} job;

static void do_chunk(void *context, int64_t chunk) {
  const job *j = context;
  for (int64_t i = chunk * CHUNK, end = min_i64(i + CHUNK, j->pixels); i < end; i++)
    for (int c = 0; c < 3; c++) j->y[3 * i + c] = j->table[j->x[3 * i + c]][c];
}

ASL_KERNEL(normalise) {
  const asl_normalise_params *p = ASL_PARAMS(normalise, call);
  job j = {.x = asl_u8(call->in[0]), .y = asl_f32(call->out[0]),
           .pixels = asl_tensor_count(call->in[0]) / 3};
  const double *mean = &p->mean1, *std = &p->std1;
  for (int v = 0; v < 256; v++)
    for (int c = 0; c < 3; c++)
      j.table[v][c] = asl_normalise((uint8_t)v, (float)mean[c], (float)std[c]);
  asl_parallel(ceil_div(j.pixels, CHUNK), do_chunk, &j);
  return ASL_OK;
}
