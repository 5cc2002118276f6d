// Outputs along a row from three columns of inputs in registers, wherever the columns come from.
#pragma once
#include "kernels/ladders/cuda/memory.h"

namespace bp::cuda::memory_ladder {

// What a thread keeps of the weights of N channels.
template <int N>
struct Taps {
  float weight[9][N], bias[N];
};
template <int N, class T>
__device__ __forceinline__ void load_taps(Taps<N>& taps, const Depthwise& p, i64 channel) {
#pragma unroll
  for (int i = 0; i < N; ++i) taps.bias[i] = 0;
  if (p.bias) load_floats(static_cast<const T*>(p.bias) + channel, taps.bias);
#pragma unroll
  for (int tap = 0; tap < 9; ++tap)
    load_floats(static_cast<const T*>(p.weight) + tap * p.c + channel, taps.weight[tap]);
}

// store(s, values) for the outputs s = 0 to count - 1 of a row. load(j, column) gives the three inputs of
// column j, where output s sees the columns Stride s, Stride s + 1 and Stride s + 2. Each column is loaded
// once: input column j stays in slot j % 3 until the column three further on takes its place, and since three
// outputs are unrolled, a slot is a fixed register and nothing is moved.
template <int Stride, int N, class Load, class Store>
__device__ __forceinline__ void slide(int count, const Taps<N>& taps, Act act, const Load& load,
                                      const Store& store) {
  float in[3][3][N];  // [slot][row]
#pragma unroll
  for (int j = 0; j < 3 - Stride; ++j) load(j, in[j]);
  for (int first = 0; first < count; first += 3) {
#pragma unroll
    for (int s = 0; s < 3; ++s) {
      if (first + s >= count) break;
#pragma unroll
      for (int j = 3 - Stride; j < 3; ++j) load((first + s) * Stride + j, in[(s * Stride + j) % 3]);
      float sum[N];
#pragma unroll
      for (int i = 0; i < N; ++i) sum[i] = taps.bias[i];
#pragma unroll
      for (int ky = 0; ky < 3; ++ky)
#pragma unroll
        for (int kx = 0; kx < 3; ++kx)
#pragma unroll
          for (int i = 0; i < N; ++i)
            sum[i] += in[(s * Stride + kx) % 3][ky][i] * taps.weight[ky * 3 + kx][i];
#pragma unroll
      for (int i = 0; i < N; ++i) sum[i] = activated(act, sum[i]);
      store(first + s, sum);
    }
  }
}

}  // namespace bp::cuda::memory_ladder
