// Weights with a packed copy beside them: it is used, goes along with views, and is never stale.
#include <doctest/doctest.h>

#include "engine/ops.h"
#include "engine/param.h"
#include "nets/layers.h"
#include "tests/errors.h"

using namespace bp;

namespace {

Tensor counting(const Shape& shape, float step) {
  std::vector<float> values(static_cast<std::size_t>(shape.numel()));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = step * static_cast<float>(i % 23) - 1;
  return from_values(shape, values);
}

// Changes the weight behind its copy's back: only what reads the copy does not see it.
void spoil(const Tensor& w) {
  std::fill_n(w.data<float>(), w.numel(), 1e6f);
}

}  // namespace

TEST_CASE("pack: products and convolutions read the copy, through views too") {
  const Tensor x = counting({5, 40}, 0.1f), w = counting({33, 40}, 0.05f);
  const auto wanted = linear(x, w).values();
  Tensor packed = counting({33, 40}, 0.05f);
  packed.pack(33);
  REQUIRE(packed.packed(33));
  CHECK_FALSE(packed.packed(40));
  spoil(packed);
  CHECK(linear(x, packed).values() == wanted);
  CHECK(linear(x, packed.detach()).values() == wanted);
  CHECK(linear(x, packed.reshape({33, 1, 2, 20}).reshape({33, 40})).values() == wanted);
  CHECK(conv2d(x.reshape({1, 1, 5, 40}), packed.reshape({33, 1, 1, 40}), {}, 1, 0).values() == wanted);
  // A part of it, or the same numbers as other rows, are not what was packed.
  CHECK_FALSE(packed.slice(0, 32).packed(32));
  CHECK_FALSE(packed.reshape({40, 33}).packed(40));

  const Tensor image = counting({1, 6, 7, 20}, 0.1f);
  Tensor kernel = counting({9, 3, 3, 20}, 0.02f);
  const auto mapped = conv2d(image, kernel, {}, 2, 1).values();
  kernel.pack(9);
  spoil(kernel);
  CHECK(conv2d(image, kernel, {}, 2, 1).values() == mapped);
}

TEST_CASE("pack: the copy is gone when the weight may change") {
  Tensor w = counting({33, 40}, 0.05f);
  w.pack(33);
  Tensor trained = w;
  trained.requires_grad();
  CHECK_FALSE(w.packed(33));
  CHECK(error_of([&] { trained.pack(33); }) == "pack: [33,40] is being trained");
  trained.requires_grad(false);
  w.pack(33);
  copy_into(w, counting({33, 40}, 0.2f));
  CHECK_FALSE(w.packed(33));
  CHECK(error_of([&] { w.pack(7); }) == "pack: [33,40] as 7 rows");
}

TEST_CASE("pack: of a net's parameters the matrices and the transposed convolutions") {
  Tensor matrix = counting({6, 8}, 1), bias = counting({6}, 1), conv = counting({6, 3, 3, 8}, 1),
         transposed = counting({2, 2, 6, 8}, 1);
  pack({{"matrix", {6, 8}, Layout::as_is, &matrix},
        {"bias", {6}, Layout::as_is, &bias},
        {"conv", {6, 8, 3, 3}, Layout::conv, &conv},
        {"transposed", {8, 6, 2, 2}, Layout::transpose2x2, &transposed}});
  CHECK(matrix.packed(6));
  CHECK_FALSE(bias.packed(6));
  CHECK_FALSE(conv.packed(6));
  CHECK(transposed.packed(24));
}

TEST_CASE("pack: a layer for several calls, itself unchanged") {
  Linear layer{.in = 40, .out = 33, .weight = counting({33, 40}, 0.05f)};
  const Tensor x = counting({5, 40}, 0.1f);
  const Linear packed = layer.packed();
  CHECK(packed(x).values() == layer(x).values());
  CHECK_FALSE(layer.weight.packed(33));
  REQUIRE(packed.weight.packed(33));
  CHECK(packed.packed().weight.packed(33) == packed.weight.packed(33));
  layer.weight.requires_grad();
  CHECK(layer.packed().weight.tracks_grad());
}
