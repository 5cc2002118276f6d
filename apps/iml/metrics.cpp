#include "apps/iml/metrics.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <vector>

#include "engine/error.h"
#include "engine/ops.h"

namespace bp {
namespace {

void require_map(const char* what, const Tensor& map) {
  require(map.defined() && map.rank() == 2 && map.numel() > 0 &&
              (map.dtype() == DType::u8 || map.dtype() == DType::f32),
          what, ": wanted a map [H,W] of u8 or f32");
}

void require_mask(const char* what, const Tensor& mask) {
  require(mask.defined() && mask.rank() == 2 && mask.numel() > 0 && mask.dtype() == DType::u8, what,
          ": wanted a u8 mask [H,W]");
}

void require_probabilities(const Tensor& map) {
  const float* p = map.data<float>();
  for (i64 i = 0; i < map.numel(); ++i)
    require(p[i] >= 0 && p[i] <= 1, "score: a probability of ", p[i], "; logits want a sigmoid first");
}

// f32 to 8 bits, by `round` of p * 255.
template <class Round>
Tensor to_bytes(const Tensor& map, double scale, const Round& round) {
  Tensor bytes = empty(map.shape(), DType::u8);
  const float* p = map.data<float>();
  for (i64 i = 0; i < map.numel(); ++i) bytes.data<u8>()[i] = static_cast<u8>(round(p[i] * scale));
  return bytes;
}

Tensor nearest_byte(const Tensor& map, double scale) {
  return to_bytes(map, scale, [](double v) { return std::lround(v); });
}

Tensor resize_map(const Tensor& map, i64 height, i64 width) {
  if (map.dim(0) == height && map.dim(1) == width) return map;
  Tensor values = empty(map.shape());
  std::copy_n(map.data<u8>(), map.numel(), values.data<float>());
  const Tensor resized = resize_bilinear(values.reshape({1, map.dim(0), map.dim(1), 1}), height, width);
  return nearest_byte(resized.reshape({height, width}), 1);
}

Counts counts_of(const Tensor& map, const Tensor& mask, double threshold) {
  Counts c;
  const float* p = map.data<float>();
  const u8* m = mask.data<u8>();
  for (i64 i = 0; i < map.numel(); ++i) {
    const bool predicted = p[i] > threshold, inside = m[i] != 0;
    c.tp += predicted && inside;
    c.fp += predicted && !inside;
    c.fn += !predicted && inside;
  }
  return c;
}

std::optional<double> exact_auc(const Tensor& map, const Tensor& mask) {
  const std::vector<double> scores(map.data<float>(), map.data<float>() + map.numel());
  return auc_of(scores, {mask.data<u8>(), static_cast<std::size_t>(mask.numel())});
}

double share(i64 part, i64 whole) {
  return static_cast<double>(part) / static_cast<double>(whole);
}

}  // namespace

const char* name_of(Protocol protocol) {
  return protocol == Protocol::paper ? "paper" : "benco";
}

double f1_of(const Counts& c, Protocol protocol) {
  const auto tp = static_cast<double>(c.tp), fp = static_cast<double>(c.fp), fn = static_cast<double>(c.fn);
  if (protocol == Protocol::paper) return 2 * tp / (2 * tp + fp + fn + 1e-6);
  const double precision = tp / (tp + fp + 1e-8), recall = tp / (tp + fn + 1e-8);
  return 2 * precision * recall / (precision + recall + 1e-8);
}

double iou_of(const Counts& c, Protocol protocol) {
  const i64 either = c.tp + c.fp + c.fn;
  if (protocol == Protocol::paper && either == 0) return 1;
  return static_cast<double>(c.tp) /
         (static_cast<double>(either) + (protocol == Protocol::paper ? 1e-6 : 1e-8));
}

Counts Histogram::above(int level) const {
  Counts c;
  for (int v = 0; v < 256; ++v) {
    const auto i = static_cast<std::size_t>(v);
    (v > level ? c.tp : c.fn) += positive[i];
    if (v > level) c.fp += negative[i];
  }
  return c;
}

std::optional<double> Histogram::auc() const {
  // Whole numbers until the end: twice the pairs in order, plus the ties once. 2.5e8 pixels give at most
  // 2^57.
  i64 below = 0, twice = 0, inside = 0;
  for (std::size_t v = 0; v < 256; ++v) {
    twice += positive[v] * (2 * below + negative[v]);
    below += negative[v];
    inside += positive[v];
  }
  if (below == 0 || inside == 0) return std::nullopt;
  return static_cast<double>(twice) / (2 * static_cast<double>(below) * static_cast<double>(inside));
}

Histogram histogram_of(const Tensor& map, const Tensor& mask) {
  require_mask("histogram", map);
  require_mask("histogram", mask);
  require(map.shape() == mask.shape(), "histogram: map ", map.shape(), ", mask ", mask.shape());
  Histogram h;
  const u8 *v = map.data<u8>(), *m = mask.data<u8>();
  for (i64 i = 0; i < map.numel(); ++i) ++(m[i] ? h.positive : h.negative)[v[i]];
  return h;
}

std::optional<double> auc_of(std::span<const double> scores, std::span<const u8> positive) {
  require(scores.size() == positive.size(), "auc: ", scores.size(), " scores, ", positive.size(), " classes");
  for (const double s : scores) require(!std::isnan(s), "auc: a score is NaN");
  std::vector<std::size_t> order(scores.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return scores[a] < scores[b]; });
  i64 below = 0, twice = 0, inside = 0;
  for (std::size_t begin = 0; begin < order.size();) {
    i64 tied_positive = 0, tied_negative = 0;
    std::size_t end = begin;
    for (; end < order.size() && scores[order[end]] == scores[order[begin]]; ++end)
      ++(positive[order[end]] ? tied_positive : tied_negative);
    twice += tied_positive * (2 * below + tied_negative);
    below += tied_negative;
    inside += tied_positive;
    begin = end;
  }
  if (below == 0 || inside == 0) return std::nullopt;
  return static_cast<double>(twice) / (2 * static_cast<double>(below) * static_cast<double>(inside));
}

