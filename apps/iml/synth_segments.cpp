#include "apps/iml/synth_segments.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <numeric>

#include "engine/error.h"

namespace bp {
namespace {

std::size_t at(i64 i) {
  return static_cast<std::size_t>(i);
}

struct Edge {
  std::int32_t a, b;
};

constexpr double kWeightSteps = 2;  // per level of colour distance
constexpr std::size_t kWeights = 884;

// The edges between 8-neighbours, shortest first: counted into bins, whose order within is that of the image.
struct Edges {
  std::vector<Edge> sorted;
  std::vector<float> weights;

  explicit Edges(const Tensor& image) {
    const i64 h = image.dim(0), w = image.dim(1);
    const u8* p = image.data<u8>();
    std::vector<Edge> all;
    std::vector<std::uint16_t> bins;
    const auto add = [&](i64 i, i64 j) {
      double sum = 0;
      for (int c = 0; c < 3; ++c) {
        const double d = p[3 * i + c] - p[3 * j + c];
        sum += d * d;
      }
      all.push_back({static_cast<std::int32_t>(i), static_cast<std::int32_t>(j)});
      bins.push_back(static_cast<std::uint16_t>(std::lround(std::sqrt(sum) * kWeightSteps)));
    };
    for (i64 y = 0; y < h; ++y)
      for (i64 x = 0; x < w; ++x) {
        const i64 i = y * w + x;
        if (x + 1 < w) add(i, i + 1);
        if (y + 1 < h) add(i, i + w);
        if (x + 1 < w && y + 1 < h) add(i, i + w + 1);
        if (x > 0 && y + 1 < h) add(i, i + w - 1);
      }
    std::array<std::size_t, kWeights + 1> first{};
    for (const auto b : bins) ++first[b + 1u];
    std::partial_sum(first.begin(), first.end(), first.begin());
    sorted.resize(all.size());
    weights.resize(all.size());
    for (std::size_t e = 0; e < all.size(); ++e) {
      const std::size_t place = first[bins[e]]++;
      sorted[place] = all[e];
      weights[place] = static_cast<float>(bins[e] / kWeightSteps);
    }
  }
};

class Forest {
 public:
  explicit Forest(i64 n) : parent(at(n)), size(at(n), 1), inner(at(n), 0) {
    std::iota(parent.begin(), parent.end(), 0);
  }
  std::int32_t root(std::int32_t i) {
    while (parent[at(i)] != i) i = parent[at(i)] = parent[at(parent[at(i)])];
    return i;
  }
  void join(std::int32_t a, std::int32_t b, float weight) {
    if (size[at(a)] < size[at(b)]) std::swap(a, b);
    parent[at(b)] = a;
    size[at(a)] += size[at(b)];
    inner[at(a)] = std::max({inner[at(a)], inner[at(b)], weight});
  }

