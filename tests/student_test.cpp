// The student: its size, its switches, its gradient as a whole, and that it learns.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <set>

#include "nets/student/student.h"

using namespace bp;

namespace {

// Noise of its own in each image, brighter in a square that is to be found.
struct Examples {
  Tensor images, masks;
  Examples(i64 n, i64 size) : images(empty({n, size, size, 3})), masks(empty({n, size, size, 1})) {
    std::uint32_t noise = 1;
    for (i64 i = 0; i < n; ++i)
      for (i64 y = 0; y < size; ++y)
        for (i64 x = 0; x < size; ++x) {
          const i64 left = size / 8 * (i % 4 + 1), at = (i * size + y) * size + x;
          const bool inside = x >= left && x < left + size / 2 && y >= size / 4 && y < size * 3 / 4;
          masks.data<float>()[at] = inside ? 1.0f : 0.0f;
          for (i64 c = 0; c < 3; ++c) {
            noise = noise * 1664525u + 1013904223u;
            images.data<float>()[at * 3 + c] =
                static_cast<float>(noise >> 8) * 0x1p-23f - 1 + (inside ? 0.5f : 0.0f);
          }
        }
  }
};

i64 trained_numbers(const Params& params) {
  i64 n = 0;
  for (const Param& p : params) n += p.trained ? p.shape.numel() : 0;
  return n;
}

}  // namespace

TEST_CASE("the student is as large as published, and its parts can be left out") {
  student::Student whole, no_gate({.gate = false}), no_memory({.memory = false});
  const Params params = whole.params();
  const i64 all = trained_numbers(params);
  CHECK(std::abs(static_cast<double>(all) - 5.45e6) < 1e5);
  CHECK(all - trained_numbers(no_gate.params()) == 4 * 65);
  CHECK(all - trained_numbers(no_memory.params()) == 64 * 64 + 64 + 64 * 64 + 1 + 1 + 129);
  std::set<std::string> names;
  for (const Param& p : params) names.insert(p.name);
  CHECK(names.size() == params.size());
  CHECK(names.count("trunk.patch_embed.seq.0.c.weight") == 1);
  CHECK(names.count("fusion.unify.3.bn.running_var") == 1);
}

TEST_CASE("weights decay, everything else does not") {
  student::Student net;
  for (const Param& p : net.params()) {
    CAPTURE(p.name);
    const bool table = p.name.find("attention_biases") != std::string::npos ||
                       p.name.find("prototypes") != std::string::npos;
    CHECK(student::decays(p) == (p.shape.rank() > 1 && !table));
  }
}

TEST_CASE("initial values are the seed's, of unit scale, and the same with or without other parts") {
  student::Student a, b, other, bare({.gate = false, .memory = false});
  student::initialise(a.params(), 7);
  student::initialise(b.params(), 7);
  student::initialise(other.params(), 8);
  student::initialise(bare.params(), 7);
  CHECK(a.fusion.refine.weight.values() == b.fusion.refine.weight.values());
  CHECK(a.fusion.refine.weight.values() == bare.fusion.refine.weight.values());
  CHECK(a.fusion.refine.weight.values() != other.fusion.refine.weight.values());
  CHECK(a.fusion.unify[1].weight.values() != a.fusion.unify[2].weight.values());
  double square = 0;
  for (double v : a.fusion.prototypes.values()) square += v * v / 64;
  CHECK(square == doctest::Approx(1).epsilon(0.05));
  CHECK(a.fusion.unify[0].gamma.values() == std::vector<float>(64, 1));
  CHECK(a.fusion.unify[0].variance.values() == std::vector<float>(64, 1));
  CHECK(a.fusion.unify[0].mean.values() == std::vector<float>(64, 0));
  CHECK(a.fusion.inverse_tau.item() == 10);
}

TEST_CASE("logits come at the size of the image, whatever is switched off") {
  const Examples examples(1, 64);
  std::vector<std::vector<float>> answers;
  for (const fusion::Parts& parts : {fusion::Parts{true, true}, fusion::Parts{false, true},
                                     fusion::Parts{true, false}, fusion::Parts{false, false}}) {
    student::Student net(parts);
    student::initialise(net.params(), 1);
    CHECK_THROWS_WITH_AS(net(examples.images), doctest::Contains("neither folded after loading"), Error);
    net.prepare();
    const Tensor logits = net(examples.images);
    CHECK(logits.shape() == Shape{1, 64, 64, 1});
    for (const auto& before : answers) CHECK(before != logits.values());
    answers.push_back(logits.values());
  }
}

