// Images in and out. The fixtures are one picture in many layouts (tests/data/make_images.py).
#include "apps/iml/image.h"

#include <doctest/doctest.h>
#include <sys/resource.h>

#include <csignal>
#include <functional>
#include <random>

#include "apps/iml/files.h"
#include "tests/errors.h"
#include "tests/temp_folder.h"

using namespace bp;

namespace {

const fs::path kFixtures = fs::path(BOXPROMPT_SOURCE_DIR) / "tests/data/images";
constexpr i64 kWidth = 13, kHeight = 7;

using Pixel = std::function<i64(i64 x, i64 y, int channel)>;
const Pixel kColour = [](i64 x, i64 y, int c) { return c == 0 ? 19 * x : c == 1 ? 36 * y : 7 * x + 11 * y; };
const Pixel kGrey = [](i64 x, i64, int) { return 19 * x; };
const Pixel kBits = [](i64 x, i64, int) { return 19 * x > 100 ? 255 : 0; };

// Largest difference from the picture; 1000 where the size is another.
i64 distance(const fs::path& file, const Pixel& expected) {
  const Tensor image = load_image(file);
  if (image.shape() != Shape{kHeight, kWidth, 3}) return 1000;
  i64 worst = 0;
  for (i64 y = 0; y < kHeight; ++y)
    for (i64 x = 0; x < kWidth; ++x)
      for (int c = 0; c < 3; ++c)
        worst = std::max(worst, std::abs(image.data<u8>()[(y * kWidth + x) * 3 + c] - expected(x, y, c)));
  return worst;
}

void be32(std::string& s, std::size_t at, std::uint32_t v) {
  for (int i = 0; i < 4; ++i) s[at + static_cast<std::size_t>(i)] = static_cast<char>(v >> (24 - 8 * i));
}

std::uint32_t crc32(std::string_view bytes) {
  std::uint32_t crc = ~0u;
  for (const unsigned char b : bytes) {
    crc ^= b;
    for (int bit = 0; bit < 8; ++bit) crc = (crc & 1) ? 0xEDB88320u ^ (crc >> 1) : crc >> 1;
  }
  return ~crc;
}

}  // namespace

TEST_CASE("lossless colour layouts give the picture exactly") {
  for (const char* name :
       {"rgb.png", "rgba.png", "palette.png", "palette_alpha.png", "rgb.bmp", "palette.bmp", "lzw.tif",
        "deflate.tif", "palette.tif", "rgb16.tif", "rgba.tif", "planar.tif", "tiled.tif", "cmyk.tif"}) {
    CAPTURE(name);
    CHECK(distance(kFixtures / name, kColour) == 0);
  }
}

TEST_CASE("grey, two-level and 16-bit layouts are repeated over the channels") {
  for (const char* name : {"grey.png", "grey_alpha.png", "grey16.png", "grey_white.tif", "grey16_big.tif"}) {
    CAPTURE(name);
    CHECK(distance(kFixtures / name, kGrey) == 0);
  }
  CHECK(distance(kFixtures / "grey.jpg", kGrey) <= 2);
  for (const char* name : {"bits.png", "bits.tif"}) CHECK(distance(kFixtures / name, kBits) == 0);
}

TEST_CASE("lossy layouts come close") {
  for (const char* name : {"progressive.jpg", "cmyk.jpg", "jpeg.tif", "ycbcr.tif"}) {
    CAPTURE(name);
    CHECK(distance(kFixtures / name, kColour) <= 6);
  }
}

TEST_CASE("every orientation is applied once, in every format") {
  for (int n = 1; n <= 8; ++n) {
    CAPTURE(n);
    CHECK(distance(kFixtures / text("o", n, ".jpg"), kColour) <= 6);
  }
  for (const char* name : {"o6.png", "o6.tif", "o8_cmyk.tif"}) {
    CAPTURE(name);
    CHECK(distance(kFixtures / name, kColour) == 0);
  }
}

