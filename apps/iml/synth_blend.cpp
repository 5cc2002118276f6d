#include "apps/iml/synth_blend.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "apps/iml/filters.h"
#include "apps/iml/membrane.h"
#include "apps/iml/synth_region.h"

namespace bp {
namespace {

constexpr i64 kMargin = 8;  // pixels of a layer beyond alpha

u8 to_u8(float v) {
  return static_cast<u8>(std::clamp(v + 0.5f, 0.0f, 255.0f));
}

// The place in the donor of a point of the host.
struct Inverse {
  const Placement& p;
  double sine = std::sin(p.angle), cosine = std::cos(p.angle);

  std::array<double, 2> operator()(double y, double x) const {
    const double dy = (y - p.to_y) / p.scale, dx = (x - p.to_x) / p.scale;
    const double u = dx * cosine + dy * sine, v = dy * cosine - dx * sine;
    return {p.from_y + v, p.from_x + (p.mirrored ? -u : u)};
  }
  std::array<double, 2> forward(double y, double x) const {
    const double v = y - p.from_y, u = (x - p.from_x) * (p.mirrored ? -1 : 1);
    return {p.to_y + p.scale * (v * cosine + u * sine), p.to_x + p.scale * (u * cosine - v * sine)};
  }
};

// Weights of the pixels first to first + count - 1 around a coordinate.
struct Taps {
  i64 first;
  int count;
  std::array<float, 4> weights;
};

Taps taps_at(double coordinate, bool cubic) {
  const double at = coordinate - 0.5, base = std::floor(at);
  const auto t = static_cast<float>(at - base);
  const auto first = static_cast<i64>(base);
  if (!cubic || t == 0) return {first, t == 0 ? 1 : 2, {1 - t, t, 0, 0}};
  const float t2 = t * t, t3 = t2 * t;
  return {first - 1,
          4,
          {(-t3 + 2 * t2 - t) / 2, (3 * t3 - 5 * t2 + 2) / 2, (-3 * t3 + 4 * t2 + t) / 2, (t3 - t2) / 2}};
}

void sample(const u8* image, i64 h, i64 w, const Taps& down, const Taps& across, u8* out) {
  float sum[3] = {0, 0, 0};
  for (int j = 0; j < down.count; ++j) {
    const u8* row = image + std::clamp(down.first + j, i64{0}, h - 1) * w * 3;
    for (int i = 0; i < across.count; ++i) {
      const u8* pixel = row + std::clamp(across.first + i, i64{0}, w - 1) * 3;
      const float weight =
          down.weights[static_cast<std::size_t>(j)] * across.weights[static_cast<std::size_t>(i)];
      for (int c = 0; c < 3; ++c) sum[c] += weight * static_cast<float>(pixel[c]);
    }
  }
  for (int c = 0; c < 3; ++c) out[c] = to_u8(sum[c]);
}

u8 sample_alpha(const u8* alpha, i64 h, i64 w, double y, double x) {
  if (y < -1 || x < -1 || y > static_cast<double>(h + 1) || x > static_cast<double>(w + 1)) return 0;
  const Taps down = taps_at(y, false), across = taps_at(x, false);
  float sum = 0;
  for (int j = 0; j < down.count; ++j)
    for (int i = 0; i < across.count; ++i) {
      const i64 v = down.first + j, u = across.first + i;
      if (v < 0 || u < 0 || v >= h || u >= w) continue;
      sum += down.weights[static_cast<std::size_t>(j)] * across.weights[static_cast<std::size_t>(i)] *
             static_cast<float>(alpha[v * w + u]);
    }
  return to_u8(sum);
}

using Colour = std::array<float, 3>;

// JFIF's luma and chroma, chroma around 0.
Colour to_ycc(const u8* p) {
  const auto r = static_cast<float>(p[0]), g = static_cast<float>(p[1]), b = static_cast<float>(p[2]);
  const float y = 0.299f * r + 0.587f * g + 0.114f * b;
  return {y, 0.564f * (b - y), 0.713f * (r - y)};
}

void from_ycc(const Colour& c, u8* p) {
  p[0] = to_u8(c[0] + 1.403f * c[2]);
  p[1] = to_u8(c[0] - 0.344f * c[1] - 0.714f * c[2]);
  p[2] = to_u8(c[0] + 1.773f * c[1]);
}

struct Statistics {
  std::array<double, 3> sum{}, squares{};
  double n = 0;

