// The structure of JPEG, PNG and BMP files, walked with every offset checked.
#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>
#include <vector>

#include "apps/iml/image_decode.h"
#include "engine/error.h"

namespace bp::detail {
namespace {

// Numbers at an offset; the callers have checked that they are inside.
std::uint32_t byte_at(std::string_view s, std::size_t i) {
  return static_cast<unsigned char>(s[i]);
}
std::uint32_t big16(std::string_view s, std::size_t i) {
  return byte_at(s, i) << 8 | byte_at(s, i + 1);
}
std::uint32_t big32(std::string_view s, std::size_t i) {
  return big16(s, i) << 16 | big16(s, i + 2);
}
std::uint32_t little16(std::string_view s, std::size_t i) {
  return byte_at(s, i) | byte_at(s, i + 1) << 8;
}
std::uint32_t little32(std::string_view s, std::size_t i) {
  return little16(s, i) | little16(s, i + 2) << 16;
}

// What a JPEG has defined so far: tables as bits by number, and the frame's components.
struct Jpeg {
  unsigned quantisation = 0, dc = 0, ac = 0;
  bool progressive = false;
  std::vector<std::pair<unsigned, unsigned>> components;  // id, quantisation table
};

void read_huffman_tables(std::string_view body, Jpeg& jpeg) {
  while (!body.empty()) {
    require(body.size() >= 17, "damaged JPEG (a Huffman table is cut off)");
    const unsigned id = byte_at(body, 0) & 15, kind = byte_at(body, 0) >> 4;
    require(id < 4 && kind < 2, "damaged JPEG (Huffman table ", kind, "/", id, ")");
    std::size_t symbols = 0, codes = 0;  // codes: first unused code of the length, which must fit its bits
    for (std::size_t length = 1; length <= 16; ++length) {
      symbols += byte_at(body, length);
      codes = codes * 2 + byte_at(body, length);
      require(codes <= std::size_t{1} << length, "damaged JPEG (impossible Huffman table)");
    }
    require(symbols <= 256 && 17 + symbols <= body.size(), "damaged JPEG (Huffman table with ", symbols,
            " symbols)");
    (kind == 0 ? jpeg.dc : jpeg.ac) |= 1u << id;
    body.remove_prefix(17 + symbols);
  }
}

void read_quantisation_tables(std::string_view body, Jpeg& jpeg) {
  while (!body.empty()) {
    const unsigned id = byte_at(body, 0) & 15, wide = byte_at(body, 0) >> 4;
    const std::size_t size = 1 + (wide ? 128 : 64);
    require(id < 4 && wide < 2 && size <= body.size(), "damaged JPEG (quantisation table)");
    jpeg.quantisation |= 1u << id;
    body.remove_prefix(size);
  }
}

void read_frame(std::string_view body, std::size_t file_size, Jpeg& jpeg) {
  require(body.size() >= 6 && body.size() >= 6 + 3 * byte_at(body, 5),
          "damaged JPEG (the frame header is cut off)");
  require(byte_at(body, 0) == 8, "unsupported JPEG (", byte_at(body, 0), " bits)");
  const std::size_t width = big16(body, 3), height = big16(body, 1);
  check_size(static_cast<i64>(width), static_cast<i64>(height));
  // Each block of 8 x 8 pixels takes a bit at the very least; decoders fill up with grey.
  require(width * height / 512 <= file_size, "truncated JPEG (", file_size, " bytes cannot hold ", width,
          " x ", height, " pixels)");
  for (std::size_t i = 0; i < byte_at(body, 5); ++i)
    jpeg.components.emplace_back(byte_at(body, 6 + 3 * i), byte_at(body, 8 + 3 * i));
}

// The decoder reads tables by number, so a scan may use only those that exist.
void check_scan(std::string_view body, const Jpeg& jpeg) {
  require(!body.empty() && body.size() >= 4 + 2 * byte_at(body, 0),
          "damaged JPEG (a scan header is cut off)");
  const std::size_t n = byte_at(body, 0);
  const bool starts_at_dc = byte_at(body, 1 + 2 * n) == 0, refines = byte_at(body, 3 + 2 * n) >> 4 != 0;
  const bool needs_dc = !jpeg.progressive || (starts_at_dc && !refines);
  const bool needs_ac = !jpeg.progressive || !starts_at_dc;
  const auto has = [](unsigned tables, unsigned id) { return id < 4 && (tables >> id & 1) != 0; };
  for (std::size_t i = 0; i < n; ++i) {
    const unsigned id = byte_at(body, 1 + 2 * i), dc = byte_at(body, 2 + 2 * i) >> 4,
                   ac = byte_at(body, 2 + 2 * i) & 15;
    const auto component = std::find_if(jpeg.components.begin(), jpeg.components.end(),
                                        [&](const auto& c) { return c.first == id; });
    require(component != jpeg.components.end() && has(jpeg.quantisation, component->second) &&
                (!needs_dc || has(jpeg.dc, dc)) && (!needs_ac || has(jpeg.ac, ac)),
            "damaged JPEG (a scan names a component or table that is not there)");
  }
}

std::uint32_t crc32(std::string_view bytes) {
  static const auto table = [] {
    std::array<std::uint32_t, 256> t{};
    for (std::uint32_t i = 0; i < 256; ++i) {
      std::uint32_t c = i;
      for (int bit = 0; bit < 8; ++bit) c = (c & 1) ? 0xEDB88320u ^ (c >> 1) : c >> 1;
      t[i] = c;
    }
    return t;
  }();
  std::uint32_t crc = 0xFFFFFFFFu;
  for (const char b : bytes) crc = table[(crc ^ static_cast<unsigned char>(b)) & 255] ^ (crc >> 8);
  return ~crc;
}

}  // namespace

int tiff_orientation(std::string_view s) {
  if (s.size() < 8) return 1;
  const bool little = s.starts_with("II");
  const auto u16 = [&](std::size_t i) { return little ? little16(s, i) : big16(s, i); };
  const auto u32 = [&](std::size_t i) { return little ? little32(s, i) : big32(s, i); };
  const std::size_t directory = u32(4);
  if (directory > s.size() || s.size() - directory < 2) return 1;
  const std::size_t entries = std::min<std::size_t>(u16(directory), (s.size() - directory - 2) / 12);
  for (std::size_t i = 0; i < entries; ++i) {
    const std::size_t entry = directory + 2 + 12 * i;
    const std::uint32_t value = u16(entry + 8);
    if (u16(entry) == 274)
      return u16(entry + 2) == 3 && value >= 1 && value <= 8 ? static_cast<int>(value) : 1;
  }
  return 1;
}

Header check_jpeg(std::string_view s) {
  Header header;
  Jpeg jpeg;
  bool exif = false, scanned = false;
  for (std::size_t at = 2;;) {
    at = s.find('\xFF', at);  // also passes over the coded data of a scan
    while (at < s.size() && byte_at(s, at) == 0xFF) ++at;
    require(at < s.size(), "truncated JPEG (", s.size(), " bytes and no end marker)");
    const unsigned marker = byte_at(s, at++);
    if (marker == 0xD9) break;
    if (marker <= 1 || (marker >= 0xD0 && marker <= 0xD8)) continue;  // stuffing and restarts have no body
    require(s.size() - at >= 2, "truncated JPEG (", s.size(), " bytes and no end marker)");
    const std::size_t length = big16(s, at);
    require(length >= 2 && length <= s.size() - at, "truncated or damaged JPEG (a segment of ", length,
            " bytes, ", s.size() - at, " are left)");
    const std::string_view body = s.substr(at + 2, length - 2);
    at += length;
    if (marker == 0xC4) {
      read_huffman_tables(body, jpeg);
    } else if (marker == 0xDB) {
      read_quantisation_tables(body, jpeg);
    } else if (marker == 0xDA) {
      check_scan(body, jpeg);
      scanned = true;
    } else if (marker == 0xE1 && !exif && body.starts_with(std::string_view("Exif\0\0", 6))) {
      exif = true;
      header.orientation = tiff_orientation(body.substr(6));
    } else if (marker >= 0xC0 && marker <= 0xCF && marker != 0xC8 && marker != 0xCC) {
      require(marker <= 0xC2, "unsupported JPEG (",
              marker > 0xC8 ? "arithmetic coding" : "lossless or hierarchical", ")");
      jpeg.progressive = marker == 0xC2;
      read_frame(body, s.size(), jpeg);
    }
  }
  require(scanned, "damaged JPEG (no image in it)");
  return header;
}

Header check_png(std::string_view s) {
  Header header;
  bool data = false;
  require(s.size() >= 33 && s.substr(12, 4) == "IHDR", "truncated or damaged PNG (no header)");
  check_size(big32(s, 16), big32(s, 20));
  for (std::size_t at = 8;;) {
    require(s.size() - at >= 12, "truncated PNG (", s.size(), " bytes and no end chunk)");
    const std::size_t length = big32(s, at);
    require(length <= s.size() - at - 12, "truncated PNG (a chunk of ", length, " bytes, ",
            s.size() - at - 12, " are left)");
    const std::string_view type = s.substr(at + 4, 4), body = s.substr(at + 8, length);
    const bool critical = (byte_at(type, 0) & 32) == 0;
    require(!critical || crc32(s.substr(at + 4, 4 + length)) == big32(s, at + 8 + length),
            "damaged PNG (the chunk at byte ", at, " has a wrong checksum)");
    if (type == "IEND") break;
    if (type == "IDAT") data = true;
    if (type == "eXIf") header.orientation = tiff_orientation(body);
    at += 12 + length;
  }
  require(data, "damaged PNG (no image in it)");
  return header;
}

void check_bmp(std::string_view s) {
  require(s.size() >= 26, "truncated BMP (", s.size(), " bytes)");
  const bool old = little32(s, 14) == 12;
  require(old || s.size() >= 54, "truncated BMP (", s.size(), " bytes)");
  const std::uint64_t offset = little32(s, 10);
  const std::uint64_t width = old ? little16(s, 18) : little32(s, 18);
  const std::uint32_t stored = old ? little16(s, 20) : little32(s, 22);  // negative where rows go down
  const std::uint64_t height = !old && stored >> 31 ? 0u - stored : stored;
  const std::uint64_t bits = little16(s, old ? 24 : 28), compression = old ? 0 : little32(s, 30);
  require(compression == 0 || compression == 3, "unsupported BMP (compressed)");
  check_size(static_cast<i64>(width), static_cast<i64>(height));
  require(bits <= 32, "damaged BMP (", bits, " bits per pixel)");
  const std::uint64_t needed = offset + (width * bits + 31) / 32 * 4 * height;
  require(s.size() >= needed, "truncated BMP (", s.size(), " bytes of ", needed, ")");
}

}  // namespace bp::detail