TEST_CASE("the content tells the format, not the name") {
  const TempFolder temp;
  fs::copy_file(kFixtures / "rgb.png", temp / "photo.jpg");
  CHECK(distance(temp / "photo.jpg", kColour) == 0);
}

TEST_CASE("masks are the mean of the channels above 127") {
  const TempFolder temp;
  const std::vector<float> rgb{127, 127, 127, 128, 128, 128, 255, 126, 0,
                               255, 127, 0,   0,   0,   0,   255, 255, 255};
  Tensor image = empty({2, 3, 3}, DType::u8);
  std::copy(rgb.begin(), rgb.end(), image.data<u8>());
  save_png(temp / "m.png", image);
  const Tensor mask = load_mask(temp / "m.png");
  REQUIRE(mask.shape() == Shape{2, 3});
  const u8 expected[] = {0, 255, 0, 255, 0, 255};  // means 127, 128, 127, 127.3, 0, 255
  CHECK(std::equal(expected, expected + 6, mask.data<u8>()));
}

TEST_CASE("PNG goes out and comes back, down to one pixel") {
  const TempFolder temp;
  for (const Shape& shape : {Shape{1, 1}, Shape{1, 1, 3}, Shape{37, 21}, Shape{20, 33, 3}}) {
    Tensor image = empty(shape, DType::u8);
    for (i64 i = 0; i < image.numel(); ++i) image.data<u8>()[i] = static_cast<u8>(i * i / 3);
    save_png(temp / "x.png", image);
    const Tensor back = load_image(temp / "x.png");
    REQUIRE(back.shape() == Shape{shape[0], shape[1], 3});
    const i64 step = shape.rank() == 2 ? 3 : 1;
    for (i64 i = 0; i < image.numel(); ++i) REQUIRE(back.data<u8>()[i * step] == image.data<u8>()[i]);
  }
  CHECK(fs::exists(temp / "x.png"));
  CHECK(!fs::exists(temp / ".x.png.part"));
}

TEST_CASE("a write that fails says why and leaves nothing") {
  const TempFolder temp;
  const Tensor image = full({64, 64}, 7, DType::u8);
  CHECK(mentions(error_of([&] { save_png(temp / "no/x.png", image); }), "No such file"));
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  const rlimit tiny{20, before.rlim_max};
  setrlimit(RLIMIT_FSIZE, &tiny);
  const std::string message = error_of([&] { save_png(temp / "x.png", image); });
  setrlimit(RLIMIT_FSIZE, &before);
  CHECK(mentions(message, "x.png: cannot be written: File too large"));
  CHECK(fs::is_empty(temp.path));
}

TEST_CASE("bad files: one line that names the file and the reason") {
  const TempFolder temp;
  const auto refused = [&](const fs::path& file, std::string_view reason) {
    const std::string message = error_of([&] { load_image(file); });
    INFO(message);
    CHECK(mentions(message, file.filename().string() + ": "));
    CHECK(mentions(message, reason));
    CHECK(!mentions(message, "\n"));
  };
  refused(temp / "missing.png", "no such file");
  refused(temp.path, "is a folder");
  refused(temp.write("empty.jpg", ""), "is empty");
  refused(temp.write("text.jpg", "This is not a photograph.\n"), "is text, wanted JPEG, PNG, BMP or TIFF");
  refused(temp.write("short.jpg", "RIFF"), "is text");
  refused(temp.write("a.gif", "GIF89a\1\0\1\0"), "is a GIF");
  refused(temp.write("x.png", std::string("\0\1\2\3\4\5", 6)), "of no known image format");
  for (const char* name : {"o1.jpg", "progressive.jpg", "rgb.png", "rgb.bmp", "lzw.tif", "rgba.tif"}) {
    CAPTURE(name);
    const std::string whole = read_file(kFixtures / name);
    const std::string kind = std::string_view(name).ends_with(".tif") ? "TIFF" : "truncated";
    for (const double share : {0.3, 0.6, 0.98})
      refused(temp.write(
                  name, whole.substr(0, static_cast<std::size_t>(static_cast<double>(whole.size()) * share))),
              kind);
  }
}

