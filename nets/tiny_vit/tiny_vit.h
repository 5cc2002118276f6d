// TinyViT-5M (microsoft/Cream, TinyViT/models/tiny_vit.py): the student's trunk and, at 1024 with the last
// merging at stride 1, MobileSAM's image encoder. Channels-last throughout; for inference BatchNorm is folded
// into its convolution by fold(), for training see train().
#pragma once
#include <array>
#include <optional>
#include <vector>

#include "nets/conv_bn.h"
#include "nets/layers.h"

namespace bp::tiny_vit {

constexpr std::array<i64, 4> kDims{64, 128, 160, 320};

struct MbConv {  // stage 0
  ConvBn expand, spatial, project;
  Tensor operator()(const Tensor& x) const;
};

struct Merging {  // end of stages 0 to 2
  ConvBn expand, spatial, project;
  Tensor operator()(const Tensor& x) const;
};

struct Block {  // stages 1 to 3
  LayerNorm attention_norm, mlp_norm;
  Linear qkv, proj, fc1, fc2;
  Tensor attention_biases;  // [heads, window * window]
  ConvBn local_conv;
  i64 heads, window;

  Block(i64 width, i64 heads, i64 window);
  Tensor operator()(const Tensor& x) const;  // [N,H,W,width]
};

struct TinyVit {
  ConvBn stem1, stem2;
  std::vector<MbConv> stage0;
  std::array<std::vector<Block>, 3> stages;  // 1 to 3
  std::vector<Merging> mergings;             // after stages 0 to 2

  // last_merging_stride: 2 as published, 1 in MobileSAM.
  explicit TinyVit(i64 last_merging_stride = 2);

  // image [N,H,W,3] normalised, H and W multiples of 32 -> the outputs of the four stages before their
  // mergings: [N,H/4,W/4,64], [N,H/8,W/8,128], [N,H/16,W/16,160], [N,H/32,W/32,320] (the last at 1/16 with
  // stride 1).
  std::array<Tensor, 4> operator()(const Tensor& image) const;

  // Names as in Microsoft's checkpoint, with `prefix` ("" or "image_encoder.") before them.
  void collect(Params& params, const std::string& prefix = "");
  // Once after loading; see ConvBn. The blocks' convolutions, which rewrite the residual stream, stay f32.
  void fold(DType dtype = DType::f32);

  // For training, or back to inference: see ConvBn. What tracks gradients is a matter of require_grad().
  void train(bool on = true);

 private:
  template <class F>
  void each_conv(F&& f);  // but the blocks'
  template <class F>
  void each_local_conv(F&& f);
};

}  // namespace bp::tiny_vit
