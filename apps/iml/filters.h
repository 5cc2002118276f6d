// Filters on 8-bit images on the CPU: what augmentation, robustness curves and synthetic manipulations do to
// photographs. Images are u8 [H,W,C] or [H,W] (masks); every filter gives a tensor of the same rank (the
// image itself where there is nothing to do), and throws Error where the input is something else. Results do
// not depend on the number of threads.
#pragma once
#include <cstdint>

#include "engine/tensor.h"

namespace bp {

// Gaussian of side k (odd; 0 and 1 change nothing) with OpenCV's sigma = 0.3 ((k - 1) / 2 - 1) + 0.8, borders
// reflected without repeating the edge ("reflect101"). For k up to 7 OpenCV itself takes rounded tables,
// whose weights differ from these by at most 0.03.
Tensor gaussian_blur(const Tensor& image, int side);
// The same with a sigma in pixels; the kernel reaches 3 sigma.
Tensor gaussian_blur_sigma(const Tensor& image, double sigma);

// Adds normal noise of that variance (in squared levels of 0..255) to every value, rounded and clipped. The
// noise at a place depends on the seed and the place alone.
Tensor add_noise(const Tensor& image, double variance, std::uint64_t seed);

// x (1 + contrast) + 255 brightness, both in [-1, 1], rounded and clipped (albumentations'
// RandomBrightnessContrast with brightness_by_max).
Tensor brightness_contrast(const Tensor& image, double brightness, double contrast);

Tensor flip_horizontal(const Tensor& image);
Tensor flip_vertical(const Tensor& image);
// k quarter turns counter-clockwise; any whole number.
Tensor rotate90(const Tensor& image, int k);

// The pixels [y, y + height) x [x, x + width), which must be inside.
Tensor crop(const Tensor& image, i64 y, i64 x, i64 height, i64 width);

// Each pixel is the one in whose area its centre falls: for masks, whose values must not mix. Images are
// resized by resize_pil (engine/ops.h).
Tensor resize_nearest(const Tensor& image, i64 height, i64 width);
// resize_pil, also for [H,W].
Tensor resize_smooth(const Tensor& image, i64 height, i64 width);

// Fills the pixels of `mask` (u8 [H,W], any value but 0) of an image [H,W,3] from the rest of it, as tools
// that remove objects do. inpaint copies what fits the surroundings best from elsewhere in the image, piece
// by piece, and bends its colours to them; inpaint_smooth only spreads the colours of the border inwards.
// Throws Error where the mask covers everything.
Tensor inpaint(const Tensor& image, const Tensor& mask);
Tensor inpaint_smooth(const Tensor& image, const Tensor& mask);

// A standard normal number for 16 random bits: the quantile at (bits + 1/2) / 65536, from a table.
float normal_quantile(std::uint32_t bits);

}  // namespace bp
