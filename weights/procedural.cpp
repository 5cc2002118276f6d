#include "weights/procedural.h"

#include <cmath>

#include "kernels/threads.h"

namespace bp {
namespace {

std::uint64_t fnv1a(std::string_view text, std::uint64_t hash = 0xcbf29ce484222325u) {
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return hash;
}

bool contains_any(std::string_view name, std::initializer_list<std::string_view> parts) {
  for (std::string_view part : parts)
    if (name.find(part) != name.npos) return true;
  return false;
}

}  // namespace

Spread procedural_spread(std::string_view name, const Shape& published) {
  if (name.ends_with("num_batches_tracked")) return {0, 0};
  if (name.ends_with("running_mean")) return {0, 0.1};
  if (name.ends_with("running_var")) return {1, 0.5};
  if (name.ends_with("positional_encoding_gaussian_matrix")) return {0, std::sqrt(3.0)};
  if (contains_any(name, {"rel_pos_", "pos_embed", "attention_biases"})) return {0, 0.2};
  if (contains_any(name,
                   {"point_embeddings", "not_a_point_embed", "no_mask_embed", "iou_token", "mask_tokens"}))
    return {0, 0.5};
  if (published.rank() <= 1) return name.ends_with(".weight") ? Spread{1, 0.2} : Spread{0, 0.1};
  const i64 outputs = published[0], elements = published.numel();
  return {0, elements ? std::sqrt(3.0 / static_cast<double>(elements / outputs)) : 0};
}

void fill_procedural(float* out, i64 n, std::string_view name, std::string_view salt, Spread spread) {
  const std::uint64_t key = fnv1a(salt, fnv1a(name));
  const double mean = spread.mean, scale = spread.scale;
  parallel_for(n, 1 << 16, [=](i64 begin, i64 end) {
    for (i64 i = begin; i < end; ++i) {
      std::uint64_t z = key + (static_cast<std::uint64_t>(i) + 1) * 0x9E3779B97F4A7C15u;
      z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
      z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
      z ^= z >> 31;
      const double u = static_cast<double>(static_cast<std::int32_t>(z >> 40)) * 0x1p-24;
      out[i] = static_cast<float>(mean + scale * (2 * u - 1));
    }
  });
}

Tensor procedural(std::string_view name, const Shape& published, std::string_view salt) {
  return procedural(name, published, salt, procedural_spread(name, published));
}

Tensor procedural(std::string_view name, const Shape& shape, std::string_view salt, Spread spread) {
  Tensor out = empty(shape);
  fill_procedural(out.data<float>(), out.numel(), name, salt, spread);
  return out;
}

}  // namespace bp
