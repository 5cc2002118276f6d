// Pieces of one picture laid over another.
#pragma once
#include "apps/iml/random.h"
#include "engine/tensor.h"

namespace bp {

// A similarity that takes the donor's point (from_y, from_x) to the host's (to_y, to_x); pixel i spans
// [i, i + 1].
struct Placement {
  double from_y = 0, from_x = 0, to_y = 0, to_x = 0;
  double scale = 1, angle = 0;  // radians
  bool mirrored = false;
  bool cubic = false;  // Catmull-Rom instead of bilinear
};

// What is laid over the host at rows y0.. and columns x0..; it reaches some pixels beyond alpha.
struct Layer {
  i64 y0 = 0, x0 = 0;
  Tensor image;  // u8 [h,w,3]
  Tensor alpha;  // u8 [h,w]
};

// The donor [H,W,3] and its alpha [H,W] as seen from a host of that size, around where alpha is not 0;
// undefined tensors where nothing of it is inside the host. A shift by whole pixels copies exactly.
Layer place(const Tensor& donor, const Tensor& alpha, const Placement& placement, i64 height, i64 width);

// Moves mean and deviation of the layer (where it is visible) towards those of the host under it, in luma and
// chroma; strength 0 to 1.
void match_colours(Layer& layer, const Tensor& host, double strength);
void apply_gamma(Layer& layer, double gamma);  // 255 (x / 255)^gamma

// Alpha to 0 or 255, whichever is nearer; or blurred by a gaussian of that sigma.
void harden(Layer& layer);
void feather(Layer& layer, double sigma);

void lay_over(Tensor& host, const Layer& layer);
// The layer's gradients where alpha is above 127, fitted to the host's colours at the border (membrane.h).
void lay_seamlessly(Tensor& host, const Layer& layer);
// Blurs a band of a few pixels along the border of alpha, as retouchers do.
void soften_seam(Tensor& host, const Layer& layer, double sigma);

// Sets mask [H,W] where the layer's alpha is above 127.
void mark(Tensor& mask, const Layer& layer);

}  // namespace bp
