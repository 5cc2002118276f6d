// Where an element of two strided operands lies.
#pragma once
#include "kernels/cpu/axes.h"
#include "kernels/cuda/tile.h"

namespace bp::cuda {

struct Offsets {
  i64 a, b;
};

// Of entry `flat` of the first `rank` axes. I is the type of the divisions: 32 bits where the count of
// entries fits.
template <class I>
__device__ __forceinline__ Offsets offsets_of(const cpu::Axes& axes, int rank, I flat) {
  Offsets at{0, 0};
#pragma unroll
  for (int i = kMaxRank - 1; i >= 0; --i) {
    if (i >= rank) continue;
    const I dim = static_cast<I>(axes.dims[i]), rest = i > 0 ? flat / dim : 0;
    const i64 index = static_cast<i64>(flat - rest * dim);
    at.a += index * axes.a[i];
    at.b += index * axes.b[i];
    flat = rest;
  }
  return at;
}

// Calls f(I()) with the type of indices up to n, and what a grid's stride adds to them.
template <class F>
void with_index(i64 n, const F& f) {
  n < i64{1} << 31 ? f(0u) : f(i64{0});
}

}  // namespace bp::cuda
