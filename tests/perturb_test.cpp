// What robustness curves do to images: the published levels, at the image's own resolution.
#include <doctest/doctest.h>

#include <cmath>

#include "apps/iml/filters.h"
#include "apps/iml/jpeg.h"
#include "apps/iml/perturb.h"

using namespace bp;

namespace {

Tensor picture(i64 height, i64 width) {
  Tensor image = empty({height, width, 3}, DType::u8);
  for (i64 i = 0; i < image.numel(); ++i)
    image.data<u8>()[i] = static_cast<u8>(128 + 60 * std::sin(static_cast<double>(i % (3 * width)) / 9.0) +
                                          40 * std::sin(static_cast<double>(i) / 701.0));
  return image;
}

double mean_square_difference(const Tensor& a, const Tensor& b) {
  double sum = 0;
  for (i64 i = 0; i < a.numel(); ++i) {
    const double d = static_cast<double>(a.data<u8>()[i]) - static_cast<double>(b.data<u8>()[i]);
    sum += d * d;
  }
  return sum / static_cast<double>(a.numel());
}

}  // namespace

TEST_CASE("the published levels, each what it says") {
  const Tensor image = picture(60, 90);
  const auto levels = robustness_levels();
  REQUIRE(levels.size() == 18);
  std::string names;
  double before = 0;
  for (const Perturbation& p : levels) {
    names += p.family + p.name + " ";
    const Tensor changed = p.apply(image, 1);
    CAPTURE(p.family);
    CAPTURE(p.name);
    CHECK(changed.shape() == image.shape());
    const double now = mean_square_difference(changed, image);
    if (p.name != "3" && p.name != "100") CHECK(now > before);  // each worse than the one before
    before = now;
    if (p.family == "noise") CHECK(now == doctest::Approx(p.level).epsilon(0.15));
  }
  CHECK(names ==
        "blur3 blur7 blur11 blur15 blur19 blur23 noise3 noise7 noise11 noise15 noise19 noise23 "
        "jpeg100 jpeg90 jpeg80 jpeg70 jpeg60 jpeg50 ");
  CHECK(levels[1].apply(image, 1).values() == gaussian_blur(image, 7).values());
  CHECK(levels[17].apply(image, 1).values() == jpeg_round_trip(image, 50).values());
  CHECK(levels[6].apply(image, 1).values() != levels[6].apply(image, 2).values());
}

TEST_CASE("social networks reduce what is larger than their limit, and compress") {
  const auto networks = social_networks();
  REQUIRE(networks.size() == social_profiles().size());
  const Tensor small = picture(30, 40);
  for (std::size_t i = 0; i < networks.size(); ++i) {
    const SocialProfile& profile = social_profiles()[i];
    CHECK(networks[i].name == profile.name);
    CHECK(networks[i].apply(small, 0).values() == jpeg_round_trip(small, profile.quality).values());
  }
  CHECK(networks[2].apply(picture(64, 2560), 0).shape() == Shape{32, 1280, 3});  // wechat
  CHECK(networks[2].apply(picture(1282, 1), 0).shape() == Shape{1280, 1, 3});
}
