// 2. Channels in the inner loop.
//
// As in the forward: every loop runs over c neighbours, every cache line is used whole, the compiler makes
// vectors of 4, and dweight's 9 c sums are independent of each other. Expected: 5 to 20 times. The sums live
// in the first-level cache: a load and a store for every multiply-add.
#include "kernels/ladders/cpu/depthwise/chunks.h"
#include "kernels/ladders/cpu/depthwise/rungs.h"

namespace bp::cpu::ladder {
namespace {

template <class T>
void add_products(const T* a, const T* b, i64 c, float* sums) {
  for (i64 i = 0; i < c; ++i) sums[i] += to_f32(a[i]) * to_f32(b[i]);
}

// Calls body(tap, output) for the taps through which input (iy, ix) is seen; output is its dy.
template <class T, class Body>
void each_tap(const k::DepthwiseBackward& p, i64 image, i64 iy, i64 ix, const Body& body) {
  const i64 oh = depthwise_out(p.h, p.stride), ow = depthwise_out(p.w, p.stride);
  for (i64 ky = 0; ky < 3; ++ky)
    for (i64 kx = 0; kx < 3; ++kx) {
      const i64 y = iy + 1 - ky, x = ix + 1 - kx;
      if (y < 0 || x < 0 || y % p.stride != 0 || x % p.stride != 0) continue;
      const i64 oy = y / p.stride, ox = x / p.stride;
      if (oy < oh && ox < ow)
        body(ky * 3 + kx, static_cast<const T*>(p.dy) + ((image * oh + oy) * ow + ox) * p.c);
    }
}

template <class T>
void gradients(const k::DepthwiseBackward& p) {
  float* const input = scratch<float>(1, p.c);
  in_chunks(p, false, [&](i64 begin, i64 end, float* sums) {
    for (i64 pixel = begin * p.w; pixel < end * p.w; ++pixel) {
      const i64 ix = pixel % p.w, iy = pixel / p.w % p.h, image = pixel / p.w / p.h;
      const T* const x = static_cast<const T*>(p.x) + pixel * p.c;
      if (p.dx) {
        std::fill(input, input + p.c, 0.0f);
        each_tap<T>(p, image, iy, ix, [&](i64 tap, const T* dy) {
          add_products(dy, static_cast<const T*>(p.weight) + tap * p.c, p.c, input);
        });
        T* const dx = static_cast<T*>(p.dx) + pixel * p.c;
        for (i64 i = 0; i < p.c; ++i) dx[i] = from_f32<T>(input[i]);
      }
      if (p.dweight)
        each_tap<T>(p, image, iy, ix,
                    [&](i64 tap, const T* dy) { add_products(x, dy, p.c, sums + tap * p.c); });
    }
  });
}

}  // namespace

void depthwise_backward_channels(const k::DepthwiseBackward& p) {
  p.dtype == DType::bf16 ? gradients<bf16>(p) : gradients<float>(p);
}

}  // namespace bp::cpu::ladder
