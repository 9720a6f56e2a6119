/* The kernel table of one instruction set. */
#include "cpu/cpu.h"
#include "cpu/norm.h"

#define ASL_STRING2(s) #s
#define ASL_STRING(s) ASL_STRING2(s)

asl_status ASL_LOCAL(asl_measure_peaks)(asl_peaks *peaks); /* roofline.c */
extern const asl_backend ASL_LOCAL(asl_cpu_backend);
const asl_backend ASL_LOCAL(asl_cpu_backend) = {
    .name = ASL_STRING(ASL_ISA),
    .kernel = {
#define ASL_VIEW_OP(name, flags, inputs, outputs, params)
#define ASL_OP(name, flags, inputs, outputs, params) [ASL_OP_##name] = ASL_CAT(k_##name, ASL_ISA),
#include "ops/ops.def"
#undef ASL_OP
    },
    .settle = norm_settle,
    .measure_peaks = ASL_LOCAL(asl_measure_peaks),
};
