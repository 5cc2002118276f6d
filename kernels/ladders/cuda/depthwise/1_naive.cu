// A thread per output element, channels innermost, so that a warp reads 32 neighbouring channels of a pixel.
// Floor: x read and y written once. Here each input is loaded nine times (2.25 times at stride 2), by nine
// threads in three rows; what the L1 cache misses of that, L2 serves. But finding row, column and channel by
// divisions of 64 bits takes hundreds of instructions for nine products: that should be most of the time.
#include "kernels/ladders/cuda/depthwise/rungs.h"
#include "kernels/ladders/cuda/memory.h"

namespace bp::cuda {
namespace {

using namespace memory_ladder;

constexpr int kThreads = 256;

template <class T>
__global__ void __launch_bounds__(kThreads) output_of_a_thread(Depthwise p, i64 oh, i64 ow) {
  const i64 output = i64{blockIdx.x} * kThreads + threadIdx.x;
  if (output >= p.n * oh * ow * p.c) return;
  const i64 channel = output % p.c, ox = output / p.c % ow, oy = output / p.c / ow % oh,
            image = output / p.c / ow / oh;
  const T *x = static_cast<const T*>(p.x) + image * p.h * p.w * p.c + channel,
          *weight = static_cast<const T*>(p.weight) + channel;

  float sum = p.bias ? load_f32(static_cast<const T*>(p.bias)[channel]) : 0.0f;
  for (int ky = 0; ky < 3; ++ky)
    for (int kx = 0; kx < 3; ++kx) {
      const i64 iy = oy * p.stride + ky - 1, ix = ox * p.stride + kx - 1;
      if (iy < 0 || iy >= p.h || ix < 0 || ix >= p.w) continue;
      sum += load_f32(x[(iy * p.w + ix) * p.c]) * load_f32(weight[(ky * 3 + kx) * p.c]);
    }
  static_cast<T*>(p.y)[output] = store_as<T>(activated(p.act, sum));
}

}  // namespace

void depthwise_1_naive(const Depthwise& p) {
  const i64 oh = (p.h - 1) / p.stride + 1, ow = (p.w - 1) / p.stride + 1;
  with_type(p.dtype, [&](auto element) {
    launch(output_of_a_thread<decltype(element)>, blocks_for(p.n * oh * ow * p.c, kThreads), kThreads, 0, p,
           oh, ow);
  });
}

}  // namespace bp::cuda
