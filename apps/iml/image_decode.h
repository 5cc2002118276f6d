// The parts of load_image: one decoder per library, and the checks that come before them.
#pragma once
#include <memory>
#include <string>
#include <string_view>

#include "kernels/dtype.h"

namespace bp::detail {

// Pixels as they are stored, before the orientation is applied: width x height x 3 bytes (4 with alpha).
struct Decoded {
  i64 width = 0, height = 0;
  std::shared_ptr<u8> rgb;
  int orientation = 1;  // EXIF's 1 to 8
};

// Throws Error (without the file's name) where the size is zero or above the limits of image.h.
void check_size(i64 width, i64 height);

// What image_check.cpp finds out of a JPEG, PNG or BMP file before its pixels are decoded. They throw Error
// where the size is out of bounds, the file is truncated or its structure is damaged, which the decoder
// itself does not always see: stb_image 2.27 (Debian 12) writes past its tables on an overlong Huffman
// segment and shows missing rows as grey or black.
struct Header {
  int orientation = 1;
};
Header check_jpeg(std::string_view bytes);
Header check_png(std::string_view bytes);
void check_bmp(std::string_view bytes);

// Tag 274 of a TIFF directory, which is also the form of an EXIF block; 1 where it is absent or out of range.
int tiff_orientation(std::string_view bytes);

Decoded decode_stb(std::string_view bytes);        // JPEG, PNG, BMP that passed its check
Decoded decode_tiff(std::string_view bytes);       // the first page
Decoded decode_stb_alpha(std::string_view bytes);  // the same with four bytes a pixel; Error without alpha
std::string encode_png(const u8* pixels, i64 width, i64 height, int channels);

}  // namespace bp::detail
