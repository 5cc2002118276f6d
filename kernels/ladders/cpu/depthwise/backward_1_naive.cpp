// 1. The definition of both gradients, channel by channel.
//
// dx: each input collects the outputs that saw it; dweight: each of the 9 c weights is a sum over all pixels.
// Both walk planes whose neighbours lie c numbers apart, and dweight's sums wait for one addition after
// another, nine walks over x and dy in all. One thread.
#include "kernels/ladders/cpu/depthwise/rungs.h"

namespace bp::cpu::ladder {
namespace {

// Where input (iy, ix) is seen through tap (ky, kx): the output's index in its image, or -1.
i64 seen_by(const k::DepthwiseBackward& p, i64 iy, i64 ix, i64 ky, i64 kx) {
  const i64 oh = depthwise_out(p.h, p.stride), ow = depthwise_out(p.w, p.stride);
  const i64 y = iy + 1 - ky, x = ix + 1 - kx;
  if (y < 0 || x < 0 || y % p.stride != 0 || x % p.stride != 0) return -1;
  return y / p.stride < oh && x / p.stride < ow ? y / p.stride * ow + x / p.stride : -1;
}

template <class T>
void gradients(const k::DepthwiseBackward& p) {
  const T *x = static_cast<const T*>(p.x), *dy = static_cast<const T*>(p.dy),
          *weight = static_cast<const T*>(p.weight);
  const i64 outputs = depthwise_out(p.h, p.stride) * depthwise_out(p.w, p.stride);
  // Calls body(input, output) for all pairs that a tap connects, both as indices of pixels.
  const auto each_pair = [&](i64 image, i64 iy, i64 ix, i64 ky, i64 kx, const auto& body) {
    const i64 output = seen_by(p, iy, ix, ky, kx);
    if (output >= 0) body((image * p.h + iy) * p.w + ix, image * outputs + output);
  };
  for (i64 c = 0; c < p.c; ++c) {
    if (p.dx)
      for (i64 image = 0; image < p.n; ++image)
        for (i64 iy = 0; iy < p.h; ++iy)
          for (i64 ix = 0; ix < p.w; ++ix) {
            float sum = 0;
            for (i64 tap = 0; tap < 9; ++tap)
              each_pair(image, iy, ix, tap / 3, tap % 3, [&](i64, i64 output) {
                sum += to_f32(dy[output * p.c + c]) * to_f32(weight[tap * p.c + c]);
              });
            static_cast<T*>(p.dx)[((image * p.h + iy) * p.w + ix) * p.c + c] = from_f32<T>(sum);
          }
    for (i64 tap = 0; p.dweight && tap < 9; ++tap) {
      float total = 0;
      for (i64 row = 0; row < p.n * p.h; ++row) {
        float sum = 0;  // of a row: a single sum over all pixels would lose digits
        for (i64 ix = 0; ix < p.w; ++ix)
          each_pair(row / p.h, row % p.h, ix, tap / 3, tap % 3, [&](i64 input, i64 output) {
            sum += to_f32(x[input * p.c + c]) * to_f32(dy[output * p.c + c]);
          });
        total += sum;
      }
      static_cast<T*>(p.dweight)[tap * p.c + c] = from_f32<T>(total);
    }
  }
}

}  // namespace

void depthwise_backward_naive(const k::DepthwiseBackward& p) {
  p.dtype == DType::bf16 ? gradients<bf16>(p) : gradients<float>(p);
}

}  // namespace bp::cpu::ladder
