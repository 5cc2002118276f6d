// Memory-Guided Gated Fusion (BoxPromptIML, arXiv 2511.20359): four feature maps of the trunk to one map of
// logits. The paper leaves sizes open; this reading fits its counts of parameters and multiply-adds.
//   F'_i    = GELU(BN(Conv(F_i -> 64))) at the scale's own resolution, 1x1 at the finest and 3x3 else,
//   resized to
//             the finest
//   G_i     = sigmoid(Conv1x1(F'_i -> 1));  F = sum_i G_i F'_i;  G = mean_i G_i
//   A_base  = sigmoid(Conv1x1(GELU(BN(Conv3x3(F -> 32))) -> 1))
//   A_mem   = sigmoid(Conv1x1([q, r] -> 1)) with the query q = l2norm(Conv1x1(F)) and what the memory recalls
//   for
//             it, r = sum_k w_k M_k, w = softmax_k(q . l2norm(M_k) / tau)
//   logits  = Conv3x3([F, alpha A_base G + (1 - alpha) A_mem] -> 1)
#pragma once
#include <array>

#include "nets/conv_bn.h"

namespace bp::fusion {

constexpr i64 kWidth = 64, kHidden = 32, kPrototypes = 64;

// The parts whose worth an ablation shows. Without the gate G_i is 1 and F a plain sum; without the memory
// alpha is 1. A part that is off has no parameters.
struct Parts {
  bool gate = true, memory = true;
};

struct Fusion {
  Parts parts;
  std::array<ConvBn, 4> unify;
  std::array<Conv, 4> gates;
  ConvBn base_hidden;
  Conv base;
  Linear query;
  Tensor prototypes;   // [kPrototypes, kWidth], M
  Tensor inverse_tau;  // [1]
  Tensor mix;          // [1], alpha = sigmoid(mix)
  Conv recall, refine;

  // widths: channels of the four maps, finest first.
  explicit Fusion(const std::array<i64, 4>& widths, const Parts& parts = {});

  // Maps [N,H_i,W_i,widths[i]], the first the finest -> logits [N,H_0,W_0,1].
  Tensor operator()(const std::array<Tensor, 4>& features) const;

  void collect(Params& params, const std::string& prefix);  // prefix ends in a dot or is empty
  void fold(DType dtype = DType::f32);                      // once after loading; see ConvBn
  void train(bool on = true);                               // see ConvBn

 private:
  Tensor remembered(const Tensor& fused) const;  // A_mem
  template <class F>
  void each_conv(F&& f);
};

}  // namespace bp::fusion
