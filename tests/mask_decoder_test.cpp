// The mask decoder by associativity and prompt by prompt, against the published order, which a Trace asks
// for.
#include "nets/sam/mask_decoder.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "engine/trace.h"
#include "weights/load.h"
#include "weights/procedural.h"

using namespace bp;

namespace {

Tensor noise(const char* name, const Shape& shape, double scale = 1) {
  return procedural(name, shape, {}, {0, scale});
}

double difference(const Tensor& a, const Tensor& b) {
  REQUIRE(a.shape() == b.shape());
  const auto x = a.values(), y = b.values();
  double largest = 0, error = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    largest = std::max(largest, std::fabs(static_cast<double>(x[i])));
    error = std::max(error, std::isfinite(y[i]) ? std::fabs(static_cast<double>(x[i]) - y[i]) : 1e30);
  }
  return error / largest;
}

template <class F>
auto traced(const F& f) {
  const Trace published_order;
  return f();
}

sam::CrossAttention layer() {
  sam::CrossAttention attention(128);
  // Biases as large as the projections: each has a term of its own in the other order.
  for (Linear* l : {&attention.q, &attention.k, &attention.v, &attention.out}) {
    const std::string name = std::to_string(l - &attention.q);
    l->weight = noise(("weight" + name).c_str(), {l->out, l->in}, 0.2);
    l->bias = noise(("bias" + name).c_str(), {l->out}, 2);
  }
  return attention;
}

}  // namespace

TEST_CASE("cross attention: weights on the tokens' side give what weights on the map's side give") {
  const NoGrad frozen;
  const sam::CrossAttention attention = layer();
  for (const i64 tokens : {1, 7, 15, 16, 20})
    for (const i64 positions : {17, 211, 4096}) {
      CAPTURE(tokens);
      CAPTURE(positions);
      const Tensor few = noise("few", {1, tokens, 256}), map = noise("map", {1, positions, 256}),
                   map_at = noise("map_at", {1, positions, 256}), few_at = noise("few_at", {1, tokens, 256});
      const auto from_map = [&] { return attention(few, map_at, map, few_at); };
      const auto from_tokens = [&] { return attention(map_at, few_at, few, map); };
      CHECK(difference(traced(from_map), from_map()) < 1e-5);
      CHECK(difference(traced(from_tokens), from_tokens()) < 1e-5);
    }
}

TEST_CASE("mask decoder: prompt by prompt as all at once, one mask or several") {
  const NoGrad frozen;
  sam::MaskDecoder decoder;
  Params params;
  decoder.collect(params, "mask_decoder");
  load(params, ProceduralSource());
  const Tensor embedding = noise("embedding", {1, 64, 64, 256}), grid = noise("grid", {1, 4096, 256}),
               sparse = noise("sparse", {3, 4, 256}), one = noise("dense", {1, 1, 1, 256}),
               each = noise("dense_each", {3, 64, 64, 256});
  for (const Tensor& dense : {one, each})
    for (const auto wanted : {sam::MaskSet::single, sam::MaskSet::multi}) {
      const auto decode = [&] { return decoder(embedding, grid, sparse, dense, wanted); };
      const sam::Masks published = traced(decode), ours = decode();
      CHECK(difference(published.logits, ours.logits) < 2e-5);
      CHECK(difference(published.iou, ours.iou) < 2e-5);
    }
}
