// The CPU's convolutions of 3 x 3 with stride 1, by tiles of 4 x 4 outputs where that gains: beside sums in
// f64.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "kernels/cpu/dispatch.h"
#include "tests/ladders_cpu_case.h"

using namespace bp;
using namespace bp::testing;

namespace {

struct Size {
  i64 n, h, w, c, o;
  bool bias = true;
  k::Act act = k::Act::none;
  i64 pixels() const { return n * h * w; }
};
// Sides of less than a tile, of whole tiles and between; channels of less than a vector, of whole ones and
// between.
const std::vector<Size> kSizes = {{1, 1, 1, 64, 64},
                                  {1, 2, 3, 16, 33},
                                  {2, 5, 7, 40, 24, true, k::Act::gelu},
                                  {1, 2, 67, 9, 17},
                                  {1, 83, 3, 16, 8, false, k::Act::relu},
                                  {1, 12, 16, 64, 64},
                                  {2, 13, 64, 35, 45, true, k::Act::gelu},
                                  {3, 17, 18, 20, 70, false},
                                  {1, 21, 27, 130, 31, true, k::Act::relu},
                                  {1, 56, 56, 64, 32}};

template <class T>
std::vector<T> values(i64 n, unsigned seed) {
  std::vector<T> v;
  for (float x : numbers(n, seed)) v.push_back(from_f32<T>(x));
  return v;
}

template <class T>
struct Problem {
  explicit Problem(const Size& size)
      : s(size),
        x(values<T>(s.pixels() * s.c, 1)),
        weight(values<T>(s.o * 9 * s.c, 2)),
        bias(values<T>(s.o, 3)) {}

  // Images [first, first + count), between two guards that stay as they are.
  std::vector<T> run(i64 first, i64 count) const {
    constexpr i64 kGuard = 64;
    const i64 image = s.h * s.w;
    const T untouched = from_f32<T>(-77.0f);
    std::vector<T> y(static_cast<std::size_t>(count * image * s.o + 2 * kGuard), untouched);
    cpu::kernels().conv2d({x.data() + first * image * s.c, weight.data(), s.bias ? bias.data() : nullptr,
                           y.data() + kGuard, count, s.h, s.w, s.c, s.o, 3, 3, 1, 1, s.act,
                           std::is_same_v<T, float> ? DType::f32 : DType::bf16});
    const auto same = [&](T v) { return to_f32(v) == to_f32(untouched); };
    CHECK(std::all_of(y.begin(), y.begin() + kGuard, same));
    CHECK(std::all_of(y.end() - kGuard, y.end(), same));
    return {y.begin() + kGuard, y.end() - kGuard};
  }
  std::vector<T> run() const { return run(0, s.n); }

  double wanted(i64 n, i64 y, i64 x0, i64 o) const {
    double sum = s.bias ? to_f32(bias[static_cast<std::size_t>(o)]) : 0;
    for (i64 ky = 0; ky < 3; ++ky)
      for (i64 kx = 0; kx < 3; ++kx) {
        const i64 iy = y + ky - 1, ix = x0 + kx - 1;
        if (iy < 0 || iy >= s.h || ix < 0 || ix >= s.w) continue;
        const T* const from = x.data() + ((n * s.h + iy) * s.w + ix) * s.c;
        const T* const w = weight.data() + (o * 9 + ky * 3 + kx) * s.c;
        for (i64 c = 0; c < s.c; ++c) sum += static_cast<double>(to_f32(from[c])) * to_f32(w[c]);
      }
    if (s.act == k::Act::relu) return std::max(sum, 0.0);
    return s.act == k::Act::gelu ? 0.5 * sum * (1 + std::erf(sum / std::sqrt(2.0))) : sum;
  }

  // The largest difference from sums in f64 beyond half a unit in the last place of T, over the largest
  // result.
  double worst_error() const {
    const std::vector<T> y = run();
    const double rounding = std::is_same_v<T, float> ? 0x1p-24 : 0x1p-8;
    double worst = 0, largest = 0;
    for (i64 i = 0; i < static_cast<i64>(y.size()); ++i) {
      const i64 pixel = i / s.o;
      const double exact = wanted(pixel / (s.h * s.w), pixel / s.w % s.h, pixel % s.w, i % s.o);
      const double error = std::abs(to_f32(y[static_cast<std::size_t>(i)]) - exact);
      worst = std::max(worst, error - rounding * std::abs(exact)),
      largest = std::max(largest, std::abs(exact));
    }
    return worst / largest;
  }

  Size s;
  std::vector<T> x, weight, bias;
};

template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

// Calls check(problem) for every size and type.
template <class F>
void for_each_problem(const F& check) {
  for (const Size& s : kSizes) {
    CAPTURE(s.h);
    CAPTURE(s.w);
    CAPTURE(s.c);
    CAPTURE(s.o);
    check(Problem<float>(s));
    check(Problem<bf16>(s));
  }
}

}  // namespace

TEST_CASE("convolutions of 3 x 3 are exact up to rounding") {
  for_each_problem([](const auto& p) { CHECK(p.worst_error() <= 3e-6); });
}

TEST_CASE("convolutions of 3 x 3 do not depend on the number of threads") {
  for_each_problem([](const auto& p) {
    const Threads one(1);
    const auto alone = p.run();
    for (int n : {2, 3, 5}) {
      const Threads several(n);
      CHECK(same_bits(p.run(), alone));
    }
  });
}

TEST_CASE("an image's convolution of 3 x 3 does not depend on the batch") {
  for_each_problem([](const auto& p) {
    auto together = p.run(0, 0);
    for (i64 n = 0; n < p.s.n; ++n) {
      const auto image = p.run(n, 1);
      together.insert(together.end(), image.begin(), image.end());
    }
    CHECK(same_bits(p.run(), together));
  });
}

TEST_CASE("a convolution of 3 x 3 reads its weight, which may have changed since the last call") {
  Problem<float> p({1, 20, 20, 16, 32});
  const auto before = p.run();
  for (float& w : p.weight) w *= 2;
  for (float& b : p.bias) b *= 2;
  auto twice = before;
  for (float& y : twice) y *= 2;
  CHECK(same_bits(p.run(), twice));
}