  std::vector<std::int32_t> parent;
  std::vector<i64> size;
  std::vector<float> inner;  // the largest weight within
};

// Lengths of the borders between segments: border[a][b] in pixel edges.
using Borders = std::vector<std::map<std::int32_t, i64>>;
Borders borders_of(const Segments& s) {
  Borders borders(at(s.count));
  const auto meet = [&](i64 i, i64 j) {
    const std::int32_t a = s.labels[at(i)], b = s.labels[at(j)];
    if (a == b) return;
    ++borders[at(a)][b];
    ++borders[at(b)][a];
  };
  for (i64 y = 0; y < s.height; ++y)
    for (i64 x = 0; x < s.width; ++x) {
      const i64 i = y * s.width + x;
      if (x + 1 < s.width) meet(i, i + 1);
      if (y + 1 < s.height) meet(i, i + s.width);
    }
  return borders;
}

// Sets what cannot be reached from the image's edge.
void fill_holes(Tensor& mask) {
  const i64 h = mask.dim(0), w = mask.dim(1);
  u8* m = mask.data<u8>();
  std::vector<u8> outside(at(h * w), 0);
  std::vector<i64> open;
  const auto visit = [&](i64 i) {
    if (m[i] || outside[at(i)]) return;
    outside[at(i)] = 1;
    open.push_back(i);
  };
  for (i64 x = 0; x < w; ++x) visit(x), visit((h - 1) * w + x);
  for (i64 y = 0; y < h; ++y) visit(y * w), visit(y * w + w - 1);
  while (!open.empty()) {
    const i64 i = open.back(), x = i % w;
    open.pop_back();
    if (x > 0) visit(i - 1);
    if (x + 1 < w) visit(i + 1);
    if (i >= w) visit(i - w);
    if (i + w < h * w) visit(i + w);
  }
  for (i64 i = 0; i < h * w; ++i)
    if (!outside[at(i)]) m[i] = 255;
}

// One union from one start; the growth takes neighbours with long common borders first.
std::vector<bool> grow(const Segments& s, const Borders& borders, const std::vector<i64>& sizes,
                       std::int32_t start, i64 wanted, Random& random, i64& area) {
  std::vector<bool> in(at(s.count), false);
  std::map<std::int32_t, double> touching;
  const auto take = [&](std::int32_t label) {
    in[at(label)] = true;
    area += sizes[at(label)];
    touching.erase(label);
    for (const auto& [other, length] : borders[at(label)])
      if (!in[at(other)]) touching[other] += static_cast<double>(length) * random.uniform(0.5, 1.5);
  };
  area = 0;
  take(start);
  while (area * 5 < wanted * 4) {
    std::int32_t best = -1;
    double most = 0;
    for (const auto& [label, length] : touching) {
      if (area + sizes[at(label)] > wanted * 3 / 2) continue;
      const double fit = length / std::sqrt(static_cast<double>(sizes[at(label)]));
      if (fit > most) {
        most = fit;
        best = label;
      }
    }
    if (best < 0) break;
    take(best);
  }
  return in;
}

// How far the colours on both sides of a union's outline are apart, on average; what lies along the image's
// edge has no other side.
double contrast_of(const Segments& s, const Borders& borders, const std::vector<bool>& in) {
  double sum = 0;
  i64 length = 0;
  for (std::size_t a = 0; a < in.size(); ++a)
    for (const auto& [b, n] : borders[a]) {
      if (!in[a] || in[at(b)]) continue;
      double squares = 0;
      for (std::size_t c = 0; c < 3; ++c) {
        const double d = s.colours[a][c] - s.colours[at(b)][c];
        squares += d * d;
      }
      sum += std::sqrt(squares) * static_cast<double>(n);
      length += n;
    }
  for (i64 x = 0; x < s.width; ++x)
    length += in[at(s.labels[at(x)])] + in[at(s.labels[at((s.height - 1) * s.width + x)])];
  for (i64 y = 0; y < s.height; ++y)
    length += in[at(s.labels[at(y * s.width)])] + in[at(s.labels[at(y * s.width + s.width - 1)])];
  return sum / static_cast<double>(std::max(length, i64{1}));
}

// Means over squares of side 2 r + 1, cut off at the edges.
std::vector<float> box_mean(const std::vector<float>& x, i64 h, i64 w, i64 r) {
  std::vector<float> rows(x.size()), result(x.size());
  for (i64 y = 0; y < h; ++y) {
    double sum = 0;
    for (i64 i = 0; i < std::min(r, w); ++i) sum += static_cast<double>(x[at(y * w + i)]);
    for (i64 i = 0; i < w; ++i) {
      if (i + r < w) sum += static_cast<double>(x[at(y * w + i + r)]);
      if (i - r - 1 >= 0) sum -= static_cast<double>(x[at(y * w + i - r - 1)]);
      rows[at(y * w + i)] =
          static_cast<float>(sum / static_cast<double>(std::min(w, i + r + 1) - std::max(i64{0}, i - r)));
    }
  }
  std::vector<double> sums(at(w), 0.0);
  const auto add = [&](i64 y, double sign) {
    for (i64 i = 0; i < w; ++i) sums[at(i)] += sign * static_cast<double>(rows[at(y * w + i)]);
  };
  for (i64 y = 0; y < std::min(r, h); ++y) add(y, 1);
  for (i64 y = 0; y < h; ++y) {
    if (y + r < h) add(y + r, 1);
    if (y - r - 1 >= 0) add(y - r - 1, -1);
    const auto n = static_cast<double>(std::min(h, y + r + 1) - std::max(i64{0}, y - r));
    for (i64 i = 0; i < w; ++i) result[at(y * w + i)] = static_cast<float>(sums[at(i)] / n);
  }
  return result;
}

}  // namespace

Segments segment(const Tensor& image, double scale, i64 least_size) {
  require(image.defined() && image.dtype() == DType::u8 && image.rank() == 3 && image.dim(2) == 3,
          "segment: wanted a u8 image [H,W,3]");
  Segments s{image.dim(0), image.dim(1), 0, {}, {}};
  const Edges edges(image);
  Forest forest(s.height * s.width);
  const auto k = static_cast<float>(scale);
  for (std::size_t e = 0; e < edges.sorted.size(); ++e) {
    const std::int32_t a = forest.root(edges.sorted[e].a), b = forest.root(edges.sorted[e].b);
    if (a == b) continue;
    const float weight = edges.weights[e];
    if (weight <= forest.inner[at(a)] + k / static_cast<float>(forest.size[at(a)]) &&
        weight <= forest.inner[at(b)] + k / static_cast<float>(forest.size[at(b)]))
      forest.join(a, b, weight);
  }
  for (std::size_t e = 0; e < edges.sorted.size(); ++e) {
    const std::int32_t a = forest.root(edges.sorted[e].a), b = forest.root(edges.sorted[e].b);
    if (a != b && (forest.size[at(a)] < least_size || forest.size[at(b)] < least_size))
      forest.join(a, b, edges.weights[e]);
  }
  std::vector<std::int32_t> number(at(s.height * s.width), -1);
  for (i64 i = 0; i < s.height * s.width; ++i) {
    std::int32_t& label = number[at(forest.root(static_cast<std::int32_t>(i)))];
    if (label < 0) label = static_cast<std::int32_t>(s.count++);
    s.labels.push_back(label);
  }
  std::vector<float> sizes(at(s.count), 0);
  s.colours.resize(at(s.count));
  for (i64 i = 0; i < s.height * s.width; ++i) {
    const auto label = at(s.labels[at(i)]);
    sizes[label] += 1;
    for (std::size_t c = 0; c < 3; ++c) s.colours[label][c] += image.data<u8>()[3 * at(i) + c];
  }
  for (std::size_t label = 0; label < sizes.size(); ++label)
    for (float& c : s.colours[label]) c /= sizes[label];
  return s;
}

Tensor grow_segments(const Segments& s, double share, Random& random) {
  const Borders borders = borders_of(s);
  std::vector<i64> sizes(at(s.count), 0);
  for (const auto label : s.labels) ++sizes[at(label)];
  const i64 wanted = std::max(i64{4}, static_cast<i64>(share * static_cast<double>(s.height * s.width)));
  constexpr int kAttempts = 12, kUnions = 3;
  std::vector<bool> best;
  double most = -1;
  int unions = 0;
  for (int attempt = 0; attempt < kAttempts && unions < kUnions; ++attempt) {
    // Things stand in the middle more often than at the edges.
    const auto y = static_cast<i64>((0.5 + 0.45 * random.uniform(-1, 1)) * static_cast<double>(s.height));
    const auto x = static_cast<i64>((0.5 + 0.45 * random.uniform(-1, 1)) * static_cast<double>(s.width));
    i64 area = 0;
    const auto in = grow(s, borders, sizes, s.labels[at(y * s.width + x)], wanted, random, area);
    if (area > 2 * wanted || 3 * area < wanted) continue;
    ++unions;
    const double contrast = contrast_of(s, borders, in);
    if (contrast <= most) continue;
    most = contrast;
    best = in;
  }
  if (best.empty()) return {};
  Tensor mask = empty({s.height, s.width}, DType::u8);
  for (i64 i = 0; i < mask.numel(); ++i) mask.data<u8>()[i] = best[at(s.labels[at(i)])] ? 255 : 0;
  fill_holes(mask);
  return mask;
}

Tensor snap_to_edges(const Tensor& mask, const Tensor& image, i64 reach) {
  const i64 h = mask.dim(0), w = mask.dim(1), n = h * w;
  require(image.dim(0) == h && image.dim(1) == w, "snap_to_edges: mask and image differ in size");
  std::vector<float> guide(at(n)), p(at(n)), both(at(n)), square(at(n));
  for (i64 i = 0; i < n; ++i) {
    const u8* c = image.data<u8>() + 3 * i;
    const float g = (0.299f * static_cast<float>(c[0]) + 0.587f * static_cast<float>(c[1]) +
                     0.114f * static_cast<float>(c[2])) /
                    255;
    guide[at(i)] = g;
    p[at(i)] = mask.data<u8>()[i] ? 1.0f : 0.0f;
    both[at(i)] = g * p[at(i)];
    square[at(i)] = g * g;
  }
  const auto mean_g = box_mean(guide, h, w, reach), mean_p = box_mean(p, h, w, reach),
             mean_gp = box_mean(both, h, w, reach), mean_gg = box_mean(square, h, w, reach);
  constexpr float kEpsilon = 0.001f;  // variance of the guide that counts as an edge
  std::vector<float> a(at(n)), b(at(n));
  for (std::size_t i = 0; i < a.size(); ++i) {
    a[i] = (mean_gp[i] - mean_g[i] * mean_p[i]) / (mean_gg[i] - mean_g[i] * mean_g[i] + kEpsilon);
    b[i] = mean_p[i] - a[i] * mean_g[i];
  }
  const auto mean_a = box_mean(a, h, w, reach), mean_b = box_mean(b, h, w, reach);
  Tensor result = empty({h, w}, DType::u8);
  for (i64 i = 0; i < n; ++i)
    result.data<u8>()[i] = mean_a[at(i)] * guide[at(i)] + mean_b[at(i)] > 0.5f ? 255 : 0;
  return result;
}

}  // namespace bp
