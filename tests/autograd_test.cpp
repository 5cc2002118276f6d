#include "engine/autograd.h"

#include <doctest/doctest.h>

#include "engine/ops.h"

using namespace bp;

namespace {

Tensor leaf(const Shape& shape, std::vector<float> values) {
  Tensor x = from_values(shape, values);
  x.requires_grad();
  return x;
}

std::size_t live_bytes() {
  return memory_stats().live;
}

}  // namespace

TEST_CASE("a leaf used twice sums its gradients") {
  const Tensor x = leaf({2}, {3, -5});
  backward(sum(mul(x, x)));
  CHECK(x.grad().values() == std::vector<float>{6, -10});
  backward(sum(affine(x, 2, 0)));  // and further backwards add to it
  CHECK(x.grad().values() == std::vector<float>{8, -8});
  Tensor again = x;
  again.zero_grad();
  CHECK_FALSE(x.grad().defined());
}

TEST_CASE("a diamond passes each gradient once") {
  const Tensor x = leaf({1}, {3});
  const Tensor middle = mul(x, x);                                                // x^2
  const Tensor y = mul(affine(middle, 2, 0), add(middle, affine(middle, 1, 1)));  // 2 x^2 (2 x^2 + 1)
  backward(y);
  CHECK(x.grad().item() == 16 * 27 + 4 * 3);  // 16 x^3 + 4 x
}

TEST_CASE("only what asked for a gradient gets one") {
  const Tensor x = leaf({2}, {1, 2}), constant = from_values({2}, std::vector<float>{5, 7});
  const Tensor y = mul(x, constant);
  CHECK(y.tracks_grad());
  CHECK_FALSE(mul(constant, constant).tracks_grad());
  backward(sum(y));
  CHECK(x.grad().values() == std::vector<float>{5, 7});
  CHECK_FALSE(constant.grad().defined());
}

TEST_CASE("detach cuts the tape") {
  const Tensor x = leaf({2}, {2, 3});
  CHECK_FALSE(x.detach().tracks_grad());
  backward(sum(mul(x, x.detach())));
  CHECK(x.grad().values() == std::vector<float>{2, 3});
}

TEST_CASE("NoGrad switches recording off and back on") {
  const Tensor x = leaf({2}, {1, 2});
  {
    const NoGrad outer;
    {
      const NoGrad inner;
      CHECK_FALSE(gelu(x).tracks_grad());
    }
    CHECK_FALSE(gelu(x).tracks_grad());
    CHECK_FALSE(x.reshape({2, 1}).tracks_grad());
  }
  CHECK(gelu(x).tracks_grad());
}

TEST_CASE("a seed weighs the outputs, and must fit") {
  const Tensor x = leaf({2, 2}, {1, 2, 3, 4});
  const Tensor y = affine(x, 10, 0);
  CHECK_THROWS_WITH_AS(backward(y), doctest::Contains("not a scalar"), Error);
  CHECK_THROWS_WITH_AS(backward(y, zeros({4})), doctest::Contains("seed [4]"), Error);
  backward(y, from_values({2, 2}, std::vector<float>{1, 0, -1, 0.5f}));
  CHECK(x.grad().values() == std::vector<float>{10, 0, -10, 5});
  CHECK_THROWS_WITH_AS(backward(from_values({1}, std::vector<float>{1})),
                       doctest::Contains("requires a gradient"), Error);
}

TEST_CASE("views carry gradients") {
  const Tensor x = leaf({3, 2}, {1, 2, 3, 4, 5, 6});
  backward(sum(mul(x.slice(1, 3), x.slice(0, 2))));
  CHECK(x.grad().values() == std::vector<float>{3, 4, 6, 8, 3, 4});
  Tensor again = x;
  again.zero_grad();
  backward(sum(mul(x[2], x.reshape({2, 3}).reshape({-1, 2})[0])));
  CHECK(x.grad().values() == std::vector<float>{5, 6, 0, 0, 1, 2});
}

TEST_CASE("an op without a gradient refuses to be recorded") {
  Tensor qkv = zeros({1, 2, 2, 24}), rel = zeros({3, 8});
  const auto run = [&] { return window_attention(qkv, {.heads = 1}, {}, rel, rel, {}); };
  run();
  qkv.requires_grad();
  CHECK_THROWS_WITH_AS(run(), doctest::Contains("no gradient"), Error);
  const NoGrad no_grad;
  run();
}

TEST_CASE("a tape serves one backward") {
  const Tensor x = leaf({2}, {1, 2});
  const Tensor hidden = gelu(x), loss = sum(hidden);
  backward(loss);
  CHECK_THROWS_WITH_AS(backward(loss), doctest::Contains("already used"), Error);
  CHECK_THROWS_WITH_AS(backward(sum(hidden)), doctest::Contains("already used"), Error);
}

TEST_CASE("integer tensors and results of ops are no leaves") {
  CHECK_THROWS_AS(Tensor(zeros({2}, DType::i32)).requires_grad(), Error);
  const Tensor x = leaf({2}, {1, 2});
  CHECK_THROWS_AS(Tensor(gelu(x)).requires_grad(), Error);
}

TEST_CASE("a forward and a backward leave nothing behind") {
  const std::size_t before = live_bytes();
  {
    Tensor x = leaf({1, 5, 6, 8}, std::vector<float>(240, 0.5f)), w = leaf({8}, std::vector<float>(8, 1.0f));
    Tensor kernel = leaf({3, 3, 8}, std::vector<float>(72, 0.1f));
    const std::size_t leaves = live_bytes();
    {
      Tensor y = depthwise(layer_norm(x, w, w, 1e-5f), kernel, w, 1, Act::gelu);
      y = softmax(mul(y, sigmoid(y)));
      y = attention(y.reshape({1, 30, 8}), x.reshape({1, 30, 8}), y.reshape({1, 30, 8}), 2, 0.5f);
      CHECK(live_bytes() > leaves);
    }
    CHECK(live_bytes() == leaves);  // without a backward
    backward(mean(mul(softmax(gelu(x)), depthwise(x, kernel, {}, 1))));
    CHECK(live_bytes() > leaves);
    for (Tensor* t : {&x, &kernel}) t->zero_grad();
    CHECK(live_bytes() == leaves);
  }
  CHECK(live_bytes() == before);
}
