// A thread takes a row: the mean, then the variance around it, then the outputs, three reads of the row.
// What is wrong with it: the 32 lanes of a warp read 32 rows, so each load touches 32 sectors of 32 bytes for
// 2 bytes (bf16) or 4 (f32) of each; the rest is used only if the sector is still in the L1 cache when the
// thread comes to its next column. And SAM-B's 4096 rows are 128 warps, for a GPU that holds 64 on each of
// more than 100 multiprocessors.
#include "kernels/ladders/cuda/layer_norm/rungs.h"
#include "kernels/ladders/cuda/memory.h"

namespace bp::cuda {
namespace {

using namespace memory_ladder;

constexpr int kThreads = 128;

template <class T>
__global__ void __launch_bounds__(kThreads) row_of_a_thread(LayerNorm a) {
  const i64 row = i64{blockIdx.x} * kThreads + threadIdx.x;
  if (row >= a.rows) return;
  const T *x = static_cast<const T*>(a.x) + row * a.cols, *w = static_cast<const T*>(a.w),
          *b = static_cast<const T*>(a.b);
  T* y = static_cast<T*>(a.y) + row * a.cols;

  float sum = 0, square = 0;
  for (i64 i = 0; i < a.cols; ++i) sum += load_f32(x[i]);
  const float mean = sum / static_cast<float>(a.cols);
  for (i64 i = 0; i < a.cols; ++i) {
    const float d = load_f32(x[i]) - mean;
    square += d * d;
  }
  const float rstd = 1 / sqrtf(square / static_cast<float>(a.cols) + a.eps);
  for (i64 i = 0; i < a.cols; ++i)
    y[i] = store_as<T>((load_f32(x[i]) - mean) * rstd * load_f32(w[i]) + load_f32(b[i]));
  if (a.stats) {
    a.stats[2 * row] = mean;
    a.stats[2 * row + 1] = rstd;
  }
}

}  // namespace

void layer_norm_1_naive(const LayerNorm& a) {
  with_type(a.dtype, [&](auto element) {
    launch(row_of_a_thread<decltype(element)>, blocks_for(a.rows, kThreads), kThreads, 0, a);
  });
}

}  // namespace bp::cuda
