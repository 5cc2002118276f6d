// Against rung 2: a warp takes a row. A sum over 32 lanes is five shuffles and no barrier, where a block's
// sum was ten barriers; the eight warps of a block have a row each and never wait for one another, so while
// one adds up others load. The row is still read three times, twice of them from the L1 cache, two bytes
// (bf16) a lane and load: 72 loads a lane for a row of 768.
#include "kernels/ladders/cuda/layer_norm/rungs.h"
#include "kernels/ladders/cuda/memory.h"

namespace bp::cuda {
namespace {

using namespace memory_ladder;

constexpr int kThreads = 256, kRows = kThreads / kWarpSize;

template <class T>
__global__ void __launch_bounds__(kThreads) row_of_a_warp(LayerNorm a) {
  const i64 row = i64{blockIdx.x} * kRows + threadIdx.x / kWarpSize;
  if (row >= a.rows) return;  // the whole warp
  const unsigned lane = threadIdx.x % kWarpSize;
  const T *x = static_cast<const T*>(a.x) + row * a.cols, *w = static_cast<const T*>(a.w),
          *b = static_cast<const T*>(a.b);
  T* y = static_cast<T*>(a.y) + row * a.cols;

  float sum = 0, square = 0;
  for (i64 i = lane; i < a.cols; i += kWarpSize) sum += load_f32(x[i]);
  const float mean = warp_sum(sum) / static_cast<float>(a.cols);
  for (i64 i = lane; i < a.cols; i += kWarpSize) {
    const float d = load_f32(x[i]) - mean;
    square += d * d;
  }
  const float rstd = 1 / sqrtf(warp_sum(square) / static_cast<float>(a.cols) + a.eps);
  for (i64 i = lane; i < a.cols; i += kWarpSize)
    y[i] = store_as<T>((load_f32(x[i]) - mean) * rstd * load_f32(w[i]) + load_f32(b[i]));
  if (a.stats && lane == 0) {
    a.stats[2 * row] = mean;
    a.stats[2 * row + 1] = rstd;
  }
}

}  // namespace

void layer_norm_3_warp_per_row(const LayerNorm& a) {
  with_type(a.dtype, [&](auto element) {
    launch(row_of_a_warp<decltype(element)>, blocks_for(a.rows, kRows), kThreads, 0, a);
  });
}

}  // namespace bp::cuda
