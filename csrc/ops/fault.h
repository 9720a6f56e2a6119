/* The words for values that an op found outside their range; every backend uses them. */
#ifndef ASL_OPS_FAULT_H
#define ASL_OPS_FAULT_H

#include "tensor/tensor.h"

/* Class `value` at flat `position` of a map of this shape, where `classes` are known. Returns ASL_EDATA. */
asl_status asl_fault_class(const char *what, asl_shape shape, int64_t position, int value, int64_t classes);

/* A logit at flat `position` of (N,h,w,C) that is not finite. Returns ASL_EDATA. */
asl_status asl_fault_logit(asl_shape shape, int64_t position, double value);

/* ASL_OK when every index (i64, on the CPU) is a row of x; else names the first that is none. ASL_EINVAL. */
asl_status asl_fault_indices(const asl_tensor *x, const asl_tensor *index);

#endif
