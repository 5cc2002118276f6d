#include "nets/sam/sam.h"

#include "nets/precision.h"

namespace bp::sam {
namespace {

std::variant<Vit, MobileEncoder> make_encoder(const std::string& variant) {
  if (variant == "vit_t") return MobileEncoder{};
  if (variant == "vit_b")
    return Vit({.width = 768, .heads = 12, .depth = 12, .global_blocks = {2, 5, 8, 11}});
  if (variant == "vit_l")
    return Vit({.width = 1024, .heads = 16, .depth = 24, .global_blocks = {5, 11, 17, 23}});
  if (variant == "vit_h")
    return Vit({.width = 1280, .heads = 16, .depth = 32, .global_blocks = {7, 15, 23, 31}});
  fail("sam: unknown variant ", variant, ", known: vit_t, vit_b, vit_l, vit_h");
}

}  // namespace

const std::vector<std::string>& Sam::variants() {
  static const std::vector<std::string> names{"vit_t", "vit_b", "vit_l", "vit_h"};
  return names;
}

Sam::Sam(const std::string& variant) : variant_(variant), encoder_(make_encoder(variant)) {}

Params Sam::params() {
  Params params;
  if (auto* vit = std::get_if<Vit>(&encoder_)) {
    vit->collect(params, "image_encoder");
  } else {
    auto& mobile = std::get<MobileEncoder>(encoder_);
    mobile.trunk.collect(params, "image_encoder.");
    mobile.neck.collect(params, "image_encoder.neck");
  }
  prompt_encoder_.collect(params, "prompt_encoder");
  mask_decoder_.collect(params, "mask_decoder");
  return params;
}

void Sam::prepare(Device device, DType encoder) {
  if (auto* mobile = std::get_if<MobileEncoder>(&encoder_)) {
    to_device(params(), device);
    mobile->trunk.fold(encoder);
  }
  // Before the move, so that the device never holds ViT-H in f32.
  round_to(params(), encoder);
  to_device(params(), device);
  grid_encoding_ = prompt_encoder_.grid_encoding();
  // Where products have few rows. With ViT's 4096 a copy of its weights would gain nothing.
  Params few_rows;
  mask_decoder_.collect(few_rows, "");
  if (auto* mobile = std::get_if<MobileEncoder>(&encoder_)) mobile->trunk.collect(few_rows);
  pack(few_rows);
}

Tensor Sam::encode(const Tensor& image) const {
  require(image.shape() == Shape{1, kImageSize, kImageSize, 3}, "sam: image ", image.shape(),
          ", wanted [1,1024,1024,3]");
  const NoGrad frozen;
  return std::visit([&](const auto& encoder) { return encoder(to(image, device())); }, encoder_);
}

Masks Sam::decode(const Tensor& embedding, const Prompts& prompts, MaskSet wanted) const {
  require(embedding.shape() == Shape{1, 64, 64, 256}, "sam: embedding ", embedding.shape(),
          ", wanted [1,64,64,256]");
  require(grid_encoding_.defined(), "sam: prepare() was not called after loading");
  const NoGrad frozen;
  Prompts there = prompts;
  if (there.masks) there.masks = to(there.masks, device());
  return mask_decoder_(to(embedding, device()), grid_encoding_, prompt_encoder_.sparse(there),
                       prompt_encoder_.dense(there), wanted);
}

}  // namespace bp::sam
