#include "nets/precision.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace bp {

bool may_round(const Param& p) {
  // Parts of names: LayerNorm and BatchNorm, TinyViT's convolutions of the residual stream itself, SAM's
  // first and last layers, and of the fusion all but its wide convolutions.
  static constexpr std::array<std::string_view, 13> kWhole{
      "local_conv",      "norm",         ".bn.",         "pos_embed",      "patch_embed.proj", ".neck.",
      "prompt_encoder.", "mask_decoder", "fusion.gate.", "fusion.memory.", "fusion.refine.",   ".base.1",
      "attention_biases"};
  return p.trained && std::none_of(kWhole.begin(), kWhole.end(), [&](std::string_view part) {
           return p.name.find(part) != std::string::npos;
         });
}

void round_to(const Params& params, DType dtype) {
  Params rounded;
  for (const Param& p : params)
    if (may_round(p)) rounded.push_back(p);
  to_dtype(rounded, dtype);
}

}  // namespace bp
