#include "nets/sam/vit.h"

#include <algorithm>

#include "nets/bands.h"

namespace bp::sam {
namespace {

constexpr i64 kGrid = 64;
constexpr i64 kWindow = 14;

}  // namespace

void Neck::collect(Params& params, const std::string& prefix) {
  reduce.collect(params, prefix + ".0");
  norm1.collect(params, prefix + ".1");
  mix.collect(params, prefix + ".2");
  norm2.collect(params, prefix + ".3");
}

VitBlock::VitBlock(i64 width, i64 heads_, i64 window_)
    : norm1{.width = width, .eps = 1e-6f},
      norm2{.width = width, .eps = 1e-6f},
      qkv{.in = width, .out = 3 * width},
      proj{.in = width, .out = width},
      lin1{.in = width, .out = 4 * width},
      lin2{.in = 4 * width, .out = width},
      heads(heads_),
      window(window_) {}

Tensor VitBlock::operator()(const Tensor& x) const {
  // SAM pads windows with zeros after the norm, so a padded token's q, k, v are the bias of the projection.
  const Tensor pad = window ? qkv.bias : Tensor{};
  const Tensor y = within("attention", [&] {
    const Tensor attended =
        window_attention(qkv(norm1(x)), {.heads = heads, .window = window}, pad, rel_pos_h, rel_pos_w, {});
    return proj(attended, Act::none, x);
  });
  const Scope part("mlp");
  const bool banded = comes_in_bands(y, lin1.out);
  const Linear first = banded ? lin1.packed() : lin1, second = banded ? lin2.packed() : lin2;
  return in_bands(y, lin1.out,
                  [&](const Tensor& rows) { return second(first(norm2(rows), Act::gelu), Act::none, rows); });
}

void VitBlock::collect(Params& params, const std::string& prefix) {
  const i64 side = window ? window : kGrid, head_dim = proj.in / heads;
  norm1.collect(params, prefix + ".norm1");
  params.push_back({prefix + ".attn.rel_pos_h", {2 * side - 1, head_dim}, Layout::as_is, &rel_pos_h});
  params.push_back({prefix + ".attn.rel_pos_w", {2 * side - 1, head_dim}, Layout::as_is, &rel_pos_w});
  qkv.collect(params, prefix + ".attn.qkv");
  proj.collect(params, prefix + ".attn.proj");
  norm2.collect(params, prefix + ".norm2");
  lin1.collect(params, prefix + ".mlp.lin1");
  lin2.collect(params, prefix + ".mlp.lin2");
}

Vit::Vit(const VitConfig& config)
    : patch_embed{.in = 3, .out = config.width, .kernel = 16, .stride = 16},
      neck(config.width),
      width(config.width) {
  for (int i = 0; i < config.depth; ++i) {
    const bool global =
        std::find(config.global_blocks.begin(), config.global_blocks.end(), i) != config.global_blocks.end();
    blocks.emplace_back(config.width, config.heads, global ? 0 : kWindow);
  }
}

Tensor Vit::operator()(const Tensor& image) const {
  const Tensor x = within("patch_embed", [&] { return add(patch_embed(image), pos_embed); });
  return neck(chain(blocks, x));
}

void Vit::collect(Params& params, const std::string& prefix) {
  params.push_back({prefix + ".pos_embed", {1, kGrid, kGrid, width}, Layout::as_is, &pos_embed});
  patch_embed.collect(params, prefix + ".patch_embed.proj");
  for (std::size_t i = 0; i < blocks.size(); ++i)
    blocks[i].collect(params, prefix + ".blocks." + std::to_string(i));
  neck.collect(params, prefix + ".neck");
}

}  // namespace bp::sam
