// The student of BoxPromptIML: TinyViT trunk and Memory-Guided Gated Fusion, from an image alone to a map of
// what was manipulated.
#pragma once
#include "engine/optimizer.h"
#include "nets/fusion/fusion.h"
#include "nets/tiny_vit/tiny_vit.h"

namespace bp::student {

struct Student {
  tiny_vit::TinyVit trunk;
  fusion::Fusion fusion;

  explicit Student(const fusion::Parts& parts = {}) : fusion(tiny_vit::kDims, parts) {}

  // image [N,H,W,3] normalised, H and W multiples of 32 -> logits [N,H,W,1]; above 0: manipulated. Both f32.
  Tensor operator()(const Tensor& image) const;

  Params params();  // "trunk." as in Microsoft's checkpoint, and "fusion."
  // Once after loading, for inference: folds BatchNorm, on `device`, in `dtype` (precision.h).
  void prepare(Device device = {}, DType dtype = DType::f32);
  void train(bool on = true);  // see ConvBn
};

// Values to start from, a function of the seed and the parameters' names: weights of convolutions and
// products uniform with variance 1 / inputs, prototypes on average of length 1, inverse_tau 10, scales of
// norms 1, all else 0.
void initialise(const Params& params, std::uint64_t seed);

// Weight decay for weights of convolutions and products only: not for norms, biases, tables of position
// biases, prototypes.
bool decays(const Param& param);

}  // namespace bp::student
