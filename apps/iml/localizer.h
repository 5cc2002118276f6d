// The student at work: images to maps of the probability that a pixel was manipulated.
#pragma once
#include <span>

#include "apps/iml/student_file.h"

namespace bp {

class Localizer {
 public:
  explicit Localizer(const std::filesystem::path& weights, Device device = {}, DType dtype = DType::f32);
  // Takes a net whose parameters are set and prepares it.
  Localizer(student::Student net, const StudentConfig& config, Device device = {}, DType dtype = DType::f32);

  const StudentConfig& config() const { return config_; }
  void set_size(i64 size);  // another side to squeeze images to; Error unless a multiple of 32

  // Images and maps are on the processor, whatever runs the net; several threads may ask at once.

  // u8 [H,W,3] -> f32 [H,W], probabilities at the image's own size; the same whatever stands beside it in a
  // batch.
  Tensor map(const Tensor& image) const;
  std::vector<Tensor> maps(std::span<const Tensor> images) const;

  // Probabilities as the network gives them, at its own size: [N,size,size].
  Tensor squeezed(std::span<const Tensor> images) const;

 private:
  student::Student net_;
  StudentConfig config_;
  Device device_;
};

// Windows of an image for a network that squeezes whatever it sees to its own size.
struct Tiling {
  i64 side = 0;          // of a window in pixels; 0: twice the network's size
  double overlap = 0.5;  // share of a window that the next one sees again, 0 to 0.9
  i64 batch = 8;         // windows that run together
};

// As Localizer::map, for images far larger than the network's input, whose traces are lost where all of the
// image is squeezed into it. Windows at equal steps cover every pixel; each counts by a raised cosine (Hann
// window) that is highest in its middle, and their mean is averaged with the map of the whole image. Where
// one window covers the image the result is the plain map.
Tensor tiled_map(const Localizer& localizer, const Tensor& image, const Tiling& tiling = {});

// Where windows of `side` begin on an axis of `length`: [0] where one covers it, else the fewest at equal
// steps that share at least `overlap` of their side, the first at 0 and the last at length - side.
std::vector<i64> window_starts(i64 length, i64 side, double overlap);

// [h,w] -> [height,width] by half-pixel bilinear, f32.
Tensor resize_map(const Tensor& map, i64 height, i64 width);

}  // namespace bp