TEST_CASE("in bf16 what is between the products stays f32, and the answer is near") {
  const Examples examples(1, 64);
  student::Student whole, rounded;
  student::initialise(whole.params(), 1);
  student::initialise(rounded.params(), 1);
  whole.prepare();
  rounded.prepare({}, DType::bf16);
  for (const Param& p : rounded.params()) {
    CAPTURE(p.name);
    const bool kept = p.name.find("norm") != std::string::npos || p.name.find(".bn.") != std::string::npos ||
                      p.name.rfind("fusion.memory", 0) == 0;
    if (kept) CHECK(p.tensor->dtype() == DType::f32);
    if (p.name.find("mlp.fc1.weight") != std::string::npos) CHECK(p.tensor->dtype() == DType::bf16);
  }
  CHECK(rounded.trunk.stem1.folded_weight.dtype() == DType::bf16);
  const Tensor wanted = whole(examples.images), got = rounded(examples.images);
  CHECK(got.dtype() == DType::f32);
  const auto a = wanted.values(), b = got.values();
  double largest = 0, error = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    largest = std::max(largest, static_cast<double>(std::fabs(a[i])));
    error = std::max(error, static_cast<double>(std::fabs(a[i] - b[i])));
  }
  CHECK(error > 0);
  CHECK(error < 0.03 * largest);
}

// Along its own direction a gradient says how fast the loss grows: its norm.
TEST_CASE("the gradient of the whole student agrees with finite differences, parameter by parameter") {
  const Examples examples(2, 64);
  student::Student net;
  const Params params = net.params();
  student::initialise(params, 3);
  // Where everything matters: position biases are not zero, and the memory is loud.
  for (const Param& p : params) {
    if (p.name.find("attention_biases") != std::string::npos) *p.tensor = full(p.shape, 0.3f);
    if (p.name == "fusion.memory.prototypes" || p.name == "fusion.memory.recall.weight")
      *p.tensor = affine(*p.tensor, 5, 0);
  }
  net.train();
  require_grad(params);
  const auto loss = [&] { return bce_with_logits(net(examples.images), examples.masks); };
  backward(loss());
  int checked = 0;
  for (const Param& p : params) {
    // All of the fusion, and of the trunk one block of each kind: the whole of it has its own recording.
    const bool of_interest = p.name.rfind("fusion.", 0) == 0 ||
                             p.name.find("layers.0.blocks.0") != std::string::npos ||
                             p.name.find("layers.1.blocks.0") != std::string::npos ||
                             p.name.find("layers.2.downsample") != std::string::npos;
    if (!p.trained || !of_interest) continue;
    CAPTURE(p.name);
    REQUIRE(p.tensor->grad().defined());
    const std::vector<float> gradient = p.tensor->grad().values(), before = p.tensor->values();
    double square = 0;
    for (double g : gradient) square += g * g;
    const double norm = std::sqrt(square);
    REQUIRE(norm > 0);
    double size = 1;
    for (double v : before) size = std::max(size, std::abs(v));
    const double step = std::min(2e-3 / norm, 0.05 * size);
    const auto moved = [&](double by) {
      for (std::size_t i = 0; i < before.size(); ++i)
        p.tensor->data<float>()[i] = static_cast<float>(before[i] + by * gradient[i] / norm);
      const NoGrad no_grad;
      return static_cast<double>(loss().item());
    };
    const double numeric = (moved(step) - moved(-step)) / (2 * step);
    std::memcpy(p.tensor->raw(), before.data(), before.size() * sizeof(float));
    const double rounding = 1e-7 / step;  // of two losses below 1
    CHECK(rounding < 0.1 * norm);
    CHECK(std::abs(numeric - norm) < 0.01 * norm + rounding);
    ++checked;
  }
  CHECK(checked > 60);
}

TEST_CASE("the student learns what it is shown, and its folded form has learned it too") {
  const Examples examples(2, 64);
  student::Student net;
  const Params params = net.params();
  student::initialise(params, 5);
  net.train();
  require_grad(params);
  AdamW adamw(params,
              [](const Param& p) {
                return Group{student::decays(p), 1};
              },
              {.clip = 1, .average = 0.9});
  double first = 0, last = 0;
  for (i64 t = 0; t < 60; ++t) {
    const Tensor loss = bce_with_logits(net(examples.images), examples.masks);
    (t ? last : first) = static_cast<double>(loss.item());
    backward(loss);
    adamw.step(learning_rate({.peak = 3e-3, .floor = 1e-5, .warmup = 5, .total = 60}, t));
  }
  CHECK(first > 0.5);
  CHECK(last < 0.05);
  const UseAverage use(adamw);
  net.train(false);
  const NoGrad no_grad;
  CHECK(bce_with_logits(net(examples.images), examples.masks).item() < 0.05);
}
