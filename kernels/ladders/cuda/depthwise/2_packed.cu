// Against rung 1: a thread owns 16 bytes of channels, 8 in bf16 and 4 in f32. The same bytes are asked for
// with an eighth or a quarter of the load instructions, and the divisions are shared by as many outputs; a
// warp's load is 512 bytes in one piece. That should gain most of 8 (4). Each output still costs 9 loads of
// inputs and 9 of weights from L1, and each of these a conversion in bf16: 72 products, 144 conversions.
#include "kernels/ladders/cuda/depthwise/rungs.h"
#include "kernels/ladders/cuda/memory.h"

namespace bp::cuda {
namespace {

using namespace memory_ladder;

constexpr int kThreads = 256;

template <class T>
__global__ void __launch_bounds__(kThreads) pack_of_a_thread(Depthwise p, i64 oh, i64 ow) {
  constexpr int N = kPackOf<T>;
  const i64 thread = i64{blockIdx.x} * kThreads + threadIdx.x, packs = p.c / N;
  if (thread >= p.n * oh * ow * packs) return;
  const i64 channel = thread % packs * N, ox = thread / packs % ow, oy = thread / packs / ow % oh,
            image = thread / packs / ow / oh;
  const T *x = static_cast<const T*>(p.x) + image * p.h * p.w * p.c + channel,
          *weight = static_cast<const T*>(p.weight) + channel;

  float sum[N] = {};
  if (p.bias) load_floats(static_cast<const T*>(p.bias) + channel, sum);
#pragma unroll
  for (int ky = 0; ky < 3; ++ky)
#pragma unroll
    for (int kx = 0; kx < 3; ++kx) {
      const i64 iy = oy * p.stride + ky - 1, ix = ox * p.stride + kx - 1;
      if (iy < 0 || iy >= p.h || ix < 0 || ix >= p.w) continue;
      float in[N], w[N];
      load_floats(x + (iy * p.w + ix) * p.c, in);
      load_floats(weight + (ky * 3 + kx) * p.c, w);
#pragma unroll
      for (int i = 0; i < N; ++i) sum[i] += in[i] * w[i];
    }
#pragma unroll
  for (int i = 0; i < N; ++i) sum[i] = activated(p.act, sum[i]);
  store_floats(static_cast<T*>(p.y) + thread * N, sum);
}

}  // namespace

void depthwise_2_packed(const Depthwise& p) {
  const i64 oh = (p.h - 1) / p.stride + 1, ow = (p.w - 1) / p.stride + 1;
  with_type(p.dtype, [&](auto element) {
    using T = decltype(element);
    launch(pack_of_a_thread<T>, blocks_for(p.n * oh * ow * (p.c / kPackOf<T>), kThreads), kThreads, 0, p, oh,
           ow);
  });
}

}  // namespace bp::cuda
