// The size of an image from its header, with the orientation applied.
#include <algorithm>
#include <utility>

#include "apps/iml/image.h"
#include "apps/iml/image_decode.h"
#include "engine/error.h"
#include "weights/file.h"

namespace bp {
namespace {

unsigned byte_at(std::string_view s, std::size_t i) {
  return static_cast<unsigned char>(s[i]);
}
unsigned big16(std::string_view s, std::size_t i) {
  return byte_at(s, i) << 8 | byte_at(s, i + 1);
}
std::size_t big32(std::string_view s, std::size_t i) {
  return static_cast<std::size_t>(big16(s, i)) << 16 | big16(s, i + 2);
}

// Width and height as stored; sides are swapped where the orientation turns the image.
struct Stored {
  i64 width = 0, height = 0;
  int orientation = 1;
};

// Up to the frame header: what stands between it and the pixels does not matter here.
Stored jpeg(std::string_view s) {
  Stored found;
  for (std::size_t at = 2;;) {
    at = s.find('\xFF', at);
    while (at < s.size() && byte_at(s, at) == 0xFF) ++at;
    require(at < s.size() && s.size() - at >= 3, "truncated JPEG");
    const unsigned marker = byte_at(s, at++);
    if (marker <= 1 || (marker >= 0xD0 && marker <= 0xD8)) continue;
    const std::size_t length = big16(s, at);
    require(marker != 0xD9 && marker != 0xDA && length >= 2 && length <= s.size() - at,
            "truncated or damaged JPEG");
    const std::string_view body = s.substr(at + 2, length - 2);
    at += length;
    if (marker == 0xE1 && found.orientation == 1 && body.starts_with(std::string_view("Exif\0\0", 6)))
      found.orientation = detail::tiff_orientation(body.substr(6));
    if (marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 && marker != 0xCC) {
      require(body.size() >= 6, "damaged JPEG (the frame header is cut off)");
      return {big16(body, 3), big16(body, 1), found.orientation};
    }
  }
}

// eXIf may stand behind the pixels, so the chunks are walked to the end.
Stored png(std::string_view s) {
  require(s.size() >= 33 && s.substr(12, 4) == "IHDR", "truncated or damaged PNG (no header)");
  Stored found{static_cast<i64>(big32(s, 16)), static_cast<i64>(big32(s, 20)), 1};
  for (std::size_t at = 8; s.size() - at >= 12;) {
    const std::size_t length = big32(s, at);
    if (length > s.size() - at - 12) break;
    if (s.substr(at + 4, 4) == "eXIf") found.orientation = detail::tiff_orientation(s.substr(at + 8, length));
    at += 12 + length;
  }
  return found;
}

}  // namespace

ImageSize image_size(const std::filesystem::path& path) {
  const auto file = MappedFile::open(path.string());
  const std::string_view bytes(reinterpret_cast<const char*>(file->bytes().data()), file->bytes().size());
  const bool is_jpeg = bytes.starts_with("\xFF\xD8\xFF"), is_png = bytes.starts_with("\x89PNG\r\n\x1A\n");
  if (!is_jpeg && !is_png) {  // BMP and TIFF, which are rare
    const Tensor image = load_image(path);
    return {image.dim(1), image.dim(0)};
  }
  try {
    Stored found = is_jpeg ? jpeg(bytes) : png(bytes);
    detail::check_size(found.width, found.height);
    if (found.orientation >= 5) std::swap(found.width, found.height);
    return {found.width, found.height};
  } catch (const Error& e) {
    fail(path.string(), ": ", e.what());
  }
}

}  // namespace bp
