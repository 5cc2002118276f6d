// SAM's ViT image encoder (segment-anything, modeling/image_encoder.py): patches of 16, windows of 14 with
// four global blocks, decomposed relative positions, a neck to 256 channels.
#pragma once
#include <array>
#include <vector>

#include "nets/layers.h"

namespace bp::sam {

// 1x1 without bias, LayerNorm, 3x3 without bias, LayerNorm; eps 1e-6.
struct Neck {
  Conv reduce;
  LayerNorm norm1;
  Conv mix;
  LayerNorm norm2;

  explicit Neck(i64 width)
      : reduce{.in = width, .out = 256, .has_bias = false},
        norm1{.width = 256, .eps = 1e-6f},
        mix{.in = 256, .out = 256, .kernel = 3, .pad = 1, .has_bias = false},
        norm2{.width = 256, .eps = 1e-6f} {}
  Tensor operator()(const Tensor& x) const {
    const Scope part("neck");
    return norm2(mix(norm1(reduce(x))));
  }
  void collect(Params& params, const std::string& prefix);
};

struct VitConfig {
  i64 width, heads;
  int depth;
  std::array<int, 4> global_blocks;
};

struct VitBlock {
  LayerNorm norm1, norm2;
  Linear qkv, proj, lin1, lin2;
  Tensor rel_pos_h, rel_pos_w;  // [2 side - 1, head dim]
  i64 heads, window;            // window 0: global attention over the 64x64 grid

  VitBlock(i64 width, i64 heads, i64 window);
  Tensor operator()(const Tensor& x) const;  // [B,64,64,width]
  void collect(Params& params, const std::string& prefix);
};

struct Vit {
  Conv patch_embed;
  Tensor pos_embed;  // [1,64,64,width]
  std::vector<VitBlock> blocks;
  Neck neck;
  i64 width;

  explicit Vit(const VitConfig& config);
  Tensor operator()(const Tensor& image) const;  // [B,1024,1024,3] normalised -> [B,64,64,256]
  void collect(Params& params, const std::string& prefix);
};

}  // namespace bp::sam