TEST_CASE("sizes are bounded before anything is decoded") {
  const TempFolder temp;
  std::string png = read_file(kFixtures / "rgb.png");
  const auto with_size = [&](std::uint32_t width, std::uint32_t height) {
    be32(png, 16, width);
    be32(png, 20, height);
    be32(png, 29, crc32(std::string_view(png).substr(12, 17)));
    return temp.write("big.png", png);
  };
  CHECK(mentions(error_of([&] { load_image(with_size(20000, 20000)); }),
                 "big.png: 20000 x 20000 pixels, at most 250000000"));
  CHECK(mentions(error_of([&] { load_image(with_size(0x7fffffff, 1)); }), "big.png: "));
  CHECK(mentions(error_of([&] { load_image(with_size(0, 5)); }), "big.png: "));
  // Inside the limits, but the data is not there.
  CHECK(mentions(error_of([&] { load_image(with_size(15000, 15000)); }), "big.png: damaged"));
}

TEST_CASE("what JPEG decoders trust is checked first") {
  const TempFolder temp;
  const std::string good = read_file(kFixtures / "o1.jpg");
  const auto refused = [&](std::string bytes, std::string_view reason) {
    const std::string message = error_of([&] { load_image(temp.write("x.jpg", bytes)); });
    INFO(message);
    CHECK(mentions(message, reason));
  };
  const auto tables = good.find("\xFF\xC4"), scan = good.find("\xFF\xDA"),
             quantisation = good.find("\xFF\xDB");
  REQUIRE(tables != std::string::npos);
  std::string bad = good;
  for (std::size_t i = 0; i < 16; ++i) bad[tables + 5 + i] = '\xFF';  // 4080 symbols
  refused(bad, "impossible Huffman table");
  // 510 codes of 15 and 16 bits: a valid code, but a table holds 256.
  std::string many("\xFF\xC4\x02\x11\x00", 5);
  many += std::string(14, '\0') + std::string(2, '\xFF') + std::string(510, '\1');
  refused(std::string(good).insert(2, many), "Huffman table with 510 symbols");
  bad = good;
  bad[tables + 4] = '\x13';  // an AC table 3, so DC table 0 is never defined
  refused(bad, "a scan names a component or table that is not there");
  bad = good;
  bad[scan + 6] = '\x22';
  refused(bad, "a scan names a component or table that is not there");
  bad = good;
  const auto frame = good.find("\xFF\xC0");
  be32(bad, frame + 5, 15000u << 16 | 15000u);
  refused(bad, "cannot hold 15000 x 15000 pixels");
  bad = good;
  bad[quantisation + 4] = 3;
  refused(bad, "a scan names a component or table that is not there");
}

TEST_CASE("damaged files are decoded or refused, never worse") {
  const TempFolder temp;
  std::mt19937 random(20);
  int refused = 0, decoded = 0;
  for (const auto& entry : fs::directory_iterator(kFixtures)) {
    const std::string good = read_file(entry.path());
    for (int round = 0; round < 12; ++round) {
      std::string bad = good;
      for (int flips = 1 + static_cast<int>(random() % 4); flips > 0; --flips)
        bad[random() % bad.size()] ^= static_cast<char>(1u << (random() % 8));
      if (random() % 8 == 0) bad.resize(random() % bad.size());
      try {
        const Tensor image = load_image(temp.write("x", bad));
        ++decoded;
        CHECK(image.numel() > 0);
      } catch (const Error&) {
        ++refused;
      }
    }
  }
  CHECK(refused > 50);
  CHECK(decoded > 50);
}