PixelScores score_pixels(const Tensor& map, const Tensor& mask, Protocol protocol, double threshold) {
  require_map("score", map);
  require_mask("score", mask);
  const bool is_float = map.dtype() == DType::f32;
  if (is_float) require_probabilities(map);
  PixelScores s;
  Counts counts;
  if (protocol == Protocol::benco && is_float) {
    const Tensor resized = resize_mask(mask, map.dim(0), map.dim(1));
    counts = counts_of(map, resized, threshold);
    s.auc = exact_auc(map, resized);
    // ceil(255 p) > k is p > k/255, so the histogram's thresholds are exact.
    s.histogram = histogram_of(to_bytes(map, 255, [](double v) { return std::ceil(v); }), resized);
  } else {
    const Tensor bytes = is_float ? nearest_byte(map, 255) : map;
    s.histogram = protocol == Protocol::paper
                      ? histogram_of(resize_map(bytes, mask.dim(0), mask.dim(1)), mask)
                      : histogram_of(bytes, resize_mask(mask, map.dim(0), map.dim(1)));
    // Byte v is inside where v > 255 threshold (127 at 0.5); k/255 must not round to below k.
    counts = s.histogram.above(static_cast<int>(std::floor(std::clamp(threshold, -1.0, 1.0) * 255 + 1e-9)));
    s.auc = s.histogram.auc();
  }
  s.f1 = f1_of(counts, protocol);
  s.iou = iou_of(counts, protocol);
  return s;
}

Tensor normalize_map(const Tensor& map) {
  require_map("normalize", map);
  Tensor y = zeros(map.shape(), map.dtype());
  const auto stretch = [&](const auto* x, auto* to, auto rounded) {
    const auto [low, high] = std::minmax_element(x, x + map.numel());
    if (*low == *high) return;
    const double bottom = *low, range = static_cast<double>(*high) - bottom;
    for (i64 i = 0; i < map.numel(); ++i) to[i] = rounded((x[i] - bottom) / range);
  };
  if (map.dtype() == DType::u8)
    stretch(map.data<u8>(), y.data<u8>(), [](double p) { return static_cast<u8>(std::lround(255 * p)); });
  else
    stretch(map.data<float>(), y.data<float>(), [](double p) { return static_cast<float>(p); });
  return y;
}

