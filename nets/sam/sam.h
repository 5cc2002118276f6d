// SAM whole (segment-anything; MobileSAM for vit_t): image encoder, prompt encoder, mask decoder.
#pragma once
#include <string>
#include <variant>
#include <vector>

#include "nets/sam/mask_decoder.h"
#include "nets/sam/prompt_encoder.h"
#include "nets/sam/vit.h"
#include "nets/tiny_vit/tiny_vit.h"

namespace bp::sam {

constexpr i64 kImageSize = 1024;

struct MobileEncoder {  // TinyViT at 1024 with the last merging at stride 1, then SAM's neck
  tiny_vit::TinyVit trunk{1};
  Neck neck{320};
  Tensor operator()(const Tensor& image) const { return neck(trunk(image)[3]); }
};

class Sam {
 public:
  // "vit_b", "vit_l", "vit_h" or "vit_t"; anything else throws. The parameters are undefined until loaded.
  explicit Sam(const std::string& variant);
  static const std::vector<std::string>& variants();

  const std::string& variant() const { return variant_; }
  Params params();  // pointers into this object
  // Once after loading: folds BatchNorm, moves the parameters, computes the grid's encoding. In bf16 the
  // image encoder's blocks are (precision.h); the prompt encoder and the mask decoder, which take little
  // time, stay f32: rounding the frequencies of the positional encoding would move the boxes.
  void prepare(Device device = {}, DType encoder = DType::f32);
  Device device() const { return prompt_encoder_.no_mask.device(); }

  // Inputs may be on any device, outputs are on the net's, in f32.
  // image [1,1024,1024,3], normalised and padded -> [1,64,64,256]
  Tensor encode(const Tensor& image) const;
  Masks decode(const Tensor& embedding, const Prompts& prompts, MaskSet wanted) const;

 private:
  std::string variant_;
  std::variant<Vit, MobileEncoder> encoder_;
  PromptEncoder prompt_encoder_;
  MaskDecoder mask_decoder_;
  Tensor grid_encoding_;
};

}  // namespace bp::sam
