// Filters against definitions written out pixel by pixel, and the properties that one counts on.
#include "apps/iml/filters.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "apps/iml/image.h"
#include "engine/ops.h"
#include "kernels/threads.h"
#include "tests/errors.h"

using namespace bp;

namespace {

Tensor photograph() {
  return load_image(std::string(BOXPROMPT_SOURCE_DIR) + "/apps/samples/coffee_600x400.png");
}

// 0, 1, 2, ... in reading order.
Tensor counting(const Shape& shape) {
  Tensor t = empty(shape, DType::u8);
  for (i64 i = 0; i < t.numel(); ++i) t.data<u8>()[i] = static_cast<u8>(i);
  return t;
}

std::vector<int> bytes(const Tensor& t) {
  return {t.data<u8>(), t.data<u8>() + t.numel()};
}

bool same(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && std::equal(a.data<u8>(), a.data<u8>() + a.numel(), b.data<u8>());
}

// Weights of the two-dimensional kernel at once, in double, borders by walking back.
double blurred_at(const Tensor& image, i64 y, i64 x, i64 c, int side) {
  const double sigma = 0.3 * ((side - 1) / 2.0 - 1) + 0.8;
  const int reach = side / 2;
  const auto inside = [](i64 i, i64 n) {
    while (i < 0 || i >= n) i = i < 0 ? -i : 2 * (n - 1) - i;
    return i;
  };
  double sum = 0, total = 0;
  for (int dy = -reach; dy <= reach; ++dy)
    for (int dx = -reach; dx <= reach; ++dx) {
      const double w = std::exp(-(dy * dy + dx * dx) / (2 * sigma * sigma));
      const i64 at = (inside(y + dy, image.dim(0)) * image.dim(1) + inside(x + dx, image.dim(1))) * 3 + c;
      sum += w * image.data<u8>()[at];
      total += w;
    }
  return sum / total;
}

}  // namespace

TEST_CASE("gaussian_blur is the gaussian with reflected borders") {
  const Tensor image = crop(photograph(), 100, 200, 37, 41);
  for (const int side : {3, 7, 23}) {
    const Tensor blurred = gaussian_blur(image, side);
    double worst = 0;
    for (i64 y = 0; y < 37; ++y)
      for (i64 x = 0; x < 41; ++x)
        for (i64 c = 0; c < 3; ++c)
          worst = std::max(
              worst, std::abs(blurred_at(image, y, x, c, side) - blurred.data<u8>()[(y * 41 + x) * 3 + c]));
    CHECK(worst < 0.51);
  }
  CHECK(same(gaussian_blur(image, 0), image));
  CHECK(same(gaussian_blur(image, 1), image));
}

TEST_CASE("a kernel wider than the image, a constant image, one channel") {
  CHECK(bytes(gaussian_blur(full({2, 1, 3}, 77, DType::u8), 23)) == std::vector<int>(6, 77));
  CHECK(bytes(gaussian_blur(full({1, 5}, 255, DType::u8), 11)) == std::vector<int>(5, 255));
  CHECK(mentions(error_of([] { gaussian_blur(full({4, 4, 3}, 1, DType::u8), 4); }), "side 4"));
  CHECK(mentions(error_of([] { gaussian_blur(full({4, 4, 3}, 1), 3); }), "u8"));
}

TEST_CASE("add_noise has the mean and variance asked for, by the seed alone") {
  const Tensor grey = full({200, 200, 3}, 128, DType::u8);
  for (const double variance : {3.0, 23.0, 100.0}) {
    const Tensor noisy = add_noise(grey, variance, 5);
    double sum = 0, squares = 0, neighbours = 0;
    int last = 128;
    for (const int v : bytes(noisy)) {
      sum += v - 128;
      squares += (v - 128) * (v - 128);
      neighbours += (v - 128) * (last - 128);
      last = v;
    }
    CHECK(std::abs(neighbours) < 0.02 * squares);
    const auto n = static_cast<double>(noisy.numel());
    CHECK(std::abs(sum / n) < 0.1);
    CHECK(squares / n == doctest::Approx(variance + 1.0 / 12).epsilon(0.03));  // and rounding
  }
  const Tensor once = add_noise(grey, 9, 5);
  set_threads(1);
  CHECK(same(once, add_noise(grey, 9, 5)));
  set_threads(0);
  CHECK(!same(once, add_noise(grey, 9, 6)));
  CHECK(same(add_noise(grey, 0, 1), grey));
  CHECK(mentions(error_of([&] { add_noise(grey, -1, 1); }), "variance -1"));
}

TEST_CASE("normal_quantile is the inverse of the normal distribution function") {
  for (const std::uint32_t bits : {0u, 1u, 1000u, 32767u, 32768u, 65535u}) {
    const double p = std::erfc(-static_cast<double>(normal_quantile(bits)) / std::sqrt(2.0)) / 2;
    CHECK(p == doctest::Approx((bits + 0.5) / 65536).epsilon(1e-5));
  }
}

TEST_CASE("brightness and contrast") {
  const Tensor x = counting({1, 256});
  const Tensor y = brightness_contrast(x, 0.1, -0.2);
  CHECK(y.data<u8>()[0] == 26);     // 25.5
  CHECK(y.data<u8>()[100] == 106);  // 80 + 25.5
  CHECK(brightness_contrast(x, 0.5, 0.5).data<u8>()[200] == 255);
  CHECK(brightness_contrast(x, -0.5, 0).data<u8>()[100] == 0);
  CHECK(same(brightness_contrast(x, 0, 0), x));
}

