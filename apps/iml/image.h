// Images in and out, as u8 tensors on the CPU. What is read and how is written down in docs/formats.md.
#pragma once
#include <filesystem>

#include "engine/tensor.h"

namespace bp {

// An image claims memory by its header before anything else is known of it, so larger ones are refused: 2.5e8
// pixels (15800 x 15800) are 750 MB as RGB.
constexpr i64 kMaxPixels = 250'000'000;
constexpr i64 kMaxSide = 1'000'000;

// RGB [H,W,3] of a JPEG, PNG, BMP or TIFF file (told by its content). Grey is repeated, palettes are looked
// up, 16-bit values keep their high byte, alpha is dropped without compositing (as PIL's convert("RGB")
// does), and the EXIF or TIFF orientation is applied, so pixels are as a viewer shows them. Throws Error in
// one line: the file and what is wrong with it.
Tensor load_image(const std::filesystem::path& path);

// What load_image gives, from the header alone (BMP and TIFF are read whole). A file whose pixels are damaged
// has a size all the same.
struct ImageSize {
  i64 width = 0, height = 0;
};
ImageSize image_size(const std::filesystem::path& path);

// A mask [H,W] of 0 and 255 from an image file: 255 where the mean of the three channels is above 127.
Tensor load_mask(const std::filesystem::path& path);

// An object with transparency around it, from a PNG file with alpha: RGB [H,W,3], not multiplied by alpha,
// and alpha [H,W]. Throws Error where the file is no such PNG, or all of it is opaque or transparent.
struct Cutout {
  Tensor rgb, alpha;
};
Cutout load_cutout(const std::filesystem::path& path);

// Writes [H,W] (grey, as masks are) or [H,W,3] (RGB) as an 8-bit PNG; all of it or nothing (files.h,
// write_file).
void save_png(const std::filesystem::path& path, const Tensor& image);

}  // namespace bp
