/* Matrices in text files: poses and intrinsics. */
#ifndef ASL_DATA_MATRIX_H
#define ASL_DATA_MATRIX_H

#include "base/status.h"

/* Reads exactly rows x columns numbers apart by blanks, in reading order, row-major; they may be
 * infinite or not a number. Files of at most 64 KiB. ASL_EIO; ASL_EDATA naming the file and what
 * stands where a number should, or how many there are. */
asl_status asl_matrix_read(const char *path, int rows, int columns, double *out);

/* The camera-to-world matrix of a file. ASL_EDATA, naming the file, also when it is not finite
 * (where tracking was lost, files hold -inf) or its last row is not 0 0 0 1. */
asl_status asl_pose_read(const char *path, float pose[16]);

#endif
