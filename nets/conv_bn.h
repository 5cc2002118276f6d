// A convolution without bias and its BatchNorm (eps 1e-5, momentum 0.1), dense or depthwise 3x3.
#pragma once
#include "nets/layers.h"

namespace bp {

struct ConvBn {
  i64 in, out, kernel, stride;
  bool depthwise;
  Tensor weight{}, gamma{}, beta{}, mean{}, variance{};  // as loaded
  Tensor folded_weight{}, folded_bias{};                 // what runs in inference
  bool training = false;

  Tensor operator()(const Tensor& x, Act act = Act::none) const;
  // Names as in TinyViT: .c.weight, .bn.{weight,bias,running_mean,running_var}.
  void collect(Params& params, const std::string& prefix);
  // The running statistics into the weight, for inference in that type; from f32, so that it is rounded once.
  void fold(DType dtype = DType::f32);

  // On: normalise with the batch's statistics and move the running ones, whose memory must be the net's own
  // (LoadOptions::own). Off: fold what was learned, for inference.
  void train(bool on);
};

}  // namespace bp
