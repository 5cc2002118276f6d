// TIFF through libtiff: common layouts sample by sample, the rest (YCbCr, CMYK, Lab, fewer than 8 bits)
// through libtiff's own conversion to RGBA.
#include <tiffio.h>

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "apps/iml/image_decode.h"
#include "engine/error.h"

namespace bp::detail {
namespace {

constexpr tmsize_t kMaxAllocation = tmsize_t{1}
                                    << 30;  // of libtiff for one buffer, and of ours for one tile or row

// The file in memory, as libtiff reads it, and the first error libtiff reports (warnings are dropped).
struct Source {
  std::string_view bytes;
  toff_t at = 0;
  std::string error;

  [[noreturn]] void give_up() const {
    fail("damaged or unsupported TIFF (", error.empty() ? "no reason given" : error, ")");
  }
};

tmsize_t read_bytes(thandle_t handle, void* to, tmsize_t n) {
  auto& s = *static_cast<Source*>(handle);
  if (s.at >= s.bytes.size()) return 0;
  n = std::min(n, static_cast<tmsize_t>(s.bytes.size() - s.at));
  std::memcpy(to, s.bytes.data() + s.at, static_cast<std::size_t>(n));
  s.at += static_cast<toff_t>(n);
  return n;
}
tmsize_t write_bytes(thandle_t, void*, tmsize_t) {
  return 0;
}
toff_t seek(thandle_t handle, toff_t offset, int whence) {
  auto& s = *static_cast<Source*>(handle);
  s.at = offset + (whence == SEEK_CUR ? s.at : whence == SEEK_END ? s.bytes.size() : 0);
  return s.at;
}
int close_nothing(thandle_t) {
  return 0;
}
toff_t size_of_file(thandle_t handle) {
  return static_cast<Source*>(handle)->bytes.size();
}

int keep_error(TIFF*, void* user, const char*, const char* format, va_list arguments) {
  auto& s = *static_cast<Source*>(user);
  char line[256];
  std::vsnprintf(line, sizeof line, format, arguments);
  if (s.error.empty()) s.error = line;
  return 1;  // handled: nothing goes to stderr
}
int drop_warning(TIFF*, void*, const char*, const char*, va_list) {
  return 1;
}

using Tiff = std::unique_ptr<TIFF, decltype(&TIFFClose)>;

Tiff open(Source& source) {
  const std::unique_ptr<TIFFOpenOptions, decltype(&TIFFOpenOptionsFree)> options(TIFFOpenOptionsAlloc(),
                                                                                 TIFFOpenOptionsFree);
  TIFFOpenOptionsSetMaxSingleMemAlloc(options.get(), kMaxAllocation);
  TIFFOpenOptionsSetErrorHandlerExtR(options.get(), keep_error, &source);
  TIFFOpenOptionsSetWarningHandlerExtR(options.get(), drop_warning, nullptr);
  // "m": the bytes are copied out of `source`, not mapped.
  Tiff tiff(TIFFClientOpenExt("image", "rm", &source, read_bytes, write_bytes, seek, close_nothing,
                              size_of_file, nullptr, nullptr, options.get()),
            TIFFClose);
  if (!tiff) source.give_up();
  return tiff;
}

std::shared_ptr<u8> allocate_rgb(i64 bytes) {
  std::shared_ptr<u8> rgb(static_cast<u8*>(std::malloc(static_cast<std::size_t>(bytes))), std::free);
  require(rgb != nullptr, "not enough memory for ", bytes, " bytes of pixels");
  return rgb;
}

// A layout that is read sample by sample.
struct Layout {
  i64 width, height;
  std::uint16_t bits, samples, photometric, planar;
  std::vector<u8> palette[3];

  bool colour() const { return photometric == PHOTOMETRIC_RGB; }
  i64 stride() const { return planar == PLANARCONFIG_CONTIG ? samples : 1; }  // between pixels, in samples
  int planes() const { return colour() && planar == PLANARCONFIG_SEPARATE ? 3 : 1; }

  u8 sample(const u8* row, i64 i) const {
    if (bits == 8) return row[i];
    std::uint16_t value;
    std::memcpy(&value, row + 2 * i, 2);
    return static_cast<u8>(value >> 8);
  }

