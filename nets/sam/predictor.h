// From pixels to masks: SAM's exact pre- and postprocessing (segment-anything, utils/transforms.py,
// modeling/sam.py, predictor.py) around the network, for prompts in pixels of the original image.
#pragma once
#include <vector>

#include "nets/sam/sam.h"

namespace bp::sam {

// An image's size, and its size after scaling the longest side to 1024 (each side at least 1).
struct Frame {
  i64 height = 0, width = 0, resized_height = 0, resized_width = 0;
  static Frame of(i64 height, i64 width);
};

// Image u8 [H,W,3], RGB -> [1,1024,1024,3]: PIL's antialiased bilinear, normalised, zero-padded right and
// below.
Tensor preprocess(const Tensor& image, const Frame& frame);

// Logits [256,256] -> [H,W] at the original size: bilinear to 1024, padding cut off, bilinear to H x W. > 0
// is the mask.
Tensor postprocess(const Tensor& logits, const Frame& frame);

struct Point {
  double x, y;
  bool foreground;
};
struct PixelBox {
  double x0, y0, x1, y1;
};

// What is asked of one image at once: one prompt per box, each with the same number of points (none is fine),
// or one prompt of points alone. `mask` are logits [B,256,256] of an earlier answer, or none.
struct Query {
  std::vector<PixelBox> boxes;             // B
  std::vector<std::vector<Point>> points;  // B, or empty
  Tensor mask;
  MaskSet wanted = MaskSet::single;
};

// Holds one image's embedding; many queries are cheap. Not thread-safe.
class Predictor {
 public:
  explicit Predictor(const Sam& sam) : sam_(&sam) {}

  void set_image(const Tensor& image);                              // u8 [H,W,3]
  void set_embedding(const Frame& frame, const Tensor& embedding);  // of an image that was encoded before
  const Frame& frame() const { return frame_; }
  const Tensor& embedding() const { return embedding_; }  // [1,64,64,256]

  Masks predict(const Query& query) const;
  Tensor at_original_size(const Tensor& logits) const { return postprocess(logits, frame_); }

 private:
  const Sam* sam_;
  Frame frame_;
  Tensor embedding_;
};

// How little a mask [H,W] of logits changes with the threshold: |logit > 1| / |logit > -1| (segment-anything,
// utils/amg.py); 0 where nothing exceeds -1.
double stability_score(const Tensor& logits);

}  // namespace bp::sam
