/* The CPU backend. Every file here is compiled once per instruction set, with ASL_ISA set to its
 * name (avx2: -mavx2 -mfma; portable: no flags); the best one the machine has is chosen at run
 * time. Both give the same bits: vector lanes are outputs, reductions run in a fixed order, fma is
 * explicit, -ffp-contract=off. */
#ifndef ASL_CPU_CPU_H
#define ASL_CPU_CPU_H

#include "ops/ops.h"

#define ASL_CAT2(a, b) a##_##b
#define ASL_CAT(a, b) ASL_CAT2(a, b)
/* A function shared by several files of this folder: one copy per instruction set. */
#define ASL_LOCAL(name) ASL_CAT(name, ASL_ISA)

/* Kernels, one per row of ops.def that has one: asl_status k_conv2d_avx2(const asl_call *). */
#define ASL_KERNEL(name) asl_status ASL_CAT(k_##name, ASL_ISA)(const asl_call *call)
#define ASL_VIEW_OP(name, flags, inputs, outputs, params)
#define ASL_OP(name, flags, inputs, outputs, params) ASL_KERNEL(name);
#include "ops/ops.def"
#undef ASL_OP

#endif
