// 2. Channels in the inner loop: everything runs along memory.
//
// An output pixel's sums, c of them, collect nine taps; each tap is two rows of c neighbours, which the
// compiler turns into vectors of 4. Every cache line is used whole, and a map's rows are still in a cache for
// the next two rows of outputs: it is moved once. Expected: 5 to 20 times. What limits now is the first-level
// cache: three loads and a store for each multiply-add, because the sums live there.
#include <algorithm>

#include "kernels/threads.h"

#include "kernels/ladders/cpu/activation.h"
#include "kernels/ladders/cpu/depthwise/rungs.h"

namespace bp::cpu::ladder {
namespace {

template <class T>
void add_tap(const T* x, const T* weight, i64 c, float* sums) {
  for (i64 i = 0; i < c; ++i) sums[i] += to_f32(x[i]) * to_f32(weight[i]);
}

template <class T>
void convolve(const k::Depthwise& p) {
  const T *x = static_cast<const T*>(p.x), *weight = static_cast<const T*>(p.weight);
  const T* const bias = static_cast<const T*>(p.bias);
  T* y = static_cast<T*>(p.y);
  const i64 oh = depthwise_out(p.h, p.stride), ow = depthwise_out(p.w, p.stride);
  float* const sums = scratch<float>(0, p.c);
  for (i64 row = 0; row < p.n * oh; ++row)
    for (i64 ox = 0; ox < ow; ++ox, y += p.c) {
      for (i64 i = 0; i < p.c; ++i) sums[i] = bias ? to_f32(bias[i]) : 0;
      for (i64 ky = 0; ky < 3; ++ky)
        for (i64 kx = 0; kx < 3; ++kx) {
          const i64 iy = row % oh * p.stride + ky - 1, ix = ox * p.stride + kx - 1;
          if (iy < 0 || iy >= p.h || ix < 0 || ix >= p.w) continue;
          add_tap(x + ((row / oh * p.h + iy) * p.w + ix) * p.c, weight + (ky * 3 + kx) * p.c, p.c, sums);
        }
      for (i64 i = 0; i < p.c; ++i) y[i] = from_f32<T>(activate(p.act, sums[i]));
    }
}

}  // namespace

void depthwise_channels(const k::Depthwise& p) {
  p.dtype == DType::bf16 ? convolve<bf16>(p) : convolve<float>(p);
}

}  // namespace bp::cpu::ladder
