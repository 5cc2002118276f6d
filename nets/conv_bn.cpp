#include "nets/conv_bn.h"

#include <cmath>

namespace bp {
namespace {

constexpr float kBatchNormEps = 1e-5f, kMomentum = 0.1f;

}  // namespace

Tensor ConvBn::operator()(const Tensor& x, Act act) const {
  if (training) {
    const DType dtype = weight.dtype();
    const Tensor in_type = cast(x, dtype), y = depthwise ? bp::depthwise(in_type, weight, {}, stride)
                                                         : conv2d(in_type, weight, {}, stride, kernel / 2);
    return batch_norm(y, cast(gamma, dtype), cast(beta, dtype), mean, variance, true, kMomentum,
                      kBatchNormEps, act);
  }
  require(folded_weight.defined(), "conv_bn: neither folded after loading nor in training");
  const Tensor in_type = cast(x, folded_weight.dtype());
  if (depthwise) return bp::depthwise(in_type, folded_weight, folded_bias, stride, act);
  return conv2d(in_type, folded_weight, folded_bias, stride, kernel / 2, act);
}

void ConvBn::collect(Params& params, const std::string& prefix) {
  const Shape shape = depthwise ? Shape{out, 1, kernel, kernel} : Shape{out, in, kernel, kernel};
  params.push_back({prefix + ".c.weight", shape, depthwise ? Layout::depthwise : Layout::conv, &weight});
  params.push_back({prefix + ".bn.weight", {out}, Layout::as_is, &gamma});
  params.push_back({prefix + ".bn.bias", {out}, Layout::as_is, &beta});
  params.push_back({prefix + ".bn.running_mean", {out}, Layout::as_is, &mean, false});
  params.push_back({prefix + ".bn.running_var", {out}, Layout::as_is, &variance, false});
}

void ConvBn::fold(DType dtype) {
  const auto g = gamma.values(), b = beta.values(), m = mean.values(), v = variance.values();
  std::vector<float> scale(g.size()), shift(g.size());
  for (std::size_t i = 0; i < g.size(); ++i) {
    scale[i] = g[i] / std::sqrt(v[i] + kBatchNormEps);
    shift[i] = b[i] - m[i] * scale[i];
  }
  const NoGrad no_grad;
  // The channel of the output is the first axis of a dense weight [O,kh,kw,I], the last of a depthwise one
  // [kh,kw,C].
  const Shape along = depthwise ? Shape{1, 1, out} : Shape{out, 1, 1, 1};
  const Tensor plain = cast(weight, DType::f32);
  folded_weight = cast(mul(plain, from_values(along, scale, DType::f32, weight.device())), dtype);
  if (!depthwise) folded_weight.pack(out);
  folded_bias = from_values({out}, shift, dtype, weight.device());
}

void ConvBn::train(bool on) {
  training = on;
  if (!on) fold(weight.dtype());
}

}  // namespace bp
