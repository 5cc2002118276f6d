// What tests on walled memory share: the device for a test's time, and a small network for training.
#pragma once
#include <cmath>

#include "engine/backend.h"
#include "engine/ops.h"
#include "engine/optimizer.h"
#include "tests/walled_backend.h"

namespace bp::testing {

inline constexpr Device kHost{}, kWalled{Device::Type::cuda}, kSecond{Device::Type::cuda, 1};

struct Walled {
  explicit Walled(bool cache_blocks = true) { use_backend(Device::Type::cuda, walled_backend(cache_blocks)); }
  ~Walled() { use_backend(Device::Type::cuda, nullptr); }
};

inline std::vector<float> wave(i64 n, double step) {
  std::vector<float> x;
  for (i64 i = 0; i < n; ++i) x.push_back(static_cast<float>(std::sin(step * static_cast<double>(i))));
  return x;
}

// A little of all that training is made of.
struct Net {
  Tensor conv = from_values({8, 3, 3, 3}, wave(216, 0.7)), gamma = full({8}, 1), beta = zeros({8}),
         mean = zeros({8}), variance = full({8}, 1), qkv = from_values({24, 8}, wave(192, 1.3)),
         table = from_values({2, 16}, wave(32, 0.3)), norm = full({8}, 1),
         out = from_values({1, 8}, wave(8, 0.9));
  Params params{{"conv", {8, 3, 3, 3}, Layout::as_is, &conv},
                {"gamma", {8}, Layout::as_is, &gamma},
                {"beta", {8}, Layout::as_is, &beta},
                {"mean", {8}, Layout::as_is, &mean, false},
                {"variance", {8}, Layout::as_is, &variance, false},
                {"qkv", {24, 8}, Layout::as_is, &qkv},
                {"table", {2, 16}, Layout::as_is, &table},
                {"norm", {8}, Layout::as_is, &norm},
                {"out", {1, 8}, Layout::as_is, &out}};

  explicit Net(Device device) {
    to_device(params, device);
    require_grad(params);
  }
  Net(const Net&) = delete;

  Tensor operator()(const Tensor& x) {
    Tensor y =
        batch_norm(conv2d(x, conv, {}, 1, 1), gamma, beta, mean, variance, true, 0.1f, 1e-5f, Act::gelu);
    y = window_attention(linear(y, qkv), {2, 4, true}, {}, {}, {}, table);
    y = concat({layer_norm(y, norm, beta, 1e-5f), y}, 3);
    return resize_bilinear(linear(slice(y, 3, 4, 12), out), 8, 8);
  }
};

}  // namespace bp::testing
