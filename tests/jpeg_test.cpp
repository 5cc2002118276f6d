// JPEG in memory: what comes back, how quality and subsampling show, and errors that end in a message.
#include "apps/iml/jpeg.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "apps/iml/image.h"
#include "kernels/threads.h"
#include "tests/errors.h"
#include "tests/temp_folder.h"

using namespace bp;

namespace {

Tensor photograph() {
  return load_image(std::string(BOXPROMPT_SOURCE_DIR) + "/apps/samples/coffee_600x400.png");
}

double mean_difference(const Tensor& a, const Tensor& b) {
  REQUIRE(a.shape() == b.shape());
  double sum = 0;
  for (i64 i = 0; i < a.numel(); ++i) sum += std::abs(a.data<u8>()[i] - b.data<u8>()[i]);
  return sum / static_cast<double>(a.numel());
}

// Red and green in columns of one pixel: detail that lives in chroma.
Tensor stripes() {
  Tensor image = zeros({32, 32, 3}, DType::u8);
  for (i64 i = 0; i < 32 * 32; ++i) image.data<u8>()[3 * i + i % 2] = 200;
  return image;
}

}  // namespace

TEST_CASE("a round trip is near the image, and nearer at a higher quality") {
  const Tensor image = photograph();
  const double q50 = mean_difference(image, jpeg_round_trip(image, 50)),
               q95 = mean_difference(image, jpeg_round_trip(image, 95));
  CHECK(q95 < 3);
  CHECK(q50 > 1.2 * q95);
  CHECK(encode_jpeg(image, 50).size() < encode_jpeg(image, 95).size() / 2);
}

TEST_CASE("colours keep their places") {
  Tensor image = zeros({16, 16, 3}, DType::u8);
  for (i64 i = 0; i < 16 * 16; ++i) image.data<u8>()[3 * i + 2] = 250;
  const Tensor back = jpeg_round_trip(image, 95, Subsampling::s444);
  CHECK(back.data<u8>()[0] < 10);
  CHECK(back.data<u8>()[2] > 240);
}

TEST_CASE("subsampling costs detail of chroma") {
  const Tensor image = stripes();
  const double full = mean_difference(image, jpeg_round_trip(image, 98, Subsampling::s444)),
               half = mean_difference(image, jpeg_round_trip(image, 98, Subsampling::s422)),
               quarter = mean_difference(image, jpeg_round_trip(image, 98, Subsampling::s420));
  CHECK(full < 5);
  CHECK(half > 20);
  CHECK(quarter > 20);
  // Stripes that lie: half the samples across keep them, a quarter does not.
  Tensor lying = zeros({32, 32, 3}, DType::u8);
  for (i64 i = 0; i < 32 * 32; ++i) lying.data<u8>()[3 * i + i / 32 % 2] = 200;
  CHECK(mean_difference(lying, jpeg_round_trip(lying, 98, Subsampling::s422)) < 5);
  CHECK(mean_difference(lying, jpeg_round_trip(lying, 98, Subsampling::s420)) > 20);
}

TEST_CASE("grey stays grey, odd sizes and single pixels work") {
  Tensor grey = empty({7, 13}, DType::u8);
  for (i64 i = 0; i < grey.numel(); ++i) grey.data<u8>()[i] = static_cast<u8>(2 * i);
  const Tensor back = jpeg_round_trip(grey, 100);
  CHECK(back.shape() == Shape{7, 13});
  CHECK(mean_difference(grey, back) < 2);
  CHECK(jpeg_round_trip(full({1, 1, 3}, 90, DType::u8), 90).shape() == Shape{1, 1, 3});
  CHECK(jpeg_round_trip(full({1, 333, 3}, 90, DType::u8), 90, Subsampling::s422).shape() == Shape{1, 333, 3});
}

TEST_CASE("the same image gives the same bytes, also from many threads at once") {
  const Tensor image = photograph();
  const std::string alone = encode_jpeg(image, 77);
  std::vector<std::string> results(8);
  parallel_for(8, 1,
               [&](i64 begin, i64) { results[static_cast<std::size_t>(begin)] = encode_jpeg(image, 77); });
  CHECK(std::all_of(results.begin(), results.end(), [&](const std::string& r) { return r == alone; }));
}

TEST_CASE("the reader of image files reads it") {
  const TempFolder folder;
  const Tensor image = photograph();
  const std::string bytes = encode_jpeg(image, 90);
  CHECK(mean_difference(load_image(folder.write("a.jpg", bytes)), decode_jpeg(bytes)) < 1.5);
}

TEST_CASE("damaged bytes and wrong arguments are errors with a reason") {
  const std::string whole = encode_jpeg(photograph(), 80);
  CHECK(mentions(error_of([] { decode_jpeg(""); }), "no bytes"));
  CHECK(mentions(error_of([] { decode_jpeg("this is no JPEG at all"); }), "Not a JPEG"));
  CHECK(error_of([&] { decode_jpeg(std::string_view(whole).substr(0, 300)); }) != "");
  CHECK(mentions(error_of([&] { decode_jpeg(std::string_view(whole).substr(0, whole.size() / 2)); }),
                 "decode_jpeg"));
  CHECK(mentions(error_of([] { encode_jpeg(full({4, 4, 3}, 1, DType::u8), 0); }), "quality 0"));
  CHECK(mentions(error_of([] { encode_jpeg(full({4, 4, 3}, 1, DType::u8), 101); }), "quality 101"));
  CHECK(mentions(error_of([] { encode_jpeg(full({4, 4, 3}, 1), 90); }), "wanted u8"));
  CHECK(mentions(error_of([] { encode_jpeg(zeros({70000, 1}, DType::u8), 90); }), "65500"));
}
