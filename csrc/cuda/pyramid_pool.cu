/* Four adaptive average pools of one picture, and their gradient. */
#include "cuda/pool.h"

asl_status k_pyramid_pool(const asl_call *call) { return pool_forward(call->in[0], call->out, POOL_LEVELS); }

asl_status k_pyramid_pool_backward(const asl_call *call) {
  return pool_backward(call->in + 1, POOL_LEVELS, call->out[0]);
}
