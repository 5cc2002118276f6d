#include "apps/iml/contours.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "engine/error.h"

namespace bp {
namespace {

using Step = std::array<i64, 2>;                                           // x, y
constexpr std::array<Step, 4> kSteps{{{1, 0}, {0, 1}, {-1, 0}, {0, -1}}};  // right, down, left, up

class Follower {
 public:
  Follower(const Tensor& mask, const Tensor& map, double tolerance)
      : mask_(mask.data<u8>()),
        map_(map ? map.data<float>() : nullptr),
        height_(mask.dim(0)),
        width_(mask.dim(1)),
        tolerance_(tolerance),
        region_(static_cast<std::size_t>(mask.numel()), -1),
        followed_(static_cast<std::size_t>(mask.numel()), false) {}

  // In the order of scanning, the first upper edge of a region is on its outline; all other borders that
  // begin at an upper edge nobody has followed are holes.
  std::vector<MaskRegion> run() {
    for (i64 y = 0; y < height_; ++y)
      for (i64 x = 0; x < width_; ++x) {
        if (!inside(x, y) || inside(x, y - 1) || followed_[at(x, y)]) continue;
        const bool is_new = region_[at(x, y)] < 0;
        if (is_new) fill(x, y);
        const auto region = static_cast<std::size_t>(region_[at(x, y)]);
        Polygon border = simplified(follow(x, y), tolerance_);
        if (is_new)
          regions_[region].outline = std::move(border);
        else
          regions_[region].holes.push_back(std::move(border));
      }
    return std::move(regions_);
  }

 private:
  bool inside(i64 x, i64 y) const {
    return x >= 0 && y >= 0 && x < width_ && y < height_ && mask_[y * width_ + x] != 0;
  }
  std::size_t at(i64 x, i64 y) const { return static_cast<std::size_t>(y * width_ + x); }

  // Gives all pixels of the region of (x, y) its number, and sums over them.
  void fill(i64 x, i64 y) {
    const auto number = static_cast<std::int32_t>(regions_.size());
    MaskRegion r{.area = 0, .x0 = x, .y0 = y, .x1 = x + 1, .y1 = y + 1, .outline = {}, .holes = {}};
    double sum = 0;
    std::vector<Step> open{{x, y}};
    region_[at(x, y)] = number;
    while (!open.empty()) {
      const auto [px, py] = open.back();
      open.pop_back();
      ++r.area;
      if (map_) sum += static_cast<double>(map_[at(px, py)]);
      r.x0 = std::min(r.x0, px), r.x1 = std::max(r.x1, px + 1);
      r.y0 = std::min(r.y0, py), r.y1 = std::max(r.y1, py + 1);
      for (i64 ny = py - 1; ny <= py + 1; ++ny)
        for (i64 nx = px - 1; nx <= px + 1; ++nx)
          if (inside(nx, ny) && region_[at(nx, ny)] < 0) {
            region_[at(nx, ny)] = number;
            open.push_back({nx, ny});
          }
    }
    r.mean = sum / static_cast<double>(r.area);
    regions_.push_back(std::move(r));
  }

  // Along the edges with the inside on the right hand, from the upper edge of pixel (x, y) until there again.
  // Where two inside pixels touch at a corner it turns left, which keeps them together.
  Polygon follow(i64 x, i64 y) {
    Polygon border;
    std::size_t direction = 0;
    const i64 first_x = x, first_y = y;
    do {
      if (direction == 0) followed_[at(x, y)] = true;
      x += kSteps[direction][0], y += kSteps[direction][1];
      const std::size_t before = direction;
      if (ahead(x, y, direction, true))
        direction = (direction + 3) % 4;
      else if (!ahead(x, y, direction, false))
        direction = (direction + 1) % 4;
      if (direction != before) border.push_back({static_cast<double>(x), static_cast<double>(y)});
    } while (x != first_x || y != first_y || direction != 0);
    return border;
  }

  // The pixel ahead of corner (x, y), on the left or the right hand.
  bool ahead(i64 x, i64 y, std::size_t direction, bool left) const {
    const Step& forward = kSteps[direction];
    const Step& side = kSteps[(direction + (left ? 3 : 1)) % 4];
    const i64 dx = forward[0] + side[0], dy = forward[1] + side[1];  // one of the four diagonals
    return inside(x + (dx - 1) / 2, y + (dy - 1) / 2);
  }

  const u8* const mask_;
  const float* const map_;
  const i64 height_, width_;
  const double tolerance_;
  std::vector<std::int32_t> region_;
  std::vector<bool> followed_;  // upper edges, by the pixel below
  std::vector<MaskRegion> regions_;
};

double distance(const Vertex& p, const Vertex& a, const Vertex& b) {
  const double dx = b.x - a.x, dy = b.y - a.y, length = std::hypot(dx, dy);
  if (length == 0) return std::hypot(p.x - a.x, p.y - a.y);
  const double along = std::clamp(((p.x - a.x) * dx + (p.y - a.y) * dy) / (length * length), 0.0, 1.0);
  return std::hypot(p.x - a.x - along * dx, p.y - a.y - along * dy);
}

}  // namespace

double signed_area(const Polygon& polygon) {
  double twice = 0;
  for (std::size_t i = 0; i < polygon.size(); ++i) {
    const Vertex &a = polygon[i], &b = polygon[(i + 1) % polygon.size()];
    twice += a.x * b.y - b.x * a.y;
  }
  return twice / 2;
}

Polygon simplified(const Polygon& polygon, double tolerance) {
  if (tolerance <= 0 || polygon.size() <= 3) return polygon;
  // Two vertices that stay: the first, and the one farthest from it.
  const std::size_t n = polygon.size();
  std::size_t far = 0;
  const auto from_first = [&](std::size_t i) {
    return std::hypot(polygon[i].x - polygon[0].x, polygon[i].y - polygon[0].y);
  };
  for (std::size_t i = 1; i < n; ++i)
    if (from_first(i) > from_first(far)) far = i;
  std::vector<bool> kept(n, false);
  kept[0] = kept[far] = true;
  std::vector<std::array<std::size_t, 2>> open{{0, far}, {far, n}};  // n is vertex 0 again
  while (!open.empty()) {
    const auto [begin, end] = open.back();
    open.pop_back();
    double worst = tolerance;
    std::size_t split = 0;
    for (std::size_t i = begin + 1; i < end; ++i) {
      const double d = distance(polygon[i], polygon[begin], polygon[end % n]);
      if (d > worst) worst = d, split = i;
    }
    if (split == 0) continue;
    kept[split] = true;
    open.push_back({begin, split});
    open.push_back({split, end});
  }
  Polygon result;
  for (std::size_t i = 0; i < n; ++i)
    if (kept[i]) result.push_back(polygon[i]);
  return result.size() < 3 ? polygon : result;
}

std::vector<MaskRegion> regions_of(const Tensor& mask, double tolerance, const Tensor& map) {
  require(mask.defined() && mask.rank() == 2 && mask.dtype() == DType::u8,
          "regions_of: wanted a u8 mask [H,W]");
  require(!map || (map.shape() == mask.shape() && map.dtype() == DType::f32),
          "regions_of: the map must be f32 and of the mask's size");
  std::vector<MaskRegion> regions = Follower(mask, map, tolerance).run();
  std::stable_sort(regions.begin(), regions.end(),
                   [](const MaskRegion& a, const MaskRegion& b) { return a.area > b.area; });
  return regions;
}

}  // namespace bp
