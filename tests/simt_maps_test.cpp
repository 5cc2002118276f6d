// Resizing and normalising of maps and images on the emulator against the CPU's kernels; the CPU's 8-bit
// resize is held to Pillow itself in resize_pil_test.cpp.
#include "tests/simt_arrays.h"

using namespace bp;
using namespace bp::testing;

namespace {

struct Map {
  i64 n, h, w, c, oh, ow, skip = 0;
};
const Map kMaps[] = {
    {2, 5, 7, 8, 10, 14},                             // twice as large
    {1, 4, 4, 1, 16, 16},                             // a mask
    {1, 16, 13, 3, 5, 4},    {2, 9, 8, 16, 4, 4},     // smaller, where some inputs are never read
    {1, 1, 1, 4, 5, 3},      {1, 6, 5, 2, 1, 1},      // one pixel
    {1, 3, 5, 24, 3, 5},                              // the same size
    {1, 7, 11, 12, 13, 17},  {1, 2, 300, 4, 3, 290},  // uneven steps, more columns than a block
    {2, 5, 7, 8, 10, 14, 1},                          // addresses that are not aligned
};

std::vector<u8> bytes(i64 n, unsigned seed) {
  std::vector<u8> x;
  for (const float v : numbers(n, seed)) x.push_back(static_cast<u8>(v * 128 + 128));
  return x;
}

// Bytes in memory of the device, at its end.
struct DeviceBytes {
  explicit DeviceBytes(std::size_t n)
      : block(simt::backend()->allocate(n), simt::backend()->release), data(static_cast<u8*>(block.get())) {}
  std::shared_ptr<void> block;
  u8* data;
};

}  // namespace

TEST_CASE("bilinear resize and its gradient") {
  const k::Kernels &kernels = simt::backend()->kernels, &host = cpu::kernels();
  for (const Map& p : kMaps)
    for (const DType dtype : {DType::f32, DType::bf16}) {
      CAPTURE(p.h);
      CAPTURE(p.w);
      CAPTURE(p.oh);
      CAPTURE(p.ow);
      CAPTURE(name_of(dtype));
      const Floats x = rounded(numbers(p.n * p.h * p.w * p.c, 1), dtype),
                   dy = rounded(numbers(p.n * p.oh * p.ow * p.c, 2), dtype);
      Floats y(dy.size()), dx(x.size());
      host.resize_bilinear({x.data(), y.data(), p.n, p.h, p.w, p.c, p.oh, p.ow, DType::f32});
      host.resize_bilinear_backward({dy.data(), dx.data(), p.n, p.h, p.w, p.c, p.oh, p.ow, DType::f32});
      const DeviceArray xs(x, dtype, p.skip), dys(dy, dtype, p.skip);
      in_orders([&] {
        const DeviceArray to_y(static_cast<i64>(y.size()), dtype, p.skip),
            to_dx(static_cast<i64>(x.size()), dtype, p.skip);
        kernels.resize_bilinear({xs.data(), to_y.data(), p.n, p.h, p.w, p.c, p.oh, p.ow, dtype});
        kernels.resize_bilinear_backward({dys.data(), to_dx.data(), p.n, p.h, p.w, p.c, p.oh, p.ow, dtype});
        CHECK(distance(to_y.values(), y, dtype) < 1);
        CHECK(distance(to_dx.values(), dx, dtype) < 1);
      });
    }
}

TEST_CASE("the 8-bit resize is equal to the CPU's in every bit") {
  struct Image {
    i64 h, w, c, oh, ow;
  };
  const Image images[] = {{40, 61, 3, 13, 29}, {17, 9, 1, 64, 100}, {33, 50, 4, 33, 50}, {8, 300, 2, 3, 7},
                          {1, 1, 3, 5, 9},     {70, 7, 3, 1, 1},    {3, 20, 3, 5, 301}};
  for (const Image& p : images) {
    CAPTURE(p.h);
    CAPTURE(p.w);
    CAPTURE(p.c);
    CAPTURE(p.oh);
    CAPTURE(p.ow);
    const std::vector<u8> x = bytes(p.h * p.w * p.c, 3);
    std::vector<u8> wanted(static_cast<std::size_t>(p.oh * p.ow * p.c));
    cpu::kernels().resize_pil({x.data(), wanted.data(), p.h, p.w, p.c, p.oh, p.ow});
    const DeviceBytes from(x.size()), to(wanted.size());
    std::copy(x.begin(), x.end(), from.data);
    in_orders([&] {
      std::fill_n(to.data, wanted.size(), u8{77});
      simt::backend()->kernels.resize_pil({from.data, to.data, p.h, p.w, p.c, p.oh, p.ow});
      CHECK(std::equal(wanted.begin(), wanted.end(), to.data));
    });
  }
}

TEST_CASE("images are normalised and padded as on the CPU, in every bit") {
  struct Image {
    i64 h, w, oh, ow, skip;
  };
  const Image images[] = {{5, 7, 8, 8, 0},   {3, 3, 3, 3, 0},   {4, 10, 9, 16, 0},
                          {4, 10, 4, 11, 0}, {1, 1, 2, 400, 0}, {5, 7, 8, 8, 1}};
  for (const Image& p : images)
    for (const DType dtype : {DType::f32, DType::bf16}) {
      CAPTURE(p.w);
      CAPTURE(p.ow);
      const std::vector<u8> x = bytes(p.h * p.w * 3, 4);
      const DeviceBytes from(x.size());
      std::copy(x.begin(), x.end(), from.data);
      const DeviceArray wanted(p.oh * p.ow * 3, dtype), to(p.oh * p.ow * 3, dtype, p.skip);
      k::NormalizePad a{x.data(),
                        wanted.data(),
                        p.h,
                        p.w,
                        p.oh,
                        p.ow,
                        {123.675f, 116.28f, 103.53f},
                        {58.395f, 57.12f, 57.375f},
                        dtype};
      cpu::kernels().normalize_pad(a);
      a.x = from.data;
      a.y = to.data();
      in_orders([&] {
        simt::backend()->kernels.normalize_pad(a);
        CHECK(to.values() == wanted.values());
      });
    }
}
