#include "tests/trunk_training_case.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "nets/tiny_vit/tiny_vit.h"
#include "tests/test_device.h"
#include "weights/load.h"
#include "weights/procedural.h"

namespace bp::test {
namespace {

double largest_difference(const std::vector<float>& wanted, const std::vector<float>& got) {
  REQUIRE(wanted.size() == got.size());
  double d = 0;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    const double e = std::fabs(static_cast<double>(wanted[i]) - static_cast<double>(got[i]));
    d = std::isfinite(e) ? std::max(d, e) : 1e30;
  }
  return d;
}

double largest_value(const std::vector<float>& x) {
  double m = 0;
  for (float v : x) m = std::max(m, std::fabs(static_cast<double>(v)));
  return m;
}

// Features [N,H,W,C] beside those recorded, [1,C/step,H,W] of the first image.
void check_stage(const Tensor& wanted, const Tensor& features) {
  const Tensor got = permute(features.detach(), {0, 3, 1, 2});
  std::vector<float> sampled;
  for (i64 c = 0; c < got.dim(1); c += got.dim(1) / wanted.dim(1))
    for (float v : got[0][c].values()) sampled.push_back(v);
  CHECK(largest_difference(wanted.values(), sampled) < 1e-4 * largest_value(wanted.values()));
}

// l2 norm, sum and up to 8 samples at round(linspace(0, n - 1, min(8, n))), in published layout.
std::vector<float> digest(const Tensor& gradient) {
  const std::vector<float> g = gradient.values();
  double square = 0, sum = 0;
  for (double v : g) {
    square += v * v;
    sum += v;
  }
  std::vector<float> result{static_cast<float>(std::sqrt(square)), static_cast<float>(sum)};
  const std::size_t samples = std::min<std::size_t>(8, g.size());
  for (std::size_t i = 0; i < samples; ++i)
    result.push_back(g[static_cast<std::size_t>(
        std::nearbyint(static_cast<double>(g.size() - 1) * static_cast<double>(i) /
                       static_cast<double>(std::max<std::size_t>(1, samples - 1))))]);
  return result;
}

}  // namespace

void check_tiny_vit_training(const std::string& file) {
  CAPTURE(file);
  const Archive golden = open_archive(file);
  const std::string salt = golden.metadata().at("salt");
  tiny_vit::TinyVit net;
  Params params;
  net.collect(params);
  load(params, ProceduralSource(salt), {.own = true});
  const Device device = testing::test_device();
  to_device(params, device);
  net.train();
  require_grad(params);

  Tensor input = to(permute(procedural("input", {2, 3, 224, 224}, salt, {0.0, 2.0}), {0, 2, 3, 1}), device);
  input.requires_grad();
  const auto features = net(input);
  Tensor loss;
  for (std::size_t s = 0; s < 4; ++s) {
    CAPTURE(s);
    check_stage(golden.tensor("train.stage" + std::to_string(s)), features[s]);
    const Shape& f = features[s].shape();
    const Tensor cotangent =
        to(permute(procedural("cotangent" + std::to_string(s), {f[0], f[3], f[1], f[2]}, salt, {0.0, 1.0}),
                   {0, 2, 3, 1}),
           device);
    const Tensor term = mean(mul(features[s], cotangent));
    loss = loss ? add(loss, term) : term;
  }
  CHECK(loss.item() == doctest::Approx(golden.tensor("train.loss").item()).epsilon(1e-4));
  backward(loss);

  const float input_norm = golden.tensor("train.grad.input.l2").item();
  CHECK(digest(input.grad())[0] == doctest::Approx(input_norm).epsilon(1e-4));
  int gradients = 0;
  for (const Param& p : params) {
    CAPTURE(p.name);
    if (p.trained) {
      const std::vector<float> wanted = golden.tensor("train.grad." + p.name).values();
      REQUIRE(p.tensor->grad().defined());
      const auto got = digest(to_published(p.tensor->grad(), p.shape, p.layout));
      const double error = largest_difference(wanted, got) / static_cast<double>(wanted[0]);
      CHECK(error < 1e-4);
      ++gradients;
    } else {
      const std::vector<float> wanted = golden.tensor("train.buffer." + p.name).values();
      CHECK(largest_difference(wanted, p.tensor->values()) < 1e-5 * largest_value(wanted));
    }
  }
  CHECK(gradients == 211);
}

}  // namespace bp::test
