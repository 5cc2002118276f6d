#include "apps/iml/synth_region.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "apps/iml/filters.h"
#include "apps/iml/synth_history.h"
#include "apps/iml/synth_segments.h"

namespace bp {
namespace {

constexpr i64 kSegmentSide = 160;  // longest side of the picture that is segmented
constexpr i64 kBlobSide = 128;

// Coordinates around a random centre, turned by a random angle.
struct Frame {
  double y = 0, x = 0, sine = 0, cosine = 1;

  Frame(i64 height, i64 width, double angle, Random& random)
      : y(static_cast<double>(height) * random.uniform(0.12, 0.88)),
        x(static_cast<double>(width) * random.uniform(0.12, 0.88)),
        sine(std::sin(angle)),
        cosine(std::cos(angle)) {}
  std::array<double, 2> operator()(i64 row, i64 column) const {
    const double dy = static_cast<double>(row) + 0.5 - y, dx = static_cast<double>(column) + 0.5 - x;
    return {dx * cosine + dy * sine, dy * cosine - dx * sine};
  }
};

template <class Inside>
Tensor fill(i64 height, i64 width, const Frame& frame, double radius, const Inside& inside) {
  Tensor mask = zeros({height, width}, DType::u8);
  const auto low = [&](double centre) { return std::max(i64{0}, static_cast<i64>(centre - radius) - 1); };
  const auto high = [&](double centre, i64 n) { return std::min(n, static_cast<i64>(centre + radius) + 2); };
  for (i64 y = low(frame.y); y < high(frame.y, height); ++y)
    for (i64 x = low(frame.x); x < high(frame.x, width); ++x) {
      const auto [u, v] = frame(y, x);
      if (inside(u, v)) mask.data<u8>()[y * width + x] = 255;
    }
  return mask;
}

Tensor draw_rectangle(i64 height, i64 width, double area, Random& random) {
  const double ratio = draw_log(random, 0.4, 2.5);
  const double a = std::sqrt(area * ratio) / 2, b = std::sqrt(area / ratio) / 2;
  const Frame frame(height, width, random.chance(0.7) ? 0 : random.uniform(-0.5, 0.5), random);
  return fill(height, width, frame, std::hypot(a, b),
              [&](double u, double v) { return std::abs(u) <= a && std::abs(v) <= b; });
}

// Corners at growing angles around the centre, so no side crosses another.
Tensor draw_polygon(i64 height, i64 width, double area, Random& random) {
  const i64 n = random.integer(3, 10);
  std::vector<std::array<double, 2>> corners;
  for (i64 i = 0; i < n; ++i) {
    const double angle =
        2 * M_PI * (static_cast<double>(i) + random.uniform(0.1, 0.9)) / static_cast<double>(n);
    const double radius = random.uniform(0.5, 1.2);
    corners.push_back({radius * std::cos(angle), radius * std::sin(angle)});
  }
  double twice = 0, reach = 0;
  for (std::size_t i = 0, j = corners.size() - 1; i < corners.size(); j = i++) {
    twice += corners[j][0] * corners[i][1] - corners[i][0] * corners[j][1];
    reach = std::max(reach, std::hypot(corners[i][0], corners[i][1]));
  }
  const double size = std::sqrt(2 * area / std::max(std::abs(twice), 0.2));
  const Frame frame(height, width, 0, random);
  return fill(height, width, frame, reach * size, [&](double u, double v) {
    bool inside = false;
    for (std::size_t i = 0, j = corners.size() - 1; i < corners.size(); j = i++) {
      const double xi = corners[i][0] * size, yi = corners[i][1] * size;
      const double xj = corners[j][0] * size, yj = corners[j][1] * size;
      if ((yi > v) != (yj > v) && u < (xj - xi) * (v - yi) / (yj - yi) + xi) inside = !inside;
    }
    return inside;
  });
}

// Blurred first, or the steps of the small one would show in the outline.
Tensor enlarged(const Tensor& small, i64 height, i64 width) {
  Tensor mask = resize_smooth(gaussian_blur_sigma(small, 0.9), height, width);
  for (i64 i = 0; i < mask.numel(); ++i) mask.data<u8>()[i] = mask.data<u8>()[i] > 127 ? 255 : 0;
  return mask;
}

// A smaller image of the same proportions.
Size reduced(i64 height, i64 width, i64 side) {
  const double f = std::min(1.0, static_cast<double>(side) / static_cast<double>(std::max(height, width)));
  const auto shrink = [&](i64 s) {
    return std::max(i64{8}, static_cast<i64>(std::lround(static_cast<double>(s) * f)));
  };
  return {shrink(height), shrink(width)};
}

// Keeps the pixels that are connected to the highest one.
void keep_main_part(Tensor& mask, i64 start) {
  const i64 h = mask.dim(0), w = mask.dim(1);
  u8* m = mask.data<u8>();
  std::vector<i64> open{start};
  m[start] = 1;
  while (!open.empty()) {
    const i64 i = open.back(), x = i % w;
    open.pop_back();
    const auto visit = [&](bool exists, i64 j) {
      if (!exists || m[j] != 255) return;
      m[j] = 1;
      open.push_back(j);
    };
    visit(x > 0, i - 1);
    visit(x + 1 < w, i + 1);
    visit(i >= w, i - w);
    visit(i + w < h * w, i + w);
  }
  for (i64 i = 0; i < h * w; ++i) m[i] = m[i] == 1 ? 255 : 0;
}

// The highest part of smooth noise on a hill.
Tensor draw_blob(i64 height, i64 width, double share, Random& random) {
  const Size size = reduced(height, width, kBlobSide);
  const i64 cells = random.integer(4, 9), n = size.height * size.width;
  Tensor grid = empty({cells, cells}, DType::u8);
  for (i64 i = 0; i < grid.numel(); ++i) grid.data<u8>()[i] = static_cast<u8>(random.bits() >> 24);
  const Tensor noise = resize_smooth(grid, size.height, size.width);
  const Frame frame(size.height, size.width, random.uniform(0, M_PI), random);
  const double stretch = draw_log(random, 1, 2.2), rough = random.uniform(0.2, 0.8);
  const double radius = std::sqrt(share * static_cast<double>(n) / M_PI);
  std::vector<float> hill(static_cast<std::size_t>(n));
  for (i64 i = 0; i < n; ++i) {
    const auto [u, v] = frame(i / size.width, i % size.width);
    const double distance = std::hypot(u / stretch, v * stretch) / radius;
    hill[static_cast<std::size_t>(i)] = static_cast<float>(rough * noise.data<u8>()[i] / 128.0 - distance);
  }
  std::vector<float> sorted = hill;
  const auto wanted = std::clamp(static_cast<i64>(share * static_cast<double>(n)), i64{4}, n - 1);
  std::nth_element(sorted.begin(), sorted.begin() + wanted, sorted.end(), std::greater<>());
  const float level = sorted[static_cast<std::size_t>(wanted)];
  Tensor mask = empty({size.height, size.width}, DType::u8);
  for (i64 i = 0; i < n; ++i) mask.data<u8>()[i] = hill[static_cast<std::size_t>(i)] > level ? 255 : 0;
  keep_main_part(mask, std::max_element(hill.begin(), hill.end()) - hill.begin());
  return enlarged(mask, height, width);
}

Tensor draw_segments(const Tensor& image, double share, Random& random) {
  const i64 height = image.dim(0), width = image.dim(1);
  const Size size = reduced(height, width, kSegmentSide);
  const Segments segments = segment(resize_smooth(image, size.height, size.width), draw_log(random, 80, 500),
                                    random.integer(15, 60));
  const Tensor small = grow_segments(segments, share, random);
  if (!small) return {};
  const Tensor mask = enlarged(small, height, width);
  return snap_to_edges(mask, image, std::max(i64{2}, 2 * std::max(height, width) / kSegmentSide));
}

bool any(const Tensor& mask) {
  return mask.defined() && std::count(mask.data<u8>(), mask.data<u8>() + mask.numel(), u8{0}) < mask.numel();
}

}  // namespace

Region draw_ellipse(i64 height, i64 width, double share, Random& random) {
  const double ratio = draw_log(random, 0.35, 2.8);
  const double area = share * static_cast<double>(height * width);
  const double a = std::max(1.0, std::sqrt(area * ratio / M_PI)),
               b = std::max(1.0, std::sqrt(area / ratio / M_PI));
  const Frame frame(height, width, random.uniform(0, M_PI), random);
  return {fill(height, width, frame, std::max(a, b),
               [&](double u, double v) { return u * u / (a * a) + v * v / (b * b) <= 1; }),
          "ellipse"};
}

Region draw_region(const Tensor& image, double share, Random& random) {
  const i64 height = image.dim(0), width = image.dim(1);
  const double area = share * static_cast<double>(height * width);
  constexpr std::array<double, 5> kShares{0.5, 0.2, 0.12, 0.1, 0.08};
  Region region;
  switch (draw_index(random, kShares)) {
    case 0:
      region = {draw_segments(image, share, random), "segments"};
      break;
    case 1:
      region = {draw_blob(height, width, share, random), "blob"};
      break;
    case 2:
      region = {draw_polygon(height, width, area, random), "polygon"};
      break;
    case 3:
      region = draw_ellipse(height, width, share, random);
      break;
    default:
      region = {draw_rectangle(height, width, area, random), "rectangle"};
  }
  if (!any(region.mask)) region = {draw_blob(height, width, share, random), "blob"};
  if (!any(region.mask)) region = draw_ellipse(height, width, std::max(share, 0.005), random);
  return region;
}

double draw_share(Random& random) {
  return random.chance(0.75) ? draw_log(random, 0.02, 0.2) : draw_log(random, 0.005, 0.4);
}

Bounds bounds_of(const Tensor& mask) {
  const i64 h = mask.dim(0), w = mask.dim(1);
  Bounds b{h, w, 0, 0};
  for (i64 y = 0; y < h; ++y) {
    const u8* row = mask.data<u8>() + y * w;
    const u8* first = std::find_if(row, row + w, [](u8 v) { return v != 0; });
    if (first == row + w) continue;
    i64 last = w - 1;
    while (!row[last]) --last;
    b = {std::min(b.y0, y), std::min(b.x0, static_cast<i64>(first - row)), y + 1, std::max(b.x1, last + 1)};
  }
  return b.y1 > 0 ? b : Bounds{};
}

}  // namespace bp
