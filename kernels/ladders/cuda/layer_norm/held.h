// How many packs of 16 bytes a lane holds of a row that a warp shares.
#pragma once
#include <type_traits>

#include "kernels/ladders/cuda/memory.h"

namespace bp::cuda::memory_ladder {

constexpr i64 kMostHeld = 1280;  // columns: ViT-H's

// Calls f with the number as an integral constant; few numbers, since each is a kernel of its own.
template <class T, class F>
void with_held(i64 cols, const F& f) {
  constexpr int kMost = kMostHeld / kWarpSize / kPackOf<T>;
  const i64 packs = ceil_div(cols, kWarpSize * kPackOf<T>);
  packs <= 1   ? f(std::integral_constant<int, 1>())
  : packs <= 2 ? f(std::integral_constant<int, 2>())
  : packs <= 3 ? f(std::integral_constant<int, 3>())
  : packs <= 6 ? f(std::integral_constant<int, std::min(6, kMost)>())
               : f(std::integral_constant<int, kMost>());
}

}  // namespace bp::cuda::memory_ladder
