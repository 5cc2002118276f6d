#include "apps/iml/synth_history.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "apps/iml/filters.h"

namespace bp {
namespace {

using Json = nlohmann::ordered_json;

Size scaled(Size size, double factor) {
  const auto side = [&](i64 s) {
    return std::max(i64{16}, static_cast<i64>(std::lround(static_cast<double>(s) * factor)));
  };
  return {side(size.height), side(size.width)};
}

Tensor resized(const Tensor& image, Size size) {
  if (image.dim(0) == size.height && image.dim(1) == size.width) return image;
  return resize_smooth(image, size.height, size.width);
}

Tensor compressed(const Tensor& image, const Compression& c) {
  return jpeg_round_trip(image, c.quality, c.subsampling);
}

double rounded(double v) {
  return std::round(v * 1000) / 1000;
}

Json to_json(const Compression& c) {
  const char* names[] = {"4:4:4", "4:2:2", "4:2:0"};
  return {{"quality", c.quality}, {"subsampling", names[static_cast<std::size_t>(c.subsampling)]}};
}

u8 to_u8(float v) {
  return static_cast<u8>(std::clamp(v + 0.5f, 0.0f, 255.0f));
}

}  // namespace

std::uint64_t draw_seed(Random& random) {
  const std::uint64_t high = random.bits();
  return high << 32 | random.bits();
}

double draw_normal(Random& random) {
  return static_cast<double>(normal_quantile(random.bits() >> 16));
}

double draw_log(Random& random, double low, double high) {
  return low * std::pow(high / low, random.uniform());
}

std::size_t draw_index(Random& random, std::span<const double> weights) {
  double sum = 0;
  for (const double w : weights) sum += w;
  double at = random.uniform() * sum;
  for (std::size_t i = 0; i + 1 < weights.size(); ++i) {
    if (at < weights[i]) return i;
    at -= weights[i];
  }
  return weights.size() - 1;
}

// High qualities are the usual ones.
Compression draw_compression(Random& random, int low, int high) {
  const double u = random.uniform();
  const auto quality = static_cast<int>(std::lround(high - (high - low) * u * std::sqrt(u)));
  constexpr std::array<double, 3> kShares{0.3, 0.1, 0.6};
  return {quality, static_cast<Subsampling>(draw_index(random, kShares))};
}

Tensor sharpen(const Tensor& image, double amount, double sigma) {
  const Tensor smooth = gaussian_blur_sigma(image, sigma);
  Tensor result = empty_like(image);
  const u8 *x = image.data<u8>(), *s = smooth.data<u8>();
  u8* y = result.data<u8>();
  const auto a = static_cast<float>(amount);
  for (i64 i = 0; i < image.numel(); ++i)
    y[i] = to_u8(static_cast<float>(x[i]) + a * static_cast<float>(x[i] - s[i]));
  return result;
}

Tensor camera_noise(const Tensor& image, double deviation, double softness, std::uint64_t seed) {
  constexpr float kField = 40;  // deviation of the 8-bit fields that the noise is read from
  const i64 height = image.dim(0), width = image.dim(1);
  Tensor own = add_noise(full({height, width, 3}, 128, DType::u8), kField * kField, seed);
  Tensor common = add_noise(full({height, width}, 128, DType::u8), kField * kField, ~seed);
  double gain = deviation / kField;
  if (softness > 0) {
    own = gaussian_blur_sigma(own, softness);
    common = gaussian_blur_sigma(common, softness);
    gain *= std::max(1.0, 3.5 * softness);  // a blur of sigma s leaves 1 / (2 sqrt(pi) s) of the deviation
  }
  std::array<float, 256> strength{};
  for (std::size_t i = 0; i < 256; ++i)
    strength[i] = static_cast<float>(gain * std::sqrt((static_cast<double>(i) + 48) / 176));
  Tensor result = empty_like(image);
  const u8 *x = image.data<u8>(), *o = own.data<u8>(), *s = common.data<u8>();
  u8* y = result.data<u8>();
  for (i64 i = 0; i < height * width; ++i)
    for (i64 c = 3 * i; c < 3 * i + 3; ++c)
      y[c] = to_u8(static_cast<float>(x[c]) + strength[x[c]] * (0.6f * static_cast<float>(o[c] - 128) +
                                                                0.8f * static_cast<float>(s[i] - 128)));
  return result;
}

Size History::before(Size after) const {
  const Size size = scaled(after, 1 / scale);
  return {size.height + cut_y, size.width + cut_x};
}

Tensor History::apply(const Tensor& image, Size after) const {
  Tensor x = image;
  if (blur > 0) x = gaussian_blur_sigma(x, blur);
  if (sharpen > 0) x = bp::sharpen(x, sharpen, 1.0);
  if (noise > 0) x = camera_noise(x, noise, softness, noise_seed);
  if (first) x = compressed(x, *first);
  if (cut_y > 0 || cut_x > 0) x = crop(x, cut_y, cut_x, x.dim(0) - cut_y, x.dim(1) - cut_x);
  x = resized(x, after);
  return second ? compressed(x, *second) : x;
}

History draw_history(Random& random) {
  History h;
  if (random.chance(0.12)) h.blur = random.uniform(0.3, 1.0);
  if (h.blur == 0 && random.chance(0.15)) h.sharpen = random.uniform(0.2, 1.2);
  if (random.chance(0.4)) h.noise = draw_log(random, 0.7, 5);
  if (random.chance(0.4)) h.softness = random.uniform(0.4, 0.8);
  h.noise_seed = draw_seed(random);
  if (random.chance(0.75)) h.first = draw_compression(random, 50, 98);
  if (random.chance(0.5)) {
    h.cut_y = random.integer(0, 7);
    h.cut_x = random.integer(0, 7);
  }
  if (random.chance(0.3)) h.scale = draw_log(random, 0.6, 1.35);
  if (h.first && random.chance(0.3)) h.second = draw_compression(random, 55, 98);
  return h;
}

Json to_json(const History& h) {
  Json j = Json::object();
  if (h.blur > 0) j["blur"] = rounded(h.blur);
  if (h.sharpen > 0) j["sharpen"] = rounded(h.sharpen);
  if (h.noise > 0) j["noise"] = rounded(h.noise);
  if (h.noise > 0 && h.softness > 0) j["noise_softness"] = rounded(h.softness);
  if (h.first) j["jpeg"] = to_json(*h.first);
  if (h.cut_y > 0 || h.cut_x > 0) j["cut"] = {h.cut_y, h.cut_x};
  if (h.scale != 1) j["scale"] = rounded(h.scale);
  if (h.second) j["jpeg_again"] = to_json(*h.second);
  return j;
}

Size Finish::before(Size after) const {
  return scaled(after, 1 / scale);
}

Tensor Finish::apply(const Tensor& image, Size after) const {
  Tensor x = image;
  if (blur > 0) x = gaussian_blur_sigma(x, blur);
  x = resized(x, after);
  return noise > 0 ? camera_noise(x, noise, 0, noise_seed) : x;
}

Finish draw_finish(Random& random) {
  Finish f;
  if (random.chance(0.05)) f.blur = random.uniform(0.3, 0.8);
  if (random.chance(0.06)) f.noise = random.uniform(0.7, 2.5);
  f.noise_seed = draw_seed(random);
  if (random.chance(0.12)) f.scale = draw_log(random, 0.65, 1.3);
  if (random.chance(0.65)) f.compression = draw_compression(random, 60, 98);
  return f;
}

Json to_json(const Finish& f) {
  Json j = Json::object();
  if (f.blur > 0) j["blur"] = rounded(f.blur);
  if (f.scale != 1) j["scale"] = rounded(f.scale);
  if (f.noise > 0) j["noise"] = rounded(f.noise);
  if (f.compression) j["jpeg"] = to_json(*f.compression);
  return j;
}

}  // namespace bp
