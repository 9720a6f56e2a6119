/* batch_norm and its gradient: norm.h over whole tensors. */
#include "cuda/norm.h"
#include "cuda/norm_gradient.h"

asl_status k_batch_norm(const asl_call *call) {
  const asl_batch_norm_params *p = ASL_PARAMS(batch_norm, call);
  asl_tensor *const *in = call->in, *const *out = call->out;
  const int64_t channels = asl_tensor_count(in[1]), pixels = asl_tensor_count(in[0]) / channels;
  const norm_statistics s = {pixels, channels, data_of<float>(in[1]), data_of<float>(in[2]), data_of<float>(in[3]),
                             data_of<float>(in[4]), p->eps, p->momentum, data_of<float>(out[1]),
                             data_of<float>(out[2]), nullptr};
  norm_terms n;
  scratch own;
  if (p->training) ASL_TRY(norm_check_training(pixels, channels));
  ASL_TRY(norm_take(&s, p->training != 0, asl_tensor_data(in[0]), in[0]->dtype, &own, &n));
  n.relu = p->relu != 0;
  return norm_apply(&n, pixels, channels, in[0]->dtype, asl_tensor_data(in[0]), nullptr, asl_tensor_data(out[0]));
}

asl_status k_batch_norm_backward(const asl_call *call) {
  const asl_batch_norm_backward_params *p = ASL_PARAMS(batch_norm_backward, call);
  asl_tensor *const *in = call->in, *const *out = call->out;
  norm_gradient g = {};
  g.channels = asl_tensor_count(in[1]);
  g.pixels = asl_tensor_count(in[0]) / g.channels;
  g.dtype = in[0]->dtype;
  g.z = asl_tensor_data(in[0]);
  g.dy = asl_tensor_data(in[5]);
  g.terms = norm_terms{data_of<float>(in[3]), data_of<float>(in[1]), data_of<float>(in[2]), data_of<float>(in[4]),
                       nullptr, 0, p->relu != 0};
  g.training = p->training != 0;
  g.dgamma = data_of<float>(out[1]);
  g.dbeta = data_of<float>(out[2]);
  g.dz = data_of<void>(out[0]);
  return norm_backward(&g);
}
