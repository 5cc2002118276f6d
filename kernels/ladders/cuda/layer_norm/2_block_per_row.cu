// Against rung 1: a block takes a row. Neighbouring lanes read neighbouring columns, so a warp's load is one
// piece of 64 bytes (bf16) instead of 32 sectors: up to 16 times fewer bytes from L2, and 4096 blocks
// instead of 32. The sums of 256 threads meet in shared memory, halved eight times; that costs ten barriers
// for each of the two sums, and between the last of them most threads wait.
#include "kernels/ladders/cuda/layer_norm/rungs.h"
#include "kernels/ladders/cuda/memory.h"

namespace bp::cuda {
namespace {

using namespace memory_ladder;

constexpr unsigned kThreads = 256;

__device__ __forceinline__ float sum_by_halves(float x, float* shared) {
  shared[threadIdx.x] = x;
  for (unsigned half = kThreads / 2; half > 0; half /= 2) {
    __syncthreads();
    if (threadIdx.x < half) shared[threadIdx.x] += shared[threadIdx.x + half];
  }
  __syncthreads();
  const float sum = shared[0];
  __syncthreads();  // all have read it before the next sum overwrites it
  return sum;
}

template <class T>
__global__ void __launch_bounds__(kThreads) row_of_a_block(LayerNorm a) {
  BP_SHARED(float, shared, kThreads);
  const i64 row = blockIdx.x;
  const T *x = static_cast<const T*>(a.x) + row * a.cols, *w = static_cast<const T*>(a.w),
          *b = static_cast<const T*>(a.b);
  T* y = static_cast<T*>(a.y) + row * a.cols;

  float sum = 0, square = 0;
  for (i64 i = threadIdx.x; i < a.cols; i += kThreads) sum += load_f32(x[i]);
  const float mean = sum_by_halves(sum, shared) / static_cast<float>(a.cols);
  for (i64 i = threadIdx.x; i < a.cols; i += kThreads) {
    const float d = load_f32(x[i]) - mean;
    square += d * d;
  }
  const float variance = sum_by_halves(square, shared) / static_cast<float>(a.cols);
  const float rstd = 1 / sqrtf(variance + a.eps);
  for (i64 i = threadIdx.x; i < a.cols; i += kThreads)
    y[i] = store_as<T>((load_f32(x[i]) - mean) * rstd * load_f32(w[i]) + load_f32(b[i]));
  if (a.stats && threadIdx.x == 0) {
    a.stats[2 * row] = mean;
    a.stats[2 * row + 1] = rstd;
  }
}

}  // namespace

void layer_norm_2_block_per_row(const LayerNorm& a) {
  with_type(a.dtype, [&](auto element) {
    launch(row_of_a_block<decltype(element)>, static_cast<unsigned>(a.rows), kThreads, 0, a);
  });
}

}  // namespace bp::cuda
