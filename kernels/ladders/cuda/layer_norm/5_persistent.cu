// Against rung 4: as many warps as fit at once stay for the whole call and take row after row. w and b are
// loaded once a warp and stay in registers, which saves two thirds of the reads from L1; and a warp asks for
// its next row before it adds up the one that it has, so that memory is not idle while sums are made. It pays
// where a warp gets many rows: of SAM-B's 4096 rows two for each warp of a large GPU, of eight images
// sixteen.
#include "kernels/ladders/cuda/layer_norm/held.h"
#include "kernels/ladders/cuda/layer_norm/rungs.h"

namespace bp::cuda {
namespace {

using namespace memory_ladder;

constexpr int kThreads = 256, kRows = kThreads / kWarpSize;

// Blocks that fit on a multiprocessor at once: a lane has four rows' packs in registers (x as floats, the
// next x, w and b).
template <class T, int Packs>
constexpr int kResident = Packs* kPackOf<T> <= 8    ? 4
                          : Packs* kPackOf<T> <= 12 ? 3
                          : Packs* kPackOf<T> <= 24 ? 2
                                                    : 1;

template <class T, int Packs>
__global__ void __launch_bounds__(kThreads, kResident<T, Packs>) stay_for_rows(LayerNorm a) {
  constexpr int N = kPackOf<T>;
  const int lane = static_cast<int>(threadIdx.x % kWarpSize), cols = static_cast<int>(a.cols);
  const i64 step = i64{gridDim.x} * kRows;
  const float share = 1 / static_cast<float>(cols);
  const auto each_pack = [&](auto f) {
#pragma unroll
    for (int p = 0; p < Packs; ++p)
      if (const int column = (p * kWarpSize + lane) * N; column < cols) f(p, column);
  };
  Pack<T, N> w[Packs], b[Packs], next[Packs];
  const auto ask_for = [&](i64 row) {
    if (row < a.rows)
      each_pack([&](int p, int column) {
        next[p] = load_pack<N>(static_cast<const T*>(a.x) + row * cols + column);
      });
  };

  i64 row = i64{blockIdx.x} * kRows + threadIdx.x / kWarpSize;
  ask_for(row);
  each_pack([&](int p, int column) {
    w[p] = load_pack<N>(static_cast<const T*>(a.w) + column);
    b[p] = load_pack<N>(static_cast<const T*>(a.b) + column);
  });
  for (; row < a.rows; row += step) {  // the whole warp
    float v[Packs][N], sum = 0, square = 0;
    each_pack([&](int p, int) {
#pragma unroll
      for (int i = 0; i < N; ++i) sum += v[p][i] = load_f32(next[p].v[i]);
    });
    ask_for(row + step);
    const float mean = share * warp_sum(sum);
    each_pack([&](int p, int) {
#pragma unroll
      for (int i = 0; i < N; ++i) square += (v[p][i] - mean) * (v[p][i] - mean);
    });
    const float rstd = 1 / sqrtf(share * warp_sum(square) + a.eps);
    each_pack([&](int p, int column) {
#pragma unroll
      for (int i = 0; i < N; ++i)
        v[p][i] = (v[p][i] - mean) * rstd * load_f32(w[p].v[i]) + load_f32(b[p].v[i]);
      store_floats(static_cast<T*>(a.y) + row * cols + column, v[p]);
    });
    if (a.stats && lane == 0) {
      a.stats[2 * row] = mean;
      a.stats[2 * row + 1] = rstd;
    }
  }
}

}  // namespace

void layer_norm_5_persistent(const LayerNorm& a) {
  with_type(a.dtype, [&](auto element) {
    using T = decltype(element);
    with_held<T>(a.cols, [&](auto packs) {
      const i64 most = kResident<T, packs()> * i64{multiprocessors()};
      launch(stay_for_rows<T, packs()>, grid_for(a.rows, kRows, most), kThreads, 0, a);
    });
  });
}

}  // namespace bp::cuda
