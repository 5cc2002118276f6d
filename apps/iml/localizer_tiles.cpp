#include <algorithm>
#include <cmath>
#include <numbers>

#include "apps/iml/filters.h"
#include "apps/iml/localizer.h"
#include "kernels/threads.h"

namespace bp {
namespace {

constexpr float kWholeShare = 0.5f;  // of the whole image's map in the mean with the windows'

// A window's weight along one axis, never 0, so that the first and last pixels of the image have one.
std::vector<float> hann(i64 length) {
  std::vector<float> weights(static_cast<std::size_t>(length));
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const double s =
        std::sin(std::numbers::pi * (static_cast<double>(i) + 0.5) / static_cast<double>(length));
    weights[i] = static_cast<float>(std::max(s * s, 1e-3));
  }
  return weights;
}

// The sum of the windows' weights at every pixel of one axis.
std::vector<float> weight_sum(i64 length, const std::vector<i64>& starts, const std::vector<float>& weights) {
  std::vector<float> sum(static_cast<std::size_t>(length), 0.0f);
  for (const i64 start : starts)
    for (std::size_t i = 0; i < weights.size(); ++i) sum[static_cast<std::size_t>(start) + i] += weights[i];
  return sum;
}

}  // namespace

std::vector<i64> window_starts(i64 length, i64 side, double overlap) {
  if (length <= side) return {0};
  const double step = std::max(1.0, static_cast<double>(side) * (1 - overlap));
  const auto gaps =
      std::max<i64>(1, static_cast<i64>(std::ceil(static_cast<double>(length - side) / step - 1e-9)));
  std::vector<i64> starts;
  for (i64 i = 0; i <= gaps; ++i) starts.push_back((length - side) * i / gaps);
  return starts;
}

Tensor tiled_map(const Localizer& localizer, const Tensor& image, const Tiling& tiling) {
  const i64 side = tiling.side > 0 ? tiling.side : 2 * localizer.config().size;
  require(tiling.overlap >= 0 && tiling.overlap <= 0.9, "tiles: overlap ", tiling.overlap,
          ", wanted 0 to 0.9");
  require(tiling.batch >= 1, "tiles: batch of ", tiling.batch);
  const i64 height = image.dim(0), width = image.dim(1);
  const Tensor whole = localizer.map(image);
  const std::vector<i64> rows = window_starts(height, side, tiling.overlap),
                         columns = window_starts(width, side, tiling.overlap);
  if (rows.size() == 1 && columns.size() == 1) return whole;
  const i64 h = std::min(side, height), w = std::min(side, width);
  const std::vector<float> wy = hann(h), wx = hann(w);

  Tensor sum = zeros({height, width});
  const i64 windows = static_cast<i64>(rows.size() * columns.size()),
            across = static_cast<i64>(columns.size());
  for (i64 begin = 0; begin < windows; begin += tiling.batch) {
    const i64 end = std::min(windows, begin + tiling.batch);
    std::vector<Tensor> parts;
    for (i64 i = begin; i < end; ++i)
      parts.push_back(crop(image, rows[static_cast<std::size_t>(i / across)],
                           columns[static_cast<std::size_t>(i % across)], h, w));
    const std::vector<Tensor> maps = localizer.maps(parts);
    for (i64 i = begin; i < end; ++i) {
      const float* map = maps[static_cast<std::size_t>(i - begin)].data<float>();
      float* to = sum.data<float>() + rows[static_cast<std::size_t>(i / across)] * width +
                  columns[static_cast<std::size_t>(i % across)];
      parallel_for(h, 32, [&](i64 from, i64 until) {
        for (i64 y = from; y < until; ++y)
          for (i64 x = 0; x < w; ++x)
            to[y * width + x] +=
                wy[static_cast<std::size_t>(y)] * wx[static_cast<std::size_t>(x)] * map[y * w + x];
      });
    }
  }
  const std::vector<float> sum_y = weight_sum(height, rows, wy), sum_x = weight_sum(width, columns, wx);
  const float* all = whole.data<float>();
  float* p = sum.data<float>();
  parallel_for(height, 32, [&](i64 from, i64 until) {
    for (i64 y = from; y < until; ++y)
      for (i64 x = 0; x < width; ++x) {
        const float mean =
            p[y * width + x] / (sum_y[static_cast<std::size_t>(y)] * sum_x[static_cast<std::size_t>(x)]);
        // Rounding must not leave [0, 1].
        p[y * width + x] =
            std::clamp((1 - kWholeShare) * mean + kWholeShare * all[y * width + x], 0.0f, 1.0f);
      }
  });
  return sum;
}

}  // namespace bp
