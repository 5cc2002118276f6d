// Against rung 2: one walk for both gradients. The outputs that dx needs at an input are those whose products
// with that input dweight needs, so a thread that walks along a row of inputs with its window of dy in
// registers (3 x 3; at stride 2, 2 x 2 for a square of four inputs) loads x once and each column of dy once:
// 4.4 loads an input instead of 19, and 3 tensors from and to memory instead of 4, as dy is read for both at
// once. The price: 36 sums and 36 values of the window leave few warps resident, so the weights wait in
// shared memory, where a lane reads its four channels as one pack.
#include "kernels/ladders/cuda/depthwise/rungs.h"
#include "kernels/ladders/cuda/depthwise/weight_sums.h"

namespace bp::cuda {
namespace {

using namespace memory_ladder;

constexpr int N = 4, kStrip = 16;  // channels of a thread, and steps along a row

// At step (a, b) a thread has the inputs (S a + r, S b + q), r, q < S. Input row S a + r meets output row o
// at tap ky where S o + ky - 1 = S a + r: the outputs a + kFirst to a + kFirst + kWindow - 1, for some ky.
template <class T, int S>
__global__ void __launch_bounds__(kSumThreads, 2)
    both_gradients(DepthwiseBackward p, i64 oh, i64 ow, i64 strips, float* partial) {
  constexpr int kWindow = S == 1 ? 3 : 2, kFirst = S == 1 ? -1 : 0;
  BP_SHARED(float, shared, kSumThreads);
  BP_SHARED(float, weights, 9 * kSide * N);  // [tap][side][N]
  const i64 channel = (i64{blockIdx.x} * kSide + threadIdx.x % kSide) * N;
  const i64 items = channel < p.c ? p.n * oh * strips : 0, step = i64{gridDim.y} * kDeep;
  const float* const weight = weights + threadIdx.x % kSide * N;
  for (int tap = static_cast<int>(threadIdx.x) / kSide; tap < 9 && channel < p.c; tap += kDeep) {
    float w[N];
    load_floats(static_cast<const T*>(p.weight) + tap * p.c + channel, w);
    store_floats(weights + (tap * kSide + threadIdx.x % kSide) * N, w);
  }
  __syncthreads();

  float sum[9][N] = {};
  for (i64 item = blockIdx.y * i64{kDeep} + threadIdx.x / kSide; item < items; item += step) {
    const i64 begin = item % strips * kStrip, row = item / strips, a = row % oh, image = row / oh;
    const int count = static_cast<int>(ow - begin < kStrip ? ow - begin : i64{kStrip});
    const T* dy = static_cast<const T*>(p.dy) + ((row + kFirst) * ow + begin + kFirst) * p.c + channel;
    const i64 first = ((image * p.h + S * a) * p.w + S * begin) * p.c + channel;
    const T* x = static_cast<const T*>(p.x) + first;
    T* dx = static_cast<T*>(p.dx) + first;

    float d[kWindow][kWindow][N];  // [slot of the column][row]; a column stays in its slot
    const auto load_column = [&](int j, float(&column)[kWindow][N]) {
      const i64 ox = begin + kFirst + j;
#pragma unroll
      for (int r = 0; r < kWindow; ++r) {
        const i64 oy = a + kFirst + r;
        if (ox >= 0 && ox < ow && oy >= 0 && oy < oh) {
          load_floats(dy + (r * ow + j) * p.c, column[r]);
        } else {
#pragma unroll
          for (int i = 0; i < N; ++i) column[r][i] = 0;
        }
      }
    };
#pragma unroll
    for (int j = 0; j < kWindow - 1; ++j) load_column(j, d[j]);
    for (int from = 0; from < count; from += kWindow) {
#pragma unroll
      for (int s = 0; s < kWindow; ++s) {
        if (from + s >= count) break;
        load_column(from + s + kWindow - 1, d[(s + kWindow - 1) % kWindow]);
#pragma unroll
        for (int r = 0; r < S; ++r)
#pragma unroll
          for (int q = 0; q < S; ++q) {
            if (S * a + r >= p.h || S * (begin + from + s) + q >= p.w) continue;
            const i64 at = (r * p.w + S * (from + s) + q) * p.c;
            float in[N], gradient[N] = {};
            load_floats(x + at, in);
#pragma unroll
            for (int ky = 0; ky < 3; ++ky)
#pragma unroll
              for (int kx = 0; kx < 3; ++kx) {
                if ((r + 1 - ky) % S != 0 || (q + 1 - kx) % S != 0) continue;
                const auto& seen = d[((q + 1 - kx) / S - kFirst + s) % kWindow][(r + 1 - ky) / S - kFirst];
                float w[N];
                load_floats(weight + (ky * 3 + kx) * kSide * N, w);
#pragma unroll
                for (int i = 0; i < N; ++i) {
                  gradient[i] += seen[i] * w[i];
                  sum[ky * 3 + kx][i] += seen[i] * in[i];
                }
              }
            store_floats(dx + at, gradient);
          }
      }
    }
  }
  store_partial(sum, shared, partial, blockIdx.y, channel, p.c);
}

template <class T, int S>
void run(const DepthwiseBackward& p) {
  const i64 oh = (p.h - 1) / S + 1, ow = (p.w - 1) / S + 1, strips = ceil_div(ow, kStrip);
  const dim3 grid = grid_of_sums<N>(p.n * oh * strips, p.c);
  auto* partial = workspace<float>(kPartialsSlot, i64{grid.y} * 9 * p.c);
  launch(both_gradients<T, S>, grid, kSumThreads, 0, p, oh, ow, strips, partial);
  launch(add_partials<T>, blocks_for(9 * p.c, kSumThreads), kSumThreads, 0, partial, i64{grid.y}, 9 * p.c,
         static_cast<T*>(p.dweight));
}

}  // namespace

void depthwise_backward_3_fused(const DepthwiseBackward& p) {
  with_type(p.dtype, [&](auto element) {
    using T = decltype(element);
    p.stride == 1 ? run<T, 1>(p) : run<T, 2>(p);
  });
}

}  // namespace bp::cuda
