// Where a picture is manipulated.
#pragma once
#include <string>

#include "apps/iml/random.h"
#include "engine/tensor.h"

namespace bp {

struct Region {
  Tensor mask;        // u8 [H,W], 255 inside; never empty
  std::string shape;  // "segments", "blob", "polygon", "ellipse", "rectangle"
};

// A region of about `share` (0 to 1) of the image [H,W,3], at a random place within.
Region draw_region(const Tensor& image, double share, Random& random);
// The same with a smooth outline of its own, whatever the image shows.
Region draw_ellipse(i64 height, i64 width, double share, Random& random);

// Shares of manipulated pixels: 0.005 to 0.4, most 0.02 to 0.2.
double draw_share(Random& random);

// The bounds of what is set, [y0, y1) x [x0, x1); empty (all 0) for an empty mask.
struct Bounds {
  i64 y0 = 0, x0 = 0, y1 = 0, x1 = 0;
  i64 height() const { return y1 - y0; }
  i64 width() const { return x1 - x0; }
};
Bounds bounds_of(const Tensor& mask);

}  // namespace bp
