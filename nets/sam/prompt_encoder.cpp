#include "nets/sam/prompt_encoder.h"

#include <cmath>
#include <numbers>

namespace bp::sam {
namespace {

constexpr i64 kWidth = 256, kGrid = 64;
constexpr float kFrame = 1024.0f;

// sin and cos of 2 pi (2 p - 1) G for a position p in [0,1]^2; `out` has 256 entries.
void encode_position(const float* gaussian, float x, float y, float* out) {
  x = 2 * x - 1;
  y = 2 * y - 1;
  constexpr i64 half = kWidth / 2;
  for (i64 i = 0; i < half; ++i) {
    const float angle = 2 * std::numbers::pi_v<float> * (x * gaussian[i] + y * gaussian[half + i]);
    out[i] = std::sin(angle);
    out[half + i] = std::cos(angle);
  }
}

}  // namespace

Tensor PromptEncoder::sparse(const Prompts& prompts) const {
  const i64 batch = prompts.batch();
  const i64 given = prompts.points ? prompts.points.dim(1) : 0;
  const i64 points = given && !prompts.boxes ? given + 1 : given;  // SAM pads points that come without a box
  const i64 corners = prompts.boxes ? 2 : 0;
  require(points + corners > 0, "prompts: neither a box nor a point");
  if (prompts.boxes)
    require(prompts.boxes.shape() == Shape{batch, 4}, "prompts: boxes ", prompts.boxes.shape());
  if (given) {
    require(prompts.points.shape() == Shape{batch, given, 2}, "prompts: points ", prompts.points.shape(),
            " for ", batch, " prompts");
    require(prompts.labels.defined() && prompts.labels.shape() == Shape{batch, given},
            "prompts: one label per point is needed");
  }

  const auto g = gaussian.values(), not_a = not_a_point.values();
  std::array<std::vector<float>, 4> kind;
  for (std::size_t i = 0; i < 4; ++i) kind[i] = point_embeddings[i].values();
  const auto boxes = prompts.boxes ? prompts.boxes.values() : std::vector<float>{};
  const auto xy = given ? prompts.points.values() : std::vector<float>{};
  const auto labels = given ? prompts.labels.values() : std::vector<float>{};

  Tensor result = empty({batch, points + corners, kWidth});
  float* out = result.data<float>();
  const auto put = [&](float x, float y, const std::vector<float>& embedding) {
    // Half a pixel to the centre, then to the unit square.
    encode_position(g.data(), (x + 0.5f) / kFrame, (y + 0.5f) / kFrame, out);
    for (std::size_t i = 0; i < embedding.size(); ++i) out[i] += embedding[i];
    out += kWidth;
  };
  for (i64 b = 0; b < batch; ++b) {
    for (i64 p = 0; p < given; ++p) {
      const auto i = static_cast<std::size_t>(b * given + p);
      require(labels[i] == 0.0f || labels[i] == 1.0f, "prompts: point label ", labels[i], ", wanted 0 or 1");
      put(xy[2 * i], xy[2 * i + 1], kind[labels[i] == 1.0f ? 1 : 0]);
    }
    if (points > given) out = std::copy(not_a.begin(), not_a.end(), out);
    if (corners) {
      const float* box = boxes.data() + 4 * b;
      put(box[0], box[1], kind[2]);
      put(box[2], box[3], kind[3]);
    }
  }
  return to(cast(result, no_mask.dtype()), no_mask.device());
}

Tensor PromptEncoder::dense(const Prompts& prompts) const {
  if (!prompts.masks) return no_mask.reshape({1, 1, 1, kWidth});
  const i64 batch = prompts.batch();
  require(prompts.masks.shape() == Shape{batch, 4 * kGrid, 4 * kGrid}, "prompts: mask ",
          prompts.masks.shape(), ", wanted [", batch, ",256,256]");
  Tensor x = prompts.masks.reshape({batch, 4 * kGrid, 4 * kGrid, 1});
  x = gelu(mask_norm1(mask_conv1(x)));
  x = gelu(mask_norm2(mask_conv2(x)));
  return mask_conv3(x);
}

Tensor PromptEncoder::grid_encoding() const {
  const auto g = gaussian.values();
  Tensor result = empty({1, kGrid * kGrid, kWidth});
  float* out = result.data<float>();
  for (i64 y = 0; y < kGrid; ++y)
    for (i64 x = 0; x < kGrid; ++x, out += kWidth)
      encode_position(g.data(), (static_cast<float>(x) + 0.5f) / kGrid,
                      (static_cast<float>(y) + 0.5f) / kGrid, out);
  return to(cast(result, no_mask.dtype()), no_mask.device());
}

void PromptEncoder::collect(Params& params, const std::string& prefix) {
  params.push_back(
      {prefix + ".pe_layer.positional_encoding_gaussian_matrix", {2, kWidth / 2}, Layout::as_is, &gaussian});
  for (std::size_t i = 0; i < 4; ++i)
    params.push_back({prefix + ".point_embeddings." + std::to_string(i) + ".weight",
                      {1, kWidth},
                      Layout::as_is,
                      &point_embeddings[i]});
  params.push_back({prefix + ".not_a_point_embed.weight", {1, kWidth}, Layout::as_is, &not_a_point});
  mask_conv1.collect(params, prefix + ".mask_downscaling.0");
  mask_norm1.collect(params, prefix + ".mask_downscaling.1");
  mask_conv2.collect(params, prefix + ".mask_downscaling.3");
  mask_norm2.collect(params, prefix + ".mask_downscaling.4");
  mask_conv3.collect(params, prefix + ".mask_downscaling.6");
  params.push_back({prefix + ".no_mask_embed.weight", {1, kWidth}, Layout::as_is, &no_mask});
}

}  // namespace bp::sam
