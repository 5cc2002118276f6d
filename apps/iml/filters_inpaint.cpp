// Removal of regions: shifted copies of the surroundings, joined by a membrane.
#include <algorithm>
#include <limits>
#include <optional>
#include <vector>

#include "apps/iml/filters.h"
#include "apps/iml/membrane.h"
#include "engine/error.h"

namespace bp {
namespace {

constexpr i64 kRing = 6;           // pixels around a piece that its copy is compared by
constexpr i64 kLargestPiece = 72;  // larger ones are split, or one copy would be recognised at once
constexpr i64 kSmallestPiece = 10;
constexpr i64 kSearch = 28;  // shifts tried along each axis
constexpr std::size_t kProbes = 160;

struct Area {
  i64 y0, x0, y1, x1;
  i64 height() const { return y1 - y0; }
  i64 width() const { return x1 - x0; }
};

struct Point {
  i64 y, x;
};

class Filling {
 public:
  Filling(const Tensor& image, const Tensor& mask)
      : height_(image.dim(0)), width_(image.dim(1)), result_(empty_like(image)) {
    std::copy_n(image.data<u8>(), image.numel(), result_.data<u8>());
    const u8* m = mask.data<u8>();
    for (i64 i = 0; i < mask.numel(); ++i) open_.push_back(m[i] != 0);
    require(std::count(open_.begin(), open_.end(), u8{0}) > 0, "inpaint: the mask covers the whole image");
  }

  Tensor smooth() {
    if (const auto area = shrink({0, 0, height_, width_})) {
      const Area around = grown(*area, 1);
      blend(around, *area, nullptr);
    }
    return result_;
  }
  Tensor textured() {
    fill({0, 0, height_, width_});
    return result_;
  }

 private:
  bool open(i64 y, i64 x) const { return open_[static_cast<std::size_t>(y * width_ + x)] != 0; }
  const u8* pixel(i64 y, i64 x) const { return result_.data<u8>() + (y * width_ + x) * 3; }
  Area grown(const Area& a, i64 by) const {
    return {std::max(i64{0}, a.y0 - by), std::max(i64{0}, a.x0 - by), std::min(height_, a.y1 + by),
            std::min(width_, a.x1 + by)};
  }

  // The bounds of what is still open within an area.
  std::optional<Area> shrink(const Area& a) const {
    Area s{height_, width_, 0, 0};
    for (i64 y = a.y0; y < a.y1; ++y)
      for (i64 x = a.x0; x < a.x1; ++x)
        if (open(y, x))
          s = {std::min(s.y0, y), std::min(s.x0, x), std::max(s.y1, y + 1), std::max(s.x1, x + 1)};
    return s.y1 > s.y0 ? std::optional(s) : std::nullopt;
  }

  // Halves are filled one after the other, so the second also joins the first.
  void fill(const Area& whole) {
    const auto piece = shrink(whole);
    if (!piece) return;
    const Area& a = *piece;
    const i64 side = std::max(a.height(), a.width());
    if (side <= kLargestPiece)
      if (const auto shift = best_shift(a)) return blend(grown(a, kRing), a, &*shift);
    if (side <= kSmallestPiece) return blend(grown(a, 1), a, nullptr);
    Area first = a, second = a;
    if (a.height() >= a.width())
      first.y1 = second.y0 = a.y0 + a.height() / 2;
    else
      first.x1 = second.x0 = a.x0 + a.width() / 2;
    fill(first);
    fill(second);
  }

  // Up to kProbes of the area's pixels that are open, or that are not, evenly chosen.
  std::vector<Point> probes(const Area& area, bool opened) const {
    std::vector<Point> all, chosen;
    for (i64 y = area.y0; y < area.y1; ++y)
      for (i64 x = area.x0; x < area.x1; ++x)
        if (open(y, x) == opened) all.push_back({y, x});
    const std::size_t step = all.size() / kProbes + 1;
    for (std::size_t i = 0; i < all.size(); i += step) chosen.push_back(all[i]);
    return chosen;
  }

  // Mean squared difference of the surroundings and their shifted copy; infinite where the copy would read
  // what is open itself, too often to be a match.
  double mismatch(const std::vector<Point>& ring, const std::vector<Point>& hole, Point d,
                  double limit) const {
    for (const Point& p : hole)
      if (open(p.y + d.y, p.x + d.x)) return std::numeric_limits<double>::infinity();
    i64 sum = 0, n = 0;
    for (const Point& p : ring) {
      if (open(p.y + d.y, p.x + d.x)) continue;
      const u8 *a = pixel(p.y, p.x), *b = pixel(p.y + d.y, p.x + d.x);
      for (int c = 0; c < 3; ++c) sum += (a[c] - b[c]) * (a[c] - b[c]);
      ++n;
      if (static_cast<double>(sum) > limit * static_cast<double>(ring.size())) break;
    }
    if (2 * n < static_cast<i64>(ring.size()) &&
        static_cast<double>(sum) <= limit * static_cast<double>(ring.size()))
      return std::numeric_limits<double>::infinity();
    return static_cast<double>(sum) / static_cast<double>(std::max<i64>(n, 1));
  }

