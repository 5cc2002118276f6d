#include "nets/tiny_vit/tiny_vit.h"

#include "nets/bands.h"

namespace bp::tiny_vit {
namespace {

constexpr std::array<int, 4> kDepths{2, 2, 6, 2};
constexpr std::array<i64, 4> kHeads{2, 4, 5, 10};
constexpr std::array<i64, 4> kWindows{7, 7, 14, 7};
constexpr i64 kExpansion = 4;
constexpr i64 kHeadDim = 32;

ConvBn pointwise(i64 in, i64 out) {
  return {in, out, 1, 1, false};
}
ConvBn depthwise3x3(i64 channels, i64 stride) {
  return {channels, channels, 3, stride, true};
}
ConvBn stem(i64 in, i64 out) {
  return {in, out, 3, 2, false};
}

template <class Layers>
MbConvWeights folded(const Layers& l) {
  return {l.expand.folded_weight, l.expand.folded_bias,    l.spatial.folded_weight,
          l.spatial.folded_bias,  l.project.folded_weight, l.project.folded_bias};
}

}  // namespace

Tensor MbConv::operator()(const Tensor& x) const {
  if (!expand.training) return mbconv(x, folded(*this), 1, true);
  return gelu(add(cast(project(spatial(expand(x, Act::gelu), Act::gelu)), x.dtype()), x));
}

Tensor Merging::operator()(const Tensor& x) const {
  if (!expand.training) return mbconv(x, folded(*this), spatial.stride, false);
  return cast(project(spatial(expand(x, Act::gelu), Act::gelu)), x.dtype());
}

Block::Block(i64 width, i64 heads_, i64 window_)
    : attention_norm{.width = width},
      mlp_norm{.width = width},
      qkv{.in = width, .out = 3 * width},
      proj{.in = width, .out = width},
      fc1{.in = width, .out = 4 * width},
      fc2{.in = 4 * width, .out = width},
      local_conv(depthwise3x3(width, 1)),
      heads(heads_),
      window(window_) {}

Tensor Block::operator()(const Tensor& x) const {
  // Windows are padded with zeros before the norm, so a padded token enters the projection as the norm's
  // bias.
  const bool padded = x.dim(1) % window != 0 || x.dim(2) % window != 0;
  const Tensor pad = padded ? qkv(attention_norm.bias.reshape({1, -1})).reshape({-1}) : Tensor{};
  const Tensor attended = within("attention", [&] {
    const Tensor a =
        window_attention(qkv(attention_norm(x)), {.heads = heads, .window = window, .per_head = true}, pad,
                         {}, {}, cast(attention_biases, qkv.weight.dtype()));
    return proj(a, Act::none, x);
  });
  const Tensor y = within("local_conv", [&] { return cast(local_conv(attended), x.dtype()); });
  const Scope part("mlp");
  return mlp(y, {mlp_norm.weight, mlp_norm.bias, fc1.weight, fc1.bias, fc2.weight, fc2.bias}, mlp_norm.eps);
}

TinyVit::TinyVit(i64 last_merging_stride) : stem1(stem(3, 32)), stem2(stem(32, kDims[0])) {
  const i64 hidden = kDims[0] * kExpansion;
  for (int i = 0; i < kDepths[0]; ++i)
    stage0.push_back({pointwise(kDims[0], hidden), depthwise3x3(hidden, 1), pointwise(hidden, kDims[0])});
  for (std::size_t s = 1; s < 4; ++s) {
    const i64 width = kDims[s];
    mergings.push_back({pointwise(kDims[s - 1], width), depthwise3x3(width, s == 3 ? last_merging_stride : 2),
                        pointwise(width, width)});
    static_assert(kDims[1] / kHeads[1] == kHeadDim);
    for (int i = 0; i < kDepths[s]; ++i) stages[s - 1].emplace_back(width, kHeads[s], kWindows[s]);
  }
}

std::array<Tensor, 4> TinyVit::operator()(const Tensor& image) const {
  require(image.rank() == 4 && image.dim(3) == 3 && image.dim(1) % 32 == 0 && image.dim(2) % 32 == 0,
          "tiny_vit: image ", image.shape(), ", wanted [N,H,W,3] with H and W multiples of 32");
  const Scope trunk("trunk");
  Tensor x = within("stem", [&] {
    const auto layers = [&](const Tensor& band) { return cast(stem2(stem1(band, Act::gelu)), band.dtype()); };
    return stem1.training ? layers(image) : in_image_bands(image, image.dim(2) / 4 * stem1.out, 4, layers);
  });
  std::array<Tensor, 4> features;
  features[0] = x = within("stage 0", [&] { return chain(stage0, x); });
  for (std::size_t s = 1; s < 4; ++s) {
    const Scope stage("stage", static_cast<i64>(s));
    x = within("merging", [&] { return mergings[s - 1](x); });
    features[s] = x = chain(stages[s - 1], x);
  }
  return features;
}

void TinyVit::collect(Params& params, const std::string& prefix) {
  const auto collect3 = [&](auto& block, const std::string& name) {
    block.expand.collect(params, name + ".conv1");
    block.spatial.collect(params, name + ".conv2");
    block.project.collect(params, name + ".conv3");
  };
  stem1.collect(params, prefix + "patch_embed.seq.0");
  stem2.collect(params, prefix + "patch_embed.seq.2");
  for (std::size_t s = 0; s < 4; ++s) {
    const std::string stage = prefix + "layers." + std::to_string(s);
    if (s == 0) {
      for (std::size_t i = 0; i < stage0.size(); ++i)
        collect3(stage0[i], stage + ".blocks." + std::to_string(i));
    } else {
      for (std::size_t i = 0; i < stages[s - 1].size(); ++i) {
        Block& b = stages[s - 1][i];
        const std::string name = stage + ".blocks." + std::to_string(i);
        params.push_back({name + ".attn.attention_biases",
                          {b.heads, b.window * b.window},
                          Layout::as_is,
                          &b.attention_biases});
        b.attention_norm.collect(params, name + ".attn.norm");
        b.qkv.collect(params, name + ".attn.qkv");
        b.proj.collect(params, name + ".attn.proj");
        b.mlp_norm.collect(params, name + ".mlp.norm");
        b.fc1.collect(params, name + ".mlp.fc1");
        b.fc2.collect(params, name + ".mlp.fc2");
        b.local_conv.collect(params, name + ".local_conv");
      }
    }
    if (s < 3) collect3(mergings[s], stage + ".downsample");
  }
}

template <class F>
void TinyVit::each_conv(F&& f) {
  f(stem1), f(stem2);
  for (MbConv& b : stage0) f(b.expand), f(b.spatial), f(b.project);
  for (Merging& m : mergings) f(m.expand), f(m.spatial), f(m.project);
}

template <class F>
void TinyVit::each_local_conv(F&& f) {
  for (auto& stage : stages)
    for (Block& b : stage) f(b.local_conv);
}

void TinyVit::fold(DType dtype) {
  each_conv([dtype](ConvBn& c) { c.fold(dtype); });
  each_local_conv([](ConvBn& c) { c.fold(); });
}

void TinyVit::train(bool on) {
  each_conv([on](ConvBn& c) { c.train(on); });
  each_local_conv([on](ConvBn& c) { c.train(on); });
}

}  // namespace bp::tiny_vit
