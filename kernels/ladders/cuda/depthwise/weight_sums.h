// Sums over all pixels without atomics: threads add up what they walk over, a block adds its threads, and a
// second kernel adds the blocks, each in a fixed order.
#pragma once
#include "kernels/ladders/cuda/memory.h"

namespace bp::cuda::memory_ladder {

// A block is `kSide` packs of N channels wide and `kDeep` threads deep; depths walk over different pixels.
constexpr int kSide = 32, kDeep = 8, kSumThreads = kSide * kDeep;
constexpr int kPartialsSlot = 0;

// partial[chunk, tap, channel] = the sum over the block's depths; `shared` holds kSumThreads floats. All
// threads must come here.
template <int N>
__device__ __forceinline__ void store_partial(const float (&sum)[9][N], float* shared, float* partial,
                                              i64 chunk, i64 channel, i64 c) {
  const int side = static_cast<int>(threadIdx.x) % kSide, depth = static_cast<int>(threadIdx.x) / kSide;
#pragma unroll
  for (int tap = 0; tap < 9; ++tap)
#pragma unroll
    for (int i = 0; i < N; ++i) {
      __syncthreads();  // the sums before these have been read
      shared[threadIdx.x] = sum[tap][i];
      __syncthreads();
      if (depth != 0 || channel >= c) continue;
      float total = 0;
      for (int d = 0; d < kDeep; ++d) total += shared[d * kSide + side];
      partial[(chunk * 9 + tap) * c + channel + i] = total;
    }
}

template <class T>
__global__ void __launch_bounds__(kSumThreads)
    add_partials(const float* partial, i64 chunks, i64 elements, T* dweight) {
  const i64 element = i64{blockIdx.x} * kSumThreads + threadIdx.x;
  if (element >= elements) return;
  float sum = 0;
#pragma unroll 8
  for (i64 chunk = 0; chunk < chunks; ++chunk) sum += partial[chunk * elements + element];
  dweight[element] = store_as<T>(sum);
}

// Blocks that walk over `items` of work for c channels: enough for two on each multiprocessor.
template <int N>
dim3 grid_of_sums(i64 items, i64 c) {
  const i64 across = ceil_div(c, kSide * N);
  const i64 chunks = std::clamp<i64>(ceil_div(2 * multiprocessors(), across), 1, ceil_div(items, kDeep));
  return {static_cast<unsigned>(across), static_cast<unsigned>(std::min<i64>(chunks, 65535))};
}

}  // namespace bp::cuda::memory_ladder
