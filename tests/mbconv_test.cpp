// MBConv without its maps between gives the bytes of its three convolutions: strips and segments of every
// kind, both types, any number of threads, and AMX on its stand-in.
#include <doctest/doctest.h>

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

struct Case {
  i64 n, h, w, c, hidden, o, stride;
};

struct Weights {
  Case sizes;
  Tensor expand, expand_bias, spatial, spatial_bias, project, project_bias;

  Weights(const Case& a, DType dtype)
      : sizes(a),
        expand(cast(some({a.hidden, 1, 1, a.c}, 1, 4), dtype)),
        expand_bias(cast(some({a.hidden}, 2, 1), dtype)),
        spatial(cast(some({3, 3, a.hidden}, 3, 2), dtype)),
        spatial_bias(cast(some({a.hidden}, 4, 1), dtype)),
        project(cast(some({a.o, 1, 1, a.hidden}, 5, 1), dtype)),
        project_bias(cast(some({a.o}, 6, 1), dtype)) {}
  MbConvWeights all() const { return {expand, expand_bias, spatial, spatial_bias, project, project_bias}; }
  Tensor by_parts(const Tensor& x, i64 stride, bool shortcut) const {
    return mbconv(x, all(), stride, shortcut);
  }
  // In one kernel: its parts' are not there.
  Tensor fused(const Tensor& x, i64 stride, bool shortcut) const {
    Weights packed(sizes, expand.dtype());
    packed.expand.pack(sizes.hidden), packed.project.pack(sizes.o);
    k::Kernels alone = kernels(Device{});
    alone.depthwise = [](const k::Depthwise&) { throw std::logic_error("depthwise"); };
    const Profile profile(Device{}, alone);
    return mbconv(x, packed.all(), stride, shortcut);
  }
};

// A hidden width of 256 leaves room for 64 columns in f32 (stride 1): images wider than that come in strips.
const Case kCases[] = {{1, 1, 1, 3, 5, 3, 1},     {2, 7, 5, 16, 33, 16, 1},   {1, 9, 150, 7, 256, 7, 1},
                       {1, 41, 66, 4, 256, 4, 1}, {3, 5, 9, 64, 256, 64, 1},  {1, 1, 1, 3, 5, 2, 2},
                       {2, 8, 7, 16, 33, 40, 2},  {1, 11, 141, 5, 256, 9, 2}, {1, 70, 6, 256, 40, 31, 2}};

void check_all(DType dtype) {
  for (const Case& a : kCases) {
    CAPTURE(a.h);
    CAPTURE(a.w);
    CAPTURE(a.hidden);
    const Weights w(a, dtype);
    const Tensor x = some({a.n, a.h, a.w, a.c}, 7, 4);
    const Tensor y = w.fused(x, a.stride, false);
    // By parts the sum of the projection is rounded to their type; it is not here.
    CHECK(same_bytes(cast(cast(y, dtype), DType::f32), w.by_parts(x, a.stride, false)));
    if (a.stride == 1 && a.o == a.c) CHECK(same_bytes(w.fused(x, 1, true), gelu(add(y, x))));
  }
}

}  // namespace

TEST_CASE("mbconv: the bytes of its parts") {
  for (const int n : {1, 2, 5}) {
    CAPTURE(n);
    const Threads threads(n);
    check_all(DType::f32);
    check_all(DType::bf16);
  }
}

TEST_CASE("mbconv in bf16 by AMX, on its stand-in") {
  if (!cpu::has_avx512()) return;
  const AmxStandIn amx;
  REQUIRE(cpu::bf16_amx());
  check_all(DType::bf16);
}

TEST_CASE("mbconv: by parts where one kernel would not do") {
  const Case a{1, 4, 5, 6, 8, 6, 1};
  Weights w(a, DType::f32);
  const Tensor x = some({1, 4, 5, 6}, 7, 4), wanted = w.by_parts(x, 1, true);
  w.expand.pack(8), w.project.pack(6);
  // A gradient needs the maps between.
  Tensor tracked = some({1, 4, 5, 6}, 7, 4);
  tracked.requires_grad();
  const Tensor y = mbconv(tracked, w.all(), 1, true);
  CHECK(y.tracks_grad());
  CHECK(same_bytes(y.detach(), wanted));
  // The input's type is the result's.
  CHECK(mbconv(cast(x, DType::bf16), w.all(), 1, true).dtype() == DType::bf16);
}

TEST_CASE("mbconv: what it refuses") {
  const Case a{1, 4, 5, 6, 8, 6, 1};
  const Weights w(a, DType::f32);
  CHECK(error_of([&] {
          w.by_parts(some({1, 4, 5, 6}, 7, 1), 2, true);
        }) == "mbconv: a shortcut with stride 2 from 6 to 6 channels");
  CHECK(error_of([&] {
          w.fused(some({1, 4, 5, 7}, 7, 1), 1, false);
        }) == "mbconv: input [1,4,5,7], weights [8,1,1,6], [3,3,8], [6,1,1,8], stride 1");
  CHECK(error_of([&] { w.by_parts({}, 1, false); }) == "mbconv: undefined input");
  const Tensor none;
  CHECK(error_of([&] {
          mbconv(some({1, 4, 5, 6}, 7, 1),
                 {w.expand, none, w.spatial, w.spatial_bias, w.project, w.project_bias}, 1, false);
        }) == "mbconv: a weight or a bias is missing");
}
