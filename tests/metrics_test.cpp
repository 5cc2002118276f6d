// Scores by hand, by brute force, and on the edges of their definitions.
#include <doctest/doctest.h>

#include <cmath>

#include "apps/iml/metrics.h"
#include "tests/errors.h"

using namespace bp;

namespace {

Tensor bytes(i64 height, i64 width, const std::vector<int>& values) {
  Tensor t = empty({height, width}, DType::u8);
  for (i64 i = 0; i < t.numel(); ++i) t.data<u8>()[i] = static_cast<u8>(values[static_cast<std::size_t>(i)]);
  return t;
}
Tensor constant(int value) {
  return full({4, 4}, static_cast<float>(value), DType::u8);
}
// 4 of 16 pixels.
Tensor corner() {
  return bytes(4, 4, {255, 255, 0, 0, 255, 255, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0});
}
Tensor inverted(const Tensor& map) {
  Tensor t = empty_like(map);
  for (i64 i = 0; i < t.numel(); ++i) t.data<u8>()[i] = static_cast<u8>(255 - map.data<u8>()[i]);
  return t;
}
double near(double x) {
  return std::fabs(x);
}
std::uint32_t noise(std::uint32_t i) {  // a fixed scramble
  i = (i ^ 61u) ^ (i >> 16);
  i *= 9u;
  i ^= i >> 4;
  i *= 0x27d4eb2du;
  return i ^ (i >> 15);
}
double pairs(std::span<const double> scores, std::span<const u8> positive) {
  double in_order = 0, all = 0;
  for (std::size_t a = 0; a < scores.size(); ++a)
    for (std::size_t b = 0; b < scores.size(); ++b)
      if (positive[a] && !positive[b]) {
        all += 1;
        in_order += scores[a] > scores[b] ? 1 : scores[a] == scores[b] ? 0.5 : 0;
      }
  return in_order / all;
}

constexpr Protocol kBoth[]{Protocol::paper, Protocol::benco};

}  // namespace

TEST_CASE("a prediction by hand: the formulas of both protocols with their epsilons") {
  // TP 2, FP 1, FN 2: P = 2/3, R = 1/2, F1 = 4/7, IoU = 2/5.
  const Tensor map = bytes(4, 4, {255, 128, 200, 127, 127, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0});
  const PixelScores paper = score_pixels(map, corner(), Protocol::paper);
  CHECK(paper.f1 == 4 / (7 + 1e-6));
  CHECK(paper.iou == 2 / (5 + 1e-6));
  const PixelScores benco = score_pixels(map, corner(), Protocol::benco);
  const double p = 2 / (3 + 1e-8), r = 2 / (4 + 1e-8);
  CHECK(benco.f1 == 2 * p * r / (p + r + 1e-8));
  CHECK(benco.iou == 2 / (5 + 1e-8));
  // Of 48 pairs, by positive: 255 beats 12, 128 beats 11, 127 beats 10 and ties 1, 0 ties 10 of 12.
  CHECK(near(*paper.auc - (12 + 11 + 10.5 + 5) / 48) < 1e-15);
  CHECK(*benco.auc == *paper.auc);
}

TEST_CASE("perfect and inverted predictions") {
  for (const Protocol protocol : kBoth) {
    const PixelScores good = score_pixels(corner(), corner(), protocol);
    CHECK(near(good.f1 - 1) < 1e-6);
    CHECK(good.f1 < 1);  // the epsilon is there
    CHECK(near(good.iou - 1) < 1e-6);
    CHECK(*good.auc == 1);
    const PixelScores bad = score_pixels(inverted(corner()), corner(), protocol);
    CHECK(bad.f1 == 0);
    CHECK(bad.iou == 0);
    CHECK(*bad.auc == 0);
  }
}

TEST_CASE("empty masks: F1 is 0, IoU only the paper's is 1, AUC there is none") {
  const Tensor none = constant(0);
  for (const Protocol protocol : kBoth) {
    CHECK(score_pixels(none, none, protocol).f1 == 0);
    CHECK(score_pixels(none, none, protocol).iou == (protocol == Protocol::paper ? 1 : 0));
    CHECK(score_pixels(constant(255), none, protocol).iou == 0);
    CHECK(!score_pixels(none, none, protocol).auc);
    CHECK(!score_pixels(corner(), constant(255), protocol).auc);
    CHECK(near(score_pixels(constant(255), constant(255), protocol).f1 - 1) < 1e-6);
  }
}

