#include "apps/iml/image.h"

#include <algorithm>

#include "apps/iml/files.h"
#include "apps/iml/image_decode.h"
#include "kernels/threads.h"

namespace bp {
namespace {

constexpr std::uintmax_t kMaxFileBytes = 0x7fffffff;

using detail::Decoded;

[[noreturn]] void refuse(std::string_view bytes) {
  require(!bytes.empty(), "the file is empty");
  const std::string_view start = bytes.substr(0, 256);
  const bool is_text =
      std::none_of(start.begin(), start.end(), [](unsigned char c) { return c < 9 || c == 127; });
  const char* kind = start.starts_with("GIF8")                              ? "a GIF"
                     : start.starts_with("RIFF") && start.find("WEBP") == 8 ? "a WebP"
                     : start.find("ftyp") == 4                              ? "a HEIF, AVIF or video file"
                     : is_text                                              ? "text"
                                                                            : "of no known image format";
  fail("is ", kind, ", wanted JPEG, PNG, BMP or TIFF");
}

Decoded decode(std::string_view bytes) {
  using std::string_view_literals::operator""sv;
  if (bytes.starts_with("\xFF\xD8\xFF")) {
    const auto header = detail::check_jpeg(bytes);
    Decoded image = detail::decode_stb(bytes);
    image.orientation = header.orientation;
    return image;
  }
  if (bytes.starts_with("\x89PNG\r\n\x1A\n")) {
    const auto header = detail::check_png(bytes);
    Decoded image = detail::decode_stb(bytes);
    image.orientation = header.orientation;
    return image;
  }
  if (bytes.starts_with("BM")) {
    detail::check_bmp(bytes);
    return detail::decode_stb(bytes);
  }
  if (bytes.starts_with("II*\0"sv) || bytes.starts_with("MM\0*"sv) || bytes.starts_with("II+\0"sv) ||
      bytes.starts_with("MM\0+"sv))
    return detail::decode_tiff(bytes);
  refuse(bytes);
}

// EXIF orientation: the stored rows may start at the bottom, columns at the right, and rows may be columns.
Decoded upright(const Decoded& stored) {
  const int o = stored.orientation;
  const bool swapped = o >= 5, bottom = o == 3 || o == 4 || o == 6 || o == 7,
             right = o == 2 || o == 3 || o == 7 || o == 8;
  const i64 w = stored.width, h = stored.height;
  const i64 down = bottom ? -w : w, across = right ? -1 : 1;
  const i64 step_x = swapped ? down : across,
            step_y = swapped ? across : down;  // in the source, per target pixel
  const u8* origin = stored.rgb.get() + ((bottom ? h - 1 : 0) * w + (right ? w - 1 : 0)) * 3;
  Decoded image{swapped ? h : w, swapped ? w : h,
                std::shared_ptr<u8>(new u8[static_cast<std::size_t>(w * h * 3)], std::default_delete<u8[]>()),
                1};
  parallel_for(image.height, 32, [&](i64 begin, i64 end) {
    for (i64 x = 0; x < image.width; ++x)
      for (i64 y = begin; y < end; ++y)
        std::copy_n(origin + (x * step_x + y * step_y) * 3, 3, image.rgb.get() + (y * image.width + x) * 3);
  });
  return image;
}

Decoded load(const fs::path& path) {
  const std::string bytes = read_file(path, kMaxFileBytes);
  try {
    const Decoded image = decode(bytes);
    return image.orientation == 1 ? image : upright(image);
  } catch (const Error& e) {
    fail(path.string(), ": ", one_line(e.what()));
  } catch (const std::bad_alloc&) {
    fail(path.string(), ": not enough memory to decode it");
  }
}

}  // namespace

void detail::check_size(i64 width, i64 height) {
  require(width > 0 && height > 0, "damaged header (", width, " x ", height, " pixels)");
  require(width <= kMaxSide && height <= kMaxSide && width * height <= kMaxPixels, width, " x ", height,
          " pixels, at most ", kMaxPixels, " (and ", kMaxSide, " a side) are read");
}

Tensor load_image(const fs::path& path) {
  const Decoded image = load(path);
  return from_memory({image.height, image.width, 3}, DType::u8, image.rgb.get(), image.rgb);
}

Tensor load_mask(const fs::path& path) {
  const Decoded image = load(path);
  Tensor mask = empty({image.height, image.width}, DType::u8);
  u8* m = mask.data<u8>();
  const u8* p = image.rgb.get();
  parallel_for(image.width * image.height, 1 << 16, [&](i64 begin, i64 end) {
    for (i64 i = begin; i < end; ++i) m[i] = p[3 * i] + p[3 * i + 1] + p[3 * i + 2] > 3 * 127 ? 255 : 0;
  });
  return mask;
}

Cutout load_cutout(const fs::path& path) {
  const std::string bytes = read_file(path, kMaxFileBytes);
  try {
    require(bytes.starts_with("\x89PNG\r\n\x1A\n"), "a cut-out is wanted, which is a PNG with alpha");
    require(detail::check_png(bytes).orientation == 1,
            "a cut-out with an EXIF orientation; store it upright");
    const Decoded image = detail::decode_stb_alpha(bytes);
    Cutout cutout{empty({image.height, image.width, 3}, DType::u8),
                  empty({image.height, image.width}, DType::u8)};
    u8 least = 255, most = 0;
    for (i64 i = 0; i < image.width * image.height; ++i) {
      const u8* pixel = image.rgb.get() + 4 * i;
      std::copy_n(pixel, 3, cutout.rgb.data<u8>() + 3 * i);
      cutout.alpha.data<u8>()[i] = pixel[3];
      least = std::min(least, pixel[3]);
      most = std::max(most, pixel[3]);
    }
    require(least < 128 && most >= 128,
            most < 128 ? "nothing in it is visible" : "nothing in it is transparent");
    return cutout;
  } catch (const Error& e) {
    fail(path.string(), ": ", one_line(e.what()));
  } catch (const std::bad_alloc&) {
    fail(path.string(), ": not enough memory to decode it");
  }
}

void save_png(const fs::path& path, const Tensor& image) {
  require(image.defined() && image.dtype() == DType::u8 && image.numel() > 0 &&
              (image.rank() == 2 || (image.rank() == 3 && image.dim(2) == 3)),
          path.string(), ": only u8 [H,W] and [H,W,3] are written as PNG");
  detail::check_size(image.dim(1), image.dim(0));
  write_file(path,
             detail::encode_png(image.data<u8>(), image.dim(1), image.dim(0), image.rank() == 2 ? 1 : 3));
}

}  // namespace bp
