// 1. The definition, channel by channel as one would draw it: a plane, a 3x3 window, nine products.
//
// Maps are stored channels last, so neighbours of a plane lie c numbers apart: each load touches a cache line
// of its own and uses one of its 16 floats. Until the walk comes back for the next channel, a plane's lines
// (200 KB at 56 x 56) have left the first-level cache, so nine loads an output come from the second, one
// number each.
#include "kernels/ladders/cpu/activation.h"
#include "kernels/ladders/cpu/depthwise/rungs.h"

namespace bp::cpu::ladder {
namespace {

template <class T>
void convolve(const k::Depthwise& p) {
  const T *x = static_cast<const T*>(p.x), *weight = static_cast<const T*>(p.weight);
  const T* const bias = static_cast<const T*>(p.bias);
  const i64 oh = depthwise_out(p.h, p.stride), ow = depthwise_out(p.w, p.stride);
  for (i64 image = 0; image < p.n; ++image)
    for (i64 c = 0; c < p.c; ++c)
      for (i64 oy = 0; oy < oh; ++oy)
        for (i64 ox = 0; ox < ow; ++ox) {
          float sum = bias ? to_f32(bias[c]) : 0;
          for (i64 ky = 0; ky < 3; ++ky)
            for (i64 kx = 0; kx < 3; ++kx) {
              const i64 iy = oy * p.stride + ky - 1, ix = ox * p.stride + kx - 1;
              if (iy < 0 || iy >= p.h || ix < 0 || ix >= p.w) continue;
              sum += to_f32(x[((image * p.h + iy) * p.w + ix) * p.c + c]) *
                     to_f32(weight[(ky * 3 + kx) * p.c + c]);
            }
          static_cast<T*>(p.y)[((image * oh + oy) * ow + ox) * p.c + c] = from_f32<T>(activate(p.act, sum));
        }
}

}  // namespace

void depthwise_naive(const k::Depthwise& p) {
  p.dtype == DType::bf16 ? convolve<bf16>(p) : convolve<float>(p);
}

}  // namespace bp::cpu::ladder
