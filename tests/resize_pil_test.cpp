// The 8-bit kernels against Pillow's checksums (tests/data/make_pil.py) and PyTorch's arithmetic.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "engine/tensor.h"
#include "kernels/threads.h"
#include "tests/test_device.h"

using namespace bp;

namespace {

const Device kDevice = testing::test_device();

struct PilCase {
  i64 h, w, c, oh, ow;
  std::uint64_t checksum;
};
const PilCase kPil[] = {
#include "tests/data/resize_pil.inc"
};

std::vector<u8> pattern(i64 h, i64 w, i64 channels) {
  std::vector<u8> x;
  for (i64 i = 0; i < h; ++i)
    for (i64 j = 0; j < w; ++j)
      for (i64 c = 0; c < channels; ++c)
        x.push_back(static_cast<u8>((j * j * (c + 1) + i * i * 3 + i * j * 5 + (j * 7 ^ i * 13)) >> 1));
  return x;
}

std::uint64_t fnv(const std::vector<u8>& bytes) {
  std::uint64_t key = 0xCBF29CE484222325u;
  for (const u8 b : bytes) key = (key ^ b) * 0x100000001B3u;
  return key;
}

Tensor on_device(const std::vector<u8>& bytes) {
  const Tensor x = empty({static_cast<i64>(bytes.size())}, DType::u8);
  std::copy(bytes.begin(), bytes.end(), x.data<u8>());
  return to(x, kDevice);
}

std::vector<u8> resize(const std::vector<u8>& bytes, i64 h, i64 w, i64 c, i64 oh, i64 ow) {
  const Tensor x = on_device(bytes), y = empty({oh * ow * c}, DType::u8, kDevice);
  kernels(kDevice).resize_pil({static_cast<u8*>(x.raw()), static_cast<u8*>(y.raw()), h, w, c, oh, ow});
  const Tensor result = to(y, {});
  return {result.data<u8>(), result.data<u8>() + result.numel()};
}

}  // namespace

TEST_CASE("resize_pil is equal to Pillow in every bit, on any number of threads") {
  for (const int n : {1, 3}) {
    set_threads(n);
    for (const PilCase& p : kPil) {
      if (kDevice.type == Device::Type::simt && p.h * p.w + p.oh * p.ow > 100000) continue;  // takes too long
      CAPTURE(p.h);
      CAPTURE(p.w);
      CAPTURE(p.oh);
      CAPTURE(p.ow);
      CHECK(fnv(resize(pattern(p.h, p.w, p.c), p.h, p.w, p.c, p.oh, p.ow)) == p.checksum);
    }
  }
  set_threads(0);
}

TEST_CASE("resize_pil keeps a constant image, the same size, and the mean of two pixels") {
  CHECK(resize(std::vector<u8>(90, 255), 10, 3, 3, 37, 41) == std::vector<u8>(37 * 41 * 3, 255));
  const auto x = pattern(21, 34, 3);
  CHECK(resize(x, 21, 34, 3, 21, 34) == x);
  CHECK(resize({10, 21}, 1, 2, 1, 1, 1) == std::vector<u8>{16});  // 15.5 rounds up
}

TEST_CASE("normalize_pad subtracts, divides, and pads with zeros") {
  const i64 h = 5, w = 43, oh = 7, ow = 50;
  const float mean[3] = {123.675f, 116.28f, 103.53f}, deviation[3] = {58.395f, 57.12f, 57.375f};
  const auto x = pattern(h, w, 3);
  const Tensor pixels = on_device(x);
  const Tensor wide = full({oh * ow * 3}, -9, DType::f32, kDevice);
  const Tensor narrow = full({oh * ow * 3}, -9, DType::bf16, kDevice);
  k::NormalizePad job{static_cast<u8*>(pixels.raw()), wide.raw(), h, w, oh, ow, {}, {}, DType::f32};
  std::memcpy(job.mean, mean, sizeof mean);
  std::memcpy(job.std, deviation, sizeof deviation);
  kernels(kDevice).normalize_pad(job);
  job.y = narrow.raw();
  job.dtype = DType::bf16;
  kernels(kDevice).normalize_pad(job);
  const std::vector<float> y = wide.values(), y16 = narrow.values();
  for (i64 i = 0; i < oh; ++i)
    for (i64 j = 0; j < ow; ++j)
      for (i64 c = 0; c < 3; ++c) {
        volatile float centred = i < h && j < w ? static_cast<float>(x[(i * w + j) * 3 + c]) - mean[c] : 0.0f;
        const float expected = centred / deviation[c];
        REQUIRE(y[(i * ow + j) * 3 + c] == expected);
        REQUIRE(y16[(i * ow + j) * 3 + c] == to_f32(to_bf16(expected)));
      }
}
