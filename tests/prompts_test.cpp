// What SAM's prompt encoder and decoder do by definition, on numbers made up here: no recording is needed.
#include <doctest/doctest.h>

#include <cmath>
#include <numbers>

#include "nets/sam/predictor.h"
#include "weights/load.h"
#include "weights/procedural.h"

using namespace bp;

namespace {

Tensor noise(const std::string& name, const Shape& shape) {
  return procedural(name, shape, "prompts", {0.0, 1.0});
}

sam::PromptEncoder encoder() {
  sam::PromptEncoder e;
  e.gaussian = noise("gaussian", {2, 128});
  for (std::size_t i = 0; i < 4; ++i) e.point_embeddings[i] = noise("point" + std::to_string(i), {1, 256});
  e.not_a_point = noise("none", {1, 256});
  e.no_mask = noise("no mask", {1, 256});
  return e;
}

// The token of a position with the embedding of its kind added: sin and cos of 2 pi (2 p - 1) G.
std::vector<float> token(const sam::PromptEncoder& e, double x, double y, const Tensor& kind) {
  const auto g = e.gaussian.values(), k = kind.values();
  std::vector<float> t(256);
  for (std::size_t i = 0; i < 128; ++i) {
    const double angle =
        2 * std::numbers::pi * ((2 * (x + 0.5) / 1024 - 1) * g[i] + (2 * (y + 0.5) / 1024 - 1) * g[128 + i]);
    t[i] = static_cast<float>(std::sin(angle)) + k[i];
    t[128 + i] = static_cast<float>(std::cos(angle)) + k[128 + i];
  }
  return t;
}

void check_tokens(const Tensor& got, const std::vector<std::vector<float>>& wanted) {
  REQUIRE(got.shape() == Shape{1, static_cast<i64>(wanted.size()), 256});
  const auto values = got.values();
  for (std::size_t t = 0; t < wanted.size(); ++t) {
    CAPTURE(t);
    float worst = 0;
    for (std::size_t i = 0; i < 256; ++i)
      worst = std::max(worst, std::fabs(values[t * 256 + i] - wanted[t][i]));
    CHECK(worst < 1e-3f);
  }
}

}  // namespace

TEST_CASE("points beside a box: labels 1 and 0, then the box's corners, and padding only without a box") {
  const sam::PromptEncoder e = encoder();
  const Tensor box = from_values({1, 4}, std::vector<float>{100, 200, 300, 400});
  const Tensor points = from_values({1, 2, 2}, std::vector<float>{150, 250, 700, 30});
  const Tensor labels = from_values({1, 2}, std::vector<float>{1, 0});
  const auto first = token(e, 150, 250, e.point_embeddings[1]);
  const auto second = token(e, 700, 30, e.point_embeddings[0]);
  const auto upper = token(e, 100, 200, e.point_embeddings[2]);
  const auto lower = token(e, 300, 400, e.point_embeddings[3]);

  check_tokens(e.sparse({box, points, labels, {}}), {first, second, upper, lower});
  check_tokens(e.sparse({box, {}, {}, {}}), {upper, lower});
  check_tokens(e.sparse({{}, points, labels, {}}), {first, second, e.not_a_point.values()});
}

TEST_CASE("all masks at once are the single one and the three, and an embedding can be given back") {
  sam::Sam net("vit_t");
  load(net.params(), ProceduralSource("all"));
  net.prepare();
  const sam::Frame frame = sam::Frame::of(300, 400);
  sam::Predictor predictor(net);
  predictor.set_embedding(frame, noise("embedding", {1, 64, 64, 256}));
  sam::Query query{{{50, 60, 200, 220}}, {{{100, 100, true}, {60, 70, false}}}, {}, sam::MaskSet::single};
  const sam::Masks single = predictor.predict(query);
  query.wanted = sam::MaskSet::multi;
  const sam::Masks multi = predictor.predict(query);
  query.wanted = sam::MaskSet::all;
  const sam::Masks all = predictor.predict(query);
  REQUIRE(all.logits.shape() == Shape{1, 4, 256, 256});
  CHECK(all.logits.values() == concat({single.logits, multi.logits}, 1).values());
  CHECK(all.iou.values() == concat({single.iou, multi.iou}, 1).values());
  CHECK(predictor.frame().height == 300);
}
