#include "data/matrix.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/read.h"

enum { MAX_FILE_BYTES = 1 << 16 };

static const char blanks[] = " \t\r\n";

/* The text ends with a NUL; one inside it ends the numbers too early, which is an error. */
static asl_status parse(const char *text, int n, double *out) {
  int found = 0;
  for (const char *at = text + strspn(text, blanks); *at; at += strspn(at, blanks), found++) {
    char *end;
    double value = strtod(at, &end);
    if (end == at || !(*end == 0 || strchr(blanks, *end)))
      return asl_fail(ASL_EDATA, "\"%.*s\" is no number", (int)strcspn(at, blanks), at);
    if (found < n) out[found] = value;
    at = end;
  }
  if (found != n) return asl_fail(ASL_EDATA, "%d numbers; expected %d", found, n);
  return ASL_OK;
}

asl_status asl_matrix_read(const char *path, int rows, int columns, double *out) {
  char *text;
  size_t n;
  ASL_TRY(asl_read_file(path, MAX_FILE_BYTES, &text, &n));
  asl_status status = strlen(text) == n ? parse(text, rows * columns, out)
                                        : asl_fail(ASL_EDATA, "a NUL byte; it must be text");
  free(text);
  return asl_wrap(status, "%s (a %dx%d matrix)", path, rows, columns);
}

asl_status asl_pose_read(const char *path, float pose[16]) {
  double numbers[16];
  ASL_TRY(asl_matrix_read(path, 4, 4, numbers));
  for (int i = 0; i < 16; i++) {
    pose[i] = (float)numbers[i];
    if (!isfinite(pose[i]))
      return asl_fail(ASL_EDATA, "%s: the pose is not finite (tracking was lost at this frame)",
                      path);
  }
  for (int i = 12; i < 16; i++)
    if (fabs(numbers[i] - (i == 15)) > 1e-6)
      return asl_fail(ASL_EDATA, "%s: the last row of a pose is 0 0 0 1, not %g %g %g %g", path,
                      numbers[12], numbers[13], numbers[14], numbers[15]);
  return ASL_OK;
}
