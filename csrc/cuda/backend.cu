/* The kernel table of the device. */
#include "cuda/engine.h"

#define ASL_VIEW_OP(name, flags, inputs, outputs, params) nullptr,
#define ASL_OP(name, flags, inputs, outputs, params) k_##name,
const asl_backend engine_backend = {
#ifdef ASL_EMULATED
    "emu",
#else
    "cuda",
#endif
    {
#include "ops/ops.def"
    },
    norm_settle,
    engine_measure_peaks,
};
#undef ASL_OP
