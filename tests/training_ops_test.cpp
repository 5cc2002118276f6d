// What the table of op cases leaves out of the ops of training: running statistics, extreme values, refusals.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "engine/ops.h"
#include "tests/test_device.h"

using namespace bp;

namespace {

const Device kDevice = testing::test_device();

Tensor there(const Tensor& x) {
  return to(x, kDevice);
}

// Values of channel i around i, with a spread that grows with it.
std::vector<float> rows_of(i64 rows, i64 cols) {
  std::vector<float> x;
  for (i64 r = 0; r < rows; ++r)
    for (i64 i = 0; i < cols; ++i)
      x.push_back(static_cast<float>(i) + static_cast<float>(i + 1) * static_cast<float>(r * 37 % 101) / 50);
  return x;
}

}  // namespace

TEST_CASE("batch_norm moves the running statistics to the batch's mean and unbiased variance") {
  for (const i64 rows : {2, 7, 1000}) {
    CAPTURE(rows);
    const i64 cols = 19;
    const std::vector<float> x = rows_of(rows, cols);
    const Tensor mean = there(full({cols}, 3)), var = there(full({cols}, 2)), w = there(full({cols}, 1)),
                 b = there(zeros({cols})), input = there(from_values({rows, cols}, x));
    batch_norm(input, w, b, mean, var, true, 0.25f);
    const std::vector<float> before = mean.values(), before_var = var.values();
    for (i64 i = 0; i < cols; ++i) {
      double m = 0, v = 0;
      for (i64 r = 0; r < rows; ++r)
        m += x[static_cast<std::size_t>(r * cols + i)] / static_cast<double>(rows);
      for (i64 r = 0; r < rows; ++r)
        v += std::pow(x[static_cast<std::size_t>(r * cols + i)] - m, 2) / static_cast<double>(rows - 1);
      CHECK(before[static_cast<std::size_t>(i)] == doctest::Approx(0.75 * 3 + 0.25 * m).epsilon(1e-6));
      CHECK(before_var[static_cast<std::size_t>(i)] == doctest::Approx(0.75 * 2 + 0.25 * v).epsilon(1e-6));
    }
    batch_norm(input, w, b, mean, var, false);
    CHECK(mean.values() == before);
    CHECK(var.values() == before_var);
  }
}

TEST_CASE("bce_with_logits is stable where probabilities are not") {
  // Loss of (logit, target): |logit| where they disagree, 0 where they agree, and the gradient -1, 1 or 0.
  const std::vector<float> logits{1e30f, -1e30f, 1e30f, -1e30f, 200, -200, 0};
  const std::vector<float> targets{1, 0, 0, 1, 0, 1, 0.5f};
  for (std::size_t i = 0; i < logits.size(); ++i) {
    CAPTURE(i);
    Tensor x = there(full({1}, logits[i]));
    x.requires_grad();
    const Tensor loss = bce_with_logits(x, there(full({1}, targets[i])));
    const bool agree = (logits[i] > 0) == (targets[i] == 1);
    const float size = std::abs(logits[i]);
    CHECK(loss.item() == doctest::Approx(size == 0 ? std::log(2.0) : agree ? 0.0 : size).epsilon(1e-6));
    backward(loss);
    CHECK(std::abs(x.grad().item() - (size == 0 || agree ? 0.0f : logits[i] > 0 ? 1.0f : -1.0f)) < 1e-7f);
  }
}

TEST_CASE("bce_with_logits refuses targets that are no probabilities, wherever they stand") {
  for (const float bad : {-0.001f, 1.001f, 255.0f, std::numeric_limits<float>::quiet_NaN()})
    for (const i64 at : {0, 15, 16, 5000, 8999}) {
      CAPTURE(bad);
      CAPTURE(at);
      Tensor targets = full({9000}, 1);
      targets.data<float>()[at] = bad;
      CHECK_THROWS_WITH_AS(bce_with_logits(there(zeros({9000})), there(targets)),
                           "bce_with_logits: 1 of 9000 targets are not in [0,1]", Error);
    }
}

TEST_CASE("l2_normalize keeps zeros, and a NaN") {
  Tensor x = there(from_values({3, 2}, std::vector<float>{0, 0, 3, 4, NAN, 1}));
  x.requires_grad();
  const Tensor y = l2_normalize(x);
  CHECK(y.values()[0] == 0);
  CHECK(y.values()[2] == doctest::Approx(0.6));
  CHECK(y.values()[3] == doctest::Approx(0.8));
  CHECK(std::isnan(y.values()[5]));
}

TEST_CASE("ops of training refuse what they cannot do") {
  const auto row = [](i64 n) { return zeros({n}); };
  CHECK_THROWS_WITH_AS(batch_norm(zeros({1, 3}), row(3), row(3), row(3), row(3), true),
                       "batch_norm: training on [1,3], wanted at least 2 values per channel", Error);
  CHECK(batch_norm(zeros({1, 3}), row(3), row(3), row(3), full({3}, 1), false).shape() == Shape{1, 3});
  CHECK(batch_norm(zeros({0, 3}), row(3), row(3), row(3), full({3}, 1), false).shape() == Shape{0, 3});
  CHECK_THROWS_WITH_AS(batch_norm(zeros({4, 3}), row(2), row(3), row(3), row(3), true),
                       "batch_norm: input [4,3], weight [2], bias [3]", Error);
  CHECK_THROWS_WITH_AS(batch_norm(zeros({4, 3}), row(3), row(3), row(3), row(4), true),
                       "batch_norm: running mean [3], running variance [4], wanted [3] of f32", Error);
  const Tensor half = zeros({3}, DType::bf16);
  CHECK_THROWS_WITH_AS(batch_norm(zeros({4, 3}), row(3), row(3), half, half, true),
                       doctest::Contains("of f32"), Error);
  CHECK_THROWS_WITH_AS(bce_with_logits(row(3), row(4)), "bce_with_logits: logits [3], targets [4]", Error);
  CHECK_THROWS_WITH_AS(bce_with_logits(row(0), row(0)), doctest::Contains("logits [0]"), Error);
  Tensor targets = row(3);
  targets.requires_grad();
  CHECK_THROWS_WITH_AS(bce_with_logits(row(3), targets), "bce_with_logits: no gradient for targets", Error);
  CHECK_THROWS_WITH_AS(l2_normalize(row(3), 0), "l2_normalize: eps 0, wanted above 0", Error);
}
