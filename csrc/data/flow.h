/* Optical flow files: Middlebury .flo and KITTI's 16-bit PNG.
 *
 * The vector (u, v) at (x, y) says: this point is at (x + u, y + v) in the other picture. Both
 * kinds can say that a vector is not known: .flo by a component beyond 1e9 (or not a number), the
 * PNG by its third channel. */
#ifndef ASL_DATA_FLOW_H
#define ASL_DATA_FLOW_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef struct asl_flow {
  int height, width;
  float *vectors;   /* malloc'ed, (height, width, 2): u, v in pixels; 0, 0 where not known */
  uint8_t *unknown; /* malloc'ed, (height, width): 1 where not known */
} asl_flow;

/* Frees both and clears it; a cleared one is allowed. Cannot fail. */
void asl_flow_free(asl_flow *flow);

/* Decodes either kind, told apart by the first bytes. ASL_EDATA (damaged, too large, neither, bytes
 * missing or too many), ASL_ENOMEM; on failure `out` is cleared. */
asl_status asl_flow_decode(const uint8_t *bytes, size_t n, asl_flow *out);

/* Reads and decodes a file; messages name it. ASL_EIO too. */
asl_status asl_flow_read(const char *path, asl_flow *out);

#endif
