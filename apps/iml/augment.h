// What a training image goes through before the network sees it, in the order of IMDL-BenCo's training
// (arXiv 2406.10580): scale, copy-move, inpainting, flips, brightness and contrast, JPEG, rotation by 90
// degrees, blur. Before all of them, optionally, a crop.
#pragma once
#include "apps/iml/random.h"
#include "engine/tensor.h"

namespace bp {

struct Example {
  Tensor image;  // u8 [H,W,3]
  Tensor mask;   // u8 [H,W]: 255 times the probability that the pixel is manipulated
};

// Probabilities and ranges. Default: none at all.
struct Augmentation {
  double scale = 0;  // sides times 1 - scale to 1 + scale
  double copy_move = 0, inpaint = 0, flip = 0, rotate = 0;
  double brightness = 0, contrast = 0;  // by up to this share, each image
  double jpeg = 0;
  int jpeg_low = 70, jpeg_high = 100;
  double blur = 0;  // kernels 3, 5, 7
  double crop = 0;  // to a window of crop_least to 1 of each side
  double crop_least = 0.5;

  static Augmentation published();
  // Flips and quarter turns: eight times the images, and no trace of a manipulation is lost.
  static Augmentation flips();
};

// The same random numbers give the same example. Image and mask keep one size, not that of the input.
Example augment(const Example& example, const Augmentation& options, Random random);

}  // namespace bp
