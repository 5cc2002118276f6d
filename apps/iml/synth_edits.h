// The manipulations themselves. Each changes one region of an image, marks it in the mask and notes what it
// did; where its draw comes to nothing (nothing visible lands in the image) image and mask stay as they are.
#pragma once
#include "apps/iml/synth_compose.h"

namespace bp {

struct Canvas {
  Tensor image;  // u8 [H,W,3]
  Tensor mask;   // u8 [H,W]
  bool clean = false;
  nlohmann::ordered_json notes = nlohmann::ordered_json::array();

  Size size() const { return {mask.dim(0), mask.dim(1)}; }
};

// `share`: of the image that the region should cover.
void splice(Canvas& canvas, const Source& donor, double share, const SampleOptions& options, Random& random);
void splice_cutout(Canvas& canvas, const Source& cutout, double share, Random& random);
void copy_move(Canvas& canvas, double share, Random& random);
void remove(Canvas& canvas, double share, Random& random);
void retouch(Canvas& canvas, double share, Random& random);

}  // namespace bp
