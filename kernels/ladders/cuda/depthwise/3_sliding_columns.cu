// Against rung 2: a thread walks along 16 outputs of a row and keeps three columns of inputs in registers, so
// a column is loaded and converted once and not three times: 3 x 18 loads for 16 outputs instead of 9 x 16,
// 3.4 for each (6.2 instead of 9 at stride 2). Weights and divisions are paid once a thread. It owns four
// channels rather than eight, as the weights alone are 36 registers then. Rows are still read three times, by
// threads of different blocks, and there are few warps (at 160 registers 12 of 64) to hide latency.
#include "kernels/ladders/cuda/depthwise/rungs.h"
#include "kernels/ladders/cuda/depthwise/slide.h"

namespace bp::cuda {
namespace {

using namespace memory_ladder;

constexpr int kThreads = 128, kStrip = 16, N = 4;

template <class T, int Stride>
__global__ void __launch_bounds__(kThreads) strip_of_a_thread(Depthwise p, i64 oh, i64 ow, i64 strips) {
  const i64 thread = i64{blockIdx.x} * kThreads + threadIdx.x, packs = p.c / N;
  if (thread >= p.n * oh * strips * packs) return;
  const i64 channel = thread % packs * N, begin = thread / packs % strips * kStrip,
            row = thread / packs / strips, oy = row % oh;
  const i64 iy = oy * Stride - 1, ix = begin * Stride - 1,
            down = p.w * p.c;  // of the first input; to its row's next
  const T* x = static_cast<const T*>(p.x) + ((row / oh * p.h + iy) * p.w + ix) * p.c + channel;
  T* y = static_cast<T*>(p.y) + (row * ow + begin) * p.c + channel;

  Taps<N> taps;
  load_taps<N, T>(taps, p, channel);
  const bool inside[3] = {iy >= 0, true, iy + 2 < p.h};
  const auto load = [&](int j, float(&column)[3][N]) {
#pragma unroll
    for (int r = 0; r < 3; ++r) {
      if (inside[r] && ix + j >= 0 && ix + j < p.w) {
        load_floats(x + j * p.c + r * down, column[r]);
      } else {
#pragma unroll
        for (int i = 0; i < N; ++i) column[r][i] = 0;
      }
    }
  };
  const int count = static_cast<int>(ow - begin < kStrip ? ow - begin : i64{kStrip});
  slide<Stride>(count, taps, p.act, load,
                [&](int s, const float(&values)[N]) { store_floats(y + s * p.c, values); });
}

}  // namespace

void depthwise_3_sliding_columns(const Depthwise& p) {
  const i64 oh = (p.h - 1) / p.stride + 1, ow = (p.w - 1) / p.stride + 1, strips = ceil_div(ow, kStrip);
  const unsigned blocks = blocks_for(p.n * oh * strips * (p.c / N), kThreads);
  with_type(p.dtype, [&](auto element) {
    using T = decltype(element);
    launch(p.stride == 1 ? strip_of_a_thread<T, 1> : strip_of_a_thread<T, 2>, blocks, kThreads, 0, p, oh, ow,
           strips);
  });
}

}  // namespace bp::cuda
