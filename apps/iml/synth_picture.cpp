#include "apps/iml/synth_picture.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "apps/iml/filters.h"

namespace bp {
namespace {

i64 to_side(double v) {
  return std::max(i64{16}, static_cast<i64>(std::lround(v)));
}

double side_of(i64 v) {
  return static_cast<double>(v);
}

double draw_ratio(Random& random) {
  constexpr std::array<double, 5> kShares{0.4, 0.25, 0.1, 0.1, 0.15}, kRatios{1.5, 4.0 / 3, 1, 16.0 / 9, 0};
  const std::size_t i = draw_index(random, kShares);
  return kRatios[i] > 0 ? kRatios[i] : random.uniform(1, 2);
}

}  // namespace

Size draw_size(const Source& photo, i64 least_side, i64 most_side, Random& random) {
  double longest = 384, ratio = 1.5;
  if (!random.chance(0.35)) {
    longest = random.chance(0.6) ? 384 * std::exp(0.2 * draw_normal(random))
                                 : draw_log(random, side_of(least_side), side_of(most_side));
    ratio = draw_ratio(random);
  }
  const i64 a = std::clamp(to_side(longest), least_side, most_side), b = to_side(side_of(a) / ratio);
  const bool upright = (photo.levels[0].dim(0) > photo.levels[0].dim(1)) != random.chance(0.1);
  return upright ? Size{a, b} : Size{b, a};
}

Tensor draw_picture(const Source& photo, Size size, Random& random) {
  const double ratio = side_of(size.width) / side_of(size.height);
  const double full_height = side_of(photo.levels[0].dim(0)), full_width = side_of(photo.levels[0].dim(1));
  const double widest = std::min(full_width, full_height * ratio);
  const double u = random.uniform();
  double width = widest * (1 - 0.7 * u * std::sqrt(u));
  width = std::max(width, std::min(widest, 0.8 * side_of(size.width)));
  // The smallest level that still has the pixels; or, where pixels are taken as stored, any.
  std::size_t level = 0, fitting = 1;
  const auto has = [&](std::size_t i) {
    return photo.levels[i].dim(1) >= size.width && photo.levels[i].dim(0) >= size.height;
  };
  while (fitting < photo.levels.size() && has(fitting)) ++fitting;
  const bool as_stored = random.chance(0.3) && has(0);
  if (as_stored)
    level = static_cast<std::size_t>(random.integer(0, static_cast<i64>(fitting) - 1));
  else
    while (level + 1 < photo.levels.size() && width / std::exp2(level + 1.0) >= side_of(size.width)) ++level;
  const Tensor& image = photo.levels[level];
  const double shrink = side_of(image.dim(1)) / full_width;
  const i64 w = as_stored ? size.width : std::min(to_side(width * shrink), image.dim(1));
  const i64 h = as_stored ? size.height : std::min(to_side(width * shrink / ratio), image.dim(0));
  const i64 y = random.integer(0, image.dim(0) - h), x = random.integer(0, image.dim(1) - w);
  Tensor cut = crop(image, y, x, h, w);
  if (h != size.height || w != size.width) cut = resize_smooth(cut, size.height, size.width);
  return random.chance(0.5) ? flip_horizontal(cut) : cut;
}

Piece draw_piece(const Tensor& premultiplied, Size size, const History& history) {
  const Size before = history.before(size);
  const Tensor small =
      resize_smooth(premultiplied, before.height - history.cut_y, before.width - history.cut_x);
  const i64 n = small.dim(0) * small.dim(1);
  double sum[3] = {0, 0, 0}, weight = 1e-9;
  for (i64 i = 0; i < n; ++i) {
    const u8* p = small.data<u8>() + 4 * i;
    for (int c = 0; c < 3; ++c) sum[c] += p[c];
    weight += p[3] / 255.0;
  }
  Tensor image = empty({before.height, before.width, 3}, DType::u8);
  for (i64 i = 0; i < before.height * before.width; ++i)
    for (int c = 0; c < 3; ++c)
      image.data<u8>()[3 * i + c] = static_cast<u8>(std::min(255.0, sum[c] / weight));
  // Colours of nearly transparent pixels are too coarse to be told.
  for (i64 y = 0; y < small.dim(0); ++y)
    for (i64 x = 0; x < small.dim(1); ++x) {
      const u8* p = small.data<u8>() + 4 * (y * small.dim(1) + x);
      u8* q = image.data<u8>() + 3 * ((y + history.cut_y) * before.width + x + history.cut_x);
      for (int c = 0; c < 3; ++c)
        q[c] = static_cast<u8>(p[3] < 8 ? q[c] : std::min(255, (p[c] * 255 + p[3] / 2) / p[3]));
    }
  const Tensor sized = resize_smooth(premultiplied, size.height, size.width);
  Tensor alpha = empty({size.height, size.width}, DType::u8);
  for (i64 i = 0; i < alpha.numel(); ++i) alpha.data<u8>()[i] = sized.data<u8>()[4 * i + 3];
  return {history.apply(image, size), alpha};
}

}  // namespace bp
