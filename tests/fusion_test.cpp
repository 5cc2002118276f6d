// The gated fusion and all its gradients beside a plain account of its formulas in double precision.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "nets/fusion/fusion.h"

using namespace bp;

namespace {

constexpr i64 kImages = 2;
constexpr std::array<i64, 4> kWidths{3, 5, 4, 7}, kSides{8, 4, 3, 2};

using Values = std::map<std::string, std::vector<double>>;

struct Map {  // [kImages, side, side, channels]
  i64 side, channels;
  std::vector<double> data;
  Map(i64 s, i64 c) : side(s), channels(c), data(static_cast<std::size_t>(kImages * s * s * c)) {}
  i64 pixels() const { return kImages * side * side; }
  double& operator()(i64 pixel, i64 c) { return data[static_cast<std::size_t>(pixel * channels + c)]; }
  double operator()(i64 pixel, i64 c) const { return data[static_cast<std::size_t>(pixel * channels + c)]; }
};

double entry(const std::vector<double>& v, i64 i) {
  return v[static_cast<std::size_t>(i)];
}
double sigmoid_of(double x) {
  return 1 / (1 + std::exp(-x));
}
void each(Map& x, double (*f)(double)) {
  for (double& v : x.data) v = f(v);
}

// Weight [out,k,k,in], zeros around.
Map convolved(const Map& x, const std::vector<double>& weight, const std::vector<double>& bias, i64 out,
              i64 k) {
  Map y(x.side, out);
  for (i64 p = 0; p < x.pixels(); ++p)
    for (i64 o = 0; o < out; ++o) {
      double sum = bias.empty() ? 0 : entry(bias, o);
      for (i64 dy = 0; dy < k; ++dy)
        for (i64 dx = 0; dx < k; ++dx) {
          const i64 row = p / x.side % x.side + dy - k / 2, col = p % x.side + dx - k / 2;
          if (row < 0 || row >= x.side || col < 0 || col >= x.side) continue;
          const i64 from = (p / (x.side * x.side) * x.side + row) * x.side + col;
          for (i64 c = 0; c < x.channels; ++c)
            sum += x(from, c) * entry(weight, ((o * k + dy) * k + dx) * x.channels + c);
        }
      y(p, o) = sum;
    }
  return y;
}

Map conv_bn_gelu(const Map& x, const Values& v, const std::string& name, i64 out, i64 k) {
  Map y = convolved(x, v.at(name + ".c.weight"), {}, out, k);
  const double n = static_cast<double>(y.pixels());
  for (i64 c = 0; c < out; ++c) {
    double mean = 0, variance = 0;
    for (i64 p = 0; p < y.pixels(); ++p) mean += y(p, c) / n;
    for (i64 p = 0; p < y.pixels(); ++p) variance += std::pow(y(p, c) - mean, 2) / n;
    for (i64 p = 0; p < y.pixels(); ++p) {
      const double z = (y(p, c) - mean) / std::sqrt(variance + 1e-5) * entry(v.at(name + ".bn.weight"), c) +
                       entry(v.at(name + ".bn.bias"), c);
      y(p, c) = 0.5 * z * (1 + std::erf(z / std::sqrt(2.0)));
    }
  }
  return y;
}

Map resized(const Map& x, i64 side) {
  Map y(side, x.channels);
  const auto at = [&](i64 i) {
    return std::clamp(
        (static_cast<double>(i) + 0.5) * static_cast<double>(x.side) / static_cast<double>(side) - 0.5, 0.0,
        static_cast<double>(x.side - 1));
  };
  for (i64 p = 0; p < y.pixels(); ++p) {
    const double row = at(p / side % side), col = at(p % side);
    for (i64 r = 0; r < x.side; ++r)
      for (i64 q = 0; q < x.side; ++q) {
        const double w = std::max(0.0, 1 - std::abs(row - static_cast<double>(r))) *
                         std::max(0.0, 1 - std::abs(col - static_cast<double>(q)));
        if (w == 0) continue;
        for (i64 c = 0; c < x.channels; ++c)
          y(p, c) += w * x((p / (side * side) * x.side + r) * x.side + q, c);
      }
  }
  return y;
}

Map joined(const Map& a, const Map& b) {
  Map y(a.side, a.channels + b.channels);
  for (i64 p = 0; p < a.pixels(); ++p)
    for (i64 c = 0; c < y.channels; ++c) y(p, c) = c < a.channels ? a(p, c) : b(p, c - a.channels);
  return y;
}

void normalise_rows(Map& x) {
  for (i64 p = 0; p < x.pixels(); ++p) {
    double square = 0;
    for (i64 c = 0; c < x.channels; ++c) square += x(p, c) * x(p, c);
    for (i64 c = 0; c < x.channels; ++c) x(p, c) /= std::sqrt(square);
  }
}

Map remembered(const Map& fused, const Values& v) {
  using namespace bp::fusion;
  const auto& bank = v.at("memory.prototypes");
  Map q = convolved(fused, v.at("memory.query.weight"), v.at("memory.query.bias"), kWidth, 1);
  normalise_rows(q);
  Map r(q.side, kWidth);
  for (i64 p = 0; p < q.pixels(); ++p) {
    std::vector<double> weight;
    double total = 0;
    for (i64 k = 0; k < kPrototypes; ++k) {
      double dot = 0, square = 0;
      for (i64 c = 0; c < kWidth; ++c) {
        dot += q(p, c) * entry(bank, k * kWidth + c);
        square += std::pow(entry(bank, k * kWidth + c), 2);
      }
      weight.push_back(std::exp(dot / std::sqrt(square) * v.at("memory.inverse_tau")[0]));
      total += weight.back();
    }
    for (i64 k = 0; k < kPrototypes; ++k)
      for (i64 c = 0; c < kWidth; ++c) r(p, c) += entry(weight, k) / total * entry(bank, k * kWidth + c);
  }
  Map a = convolved(joined(q, r), v.at("memory.recall.weight"), v.at("memory.recall.bias"), 1, 1);
  each(a, sigmoid_of);
  return a;
}

Map reference(const std::vector<Map>& features, const Values& v, const fusion::Parts& parts) {
  using namespace bp::fusion;
  Map fused(kSides[0], kWidth), gate(kSides[0], 1);
  for (std::size_t i = 0; i < 4; ++i) {
    const std::string index = std::to_string(i);
    const Map x = resized(conv_bn_gelu(features[i], v, "unify." + index, kWidth, i == 0 ? 1 : 3), kSides[0]);
    Map g(kSides[0], 1);
    if (parts.gate) {
      g = convolved(x, v.at("gate." + index + ".weight"), v.at("gate." + index + ".bias"), 1, 1);
      each(g, sigmoid_of);
    } else {
      std::fill(g.data.begin(), g.data.end(), 1.0);
    }
    for (i64 p = 0; p < x.pixels(); ++p) {
      gate(p, 0) += g(p, 0) / 4;
      for (i64 c = 0; c < kWidth; ++c) fused(p, c) += g(p, 0) * x(p, c);
    }
  }
  Map answer = convolved(conv_bn_gelu(fused, v, "base.0", kHidden, 3), v.at("base.1.weight"),
                         v.at("base.1.bias"), 1, 1);
  each(answer, sigmoid_of);
  for (i64 p = 0; p < answer.pixels(); ++p) answer(p, 0) *= gate(p, 0);
  if (parts.memory) {
    const Map memory = remembered(fused, v);
    const double alpha = sigmoid_of(v.at("memory.mix")[0]);
    for (i64 p = 0; p < answer.pixels(); ++p)
      answer(p, 0) = alpha * answer(p, 0) + (1 - alpha) * memory(p, 0);
  }
  return convolved(joined(fused, answer), v.at("refine.weight"), v.at("refine.bias"), 1, 3);
}

// Numbers between -1 and 1 without a pattern.
double noise(i64 i) {
  const double x = std::sin(static_cast<double>(i) * 12.9898 + 4.1) * 43758.5453;
  return static_cast<double>(static_cast<float>(2 * (x - std::floor(x)) - 1));
}

}  // namespace