Tensor resize_mask(const Tensor& mask, i64 height, i64 width) {
  require_mask("resize_mask", mask);
  require(height > 0 && width > 0, "resize_mask: to ", height, "x", width);
  const i64 h = mask.dim(0), w = mask.dim(1);
  if (h == height && w == width) return mask;
  Tensor y = empty({height, width}, DType::u8);
  for (i64 row = 0; row < height; ++row)
    for (i64 column = 0; column < width; ++column)
      y.data<u8>()[row * width + column] = mask.data<u8>()[row * h / height * w + column * w / width];
  return y;
}

double image_score(const Tensor& map, i64 k) {
  require_map("image_score", map);
  require(k >= 1, "image_score: the mean of ", k, " values");
  const auto n = std::min(k, map.numel());
  double sum = 0;
  if (map.dtype() == DType::u8) {
    std::array<i64, 256> count{};
    for (i64 i = 0; i < map.numel(); ++i) ++count[map.data<u8>()[i]];
    i64 wanted = n;
    for (std::size_t v = 256; v-- > 0;) {
      const i64 taken = std::min(wanted, count[v]);
      sum += static_cast<double>(taken) * static_cast<double>(v) / 255;
      wanted -= taken;
    }
  } else {
    require_probabilities(map);
    std::vector<float> p(map.data<float>(), map.data<float>() + map.numel());
    std::nth_element(p.begin(), p.begin() + (n - 1), p.end(), std::greater<>());
    sum = std::accumulate(p.begin(), p.begin() + n, 0.0);
  }
  return sum / static_cast<double>(n);
}

ImageLevel image_level(std::span<const double> scores, std::span<const u8> manipulated, double threshold) {
  ImageLevel r;
  r.auc = auc_of(scores, manipulated);  // checks the sizes, too
  i64 tp = 0, wrong = 0;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    const bool predicted = scores[i] > threshold, is = manipulated[i] != 0;
    tp += predicted && is;
    wrong += predicted != is;
  }
  const auto n = static_cast<i64>(scores.size());
  if (n > 0) r.accuracy = share(n - wrong, n);
  if (2 * tp + wrong > 0) r.f1 = share(2 * tp, 2 * tp + wrong);
  return r;
}

void ThresholdCurve::add(const Histogram& image) {
  Counts c = image.above(255);
  for (std::size_t v = 255; v > 0; --v) {
    c.tp += image.positive[v];
    c.fn -= image.positive[v];
    c.fp += image.negative[v];
    sum_[v - 1] += f1_of(c, protocol_);
  }
  ++images_;
}

std::array<double, 255> ThresholdCurve::mean_f1() const {
  std::array<double, 255> mean = sum_;
  for (double& f : mean) f /= static_cast<double>(std::max<i64>(images_, 1));
  return mean;
}

ThresholdCurve::Best ThresholdCurve::best() const {
  const auto mean = mean_f1();
  const auto at = std::max_element(mean.begin(), mean.end());
  return {static_cast<double>(at - mean.begin()) / 255, *at};
}

std::array<double, kRocPoints> roc_of(const Histogram& h) {
  const i64 positives = std::accumulate(h.positive.begin(), h.positive.end(), i64{0});
  const i64 negatives = std::accumulate(h.negative.begin(), h.negative.end(), i64{0});
  require(positives > 0 && negatives > 0, "roc: a map of one class");
  std::array<double, kRocPoints> roc{};
  i64 tp = 0, fp = 0;
  std::size_t next = 0;
  for (std::size_t v = 256; v-- > 0;) {
    const double x0 = share(fp, negatives), y0 = share(tp, positives);
    fp += h.negative[v];
    tp += h.positive[v];
    const double x1 = share(fp, negatives), y1 = share(tp, positives);
    // Of a vertical step its top counts, so a grid point is passed only by what goes on to its right.
    for (; next < kRocPoints && static_cast<double>(next) / (kRocPoints - 1) < x1; ++next) {
      const double x = static_cast<double>(next) / (kRocPoints - 1);
      roc[next] = y0 + (y1 - y0) * (x - x0) / (x1 - x0);
    }
  }
  for (; next < kRocPoints; ++next) roc[next] = 1;
  return roc;
}

}  // namespace bp
