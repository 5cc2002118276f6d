// Regions of masks as polygons: exact without tolerance, near within it, holes where they are.
#include <doctest/doctest.h>

#include <cmath>

#include "apps/iml/contours.h"
#include "tests/errors.h"

using namespace bp;

namespace {

// '#' inside.
Tensor mask_of(const std::vector<std::string>& rows) {
  const auto h = static_cast<i64>(rows.size()), w = static_cast<i64>(rows[0].size());
  Tensor mask = zeros({h, w}, DType::u8);
  for (i64 y = 0; y < h; ++y)
    for (i64 x = 0; x < w; ++x)
      if (rows[static_cast<std::size_t>(y)][static_cast<std::size_t>(x)] == '#')
        mask.data<u8>()[y * w + x] = 255;
  return mask;
}

// Pixels whose centre is inside by the even-odd rule.
bool contains(const Polygon& p, double x, double y) {
  bool in = false;
  for (std::size_t i = 0, j = p.size() - 1; i < p.size(); j = i++)
    if ((p[i].y > y) != (p[j].y > y) && x < (p[j].x - p[i].x) * (y - p[i].y) / (p[j].y - p[i].y) + p[i].x)
      in = !in;
  return in;
}

Tensor drawn(const std::vector<MaskRegion>& regions, i64 height, i64 width) {
  Tensor mask = zeros({height, width}, DType::u8);
  for (const MaskRegion& r : regions)
    for (i64 y = 0; y < height; ++y)
      for (i64 x = 0; x < width; ++x) {
        const double cx = static_cast<double>(x) + 0.5, cy = static_cast<double>(y) + 0.5;
        bool in = contains(r.outline, cx, cy);
        for (const Polygon& hole : r.holes) in = in && !contains(hole, cx, cy);
        if (in) mask.data<u8>()[y * width + x] = 255;
      }
  return mask;
}

double exact_area(const MaskRegion& r) {
  double area = signed_area(r.outline);
  for (const Polygon& hole : r.holes) {
    CHECK(signed_area(hole) < 0);
    area += signed_area(hole);
  }
  return area;
}

// Blobs with holes: smooth noise above a level.
Tensor blobs(i64 height, i64 width, std::uint32_t seed, double level) {
  Tensor mask = zeros({height, width}, DType::u8);
  for (i64 y = 0; y < height; ++y)
    for (i64 x = 0; x < width; ++x) {
      const double s = static_cast<double>(seed), u = static_cast<double>(x), v = static_cast<double>(y);
      const double noise = std::sin(u / 5 + s) + std::sin(v / 4 - s) + std::sin((u + v) / 7 + 2 * s) +
                           std::sin((u - 2 * v) / 3 + s * s);
      if (noise > level) mask.data<u8>()[y * width + x] = 255;
    }
  return mask;
}

}  // namespace

TEST_CASE("one pixel is a square, an empty mask nothing, a full one its frame") {
  const auto one = regions_of(mask_of({"...", ".#.", "..."}), 5);
  REQUIRE(one.size() == 1);
  CHECK(one[0].outline == Polygon{{2, 1}, {2, 2}, {1, 2}, {1, 1}});
  CHECK(one[0].area == 1);
  CHECK(signed_area(one[0].outline) == 1);
  CHECK(regions_of(mask_of({"..", ".."}), 1).empty());
  const auto full_mask = regions_of(mask_of({"#####"}), 0.5);
  REQUIRE(full_mask.size() == 1);
  CHECK(full_mask[0].outline == Polygon{{5, 0}, {5, 1}, {0, 1}, {0, 0}});
}

TEST_CASE("diagonal neighbours are one region, what they enclose is a hole") {
  const auto diagonal = regions_of(mask_of({"#.", ".#"}), 0);
  REQUIRE(diagonal.size() == 1);
  CHECK(diagonal[0].area == 2);
  CHECK(exact_area(diagonal[0]) == 2);
  const auto diamond = regions_of(mask_of({".#.", "#.#", ".#."}), 0);
  REQUIRE(diamond.size() == 1);
  CHECK(diamond[0].holes.size() == 1);
  CHECK(exact_area(diamond[0]) == 4);
}