TEST_CASE("flips, quarter turns, crops and nearest resizing move pixels and change none") {
  const Tensor x = counting({2, 3});  // 0 1 2 / 3 4 5
  CHECK(bytes(flip_horizontal(x)) == std::vector<int>{2, 1, 0, 5, 4, 3});
  CHECK(bytes(flip_vertical(x)) == std::vector<int>{3, 4, 5, 0, 1, 2});
  CHECK(bytes(rotate90(x, 1)) == std::vector<int>{2, 5, 1, 4, 0, 3});  // as numpy.rot90
  CHECK(rotate90(x, 1).shape() == Shape{3, 2});
  CHECK(bytes(rotate90(x, 2)) == std::vector<int>{5, 4, 3, 2, 1, 0});
  CHECK(bytes(rotate90(x, 3)) == std::vector<int>{3, 0, 4, 1, 5, 2});
  CHECK(same(rotate90(x, -1), rotate90(x, 3)));
  CHECK(bytes(crop(x, 1, 1, 1, 2)) == std::vector<int>{4, 5});
  CHECK(mentions(error_of([&] { crop(x, 1, 1, 2, 2); }), "crop: 2x2 at 1,1 of an image of 3x2"));
  CHECK(bytes(resize_nearest(x, 4, 3)) == std::vector<int>{0, 1, 2, 0, 1, 2, 3, 4, 5, 3, 4, 5});
  CHECK(bytes(resize_nearest(x, 1, 1)) == std::vector<int>{4});

  const Tensor colour = counting({2, 3, 3});
  CHECK(bytes(crop(rotate90(colour, 1), 0, 1, 1, 1)) == std::vector<int>{15, 16, 17});
  CHECK(bytes(crop(flip_horizontal(colour), 0, 0, 1, 1)) == std::vector<int>{6, 7, 8});
  CHECK(same(rotate90(rotate90(colour, 1), 3), colour));
}

TEST_CASE("resize_smooth is resize_pil, also without channels") {
  const Tensor image = crop(photograph(), 0, 0, 50, 60);
  CHECK(same(resize_smooth(image, 30, 20), resize_pil(image, 30, 20)));
  CHECK(resize_smooth(counting({8, 8}), 4, 2).shape() == Shape{4, 2});
}

TEST_CASE("inpainting keeps what is known, forgets what was there, and continues a ramp") {
  Tensor ramp = empty({60, 80, 3}, DType::u8);
  for (i64 y = 0; y < 60; ++y)
    for (i64 x = 0; x < 80; ++x)
      for (i64 c = 0; c < 3; ++c) ramp.data<u8>()[(y * 80 + x) * 3 + c] = static_cast<u8>(40 + y + x);
  Tensor mask = zeros({60, 80}, DType::u8), holed = add_noise(ramp, 0, 0);
  for (i64 y = 20; y < 45; ++y)
    for (i64 x = 30; x < 55; ++x) mask.data<u8>()[y * 80 + x] = 255;
  for (i64 i = 0; i < mask.numel(); ++i)
    if (mask.data<u8>()[i])
      for (i64 c = 0; c < 3; ++c) holed.data<u8>()[3 * i + c] = static_cast<u8>(i * 37);
  for (const Tensor& filled : {inpaint_smooth(holed, mask), inpaint(holed, mask)}) {
    int worst_inside = 0, worst_outside = 0;
    for (i64 i = 0; i < ramp.numel(); ++i) {
      const int d = std::abs(filled.data<u8>()[i] - ramp.data<u8>()[i]);
      int& worst = mask.data<u8>()[i / 3] ? worst_inside : worst_outside;
      worst = std::max(worst, d);
    }
    CHECK(worst_outside == 0);
    CHECK(worst_inside <= 3);
  }
}

TEST_CASE("inpaint continues a texture that inpaint_smooth only averages") {
  Tensor stripes = empty({80, 120, 3}, DType::u8);
  for (i64 i = 0; i < stripes.numel(); ++i) stripes.data<u8>()[i] = i / 3 % 120 % 8 < 4 ? 60 : 180;
  Tensor mask = zeros({80, 120}, DType::u8);
  for (i64 y = 30; y < 50; ++y)
    for (i64 x = 50; x < 72; ++x) mask.data<u8>()[y * 120 + x] = 1;
  CHECK(same(inpaint(stripes, mask), stripes));
  CHECK(!same(inpaint_smooth(stripes, mask), stripes));
}

TEST_CASE("inpainting at the edges, of nearly everything, of nothing and of everything") {
  const Tensor image = crop(photograph(), 0, 0, 40, 50);
  Tensor mask = zeros({40, 50}, DType::u8);
  CHECK(same(inpaint(image, mask), image));
  CHECK(same(inpaint_smooth(image, mask), image));
  std::fill_n(mask.data<u8>(), 50 * 39, u8{255});
  CHECK(inpaint(image, mask).shape() == image.shape());
  CHECK(inpaint_smooth(image, mask).shape() == image.shape());
  std::fill_n(mask.data<u8>(), 50 * 40, u8{255});
  CHECK(mentions(error_of([&] { inpaint(image, mask); }), "whole image"));
  CHECK(mentions(error_of([&] { inpaint(image, full({3, 3}, 0, DType::u8)); }), "mask of the image's size"));
}
