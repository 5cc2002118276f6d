// Against rung 3: a lane loads 16 bytes at once and keeps them. The row crosses the wires from L1 once
// instead of three times, and a row of 768 bf16 is 3 loads a lane instead of 72; all of them are under way
// before the first sum, 1.5 KB a warp. Both sums and the outputs come from registers. What is left above the
// floor: w and b are read again for each row (3 KB of L1 reads for a row of 1.5 KB), and a warp that adds up
// loads nothing.
#include "kernels/ladders/cuda/layer_norm/held.h"
#include "kernels/ladders/cuda/layer_norm/rungs.h"

namespace bp::cuda {
namespace {

using namespace memory_ladder;

constexpr int kThreads = 256, kRows = kThreads / kWarpSize;

template <class T, int Packs>
__global__ void __launch_bounds__(kThreads) row_in_registers(LayerNorm a) {
  constexpr int N = kPackOf<T>;
  const i64 row = i64{blockIdx.x} * kRows + threadIdx.x / kWarpSize;
  if (row >= a.rows) return;  // the whole warp
  const int lane = static_cast<int>(threadIdx.x % kWarpSize), cols = static_cast<int>(a.cols);
  const float share = 1 / static_cast<float>(cols);
  // f(p, column) for the packs of this lane that lie in the row
  const auto each_pack = [&](auto f) {
#pragma unroll
    for (int p = 0; p < Packs; ++p)
      if (const int column = (p * kWarpSize + lane) * N; column < cols) f(p, column);
  };

  float v[Packs][N];
  each_pack([&](int p, int column) { load_floats(static_cast<const T*>(a.x) + row * cols + column, v[p]); });
  float sum = 0, square = 0;
  each_pack([&](int p, int) {
#pragma unroll
    for (int i = 0; i < N; ++i) sum += v[p][i];
  });
  const float mean = share * warp_sum(sum);
  each_pack([&](int p, int) {
#pragma unroll
    for (int i = 0; i < N; ++i) square += (v[p][i] - mean) * (v[p][i] - mean);
  });
  const float rstd = 1 / sqrtf(share * warp_sum(square) + a.eps);
  each_pack([&](int p, int column) {
    float w[N], b[N];
    load_floats(static_cast<const T*>(a.w) + column, w);
    load_floats(static_cast<const T*>(a.b) + column, b);
#pragma unroll
    for (int i = 0; i < N; ++i) v[p][i] = (v[p][i] - mean) * rstd * w[i] + b[i];
    store_floats(static_cast<T*>(a.y) + row * cols + column, v[p]);
  });
  if (a.stats && lane == 0) {
    a.stats[2 * row] = mean;
    a.stats[2 * row + 1] = rstd;
  }
}

}  // namespace

bool layer_norm_holds_row(const LayerNorm& a) {
  const i64 pack = a.dtype == DType::f32 ? kPackOf<float> : kPackOf<bf16>;
  return a.cols % pack == 0 && a.cols <= kMostHeld && aligned(16, a.x, a.w, a.b, a.y);
}

void layer_norm_4_registers(const LayerNorm& a) {
  with_type(a.dtype, [&](auto element) {
    using T = decltype(element);
    with_held<T>(a.cols, [&](auto packs) {
      launch(row_in_registers<T, packs()>, blocks_for(a.rows, kRows), kThreads, 0, a);
    });
  });
}

}  // namespace bp::cuda
