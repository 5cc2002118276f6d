#include "apps/iml/perturb.h"

#include <algorithm>
#include <cmath>

#include "apps/iml/filters.h"
#include "apps/iml/jpeg.h"

namespace bp {
namespace {

Perturbation level(const char* family, int value, std::function<Tensor(const Tensor&, std::uint64_t)> apply) {
  return {family, std::to_string(value), static_cast<double>(value), std::move(apply)};
}

Tensor reduced(const Tensor& image, i64 longest) {
  const i64 longer = std::max(image.dim(0), image.dim(1));
  if (longer <= longest) return image;
  const auto side = [&](i64 length) {
    return std::max<i64>(1,
                         std::llround(static_cast<double>(length * longest) / static_cast<double>(longer)));
  };
  return resize_smooth(image, side(image.dim(0)), side(image.dim(1)));
}

}  // namespace

std::vector<Perturbation> robustness_levels() {
  std::vector<Perturbation> levels;
  for (const int kernel : {3, 7, 11, 15, 19, 23})
    levels.push_back(level("blur", kernel, [kernel](const Tensor& image, std::uint64_t) {
      return gaussian_blur(image, kernel);
    }));
  for (const int variance : {3, 7, 11, 15, 19, 23})
    levels.push_back(level("noise", variance, [variance](const Tensor& image, std::uint64_t seed) {
      return add_noise(image, variance, seed);
    }));
  for (const int quality : {100, 90, 80, 70, 60, 50})
    levels.push_back(level("jpeg", quality, [quality](const Tensor& image, std::uint64_t) {
      return jpeg_round_trip(image, quality);
    }));
  return levels;
}

const std::vector<SocialProfile>& social_profiles() {
  static const std::vector<SocialProfile> profiles{
      {"facebook", 2048, 82}, {"weibo", 2048, 85}, {"wechat", 1280, 65}, {"whatsapp", 1600, 78}};
  return profiles;
}

std::vector<Perturbation> social_networks() {
  std::vector<Perturbation> networks;
  for (const SocialProfile& p : social_profiles())
    networks.push_back({"social", p.name, 0, [p](const Tensor& image, std::uint64_t) {
                          return jpeg_round_trip(reduced(image, p.longest_side), p.quality,
                                                 Subsampling::s420);
                        }});
  return networks;
}

}  // namespace bp
