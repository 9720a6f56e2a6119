/* One optimiser step over all weights; the formulas are in ops/math/optim.h. */
#include "cuda/cuda.h"
extern "C" {
#include "ops/math/optim.h"
}

/* What a step reads and writes; the second state of Adam is `state2`. */
typedef struct parameters {
  float *weight, *state1, *state2;
  const float *gradient, *guard; /* guard: NULL, or nothing changes where it is not finite */
  int64_t count;
} parameters;

struct sgd_update {
  asl_sgd p;
  __device__ __forceinline__ void operator()(float *w, float g, float *v, float *) const {
    asl_sgd_update(&p, w, g, v);
  }
};
struct adam_update {
  asl_adam p;
  __device__ __forceinline__ void operator()(float *w, float g, float *m, float *v) const {
    asl_adam_update(&p, w, g, m, v);
  }
};

template <class F, int V> __global__ void optim_kernel(parameters p, F update) {
  if (p.guard && !isfinite(*p.guard)) return;
  GRID_LOOP(i, p.count / V) {
    float w[V], g[V], a[V], b[V] = {};
    load_floats<V>(p.weight + i * V, w);
    load_floats<V>(p.gradient + i * V, g);
    load_floats<V>(p.state1 + i * V, a);
    if (p.state2) load_floats<V>(p.state2 + i * V, b);
#pragma unroll
    for (int k = 0; k < V; k++) update(&w[k], g[k], &a[k], &b[k]);
    store_floats<V>(p.weight + i * V, w);
    store_floats<V>(p.state1 + i * V, a);
    if (p.state2) store_floats<V>(p.state2 + i * V, b);
  }
}

template <class F>
static asl_status step(const asl_call *call, const asl_tensor *state2, const asl_tensor *guard, F update) {
  parameters p = {};
  p.weight = asl_f32(call->in[0]);
  p.gradient = asl_f32(call->in[1]);
  p.state1 = asl_f32(call->in[2]);
  p.state2 = data_of<float>(state2);
  p.guard = data_of<float>(guard);
  p.count = asl_tensor_count(call->in[0]);
  uintptr_t bits = (uintptr_t)p.weight | (uintptr_t)p.gradient | (uintptr_t)p.state1 | (uintptr_t)p.state2;
  if (p.count == 0) return ASL_OK;
  if (bits % 16 == 0 && p.count % 4 == 0)
    return launch(optim_kernel<F, 4>, grid_for(p.count / 4), dim3(BLOCK), 0, p, update);
  return launch(optim_kernel<F, 1>, grid_for(p.count), dim3(BLOCK), 0, p, update);
}

asl_status k_sgd_step(const asl_call *call) {
  const asl_sgd_step_params *p = ASL_PARAMS(sgd_step, call);
  sgd_update f = {};
  f.p = {(float)p->lr, (float)p->momentum, (float)p->decay, p->nesterov != 0, p->first != 0};
  return step(call, nullptr, call->in[3], f);
}

asl_status k_adam_step(const asl_call *call) {
  const asl_adam_step_params *p = ASL_PARAMS(adam_step, call);
  if (p->step < 1) return asl_fail(ASL_EINVAL, "step counts from 1, it is %lld", (long long)p->step);
  adam_update f = {};
  f.p = asl_adam_constants(p->lr, p->beta1, p->beta2, p->eps, p->decay, p->decoupled != 0, p->step);
  return step(call, call->in[3], call->in[4], f);
}