  // n pixels of a row of plane `plane` as libtiff delivers them, to RGB.
  void put(u8* rgb, const u8* row, i64 n, int plane) const {
    for (i64 i = 0; i < n; ++i, rgb += 3) {
      if (!colour()) {
        const u8 v = sample(row, i * stride());
        for (int c = 0; c < 3; ++c)
          rgb[c] = photometric == PHOTOMETRIC_PALETTE
                       ? palette[c][v]
                       : static_cast<u8>(photometric == PHOTOMETRIC_MINISWHITE ? 255 - v : v);
      } else if (planes() == 3) {
        rgb[plane] = sample(row, i);
      } else {
        for (int c = 0; c < 3; ++c) rgb[c] = sample(row, i * stride() + c);
      }
    }
  }
};

void read_palette(TIFF* tiff, Layout& layout) {
  std::uint16_t* map[3] = {};
  require(TIFFGetField(tiff, TIFFTAG_COLORMAP, &map[0], &map[1], &map[2]) == 1, "damaged TIFF (no palette)");
  bool wide = false;  // some writers store 8-bit entries
  for (const auto* m : map) wide = wide || std::any_of(m, m + 256, [](std::uint16_t v) { return v > 255; });
  for (int c = 0; c < 3; ++c)
    for (int i = 0; i < 256; ++i)
      layout.palette[c].push_back(static_cast<u8>(wide ? map[c][i] >> 8 : map[c][i]));
}

void read_samples(TIFF* tiff, const Source& source, const Layout& layout, u8* rgb) {
  const bool tiled = TIFFIsTiled(tiff) != 0;
  const tmsize_t size = tiled ? TIFFTileSize(tiff) : TIFFScanlineSize(tiff);
  if (size <= 0) source.give_up();
  require(size <= kMaxAllocation, "unsupported TIFF (a ", tiled ? "tile" : "row", " of ", size, " bytes)");
  std::uint32_t tile_width = static_cast<std::uint32_t>(layout.width), tile_height = 1;
  if (tiled) {
    TIFFGetField(tiff, TIFFTAG_TILEWIDTH, &tile_width);
    TIFFGetField(tiff, TIFFTAG_TILELENGTH, &tile_height);
  }
  std::vector<u8> buffer(static_cast<std::size_t>(size));
  const i64 row_bytes = static_cast<i64>(tile_width) * layout.stride() * (layout.bits / 8);
  require(row_bytes * tile_height <= size, "damaged TIFF (a tile or row is too short)");
  for (int plane = 0; plane < layout.planes(); ++plane)
    for (i64 y = 0; y < layout.height; y += tile_height)
      for (i64 x = 0; x < layout.width; x += tile_width) {
        const auto column = static_cast<std::uint32_t>(x), row = static_cast<std::uint32_t>(y);
        const auto sample = static_cast<std::uint16_t>(plane);
        const bool done = tiled ? TIFFReadTile(tiff, buffer.data(), column, row, 0, sample) >= 0
                                : TIFFReadScanline(tiff, buffer.data(), row, sample) >= 0;
        if (!done) source.give_up();
        const i64 rows = std::min<i64>(tile_height, layout.height - y);
        const i64 columns = std::min<i64>(tile_width, layout.width - x);
        for (i64 r = 0; r < rows; ++r)
          layout.put(rgb + ((y + r) * layout.width + x) * 3, buffer.data() + r * row_bytes, columns, plane);
      }
}

// The whole page as RGBA by libtiff, packed to RGB in place.
std::shared_ptr<u8> read_rgba(TIFF* tiff, const Source& source, i64 width, i64 height) {
  std::shared_ptr<u8> pixels = allocate_rgb(width * height * 4);
  TIFFRGBAImage image;
  char message[1024] = {};
  require(TIFFRGBAImageBegin(&image, tiff, 1, message) == 1, "unsupported TIFF (", message, ")");
  const std::unique_ptr<TIFFRGBAImage, decltype(&TIFFRGBAImageEnd)> end(&image, TIFFRGBAImageEnd);
  image.req_orientation =
      image.orientation;  // as stored; the orientation is applied later, for all formats alike
  auto* raster = reinterpret_cast<std::uint32_t*>(pixels.get());
  if (!TIFFRGBAImageGet(&image, raster, static_cast<std::uint32_t>(width),
                        static_cast<std::uint32_t>(height)))
    source.give_up();
  for (i64 i = 0; i < width * height; ++i) {
    const std::uint32_t p = raster[i];
    u8* rgb = pixels.get() + 3 * i;
    rgb[0] = static_cast<u8>(TIFFGetR(p));
    rgb[1] = static_cast<u8>(TIFFGetG(p));
    rgb[2] = static_cast<u8>(TIFFGetB(p));
  }
  return pixels;
}

}  // namespace

Decoded decode_tiff(std::string_view bytes) {
  Source source{bytes, 0, {}};
  const Tiff tiff = open(source);
  std::uint32_t width = 0, height = 0;
  TIFFGetField(tiff.get(), TIFFTAG_IMAGEWIDTH, &width);
  TIFFGetField(tiff.get(), TIFFTAG_IMAGELENGTH, &height);
  check_size(width, height);
  std::uint16_t orientation = 1, format = SAMPLEFORMAT_UINT;
  Layout layout{width, height, 1, 1, 0, PLANARCONFIG_CONTIG, {}};
  TIFFGetFieldDefaulted(tiff.get(), TIFFTAG_BITSPERSAMPLE, &layout.bits);
  TIFFGetFieldDefaulted(tiff.get(), TIFFTAG_SAMPLESPERPIXEL, &layout.samples);
  TIFFGetFieldDefaulted(tiff.get(), TIFFTAG_PLANARCONFIG, &layout.planar);
  TIFFGetFieldDefaulted(tiff.get(), TIFFTAG_ORIENTATION, &orientation);
  TIFFGetFieldDefaulted(tiff.get(), TIFFTAG_SAMPLEFORMAT, &format);
  require(TIFFGetField(tiff.get(), TIFFTAG_PHOTOMETRIC, &layout.photometric) == 1,
          "damaged TIFF (it does not say what its samples mean)");
  require(format == SAMPLEFORMAT_UINT || format == SAMPLEFORMAT_VOID,
          "unsupported TIFF (samples are not unsigned integers)");

  Decoded image{width, height, nullptr, orientation >= 1 && orientation <= 8 ? orientation : 1};
  const bool grey =
      layout.photometric == PHOTOMETRIC_MINISBLACK || layout.photometric == PHOTOMETRIC_MINISWHITE;
  const bool palette = layout.photometric == PHOTOMETRIC_PALETTE && layout.bits == 8;
  if ((layout.bits == 8 || layout.bits == 16) &&
      ((grey && layout.samples >= 1) || palette || (layout.colour() && layout.samples >= 3))) {
    if (palette) read_palette(tiff.get(), layout);
    image.rgb = allocate_rgb(image.width * image.height * 3);
    read_samples(tiff.get(), source, layout, image.rgb.get());
  } else {
    image.rgb = read_rgba(tiff.get(), source, image.width, image.height);
  }
  return image;
}

}  // namespace bp::detail
