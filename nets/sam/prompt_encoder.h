// SAM's prompt encoder (segment-anything, modeling/prompt_encoder.py): boxes, points and masks to embeddings
// of 256.
#pragma once
#include <array>

#include "nets/layers.h"

namespace bp::sam {

// One batch of B prompts over one image; the masks are on the net's device. Coordinates are pixels of the
// resized frame (longest side 1024). At least one of boxes and points is given.
struct Prompts {
  Tensor boxes;   // [B,4] x0, y0, x1, y1, or none
  Tensor points;  // [B,P,2] x, y, or none
  Tensor labels;  // [B,P] 1 foreground, 0 background
  Tensor masks;   // [B,256,256] logits of an earlier prediction, or none

  i64 batch() const { return boxes ? boxes.dim(0) : points.dim(0); }
};

struct PromptEncoder {
  Tensor gaussian;                         // [2,128]
  std::array<Tensor, 4> point_embeddings;  // [1,256]: background, foreground, box corners 0 and 1
  Tensor not_a_point, no_mask;             // [1,256]
  Conv mask_conv1{.in = 1, .out = 4, .kernel = 2, .stride = 2};
  LayerNorm mask_norm1{.width = 4, .eps = 1e-6f};
  Conv mask_conv2{.in = 4, .out = 16, .kernel = 2, .stride = 2};
  LayerNorm mask_norm2{.width = 16, .eps = 1e-6f};
  Conv mask_conv3{.in = 16, .out = 256};

  // [B,T,256]: the points (with one padding point if there is no box), then the box's two corners.
  Tensor sparse(const Prompts& prompts) const;
  // [B or 1,64,64,256]: what is added to the image embedding.
  Tensor dense(const Prompts& prompts) const;
  // [1,4096,256]: the positional encoding of the 64x64 grid.
  Tensor grid_encoding() const;
  void collect(Params& params, const std::string& prefix);
};

}  // namespace bp::sam
