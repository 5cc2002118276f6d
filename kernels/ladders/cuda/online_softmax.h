// The running softmax of a warp's rows where scores and outputs are fragments of tensor cores (warp_tiles.h):
// of each row the largest logit so far and the sum of 2^(logit - largest); logits are times log2(e).
#pragma once
#include "kernels/cuda/warp_tiles.h"

namespace bp::cuda {

template <class S>
struct OnlineSoftmax {
  float top[S::kRows], sum[S::kRows];  // the sums are of this lane's columns only, until lse() or share()

  __device__ __forceinline__ OnlineSoftmax() {
#pragma unroll
    for (int i = 0; i < S::kRows; ++i) {
      top[i] = -__builtin_inff();
      sum[i] = 0.0f;
    }
  }

  // Turns the logits of a tile into numerators, and brings the outputs so far to the new maximum.
  template <class O>
  __device__ __forceinline__ void add(S& s, O& o) {
#pragma unroll
    for (int i = 0; i < S::kRows; ++i) {
      float now = top[i];
#pragma unroll
      for (int j = 0; j < S::kCols; ++j) now = fmaxf(now, s.at(i, j));
      now = row_max<S>(now);
      const float shrink = fast_exp2(top[i] - now);
      top[i] = now;
      sum[i] *= shrink;
#pragma unroll
      for (int j = 0; j < S::kCols; ++j) sum[i] += s.at(i, j) = fast_exp2(s.at(i, j) - now);
#pragma unroll
      for (int j = 0; j < O::kCols; ++j) o.at(i, j) *= shrink;
    }
  }

  // All lanes of a row call this once, at the end.
  __device__ __forceinline__ float total(int i) const {
    return row_sum<S>(sum[i]);
  }
};

}  // namespace bp::cuda