TEST_CASE("holes belong to the region around them, islands in holes are regions of their own") {
  const auto regions = regions_of(mask_of({"#########",  //
                                           "#.......#",  //
                                           "#.##.##.#",  //
                                           "#.##.#..#",  //
                                           "#.......#",  //
                                           "#####.###",  //
                                           "#...#.#.#",  //
                                           "#########"}),
                                  0);
  REQUIRE(regions.size() == 3);
  CHECK(regions[0].holes.size() == 3);
  CHECK(exact_area(regions[0]) == static_cast<double>(regions[0].area));
  CHECK(regions[1].area == 4);
  CHECK(regions[2].area == 3);
  CHECK(regions[1].holes.empty());
  CHECK(regions[1].x0 == 2);
  CHECK(regions[1].y1 == 4);
}

TEST_CASE("without tolerance the polygons are the mask, pixel by pixel") {
  for (const std::uint32_t seed : {1u, 2u, 3u, 4u})
    for (const double level : {-1.0, 0.0, 1.0}) {
      const Tensor mask = blobs(37, 53, seed, level);
      const auto regions = regions_of(mask, 0);
      CHECK(regions.size() > 0);
      i64 area = 0, inside = 0;
      for (const MaskRegion& r : regions) {
        area += r.area;
        CHECK(exact_area(r) == static_cast<double>(r.area));
      }
      for (i64 i = 0; i < mask.numel(); ++i) inside += mask.data<u8>()[i] > 0;
      CHECK(area == inside);
      CHECK(drawn(regions, 37, 53).values() == mask.values());
    }
}

TEST_CASE("simplified borders keep within the tolerance with far fewer vertices") {
  const Tensor mask = blobs(120, 160, 7, 0.5);
  const auto exact = regions_of(mask, 0), simple = regions_of(mask, 1.0);
  REQUIRE(exact.size() == simple.size());
  std::size_t before = 0, after = 0;
  for (std::size_t i = 0; i < exact.size(); ++i) {
    before += exact[i].outline.size();
    after += simple[i].outline.size();
    REQUIRE(simple[i].outline.size() >= 3);
    const Polygon& p = simple[i].outline;
    for (const Vertex& v : exact[i].outline) {
      double nearest = INFINITY;
      for (std::size_t k = 0; k < p.size(); ++k) {
        const Vertex &a = p[k], &b = p[(k + 1) % p.size()];
        const double dx = b.x - a.x, dy = b.y - a.y;
        const double t = std::clamp(((v.x - a.x) * dx + (v.y - a.y) * dy) / (dx * dx + dy * dy), 0.0, 1.0);
        nearest = std::min(nearest, std::hypot(v.x - a.x - t * dx, v.y - a.y - t * dy));
      }
      CHECK(nearest <= 1.0 + 1e-9);
    }
  }
  CHECK(after * 3 < before);
  // A staircase is a line.
  CHECK(simplified({{0, 0}, {1, 0}, {1, 1}, {2, 1}, {2, 2}, {3, 2}, {3, 3}, {0, 3}}, 1).size() == 3);
}

TEST_CASE("a region's mean is the map's over its pixels") {
  Tensor map = zeros({2, 4});
  for (i64 i = 0; i < 8; ++i) map.data<float>()[i] = static_cast<float>(i) / 8;
  const auto regions = regions_of(mask_of({"#..#", "#..."}), 0, map);
  REQUIRE(regions.size() == 2);
  CHECK(regions[0].mean == doctest::Approx((0 + 4) / 16.0));
  CHECK(regions[1].mean == doctest::Approx(3 / 8.0));
  CHECK(mentions(error_of([&] { regions_of(map, 0); }), "wanted a u8 mask"));
  CHECK(mentions(error_of([&] { regions_of(mask_of({"#"}), 0, map); }), "of the mask's size"));
}