  void add(const Colour& c) {
    for (std::size_t i = 0; i < 3; ++i) {
      sum[i] += static_cast<double>(c[i]);
      squares[i] += static_cast<double>(c[i]) * static_cast<double>(c[i]);
    }
    n += 1;
  }
  double mean(std::size_t i) const { return sum[i] / n; }
  double deviation(std::size_t i) const {
    return std::sqrt(std::max(squares[i] / n - mean(i) * mean(i), 1.0));
  }
};

// f(pixel of the host, pixel of the layer, alpha), wherever the layer lies.
template <class Each>
void for_each_pixel(Tensor& host, const Layer& layer, const Each& each) {
  const i64 h = layer.alpha.dim(0), w = layer.alpha.dim(1);
  for (i64 y = 0; y < h; ++y)
    for (i64 x = 0; x < w; ++x)
      each(host.data<u8>() + ((layer.y0 + y) * host.dim(1) + layer.x0 + x) * 3,
           layer.image.data<u8>() + (y * w + x) * 3, layer.alpha.data<u8>()[y * w + x]);
}

void mix(u8* host, const u8* over, int alpha) {
  for (int c = 0; c < 3; ++c)
    host[c] = static_cast<u8>((host[c] * (255 - alpha) + over[c] * alpha + 127) / 255);
}

}  // namespace

Layer place(const Tensor& donor, const Tensor& alpha, const Placement& placement, i64 height, i64 width) {
  const Bounds b = bounds_of(alpha);
  const Inverse inverse{placement};
  double y0 = 1e9, x0 = 1e9, y1 = -1e9, x1 = -1e9;
  for (const i64 y : {b.y0, b.y1})
    for (const i64 x : {b.x0, b.x1}) {
      const auto [v, u] = inverse.forward(static_cast<double>(y), static_cast<double>(x));
      y0 = std::min(y0, v), y1 = std::max(y1, v);
      x0 = std::min(x0, u), x1 = std::max(x1, u);
    }
  Layer layer;
  layer.y0 = std::max(i64{0}, static_cast<i64>(std::floor(y0)) - kMargin);
  layer.x0 = std::max(i64{0}, static_cast<i64>(std::floor(x0)) - kMargin);
  const i64 h = std::min(height, static_cast<i64>(std::ceil(y1)) + kMargin) - layer.y0;
  const i64 w = std::min(width, static_cast<i64>(std::ceil(x1)) + kMargin) - layer.x0;
  if (b.y1 == 0 || h <= 0 || w <= 0) return {};
  layer.image = empty({h, w, 3}, DType::u8);
  layer.alpha = empty({h, w}, DType::u8);
  const i64 dh = donor.dim(0), dw = donor.dim(1);
  const u8 *from = donor.data<u8>(), *from_alpha = alpha.data<u8>();
  u8 *to = layer.image.data<u8>(), *to_alpha = layer.alpha.data<u8>();
  for (i64 y = 0; y < h; ++y)
    for (i64 x = 0; x < w; ++x) {
      const auto [v, u] =
          inverse(static_cast<double>(layer.y0 + y) + 0.5, static_cast<double>(layer.x0 + x) + 0.5);
      to_alpha[y * w + x] = sample_alpha(from_alpha, dh, dw, v, u);
      sample(from, dh, dw, taps_at(v, placement.cubic), taps_at(u, placement.cubic), to + (y * w + x) * 3);
    }
  return layer;
}

void match_colours(Layer& layer, const Tensor& host, double strength) {
  Statistics own, other;
  Tensor under = host;
  for_each_pixel(under, layer, [&](const u8* below, const u8* over, int alpha) {
    if (alpha > 127) own.add(to_ycc(over));
    other.add(to_ycc(below));
  });
  if (own.n == 0) return;
  std::array<float, 3> gain{}, shift{};
  for (std::size_t i = 0; i < 3; ++i) {
    const double ratio = std::clamp(other.deviation(i) / own.deviation(i), 0.5, 2.0);
    const double g = 1 + strength * (ratio - 1);
    gain[i] = static_cast<float>(g);
    shift[i] = static_cast<float>(own.mean(i) * (1 - g) + strength * (other.mean(i) - own.mean(i)));
  }
  for (i64 i = 0; i < layer.alpha.numel(); ++i) {
    u8* pixel = layer.image.data<u8>() + 3 * i;
    Colour c = to_ycc(pixel);
    for (std::size_t k = 0; k < 3; ++k) c[k] = c[k] * gain[k] + shift[k];
    from_ycc(c, pixel);
  }
}

void apply_gamma(Layer& layer, double gamma) {
  std::array<u8, 256> table{};
  for (std::size_t i = 0; i < 256; ++i)
    table[i] = to_u8(static_cast<float>(255 * std::pow(static_cast<double>(i) / 255, gamma)));
  u8* p = layer.image.data<u8>();
  std::transform(p, p + layer.image.numel(), p, [&](u8 v) { return table[v]; });
}

void harden(Layer& layer) {
  u8* a = layer.alpha.data<u8>();
  std::transform(a, a + layer.alpha.numel(), a, [](u8 v) { return static_cast<u8>(v > 127 ? 255 : 0); });
}

void feather(Layer& layer, double sigma) {
  layer.alpha = gaussian_blur_sigma(layer.alpha, sigma);
}

void lay_over(Tensor& host, const Layer& layer) {
  for_each_pixel(host, layer, mix);
}

void lay_seamlessly(Tensor& host, const Layer& layer) {
  Field field(layer.alpha.dim(0), layer.alpha.dim(1));
  std::size_t i = 0;
  for_each_pixel(host, layer, [&](const u8* below, const u8* over, int alpha) {
    field.roles[i] = alpha > 127 ? Role::wanted : Role::known;
    if (alpha <= 127)
      for (int c = 0; c < 3; ++c) field.values[i][c] = static_cast<float>(below[c] - over[c]);
    ++i;
  });
  spread(field);
  i = 0;
  for_each_pixel(host, layer, [&](u8* below, const u8* over, int alpha) {
    if (alpha > 127)
      for (int c = 0; c < 3; ++c) below[c] = to_u8(static_cast<float>(over[c]) + field.values[i][c]);
    ++i;
  });
}

void soften_seam(Tensor& host, const Layer& layer, double sigma) {
  const i64 h = layer.alpha.dim(0), w = layer.alpha.dim(1);
  Layer band{layer.y0, layer.x0, gaussian_blur_sigma(crop(host, layer.y0, layer.x0, h, w), sigma),
             gaussian_blur_sigma(layer.alpha, 1.5)};
  for (i64 i = 0; i < h * w; ++i) {
    u8& a = band.alpha.data<u8>()[i];
    a = static_cast<u8>(4 * a * (255 - a) / 255 > 255 ? 255 : 4 * a * (255 - a) / 255);
  }
  lay_over(host, band);
}

void mark(Tensor& mask, const Layer& layer) {
  const i64 h = layer.alpha.dim(0), w = layer.alpha.dim(1);
  for (i64 y = 0; y < h; ++y)
    for (i64 x = 0; x < w; ++x)
      if (layer.alpha.data<u8>()[y * w + x] > 127)
        mask.data<u8>()[(layer.y0 + y) * mask.dim(1) + layer.x0 + x] = 255;
}

}  // namespace bp