TEST_CASE("a constant map has an AUC of exactly 0.5; all-ones scores the mask's share") {
  for (const Protocol protocol : kBoth) {
    for (const int value : {0, 77, 128, 255})
      CHECK(*score_pixels(constant(value), corner(), protocol).auc == 0.5);
    CHECK(near(score_pixels(constant(255), corner(), protocol).f1 - 2 * 0.25 / 1.25) < 1e-7);
    CHECK(*score_pixels(full({4, 4}, 0.3f), corner(), protocol).auc == 0.5);
  }
}

TEST_CASE("one pixel: of the mask, and of the image") {
  Tensor one = constant(0);
  one.data<u8>()[5] = 255;
  Tensor map = constant(10);
  map.data<u8>()[5] = 128;
  for (const Protocol protocol : kBoth) {
    CHECK(near(score_pixels(map, one, protocol).f1 - 1) < 1e-6);
    CHECK(*score_pixels(map, one, protocol).auc == 1);
    CHECK(near(score_pixels(bytes(1, 1, {200}), bytes(1, 1, {255}), protocol).f1 - 1) < 1e-6);
    CHECK(!score_pixels(bytes(1, 1, {200}), bytes(1, 1, {255}), protocol).auc);
  }
}

TEST_CASE("thresholds: strictly above, the same for bytes and for f32") {
  CHECK(score_pixels(constant(127), constant(255), Protocol::paper).f1 == 0);
  CHECK(score_pixels(constant(128), constant(255), Protocol::paper).f1 > 0.99);
  CHECK(score_pixels(constant(51), constant(255), Protocol::benco, 0.2).f1 == 0);  // 51/255 is 0.2
  CHECK(score_pixels(constant(52), constant(255), Protocol::benco, 0.2).f1 > 0.99);
  CHECK(score_pixels(constant(0), constant(255), Protocol::benco, 0).f1 == 0);
  CHECK(score_pixels(full({2, 2}, 0.5f), full({2, 2}, 255, DType::u8), Protocol::benco).f1 == 0);
  CHECK(score_pixels(full({2, 2}, 0.501f), full({2, 2}, 255, DType::u8), Protocol::benco).f1 > 0.99);
  CHECK(mentions(error_of([] { score_pixels(full({2, 2}, 2.f), constant(0), Protocol::benco); }), "sigmoid"));
  CHECK(mentions(error_of([] {
                   score_pixels(full({2, 2}, NAN), constant(0), Protocol::paper);
                 }),
                 "probability"));
}

TEST_CASE("sizes: `paper` scores at the mask's, `benco` at the map's") {
  const Tensor map = bytes(2, 2, {255, 0, 0, 0});
  CHECK(near(score_pixels(map, corner(), Protocol::benco).f1 - 1) < 1e-6);
  // Bilinear to 4x4: weights 1, 3/4, 1/4, 0 along each side; 255 * 9/16 = 143 is the corner's inner pixel.
  const PixelScores paper = score_pixels(map, corner(), Protocol::paper);
  CHECK(near(paper.f1 - 1) < 1e-6);
  CHECK(paper.histogram.positive[255] == 1);
  CHECK(paper.histogram.positive[191] == 2);
  CHECK(paper.histogram.positive[143] == 1);
  CHECK(paper.histogram.negative[16] == 1);
  const Tensor small = resize_mask(bytes(1, 5, {255, 0, 255, 0, 255}), 1, 2);  // columns 0 and floor(2.5)
  CHECK(small.data<u8>()[0] == 255);
  CHECK(small.data<u8>()[1] == 255);
  CHECK(resize_mask(bytes(1, 2, {0, 255}), 1, 3).data<u8>()[1] == 0);
}

TEST_CASE("AUC equals the count of pairs on maps with many ties, by histogram and by sort") {
  for (std::uint32_t levels : {2u, 3u, 16u, 256u}) {
    Tensor map = empty({20, 25}, DType::u8), mask = empty({20, 25}, DType::u8), p = empty({20, 25});
    std::vector<double> scores;
    std::vector<u8> positive;
    for (std::uint32_t i = 0; i < 500; ++i) {
      const auto value = static_cast<u8>(noise(i + 1000 * levels) % levels * (255 / (levels - 1)));
      map.data<u8>()[i] = value;
      p.data<float>()[i] = static_cast<float>(value) / 255;
      mask.data<u8>()[i] = noise(i * 7 + 5) % 3 == 0 ? 255 : 0;
      scores.push_back(value);
      positive.push_back(mask.data<u8>()[i]);
    }
    const double expected = pairs(scores, positive);
    CHECK(near(*histogram_of(map, mask).auc() - expected) < 1e-12);
    CHECK(near(*auc_of(scores, positive) - expected) < 1e-12);
    CHECK(near(*score_pixels(p, mask, Protocol::benco).auc - expected) < 1e-12);
    // The ROC's area is the AUC, up to its grid.
    const auto roc = roc_of(histogram_of(map, mask));
    double area = 0;
    for (std::size_t i = 1; i < roc.size(); ++i) area += (roc[i] + roc[i - 1]) / 2 / (kRocPoints - 1);
    CHECK(near(area - expected) < 2e-3);
  }
  const auto diagonal = roc_of(histogram_of(constant(9), corner()));
  for (std::size_t i = 0; i < diagonal.size(); ++i)
    CHECK(near(diagonal[i] - static_cast<double>(i) / 100) < 1e-12);
  CHECK(roc_of(histogram_of(corner(), corner()))[0] == 1);
}

