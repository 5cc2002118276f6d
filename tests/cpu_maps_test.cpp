// What the table of ops does not reach of the CPU's kernels: results so large that they are stored past the
// caches, and how exact GELU is.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <vector>

#include "kernels/cpu/dispatch.h"
#include "kernels/memory.h"

using namespace bp;

namespace {

const k::Kernels& kernels() {
  return cpu::kernels();
}

// Memory as tensors have it: aligned to a cache line.
struct Floats {
  explicit Floats(i64 n, float low = -2, float high = 2)
      : size(n), data(static_cast<float*>(allocate_host(static_cast<std::size_t>(n) * sizeof(float)))) {
    std::uint32_t state = 12345;
    for (i64 i = 0; i < n; ++i) {
      state = state * 1664525u + 1013904223u;
      data[i] = low + (high - low) * static_cast<float>(state >> 8) * 0x1p-24f;
    }
  }
  ~Floats() { std::free(data); }
  Floats(const Floats&) = delete;
  Floats& operator=(const Floats&) = delete;
  operator float*() const { return data; }

  i64 size;
  float* data;
};

bool same(const Floats& a, const Floats& b) {
  return std::memcmp(a.data, b.data, static_cast<std::size_t>(a.size) * sizeof(float)) == 0;
}

// 5 parts of 2^20 elements: together more than half of a last-level cache, one by one not.
constexpr i64 kParts = 5, kPart = 1 << 20;

}  // namespace

TEST_CASE("maps that are stored past the caches are those of one image at a time") {
  const i64 side = 64, c = 256;
  const Floats x(kParts * kPart), w(9 * c), b(c), all(kParts * kPart), each(kParts * kPart);
  for (const k::Act act : {k::Act::none, k::Act::gelu}) {
    kernels().depthwise({x, w, b, all, kParts, side, side, c, 1, act, DType::f32});
    for (i64 i = 0; i < kParts; ++i)
      kernels().depthwise({x + i * kPart, w, b, each + i * kPart, 1, side, side, c, 1, act, DType::f32});
    CHECK(same(all, each));
  }
  kernels().depthwise_backward({x, w, x, all, nullptr, kParts, side, side, c, 1, DType::f32});
  for (i64 i = 0; i < kParts; ++i)
    kernels().depthwise_backward(
        {x, w, x + i * kPart, each + i * kPart, nullptr, 1, side, side, c, 1, DType::f32});
  CHECK(same(all, each));
}

TEST_CASE("normalised maps that are stored past the caches are those of a part at a time") {
  const i64 cols = 64, rows = kPart / cols;
  const Floats x(kParts * kPart), dy(kParts * kPart), w(cols), b(cols), mean(cols), var(cols, 1, 2),
      stats(2 * cols);
  const Floats all(kParts * kPart), each(kParts * kPart);
  const auto forward = [&](i64 from, i64 n, float* y) {
    kernels().batch_norm(
        {x + from, w, b, y, mean, var, stats, n, cols, 1e-5f, 0.1f, false, k::Act::gelu, DType::f32});
  };
  const auto backward = [&](i64 from, i64 n, float* dx) {
    kernels().batch_norm_backward(
        {x + from, w, b, dy + from, stats, dx, nullptr, nullptr, n, cols, false, k::Act::gelu, DType::f32});
  };
  const auto compare = [&](auto run) {
    run(i64{0}, kParts * rows, all.data);
    for (i64 i = 0; i < kParts; ++i) run(i * kPart, rows, each.data + i * kPart);
    CHECK(same(all, each));
  };
  compare(forward);
  compare(backward);
}

TEST_CASE("GELU and its slope are exact to 1e-6, of vectors of 16 to 1e-7") {
  const i64 n = 1 << 20;
  const Floats x(n), ones(n, 1, 1), y(n), slope(n);
  for (i64 i = 0; i < n; ++i) x[i] = -12 + 24 * static_cast<float>(i) / static_cast<float>(n);
  kernels().unary({k::UnaryOp::gelu, x, y, n, DType::f32, 1, 0});
  kernels().unary_backward({k::UnaryOp::gelu, x, ones, slope, n, DType::f32, 1});
  double error = 0, slope_error = 0;
  for (i64 i = 0; i < n; ++i) {
    const double at = static_cast<double>(x[i]), below = std::erfc(-at / std::sqrt(2.0)) / 2;
    const double density = std::exp(-at * at / 2) / std::sqrt(2 * std::acos(-1.0));
    const double rounding = std::max(0.0, at) * 6e-8;  // of the result, which is close to a positive x
    error = std::max(error, std::abs(static_cast<double>(y[i]) - at * below) - rounding);
    slope_error = std::max(slope_error, std::abs(static_cast<double>(slope[i]) - (below + at * density)));
  }
  const bool by_pieces = cpu::level() != "avx2" && cpu::level() != "generic";
  CHECK(error < (by_pieces ? 4e-8 : 1e-6));
  CHECK(slope_error < (by_pieces ? 1.5e-7 : 1e-6));
}

TEST_CASE("GELU far out") {
  constexpr float inf = std::numeric_limits<float>::infinity();
  const std::vector<float> x{inf, 1e30f, 100, -100, -1e30f, -inf, NAN}, ones(7, 1.0f);
  const float wanted[] = {inf, 1e30f, 100, 0, 0, 0, NAN}, wanted_slope[] = {1, 1, 1, 0, 0, 0, NAN};
  std::vector<float> y(7), slope(7);
  kernels().unary({k::UnaryOp::gelu, x.data(), y.data(), 7, DType::f32, 1, 0});
  kernels().unary_backward({k::UnaryOp::gelu, x.data(), ones.data(), slope.data(), 7, DType::f32, 1});
  for (std::size_t i = 0; i < 6; ++i) {
    CAPTURE(x[i]);
    CHECK((y[i] == wanted[i] || std::abs(y[i] - wanted[i]) < 1e-20f));
    CHECK(std::abs(slope[i] - wanted_slope[i]) < 1e-20f);
  }
  CHECK(std::isnan(y[6]));
  CHECK(std::isnan(slope[6]));
}