  std::optional<Point> best_shift(const Area& a) const {
    const Area around = grown(a, kRing);
    const auto ring = probes(around, false), hole = probes(a, true);
    if (ring.empty()) return std::nullopt;
    Point best{};
    double least = std::numeric_limits<double>::infinity();
    const auto consider = [&](Point d) {
      if (around.y0 + d.y < 0 || around.x0 + d.x < 0 || around.y1 + d.y > height_ || around.x1 + d.x > width_)
        return;
      const double m = mismatch(ring, hole, d, least);
      if (m < least) {
        least = m;
        best = d;
      }
    };
    const i64 ys = height_ - around.height(), xs = width_ - around.width();
    const i64 step_y = ys / kSearch + 1, step_x = xs / kSearch + 1;
    for (i64 y = 0; y <= ys; y += step_y)
      for (i64 x = 0; x <= xs; x += step_x) consider({y - around.y0, x - around.x0});
    if (least == std::numeric_limits<double>::infinity()) return std::nullopt;
    for (i64 step = std::max(step_y, step_x) / 2; step > 0; step /= 2) {
      const Point middle = best;
      for (const i64 y : {-step, i64{0}, step})
        for (const i64 x : {-step, i64{0}, step}) consider({middle.y + y, middle.x + x});
    }
    return best;
  }

  // Sets what is open in `area` to its shifted copy (or to nothing) plus the membrane of what is missing at
  // its border.
  void blend(const Area& around, const Area& area, const Point* shift) {
    Field field(around.height(), around.width());
    const auto copied = [&](i64 y, i64 x, int c) {
      if (!shift) return 0.0f;
      return static_cast<float>(pixel(y + shift->y, x + shift->x)[c]);
    };
    const auto index = [&](i64 y, i64 x) {
      return static_cast<std::size_t>((y - around.y0) * around.width() + x - around.x0);
    };
    const auto in_area = [&](i64 y, i64 x) {
      return y >= area.y0 && y < area.y1 && x >= area.x0 && x < area.x1;
    };
    for (i64 y = around.y0; y < around.y1; ++y)
      for (i64 x = around.x0; x < around.x1; ++x) {
        const bool readable = !shift || !open(y + shift->y, x + shift->x);
        Role& role = field.roles[index(y, x)];
        role = !open(y, x) ? (readable ? Role::known : Role::ignored)
                           : (in_area(y, x) ? Role::wanted : Role::ignored);
        if (role == Role::known)
          for (int c = 0; c < 3; ++c)
            field.values[index(y, x)][c] = static_cast<float>(pixel(y, x)[c]) - copied(y, x, c);
      }
    spread(field);
    for (i64 y = area.y0; y < area.y1; ++y)
      for (i64 x = area.x0; x < area.x1; ++x) {
        if (!open(y, x)) continue;
        for (int c = 0; c < 3; ++c) {
          const float v = copied(y, x, c) + field.values[index(y, x)][c];
          result_.data<u8>()[(y * width_ + x) * 3 + c] = static_cast<u8>(std::clamp(v + 0.5f, 0.0f, 255.0f));
        }
      }
    for (i64 y = area.y0; y < area.y1; ++y)
      std::fill_n(open_.begin() + y * width_ + area.x0, area.width(), u8{0});
  }

  i64 height_, width_;
  Tensor result_;
  std::vector<u8> open_;  // 1 where a pixel is still to be filled
};

Filling filling(const char* what, const Tensor& image, const Tensor& mask) {
  require(image.defined() && image.dtype() == DType::u8 && image.rank() == 3 && image.dim(2) == 3, what,
          ": wanted a u8 image [H,W,3]");
  require(mask.defined() && mask.dtype() == DType::u8 && mask.shape() == Shape{image.dim(0), image.dim(1)},
          what, ": wanted a u8 mask of the image's size");
  return {image, mask};
}

}  // namespace

Tensor inpaint(const Tensor& image, const Tensor& mask) {
  return filling("inpaint", image, mask).textured();
}

Tensor inpaint_smooth(const Tensor& image, const Tensor& mask) {
  return filling("inpaint_smooth", image, mask).smooth();
}

}  // namespace bp
