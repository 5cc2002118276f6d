// The MLP in one kernel gives the bytes of its layers in f32; in bf16 it is as near as roundings of the
// hidden rows allow, however many rows and threads there are; AMX on its stand-in.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "engine/ops.h"
#include "engine/profile.h"
#include "kernels/cpu/bf16_dot.h"
#include "kernels/cpu/dispatch.h"
#include "tests/errors.h"
#include "tests/ladders_cpu_case.h"
#include "tests/random_tensors.h"

using namespace bp;
using namespace bp::testing;

namespace {

struct Weights {
  i64 c, hidden;
  Tensor norm, norm_bias, fc1, bias1, fc2, bias2;

  Weights(i64 c_, i64 hidden_, DType dtype)
      : c(c_),
        hidden(hidden_),
        norm(some({c}, 1, 4)),
        norm_bias(some({c}, 2, 1)),
        fc1(cast(some({hidden, c}, 3, 1), dtype)),
        bias1(cast(some({hidden}, 4, 1), dtype)),
        fc2(cast(some({c, hidden}, 5, 1), dtype)),
        bias2(cast(some({c}, 6, 1), dtype)) {}
  MlpWeights all() const { return {norm, norm_bias, fc1, bias1, fc2, bias2}; }
};

constexpr float kEps = 1e-5f;

Tensor by_parts(const Tensor& x, i64 hidden, DType dtype) {
  return mlp(x, Weights(x.dim(-1), hidden, dtype).all(), kEps);
}
// The kernel itself, however small the rows.
Tensor fused(const Tensor& x, i64 hidden, DType dtype) {
  Weights w(x.dim(-1), hidden, dtype);
  w.fc1.pack(hidden), w.fc2.pack(w.c);
  Tensor y = empty_like(x);
  kernels(x.device())
      .mlp({x.data<float>(), w.norm.data<float>(), w.norm_bias.data<float>(), w.bias1.raw(), w.bias2.raw(),
            y.data<float>(), x.rows(), w.c, hidden, kEps, dtype, w.fc1.packed(hidden), w.fc2.packed(w.c)});
  return y;
}

struct Case {
  i64 rows, c, hidden;
};
// More rows than fit at once, with shares that are cut and that are not; hidden rows deeper than a strip;
// more panels than a group has.
const Case kCases[] = {{1, 1, 1},      {7, 3, 5},       {49, 40, 100},   {500, 33, 131},
                       {9, 320, 1280}, {700, 128, 512}, {6200, 16, 512}, {3, 600, 1000}};

void check_bf16() {
  for (const Case& a : kCases) {
    CAPTURE(a.rows);
    CAPTURE(a.hidden);
    const Tensor x = some({a.rows, a.c}, 7, 4);
    const Tensor y = fused(x, a.hidden, DType::bf16);
    const auto found = y.values(), wanted = by_parts(x, a.hidden, DType::bf16).values(), from = x.values();
    // By parts the branch is rounded to bf16 once more.
    for (std::size_t i = 0; i < found.size(); ++i)
      REQUIRE(std::fabs(found[i] - wanted[i]) <= std::fabs(wanted[i] - from[i]) / 256 + 1e-5f);
    // The first rows do not depend on the others.
    const i64 few = std::min<i64>(a.rows, 5);
    CHECK(same_bytes(fused(x.slice(0, few), a.hidden, DType::bf16), y.slice(0, few)));
  }
}

}  // namespace

TEST_CASE("mlp: in f32 the bytes of its layers") {
  for (const int n : {1, 2, 5}) {
    CAPTURE(n);
    const Threads threads(n);
    for (const Case& a : kCases) {
      CAPTURE(a.rows);
      CAPTURE(a.hidden);
      const Tensor x = some({a.rows, a.c}, 7, 4);
      CHECK(same_bytes(fused(x, a.hidden, DType::f32), by_parts(x, a.hidden, DType::f32)));
    }
  }
}

TEST_CASE("mlp: in bf16 its layers up to the rounding of the branch") {
  for (const int n : {1, 2, 5}) {
    CAPTURE(n);
    const Threads threads(n);
    check_bf16();
  }
}

TEST_CASE("mlp in bf16 by AMX, on its stand-in") {
  if (!cpu::has_avx512()) return;
  const AmxStandIn amx;
  REQUIRE(cpu::bf16_amx());
  check_bf16();
}

TEST_CASE("mlp: where it is one kernel") {
  k::Kernels without = kernels(Device{});
  without.layer_norm = [](const k::LayerNorm&) { throw std::logic_error("layer_norm"); };
  const Profile profile(Device{}, without);
  const auto one_kernel = [&](i64 rows, DType dtype, bool packed, DType in = DType::f32) {
    Weights w(4, 512, dtype);
    if (packed) w.fc1.pack(512), w.fc2.pack(4);
    try {
      mlp(cast(some({rows, 4}, 7, 4), in), w.all(), kEps);
    } catch (const std::logic_error&) {
      return false;
    }
    return true;
  };
  CHECK(one_kernel(4096, DType::f32, true));
  CHECK_FALSE(one_kernel(4095, DType::f32, true));
  CHECK_FALSE(one_kernel(4096, DType::f32, false));
  CHECK(one_kernel(1, DType::bf16, true));
  CHECK_FALSE(one_kernel(1, DType::bf16, false));
  CHECK_FALSE(one_kernel(4096, DType::bf16, true, DType::bf16));
}

TEST_CASE("mlp: gradients, and what it refuses") {
  Tensor x = some({3, 4}, 7, 4);
  x.requires_grad();
  CHECK(same_bytes(mlp(x, Weights(4, 9, DType::f32).all(), kEps).detach(),
                   by_parts(x.detach(), 9, DType::f32)));
  CHECK(mlp(x, Weights(4, 9, DType::f32).all(), kEps).tracks_grad());
  const Weights w(4, 9, DType::f32);
  CHECK(error_of([&] {
          mlp(some({3, 5}, 7, 4), w.all(), kEps);
        }) == "mlp: input [3,5], weights [9,4] and [4,9]");
  CHECK(error_of([&] { mlp({}, w.all(), kEps); }) == "mlp: undefined input");
  const Tensor none;
  CHECK(error_of([&] {
          mlp(some({3, 4}, 7, 4), {w.norm, none, w.fc1, w.bias1, w.fc2, w.bias2}, kEps);
        }) == "mlp: a weight or a bias is missing");
}
