/* The optimisers' update of one element, in PyTorch's order of operations. */
#ifndef ASL_OPS_MATH_OPTIM_H
#define ASL_OPS_MATH_OPTIM_H

#include <math.h>

#include "base/hd.h"

typedef struct asl_sgd {
  float lr, momentum, decay;
  int nesterov, first;
} asl_sgd;

/* g += decay w; v = first ? g : momentum v + g; w -= lr (nesterov ? g + momentum v : v) */
ASL_HD void asl_sgd_update(const asl_sgd *p, float *w, float g, float *v) {
  g = fmaf(p->decay, *w, g);
  *v = p->first ? g : *v * p->momentum + g;
  *w = fmaf(-p->lr, p->nesterov ? fmaf(p->momentum, *v, g) : *v, *w);
}

typedef struct asl_adam {
  float beta1, beta2, rest1, rest2; /* rest = 1 - beta */
  float decay;                      /* added to the gradient: L2; 0 when decoupled */
  float keep;                       /* decoupled: w *= 1 - lr decay; else 1 */
  float step_size;                  /* lr / (1 - beta1^step) */
  float root_correction;            /* sqrt(1 - beta2^step) */
  float eps;
} asl_adam;

/* base^n by repeated squaring: the same bits everywhere, which pow() does not promise. */
ASL_HD double asl_whole_power(double base, long long n) {
  double result = 1.0;
  for (; n > 0; n >>= 1, base *= base)
    if (n & 1) result *= base;
  return result;
}

/* The constants of step number `step` (from 1). */
ASL_HD asl_adam asl_adam_constants(double lr, double beta1, double beta2, double eps, double decay,
                                   int decoupled, long long step) {
  asl_adam p;
  p.beta1 = (float)beta1;
  p.beta2 = (float)beta2;
  p.rest1 = (float)(1.0 - beta1);
  p.rest2 = (float)(1.0 - beta2);
  p.decay = decoupled ? 0.0f : (float)decay;
  p.keep = decoupled ? (float)(1.0 - lr * decay) : 1.0f;
  p.step_size = (float)(lr / (1.0 - asl_whole_power(beta1, step)));
  p.root_correction = (float)sqrt(1.0 - asl_whole_power(beta2, step));
  p.eps = (float)eps;
  return p;
}

/* m = beta1 m + (1-beta1) g; v = beta2 v + (1-beta2) g^2;
 * w -= step_size m / (sqrt(v) / root_correction + eps) */
ASL_HD void asl_adam_update(const asl_adam *p, float *w, float g, float *m, float *v) {
  float weight = *w * p->keep;
  g = fmaf(p->decay, weight, g);
  *m = fmaf(p->rest1, g, *m * p->beta1);
  *v = fmaf(p->rest2 * g, g, *v * p->beta2);
  float denominator = sqrtf(*v) / p->root_correction + p->eps;
  *w = weight - p->step_size * *m / denominator;
}

#endif