TEST_CASE("the fusion and its gradients are those of its formulas, with any part switched off") {
  for (const fusion::Parts& parts : {fusion::Parts{true, true}, fusion::Parts{false, true},
                                     fusion::Parts{true, false}, fusion::Parts{false, false}}) {
    CAPTURE(parts.gate);
    CAPTURE(parts.memory);
    fusion::Fusion net(kWidths, parts);
    Params params;
    net.collect(params, "");
    Values values;
    i64 seed = 0;
    for (const Param& p : params) {
      // Every part is loud enough to be seen in the output.
      const i64 n = p.shape.numel();
      const double scale = p.name == "refine.weight" ? 1.0
                           : p.shape.rank() > 1      ? 2 / std::sqrt(static_cast<double>(n / p.shape[0]))
                           : p.name == "memory.inverse_tau" ? 0.5
                                                            : 0.4;
      const double mean = p.name == "memory.inverse_tau"                                ? 6
                          : p.name.find("bn.weight") != std::string::npos || !p.trained ? 1
                                                                                        : 0;
      std::vector<float> x;
      for (i64 i = 0; i < n; ++i) x.push_back(static_cast<float>(mean + scale * noise(++seed)));
      *p.tensor = to_ours(from_values(p.shape, x), p.layout);
      const auto ours = p.tensor->values();
      values[p.name] = {ours.begin(), ours.end()};
    }
    std::vector<Map> maps;
    std::array<Tensor, 4> features;
    for (std::size_t i = 0; i < 4; ++i) {
      maps.emplace_back(kSides[i], kWidths[i]);
      for (double& x : maps[i].data) x = noise(++seed);
      features[i] = from_values({kImages, kSides[i], kSides[i], kWidths[i]},
                                std::vector<float>(maps[i].data.begin(), maps[i].data.end()));
      features[i].requires_grad();
    }
    net.train();
    require_grad(params);

    const Tensor logits = net(features);
    const Map wanted = reference(maps, values, parts);
    REQUIRE(logits.shape() == Shape{kImages, kSides[0], kSides[0], 1});
    double error = 0, largest = 0;
    for (i64 p = 0; p < wanted.pixels(); ++p) {
      largest = std::max(largest, std::abs(wanted(p, 0)));
      error = std::max(error, std::abs(static_cast<double>(logits.data<float>()[p]) - wanted(p, 0)));
    }
    CHECK(error < 5e-6 * largest);

    std::vector<float> weights;
    for (i64 p = 0; p < wanted.pixels(); ++p) weights.push_back(static_cast<float>(noise(++seed)));
    backward(logits, from_values(logits.shape(), weights));
    const auto loss = [&] {
      const Map y = reference(maps, values, parts);
      double sum = 0;
      for (std::size_t p = 0; p < weights.size(); ++p) sum += y.data[p] * static_cast<double>(weights[p]);
      return sum;
    };
    const auto check = [&](const std::string& name, const Tensor& gradient, std::vector<double>& x) {
      CAPTURE(name);
      REQUIRE(gradient.defined());
      const auto got = gradient.values();
      double most = 0.1;  // below this, what was left of larger terms
      for (double g : got) most = std::max(most, std::abs(g));
      constexpr std::size_t kSamples = 4;
      std::set<std::size_t> at;
      for (std::size_t s = 0; s < kSamples; ++s) at.insert((s * 7919 + 3) % x.size());
      for (const std::size_t i : at) {
        constexpr double step = 1e-5;
        const double before = x[i];
        x[i] = before + step;
        const double above = loss();
        x[i] = before - step;
        const double below = loss();
        x[i] = before;
        CHECK(std::abs(static_cast<double>(got[i]) - (above - below) / (2 * step)) < 2e-5 * most);
      }
    };
    for (const Param& p : params)
      if (p.trained) check(p.name, p.tensor->grad(), values.at(p.name));
    for (std::size_t i = 0; i < 4; ++i)
      check("feature " + std::to_string(i), features[i].grad(), maps[i].data);
  }
}
