// SAM's mask decoder (segment-anything, modeling/mask_decoder.py and transformer.py): a two-way transformer
// between prompt tokens and the image, a 4x upscaling, and one hypernetwork per mask.
#pragma once
#include <array>
#include <vector>

#include "nets/layers.h"
#include "nets/sam/cross_attention.h"

namespace bp::sam {

struct TwoWayBlock {
  CrossAttention self_attn{256}, token_to_image{128}, image_to_token{128};
  LayerNorm norm1{.width = 256}, norm2{.width = 256}, norm3{.width = 256}, norm4{.width = 256};
  Linear lin1{.in = 256, .out = 2048}, lin2{.in = 2048, .out = 256};
  bool first;  // the first block's self-attention has neither positional encoding nor residual

  explicit TwoWayBlock(bool is_first) : first(is_first) {}
  // queries [B,T,256] look at themselves and at keys [B or 1,4096,256] and are updated; then keys are, to
  // [B,4096,256]. The positional encodings are added where attention needs them; keys_at is keys with theirs.
  void look(Tensor& queries, const Tensor& keys, const Tensor& keys_at, const Tensor& query_pe) const;
  Tensor write(const Tensor& queries, const Tensor& keys, const Tensor& keys_at,
               const Tensor& query_pe) const;
  void collect(Params& params, const std::string& prefix);
};

struct Mlp3 {  // three layers, ReLU between them
  Linear layer0, layer1, layer2;
  Mlp3(i64 hidden, i64 out_width)
      : layer0{.in = 256, .out = hidden},
        layer1{.in = hidden, .out = hidden},
        layer2{.in = hidden, .out = out_width} {}
  Tensor operator()(const Tensor& x) const { return layer2(layer1(layer0(x, Act::relu), Act::relu)); }
  void collect(Params& params, const std::string& prefix);
};

// Which of the decoder's four masks are wanted: mask 0, for prompts that are not ambiguous; masks 1 to 3, of
// which the user or the predicted IoU chooses ("multimask"); all of them, the single one first.
enum class MaskSet : u8 { single, multi, all };

// M is 1, 3 or 4.
struct Masks {
  Tensor logits;  // [B,M,256,256]
  Tensor iou;     // [B,M] predicted IoU
};

struct MaskDecoder {
  static constexpr i64 kMasks = 4;

  Tensor iou_token, mask_tokens;  // [1,256], [4,256]
  std::array<TwoWayBlock, 2> blocks{TwoWayBlock(true), TwoWayBlock(false)};
  CrossAttention final_attn{128};
  LayerNorm final_norm{.width = 256};
  ConvTranspose2x2 upscale1{.in = 256, .out = 64};
  LayerNorm upscale_norm{.width = 64, .eps = 1e-6f};
  ConvTranspose2x2 upscale2{.in = 64, .out = 32};
  std::vector<Mlp3> hypernetworks = std::vector<Mlp3>(kMasks, Mlp3(256, 32));
  Mlp3 iou_head{256, kMasks};

  // embedding [1,64,64,256], grid encoding [1,4096,256], sparse [B,T,256], dense [B or 1, 64 or 1, 64 or 1,
  // 256].
  Masks operator()(const Tensor& embedding, const Tensor& grid_encoding, const Tensor& sparse,
                   const Tensor& dense, MaskSet wanted) const;
  void collect(Params& params, const std::string& prefix);

 private:
  // All from where the first block has looked at the image.
  Masks finish(Tensor queries, const Tensor& tokens, Tensor keys, Tensor keys_at, const Tensor& grid_encoding,
               MaskSet wanted) const;
};

}  // namespace bp::sam
