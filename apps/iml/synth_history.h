// What a picture has been through: before a manipulation, as host or donor, and after it. Differences between
// these histories are the traces that a detector can learn.
#pragma once
#include <nlohmann/json.hpp>
#include <optional>

#include "apps/iml/jpeg.h"
#include "apps/iml/random.h"

namespace bp {

struct Size {
  i64 height = 0, width = 0;
};

struct Compression {
  int quality = 90;
  Subsampling subsampling = Subsampling::s420;
};

// In the order it happens: a blur or sharpening, noise, JPEG, a cut that shifts the grid of blocks, a resize,
// JPEG again.
struct History {
  double blur = 0;      // sigma in pixels
  double sharpen = 0;   // share of the difference to a blurred copy that is added
  double noise = 0;     // standard deviation at middle grey, in levels
  double softness = 0;  // sigma in pixels that the noise is blurred by
  std::uint64_t noise_seed = 0;
  std::optional<Compression> first, second;
  i64 cut_y = 0, cut_x = 0;  // pixels taken off at the top and left, 0 to 7
  double scale = 1;          // of the resize

  // The size from which `after` is reached.
  Size before(Size after) const;
  // image [H,W,3] of the size before(after).
  Tensor apply(const Tensor& image, Size after) const;
};
History draw_history(Random& random);
nlohmann::ordered_json to_json(const History& history);

// What happens to the whole image at the end; without a compression it is stored as PNG.
struct Finish {
  double blur = 0, noise = 0, scale = 1;
  std::uint64_t noise_seed = 0;
  std::optional<Compression> compression;

  Size before(Size after) const;
  Tensor apply(const Tensor& image, Size after) const;  // all but the compression
};
Finish draw_finish(Random& random);
nlohmann::ordered_json to_json(const Finish& finish);

// Of cameras: stronger where it is bright, `softness` (sigma) blurred, partly common to the three channels.
Tensor camera_noise(const Tensor& image, double deviation, double softness, std::uint64_t seed);
// image + amount (image - blurred image).
Tensor sharpen(const Tensor& image, double amount, double sigma);

Compression draw_compression(Random& random, int low, int high);
std::uint64_t draw_seed(Random& random);
double draw_normal(Random& random);
double draw_log(Random& random, double low, double high);  // log-uniform
// Index i with probability weights[i] / sum.
std::size_t draw_index(Random& random, std::span<const double> weights);

}  // namespace bp
