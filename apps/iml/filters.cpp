#include "apps/iml/filters.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "engine/error.h"
#include "engine/ops.h"
#include "engine/rng.h"
#include "kernels/threads.h"

namespace bp {
namespace {

struct Picture {
  i64 height, width, channels;
  i64 row() const { return width * channels; }
};

Picture picture_of(const char* what, const Tensor& image) {
  require(image.defined() && image.dtype() == DType::u8 && image.numel() > 0 &&
              (image.rank() == 2 || (image.rank() == 3 && image.dim(2) <= 4)),
          what, ": wanted a u8 image [H,W] or [H,W,1 to 4]");
  return {image.dim(0), image.dim(1), image.rank() == 2 ? 1 : image.dim(2)};
}

Tensor blank(const Picture& p, int rank) {
  return empty(rank == 2 ? Shape{p.height, p.width} : Shape{p.height, p.width, p.channels}, DType::u8);
}

u8 to_u8(float v) {
  return static_cast<u8>(std::clamp(v + 0.5f, 0.0f, 255.0f));
}

// Index -1 is 1, index n is n - 2, and so on for kernels wider than the image.
i64 reflect101(i64 i, i64 n) {
  if (n == 1) return 0;
  const i64 period = 2 * (n - 1);
  i = (i % period + period) % period;
  return i < n ? i : period - i;
}

std::vector<float> gaussian(int side, double sigma) {
  std::vector<double> exact(static_cast<std::size_t>(side));
  double sum = 0;
  for (int i = 0; i < side; ++i) {
    const double at = (i - (side - 1) / 2) / sigma;
    sum += exact[static_cast<std::size_t>(i)] = std::exp(-at * at / 2);
  }
  std::vector<float> weights;
  for (const double e : exact) weights.push_back(static_cast<float>(e / sum));
  return weights;
}

// sum[i] = sum over taps of weight[t] rows[t][i]; the same for neighbouring pixels of one row.
template <class Row>
void weigh(const std::vector<float>& weights, i64 n, float* sum, const Row& row) {
  std::fill_n(sum, n, 0.0f);
  for (std::size_t t = 0; t < weights.size(); ++t) {
    const float* x = row(static_cast<i64>(t));
    const float w = weights[t];
    for (i64 i = 0; i < n; ++i) sum[i] += w * x[i];
  }
}

Tensor blur(const Tensor& image, const std::vector<float>& weights) {
  const Picture p = picture_of("gaussian_blur", image);
  const i64 taps = static_cast<i64>(weights.size()), reach = taps / 2, c = p.channels;
  const u8* x = image.data<u8>();
  Tensor result = blank(p, image.rank());
  parallel_for(p.height, 32, [&](i64 begin, i64 end) {
    const i64 rows = end - begin + 2 * reach;
    std::vector<float> across(static_cast<std::size_t>(rows * p.row()));
    std::vector<float> wide(static_cast<std::size_t>((p.width + 2 * reach) * c));
    std::vector<float> sum(static_cast<std::size_t>(p.row()));
    for (i64 r = 0; r < rows; ++r) {
      const u8* from = x + reflect101(begin - reach + r, p.height) * p.row();
      for (i64 i = -reach; i < p.width + reach; ++i)
        for (i64 j = 0; j < c; ++j)
          wide[static_cast<std::size_t>((i + reach) * c + j)] =
              static_cast<float>(from[reflect101(i, p.width) * c + j]);
      weigh(weights, p.row(), across.data() + r * p.row(), [&](i64 t) { return wide.data() + t * c; });
    }
    for (i64 y = begin; y < end; ++y) {
      weigh(weights, p.row(), sum.data(), [&](i64 t) { return across.data() + (y - begin + t) * p.row(); });
      u8* to = result.data<u8>() + y * p.row();
      for (i64 i = 0; i < p.row(); ++i) to[i] = to_u8(sum[static_cast<std::size_t>(i)]);
    }
  });
  return result;
}

// Pixel (y, x) of the result is source(y, x) of the image.
template <class Source>
Tensor rearrange(const Tensor& image, const Picture& from, i64 height, i64 width, const Source& source) {
  const Picture to{height, width, from.channels};
  Tensor result = blank(to, image.rank());
  const u8* in = image.data<u8>();
  u8* out = result.data<u8>();
  const i64 c = from.channels;
  parallel_for(height, 64, [&](i64 begin, i64 end) {
    for (i64 y = begin; y < end; ++y)
      for (i64 x = 0; x < width; ++x) {
        const u8* pixel = in + source(y, x) * c;
        for (i64 j = 0; j < c; ++j) out[(y * width + x) * c + j] = pixel[j];
      }
  });
  return result;
}

// Inverse of the normal distribution function by Newton's method on erfc; p in (0, 1/2].
double lower_quantile(double p) {
  double x = -std::sqrt(-2 * std::log(p));  // of the right order; the error shrinks quadratically
  for (int i = 0; i < 60; ++i) {
    const double density = std::exp(-x * x / 2) / std::sqrt(2 * M_PI);
    const double step = (std::erfc(-x / std::sqrt(2.0)) / 2 - p) / density;
    x -= std::clamp(step, -0.5, 0.5);
    if (std::abs(step) < 1e-12) break;
  }
  return x;
}

}  // namespace

Tensor gaussian_blur(const Tensor& image, int side) {
  require(side == 0 || (side % 2 == 1 && side > 0 && side < 1000), "gaussian_blur: a kernel of side ", side,
          ", wanted 0 or an odd number below 1000");
  picture_of("gaussian_blur", image);
  if (side <= 1) return image;
  return blur(image, gaussian(side, 0.3 * ((side - 1) / 2.0 - 1) + 0.8));
}

Tensor gaussian_blur_sigma(const Tensor& image, double sigma) {
  require(sigma > 0 && sigma < 100, "gaussian_blur_sigma: sigma ", sigma, ", wanted (0, 100)");
  return blur(image, gaussian(2 * static_cast<int>(std::ceil(3 * sigma)) + 1, sigma));
}

float normal_quantile(std::uint32_t bits) {
  static const auto table = [] {
    std::vector<float> t(65536);
    for (std::size_t i = 0; i < 32768; ++i) {
      t[i] = static_cast<float>(lower_quantile((static_cast<double>(i) + 0.5) / 65536));
      t[65535 - i] = -t[i];
    }
    return t;
  }();
  return table[bits & 0xFFFF];
}

Tensor add_noise(const Tensor& image, double variance, std::uint64_t seed) {
  const Picture p = picture_of("add_noise", image);
  require(variance >= 0 && std::isfinite(variance), "add_noise: variance ", variance);
  const auto deviation = static_cast<float>(std::sqrt(variance));
  const u8* x = image.data<u8>();
  Tensor result = blank(p, image.rank());
  u8* y = result.data<u8>();
  const i64 n = image.numel();
  constexpr i64 kBlock = 8;  // values of one Philox call
  parallel_for((n + kBlock - 1) / kBlock, 4096, [&](i64 begin, i64 end) {
    for (i64 b = begin; b < end; ++b) {
      const PhiloxCounter bits =
          philox({static_cast<std::uint32_t>(b), static_cast<std::uint32_t>(b >> 32), 0x6E6F6973u, 0},
                 philox_key(seed));
      for (i64 i = b * kBlock; i < std::min(n, (b + 1) * kBlock); ++i) {
        const auto j = static_cast<std::size_t>(i - b * kBlock);
        const float normal = normal_quantile(bits[j / 2] >> (j % 2 * 16));
        y[i] = to_u8(static_cast<float>(x[i]) + deviation * normal);
      }
    }
  });
  return result;
}

Tensor brightness_contrast(const Tensor& image, double brightness, double contrast) {
  const Picture p = picture_of("brightness_contrast", image);
  require(std::abs(brightness) <= 1 && std::abs(contrast) <= 1, "brightness_contrast: ", brightness, ", ",
          contrast, ", wanted [-1, 1]");
  std::array<u8, 256> table{};
  for (std::size_t i = 0; i < 256; ++i)
    table[i] = to_u8(static_cast<float>(static_cast<double>(i) * (1 + contrast) + 255 * brightness));
  Tensor result = blank(p, image.rank());
  std::transform(image.data<u8>(), image.data<u8>() + image.numel(), result.data<u8>(),
                 [&](u8 v) { return table[v]; });
  return result;
}

Tensor flip_horizontal(const Tensor& image) {
  const Picture p = picture_of("flip_horizontal", image);
  return rearrange(image, p, p.height, p.width, [&](i64 y, i64 x) { return y * p.width + p.width - 1 - x; });
}

Tensor flip_vertical(const Tensor& image) {
  const Picture p = picture_of("flip_vertical", image);
  return rearrange(image, p, p.height, p.width,
                   [&](i64 y, i64 x) { return (p.height - 1 - y) * p.width + x; });
}

Tensor rotate90(const Tensor& image, int k) {
  const Picture p = picture_of("rotate90", image);
  switch ((k % 4 + 4) % 4) {
    case 1:
      return rearrange(image, p, p.width, p.height,
                       [&](i64 y, i64 x) { return x * p.width + p.width - 1 - y; });
    case 2:
      return rearrange(image, p, p.height, p.width,
                       [&](i64 y, i64 x) { return (p.height - 1 - y) * p.width + p.width - 1 - x; });
    case 3:
      return rearrange(image, p, p.width, p.height,
                       [&](i64 y, i64 x) { return (p.height - 1 - x) * p.width + y; });
    default:
      return image;
  }
}

Tensor crop(const Tensor& image, i64 y, i64 x, i64 height, i64 width) {
  const Picture p = picture_of("crop", image);
  require(y >= 0 && x >= 0 && height > 0 && width > 0 && height <= p.height - y && width <= p.width - x,
          "crop: ", width, "x", height, " at ", x, ",", y, " of an image of ", p.width, "x", p.height);
  const Picture part{height, width, p.channels};
  Tensor result = blank(part, image.rank());
  for (i64 r = 0; r < height; ++r)
    std::copy_n(image.data<u8>() + (y + r) * p.row() + x * p.channels, part.row(),
                result.data<u8>() + r * part.row());
  return result;
}

Tensor resize_nearest(const Tensor& image, i64 height, i64 width) {
  const Picture p = picture_of("resize_nearest", image);
  require(height > 0 && width > 0, "resize_nearest: to ", width, "x", height);
  const auto centre = [](i64 i, i64 in, i64 out) { return (2 * i + 1) * in / (2 * out); };
  std::vector<i64> column(static_cast<std::size_t>(width));
  for (i64 x = 0; x < width; ++x) column[static_cast<std::size_t>(x)] = centre(x, p.width, width);
  return rearrange(image, p, height, width, [&](i64 y, i64 x) {
    return centre(y, p.height, height) * p.width + column[static_cast<std::size_t>(x)];
  });
}

Tensor resize_smooth(const Tensor& image, i64 height, i64 width) {
  const Picture p = picture_of("resize_smooth", image);
  const Tensor resized = resize_pil(image.reshape({p.height, p.width, p.channels}), height, width);
  return image.rank() == 2 ? resized.reshape({height, width}) : resized;
}

}  // namespace bp
