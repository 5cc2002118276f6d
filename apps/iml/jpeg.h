// JPEG in memory through libjpeg-turbo: what compression does to an image, for histories of synthetic
// manipulations and for robustness curves. Files that others made are read by load_image, which checks more.
#pragma once
#include <string>
#include <string_view>

#include "engine/tensor.h"

namespace bp {

// Chroma samples per luma samples: all, half of them across, a quarter.
enum class Subsampling : u8 { s444, s422, s420 };

// A baseline JPEG of u8 [H,W,3] (RGB, stored as YCbCr) or [H,W] (grey; no subsampling there). Quality 1 to
// 100 scales the standard's example tables as libjpeg does. The same input gives the same bytes. Throws Error
// for other tensors and qualities, and above JPEG's 65500 pixels a side.
std::string encode_jpeg(const Tensor& image, int quality, Subsampling subsampling = Subsampling::s420);

// [H,W,3] or, of a grey file, [H,W]. Throws Error where the bytes are damaged, cut off or of another colour
// space. An orientation is not applied.
Tensor decode_jpeg(std::string_view bytes);

// decode_jpeg(encode_jpeg(...)), of the image's own shape.
Tensor jpeg_round_trip(const Tensor& image, int quality, Subsampling subsampling = Subsampling::s420);

}  // namespace bp
