// The sums as they are written: a thread per element of dx gathers from up to nine outputs; a thread per
// element of dweight, 9 c of them, walks over all pixels. Floor: x and dy read and dx written once. For the
// weight a GPU is all but empty: 256 channels are 2304 threads, 72 warps, which load x and dy for one pixel
// after another, 200704 pixels for 64 images of 56 x 56: tens of milliseconds, some 500 times the floor.
#include "kernels/ladders/cuda/depthwise/rungs.h"
#include "kernels/ladders/cuda/memory.h"

namespace bp::cuda {
namespace {

using namespace memory_ladder;

constexpr int kThreads = 256;

template <class T>
__global__ void __launch_bounds__(kThreads) gather_inputs(DepthwiseBackward p, i64 oh, i64 ow) {
  const i64 input = i64{blockIdx.x} * kThreads + threadIdx.x;
  if (input >= p.n * p.h * p.w * p.c) return;
  const i64 channel = input % p.c, ix = input / p.c % p.w, iy = input / p.c / p.w % p.h,
            image = input / p.c / p.w / p.h;
  const T *dy = static_cast<const T*>(p.dy) + image * oh * ow * p.c + channel,
          *weight = static_cast<const T*>(p.weight) + channel;
  float sum = 0;
  for (int ky = 0; ky < 3; ++ky)
    for (int kx = 0; kx < 3; ++kx) {  // input = output * stride + k - 1
      const i64 y = iy + 1 - ky, x = ix + 1 - kx;
      if (y < 0 || x < 0 || y % p.stride != 0 || x % p.stride != 0) continue;
      const i64 oy = y / p.stride, ox = x / p.stride;
      if (oy < oh && ox < ow)
        sum += load_f32(dy[(oy * ow + ox) * p.c]) * load_f32(weight[(ky * 3 + kx) * p.c]);
    }
  static_cast<T*>(p.dx)[input] = store_as<T>(sum);
}

template <class T>
__global__ void __launch_bounds__(kThreads) walk_over_pixels(DepthwiseBackward p, i64 oh, i64 ow) {
  const i64 element = i64{blockIdx.x} * kThreads + threadIdx.x;
  if (element >= 9 * p.c) return;
  const i64 channel = element % p.c, tap = element / p.c, ky = tap / 3, kx = tap % 3;
  const T *x = static_cast<const T*>(p.x) + channel, *dy = static_cast<const T*>(p.dy) + channel;
  float sum = 0;
  for (i64 row = 0; row < p.n * oh; ++row) {
    const i64 iy = row % oh * p.stride + ky - 1;
    if (iy < 0 || iy >= p.h) continue;
    float of_row = 0;  // a single sum of millions would lose digits
    for (i64 ox = 0; ox < ow; ++ox) {
      const i64 ix = ox * p.stride + kx - 1;
      if (ix >= 0 && ix < p.w)
        of_row += load_f32(x[((row / oh * p.h + iy) * p.w + ix) * p.c]) * load_f32(dy[(row * ow + ox) * p.c]);
    }
    sum += of_row;
  }
  static_cast<T*>(p.dweight)[element] = store_as<T>(sum);
}

}  // namespace

void depthwise_backward_1_naive(const DepthwiseBackward& p) {
  const i64 oh = (p.h - 1) / p.stride + 1, ow = (p.w - 1) / p.stride + 1;
  with_type(p.dtype, [&](auto element) {
    using T = decltype(element);
    if (p.dx) launch(gather_inputs<T>, blocks_for(p.n * p.h * p.w * p.c, kThreads), kThreads, 0, p, oh, ow);
    if (p.dweight) launch(walk_over_pixels<T>, blocks_for(9 * p.c, kThreads), kThreads, 0, p, oh, ow);
  });
}

}  // namespace bp::cuda
