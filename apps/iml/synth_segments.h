// Regions whose borders follow what is in a picture.
#pragma once
#include <array>
#include <vector>

#include "apps/iml/random.h"
#include "engine/tensor.h"

namespace bp {

// Segments of an image [H,W,3] by Felzenszwalb and Huttenlocher, "Efficient Graph-Based Image Segmentation"
// (IJCV 2004): pixels are joined in the order of their colour distance while it stays below both segments'
// inner variation plus scale / size; then segments below least_size are joined to a neighbour. One label per
// pixel, 0 to count - 1.
struct Segments {
  i64 height = 0, width = 0, count = 0;
  std::vector<std::int32_t> labels;
  std::vector<std::array<float, 3>> colours;  // mean of each segment
};
Segments segment(const Tensor& image, double scale, i64 least_size);

// Neighbouring segments, grown from a random one to about `share` of the area, holes filled, at the
// segmentation's size: u8 [h,w] of 0 and 255. Of a few such unions it is the one that stands out most from
// what is around it. Undefined where none comes near the share.
Tensor grow_segments(const Segments& segments, double share, Random& random);

// A mask's border drawn to the edges of the image within about `reach` pixels: He, Sun, Tang, "Guided Image
// Filtering" (ECCV 2010) with the image's grey as guide, at 1/2.
Tensor snap_to_edges(const Tensor& mask, const Tensor& image, i64 reach);

}  // namespace bp
