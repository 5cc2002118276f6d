// Against rung 1: the weight's gradient is cut into pieces of the image. A thread owns four channels and all
// nine taps (36 sums in registers), the eight warps of a block walk over different outputs, and as many
// blocks as the GPU holds have a piece each: some hundred times more threads, and nine products for each dy
// that is read. Blocks leave partial sums, 9 c floats each (9 KB at 256 channels), which a second kernel adds
// in order: no atomics, so the same bits every time. dx is gathered as before, four channels a thread.
#include "kernels/ladders/cuda/depthwise/rungs.h"
#include "kernels/ladders/cuda/depthwise/weight_sums.h"

namespace bp::cuda {
namespace {

using namespace memory_ladder;

constexpr int kThreads = 256, N = 4;

template <class T, int Stride>
__global__ void __launch_bounds__(kThreads) gather_packs(DepthwiseBackward p, i64 oh, i64 ow) {
  const i64 thread = i64{blockIdx.x} * kThreads + threadIdx.x, packs = p.c / N;
  if (thread >= p.n * p.h * p.w * packs) return;
  const i64 channel = thread % packs * N, ix = thread / packs % p.w, iy = thread / packs / p.w % p.h,
            image = thread / packs / p.w / p.h;
  const T *dy = static_cast<const T*>(p.dy) + image * oh * ow * p.c + channel,
          *weight = static_cast<const T*>(p.weight) + channel;
  float sum[N] = {};
#pragma unroll
  for (int ky = 0; ky < 3; ++ky)
#pragma unroll
    for (int kx = 0; kx < 3; ++kx) {
      const i64 y = iy + 1 - ky, x = ix + 1 - kx;
      if (y < 0 || x < 0 || y % Stride != 0 || x % Stride != 0) continue;
      const i64 oy = y / Stride, ox = x / Stride;
      if (oy >= oh || ox >= ow) continue;
      float d[N], w[N];
      load_floats(dy + (oy * ow + ox) * p.c, d);
      load_floats(weight + (ky * 3 + kx) * p.c, w);
#pragma unroll
      for (int i = 0; i < N; ++i) sum[i] += d[i] * w[i];
    }
  store_floats(static_cast<T*>(p.dx) + thread * N, sum);
}

template <class T, int Stride>
__global__ void __launch_bounds__(kSumThreads)
    sum_pieces(DepthwiseBackward p, i64 oh, i64 ow, float* partial) {
  BP_SHARED(float, shared, kSumThreads);
  const i64 channel = (i64{blockIdx.x} * kSide + threadIdx.x % kSide) * N;
  const i64 outputs = channel < p.c ? p.n * oh * ow : 0, step = i64{gridDim.y} * kDeep;
  float sum[9][N] = {};
  for (i64 output = blockIdx.y * i64{kDeep} + threadIdx.x / kSide; output < outputs; output += step) {
    const i64 ox = output % ow, oy = output / ow % oh, image = output / ow / oh;
    const T* x = static_cast<const T*>(p.x) + image * p.h * p.w * p.c + channel;
    float d[N];
    load_floats(static_cast<const T*>(p.dy) + output * p.c + channel, d);
#pragma unroll
    for (int ky = 0; ky < 3; ++ky)
#pragma unroll
      for (int kx = 0; kx < 3; ++kx) {
        const i64 iy = oy * Stride + ky - 1, ix = ox * Stride + kx - 1;
        if (iy < 0 || iy >= p.h || ix < 0 || ix >= p.w) continue;
        float in[N];
        load_floats(x + (iy * p.w + ix) * p.c, in);
#pragma unroll
        for (int i = 0; i < N; ++i) sum[ky * 3 + kx][i] += in[i] * d[i];
      }
  }
  store_partial(sum, shared, partial, blockIdx.y, channel, p.c);
}

template <class T, int Stride>
void run(const DepthwiseBackward& p) {
  const i64 oh = (p.h - 1) / Stride + 1, ow = (p.w - 1) / Stride + 1;
  if (p.dx)
    launch(gather_packs<T, Stride>, blocks_for(p.n * p.h * p.w * (p.c / N), kThreads), kThreads, 0, p, oh,
           ow);
  if (!p.dweight) return;
  const dim3 grid = grid_of_sums<N>(p.n * oh * ow, p.c);
  auto* partial = workspace<float>(kPartialsSlot, i64{grid.y} * 9 * p.c);
  launch(sum_pieces<T, Stride>, grid, kSumThreads, 0, p, oh, ow, partial);
  launch(add_partials<T>, blocks_for(9 * p.c, kSumThreads), kSumThreads, 0, partial, i64{grid.y}, 9 * p.c,
         static_cast<T*>(p.dweight));
}

}  // namespace

void depthwise_backward_2_partial_sums(const DepthwiseBackward& p) {
  with_type(p.dtype, [&](auto element) {
    using T = decltype(element);
    p.stride == 1 ? run<T, 1>(p) : run<T, 2>(p);
  });
}

}  // namespace bp::cuda
