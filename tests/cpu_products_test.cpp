// The CPU's matrix product, for everything that chooses another way through it: transposed operands, few
// rows, odd sizes, both types, and AMX on its stand-in. Beside sums in f64.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "kernels/cpu/bf16_dot.h"
#include "kernels/cpu/dispatch.h"
#include "tests/ladders_cpu_case.h"

using namespace bp;
using namespace bp::testing;

namespace {

struct Shape {
  i64 m, n, k;
};
const std::vector<Shape> kShapes = {{1, 1, 1},     {1, 70, 33},   {7, 37, 19},    {8, 64, 1030},
                                    {9, 31, 5},    {14, 32, 2},   {33, 65, 129},  {70, 200, 257},
                                    {71, 97, 800}, {50, 70, 900}, {225, 390, 771}};

template <class T>
std::vector<T> matrix(i64 n, unsigned seed) {
  std::vector<T> v;
  for (float x : numbers(n, seed)) v.push_back(from_f32<T>(x));
  return v;
}

// Largest difference from the exact product, in units of what rounding C to T and summing k terms may cost.
template <class T>
double worst_error(const Shape& s, bool ta, bool tb, bool residual) {
  const i64 lda = (ta ? s.m : s.k) + 3, ldb = (tb ? s.k : s.n) + 5, ldc = s.n + 1;
  const auto a = matrix<T>((ta ? s.k : s.m) * lda, 1), b = matrix<T>((tb ? s.n : s.k) * ldb, 2);
  const auto bias = matrix<T>(s.n, 3);
  auto c = matrix<T>(s.m * ldc, 4);
  const auto before = c;
  k::Matmul p{};
  p.a = a.data(), p.b = b.data(), p.c = c.data(), p.bias = bias.data();
  p.residual = residual ? c.data() : nullptr;
  p.m = s.m, p.n = s.n, p.k = s.k, p.ta = ta, p.tb = tb, p.lda = lda, p.ldb = ldb, p.ldc = ldc;
  p.batch = 1, p.alpha = 0.5f, p.act = k::Act::none;
  p.dtype = std::is_same_v<T, float> ? DType::f32 : DType::bf16;
  cpu::kernels().matmul(p);
  double worst = 0;
  for (i64 i = 0; i < s.m; ++i) {
    for (i64 j = 0; j < s.n; ++j) {
      double sum = 0, size = 0;
      for (i64 q = 0; q < s.k; ++q) {
        const double x = to_f32(a[static_cast<std::size_t>(ta ? q * lda + i : i * lda + q)]);
        const double y = to_f32(b[static_cast<std::size_t>(tb ? j * ldb + q : q * ldb + j)]);
        sum += x * y, size += std::abs(x * y);
      }
      const auto at = static_cast<std::size_t>(i * ldc + j);
      double wanted = 0.5 * sum + to_f32(bias[static_cast<std::size_t>(j)]);
      if (residual) wanted += to_f32(before[at]);
      const double rounding = std::is_same_v<T, float> ? 0x1p-22 : 0x1p-8;
      const double allowed = rounding * (std::abs(wanted) + 0x1p-20) + 0x1p-21 * size;
      worst = std::max(worst, std::abs(to_f32(c[at]) - wanted) / allowed);
    }
    const auto beside = static_cast<std::size_t>(i * ldc + s.n);
    CHECK(to_f32(c[beside]) == to_f32(before[beside]));
  }
  return worst;
}

template <class T>
void check_all() {
  for (const Shape& s : kShapes)
    for (int kind = 0; kind < 8; ++kind) {
      CAPTURE(s.m);
      CAPTURE(s.n);
      CAPTURE(s.k);
      CAPTURE(kind);
      CHECK(worst_error<T>(s, kind & 1, kind & 2, kind & 4) <= 1);
    }
}

}  // namespace

TEST_CASE("products of f32 are exact up to rounding") {
  check_all<float>();
}

TEST_CASE("products of bf16 are exact up to the rounding of the result") {
  check_all<bf16>();
}

TEST_CASE("products of bf16 by AMX, on its stand-in") {
  if (!cpu::has_avx512()) return;
  const AmxStandIn amx;
  REQUIRE(cpu::bf16_amx());
  check_all<bf16>();
}

TEST_CASE("a row of a product does not depend on how many rows there are") {
  const i64 n = 77, depth = 451, most = 30;
  const auto check = [&](auto zero, DType dtype) {
    using T = decltype(zero);
    const auto a = matrix<T>(most * depth, 1), b = matrix<T>(n * depth, 2);
    const auto rows = [&](i64 m) {
      std::vector<T> c(static_cast<std::size_t>(m * n));
      k::Matmul p{};
      p.a = a.data(), p.b = b.data(), p.c = c.data(), p.m = m, p.n = n, p.k = depth, p.tb = true;
      p.lda = depth, p.ldb = depth, p.ldc = n, p.batch = 1, p.alpha = 1, p.dtype = dtype;
      cpu::kernels().matmul(p);
      return c;
    };
    const auto all = rows(most);
    for (i64 m : {1, 2, 7, 8, 9, 14, 15}) {
      CAPTURE(m);
      const auto some = rows(m);
      CHECK(std::memcmp(some.data(), all.data(), some.size() * sizeof(T)) == 0);
    }
  };
  check(0.0f, DType::f32);
  check(bf16{}, DType::bf16);
}

