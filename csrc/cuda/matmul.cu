/* (M,K) x (K,N) */
#include "cuda/gemm.h"

asl_status k_matmul(const asl_call *call) {
  const asl_tensor *a = call->in[0], *b = call->in[1], *y = call->out[0];
  int64_t m = a->shape.size[0], k = a->shape.size[1], n = b->shape.size[1];
  if (m * n == 0) return ASL_OK;
  if (k == 0) return queue_set(asl_tensor_data(y), 0, (size_t)asl_tensor_bytes(y));
  matrix left = {}, right = {};
  left.data = asl_tensor_data(a);
  left.stride = k;
  left.dtype = a->dtype;
  right.data = asl_tensor_data(b);
  right.stride = n;
  right.dtype = b->dtype;
  return gemm(m, n, k, left, right, 0, asl_tensor_data(y), n, y->dtype);
}