TEST_CASE("the best shared threshold equals the best of 255 passes") {
  for (const Protocol protocol : kBoth) {
    ThresholdCurve curve(protocol);
    std::vector<PixelScores> images;
    std::vector<Tensor> maps, masks;
    for (std::uint32_t n = 0; n < 3; ++n) {
      Tensor map = empty({8, 8}, DType::u8), mask = empty({8, 8}, DType::u8);
      for (std::uint32_t i = 0; i < 64; ++i) {
        mask.data<u8>()[i] = i % 5 < n + 1 ? 255 : 0;
        map.data<u8>()[i] = static_cast<u8>(noise(i + 64 * n) % 120 + (mask.data<u8>()[i] ? 30 : 0));
      }
      curve.add(score_pixels(map, mask, protocol).histogram);
      maps.push_back(map), masks.push_back(mask);
    }
    double best = -1, threshold = 0;
    for (int k = 0; k < 255; ++k) {
      double sum = 0;
      for (std::size_t i = 0; i < 3; ++i) sum += score_pixels(maps[i], masks[i], protocol, k / 255.0).f1;
      CHECK(near(curve.mean_f1()[static_cast<std::size_t>(k)] - sum / 3) < 1e-12);
      if (sum / 3 > best) best = sum / 3, threshold = k / 255.0;
    }
    CHECK(near(curve.best().f1 - best) < 1e-12);
    CHECK(curve.best().threshold == threshold);
    CHECK(threshold > 0);
    CHECK(threshold < 0.5);
  }
}

TEST_CASE("normalisation stretches a map and leaves nothing of a constant one") {
  const Tensor map = normalize_map(bytes(1, 3, {10, 20, 30}));
  CHECK(map.data<u8>()[0] == 0);
  CHECK(map.data<u8>()[1] == 128);
  CHECK(map.data<u8>()[2] == 255);
  CHECK(normalize_map(constant(200)).data<u8>()[0] == 0);
  const std::vector<float> p{0.25f, 0.5f};
  CHECK(normalize_map(from_values({1, 2}, p)).values() == std::vector<float>{0, 1});
}

TEST_CASE("image level: the maximum or the mean of the largest, accuracy, F1 and AUC") {
  const Tensor map = bytes(1, 4, {255, 0, 51, 102});
  CHECK(image_score(map) == 1);
  CHECK(near(image_score(map, 2) - 0.7) < 1e-12);
  CHECK(near(image_score(map, 100) - 0.4) < 1e-12);
  const std::vector<float> p{0.25f, 1, 0.5f};
  CHECK(image_score(from_values({1, 3}, p), 2) == 0.75);
  CHECK(mentions(error_of([] { image_score(full({2, 2}, NAN)); }), "probability"));
  CHECK(mentions(error_of([&] { image_score(map, 0); }), "mean of 0"));
  // Manipulated .9 .6 .2, authentic .7 .1: TP 2, FN 1, FP 1, TN 1.
  const std::vector<double> scores{0.9, 0.7, 0.6, 0.2, 0.1};
  const std::vector<u8> manipulated{1, 0, 1, 1, 0};
  const ImageLevel r = image_level(scores, manipulated);
  CHECK(near(r.accuracy - 0.6) < 1e-12);
  CHECK(near(r.f1 - 4.0 / 6) < 1e-12);
  CHECK(near(*r.auc - 4.0 / 6) < 1e-12);  // .9 beats 2, .6 and .2 one each
  CHECK(!image_level(std::vector<double>{0.9}, std::vector<u8>{1}).auc);
  CHECK(image_level({}, {}).f1 == 0);
  CHECK(mentions(error_of([] { image_level(std::vector<double>{NAN}, std::vector<u8>{1}); }), "NaN"));
}