TEST_CASE("a product does not depend on how far apart the rows of A lie") {
  // All of k in one block, two blocks of it, and a C that is larger than the second-level caches.
  for (const Shape& s : {Shape{61, 77, 500}, Shape{47, 400, 900}, Shape{2100, 510, 40}}) {
    CAPTURE(s.k);
    const auto b = matrix<float>(s.n * s.k, 2), extra = matrix<float>(s.m * s.n, 3);
    const auto product = [&](i64 lda) {
      std::vector<float> a(static_cast<std::size_t>(s.m * lda)), c(extra.size());
      const auto numbers = matrix<float>(s.m * s.k, 1);
      for (i64 i = 0; i < s.m; ++i) std::copy_n(numbers.data() + i * s.k, s.k, a.data() + i * lda);
      k::Matmul p{};
      p.a = a.data(), p.b = b.data(), p.c = c.data(), p.bias = b.data(), p.residual = extra.data();
      p.m = s.m, p.n = s.n, p.k = s.k, p.tb = true, p.lda = lda, p.ldb = s.k, p.ldc = s.n;
      p.batch = 1, p.alpha = 1, p.act = k::Act::gelu, p.dtype = DType::f32;
      cpu::kernels().matmul(p);
      return c;
    };
    const auto dense = product(s.k);
    for (i64 lda : {s.k + 7, i64{1024}}) {
      CAPTURE(lda);
      CHECK(product(lda) == dense);
    }
  }
}

TEST_CASE("a weight that was packed before gives the same bits as one that was not") {
  const auto check = [&](auto zero, DType dtype) {
    using T = decltype(zero);
    const auto table = cpu::kernels();
    for (const Shape& s : kShapes) {
      const i64 h = 3, w = 4, side = 3;  // and as a convolution of k channels
      const auto a = matrix<T>(s.m * s.k, 1), b = matrix<T>(s.n * s.k, 2), image = matrix<T>(h * w * s.k, 3),
                 kernel = matrix<T>(s.n * side * side * s.k, 4);
      const auto packed = [&](const std::vector<T>& weight) {
        const i64 depth = static_cast<i64>(weight.size()) / s.n;
        std::vector<char> bytes(static_cast<std::size_t>(table.packed_bytes(s.n, depth, dtype)));
        table.pack_weight({weight.data(), bytes.data(), s.n, depth, dtype});
        return bytes;
      };
      // The weight itself is no longer there to be read.
      const auto product = [&](const std::vector<T>& weight, const void* order) {
        std::vector<T> c(static_cast<std::size_t>(s.m * s.n));
        k::Matmul p{};
        p.a = a.data(), p.b = weight.data(), p.c = c.data(), p.m = s.m, p.n = s.n, p.k = s.k, p.tb = true;
        p.lda = s.k, p.ldb = s.k, p.ldc = s.n, p.batch = 1, p.alpha = 1, p.dtype = dtype, p.packed = order;
        table.matmul(p);
        return c;
      };
      const auto convolution = [&](const std::vector<T>& weight, const void* order) {
        std::vector<T> y(static_cast<std::size_t>(h * w * s.n));
        table.conv2d({image.data(), weight.data(), nullptr, y.data(), 1, h, w, s.k, s.n, side, side, 1, 1,
                      k::Act::none, dtype, order});
        return y;
      };
      CAPTURE(s.m);
      CAPTURE(s.n);
      CAPTURE(s.k);
      const auto same = [](const std::vector<T>& x, const std::vector<T>& y) {
        return std::memcmp(x.data(), y.data(), x.size() * sizeof(T)) == 0;
      };
      const std::vector<T> none(b.size()), no_kernel(kernel.size());
      CHECK(same(product(b, nullptr), product(none, packed(b).data())));
      if (s.n > 1) CHECK(same(convolution(kernel, nullptr), convolution(no_kernel, packed(kernel).data())));
    }
  };
  check(0.0f, DType::f32);
  check(bf16{}, DType::bf16);
  if (!cpu::has_avx512()) return;
  const AmxStandIn amx;
  check(bf16{}, DType::bf16);
}

TEST_CASE("products do not depend on the number of threads") {
  const Shape s{150, 130, 900};
  for (bool ta : {false, true}) {
    const auto a = matrix<float>(s.m * s.k, 1), b = matrix<float>(s.n * s.k, 2);
    std::vector<float> first;
    for (int n : {1, 2, 3, 5}) {
      const Threads threads(n);
      std::vector<float> c(static_cast<std::size_t>(s.m * s.n));
      k::Matmul p{};
      p.a = a.data(), p.b = b.data(), p.c = c.data(), p.m = s.m, p.n = s.n, p.k = s.k, p.ta = ta;
      p.tb = !ta, p.lda = ta ? s.m : s.k, p.ldb = ta ? s.n : s.k, p.ldc = s.n, p.batch = 1, p.alpha = 1;
      p.dtype = DType::f32;
      cpu::kernels().matmul(p);
      if (first.empty()) first = c;
      CHECK(std::memcmp(first.data(), c.data(), c.size() * sizeof(float)) == 0);
    }
  }
}
