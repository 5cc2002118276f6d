// The regions of a mask as polygons.
#pragma once
#include <vector>

#include "engine/tensor.h"

namespace bp {

// Corners of pixels: x to the right, y down, the left edge of the first pixel at 0.
struct Vertex {
  double x, y;
  friend bool operator==(const Vertex&, const Vertex&) = default;
};
using Polygon = std::vector<Vertex>;  // closed: the last vertex is joined to the first

// One region of 8-connected pixels.
struct MaskRegion {
  i64 area = 0;                        // pixels, without the holes
  i64 x0 = 0, y0 = 0, x1 = 0, y1 = 0;  // its pixels are in [x0, x1) x [y0, y1)
  double mean = 0;                     // of `map` over its pixels; 0 without a map
  Polygon outline;                     // clockwise as seen on a screen
  std::vector<Polygon> holes;          // counter-clockwise
};

// The regions of a u8 mask [H,W] (any value but 0 is inside), the largest first, equals from top to bottom
// and left to right. Borders are followed along the edges between inside and outside, so that with tolerance
// 0 the polygons hold exactly the region's pixels; otherwise no border pixel's corner is farther than
// `tolerance` pixels from its polygon (Douglas and Peucker 1973), as long as that leaves a polygon. `map`,
// f32 [H,W] or none, gives the regions' means.
std::vector<MaskRegion> regions_of(const Tensor& mask, double tolerance, const Tensor& map = {});

// The area inside by the shoelace formula: positive where clockwise, negative for holes.
double signed_area(const Polygon& polygon);

// Douglas and Peucker's simplification of a closed polygon; the polygon itself where fewer than three
// vertices would be left.
Polygon simplified(const Polygon& polygon, double tolerance);

}  // namespace bp
