// The student at work: images to maps of the probability that a pixel was manipulated.
#pragma once
#include <span>

#include "apps/iml/student_file.h"

namespace bp {

class Localizer {
 public:
  explicit Localizer(const std::filesystem::path& weights);
  // Takes a net whose parameters are set, and folds it.
  Localizer(student::Student net, const StudentConfig& config);

  const StudentConfig& config() const { return config_; }
  void set_size(i64 size);  // another side to squeeze images to; Error unless a multiple of 32

  // u8 [H,W,3] -> f32 [H,W], probabilities at the image's own size; the same whatever stands beside it in a
  // batch.
  Tensor map(const Tensor& image) const;
  std::vector<Tensor> maps(std::span<const Tensor> images) const;

  // Probabilities as the network gives them, at its own size: [N,size,size].
  Tensor squeezed(std::span<const Tensor> images) const;

 private:
  student::Student net_;
  StudentConfig config_;
};

// [h,w] -> [height,width] by half-pixel bilinear, f32.
Tensor resize_map(const Tensor& map, i64 height, i64 width);

}  // namespace bp
