// JPEG, PNG and BMP through stb_image, PNG out through stb_image_write: the only file that compiles them.
#include <cstdlib>

#include "apps/iml/image.h"
#include "apps/iml/image_decode.h"
#include "engine/error.h"

#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // inlined from stb, where SYSTEM no longer counts
#define STBI_ONLY_JPEG
#define STBI_ONLY_PNG
#define STBI_ONLY_BMP
#define STBI_NO_STDIO
#define STBI_NO_LINEAR
#define STBI_NO_HDR
#define STBI_MAX_DIMENSIONS 1000000
// It asserts on what files contain, and a damaged file is no reason to stop the program.
#define STBI_ASSERT(x) static_cast<void>(0)
#define STB_IMAGE_STATIC
#define STB_IMAGE_IMPLEMENTATION
#include <stb_image.h>
#define STBI_WRITE_NO_STDIO
#define STB_IMAGE_WRITE_STATIC
#define STB_IMAGE_WRITE_IMPLEMENTATION
#include <stb_image_write.h>

namespace bp::detail {

static_assert(kMaxSide == STBI_MAX_DIMENSIONS);

namespace {

// `stored` becomes the number of channels in the file.
Decoded decode(std::string_view bytes, int wanted, int& stored) {
  const auto* data = reinterpret_cast<const stbi_uc*>(bytes.data());
  const int size = static_cast<int>(bytes.size());
  int width = 0, height = 0;
  std::shared_ptr<u8> pixels(stbi_load_from_memory(data, size, &width, &height, &stored, wanted), std::free);
  require(pixels != nullptr, "damaged or unsupported (", stbi_failure_reason(), ")");
  return {width, height, std::move(pixels)};
}

}  // namespace

Decoded decode_stb(std::string_view bytes) {
  int channels = 0;
  return decode(bytes, 3, channels);
}

Decoded decode_stb_alpha(std::string_view bytes) {
  int channels = 0;
  Decoded image = decode(bytes, 4, channels);
  require(channels == 2 || channels == 4, "has no transparency (alpha)");
  return image;
}

std::string encode_png(const u8* pixels, i64 width, i64 height, int channels) {
  int size = 0;
  const std::unique_ptr<unsigned char, void (*)(void*)> png(
      stbi_write_png_to_mem(pixels, static_cast<int>(width * channels), static_cast<int>(width),
                            static_cast<int>(height), channels, &size),
      std::free);
  require(png != nullptr, "not enough memory for a PNG of ", width, " x ", height);
  return {reinterpret_cast<const char*>(png.get()), static_cast<std::size_t>(size)};
}

}  // namespace bp::detail
