// The position table of a block's 64 queries, made by tensor cores as the products of the queries with the
// tables rel_h and rel_w: entry [ky * step + q] is what query q adds for keys in row ky of the grid,
// [(h + kx) * step + q] for keys in column kx, times log2(e).
#pragma once
#include "kernels/ladders/cuda/attention_relpos/query_tile.h"

namespace bp::cuda::relpos {

// The step in shared memory, four more than the queries: lanes of a fragment read 8 queries of every second
// of 8 columns, and with this step those 32 numbers lie in 32 different banks.
constexpr int kPositionStep = kQueries + 4;

template <class T>
std::size_t position_bytes(const Grid<T>& a) {
  return static_cast<std::size_t>(a.h + a.w) * kPositionStep * sizeof(float);
}

// `to` is the entries of the warp's first query, `tile` shared memory for 64 rows; a barrier is before and
// after its use. Query (y, x) meets row ky in row y - ky + h - 1 of rel_h, so of its product with all 2h - 1
// rows it keeps h.
template <int D>
__device__ __forceinline__ void make_positions(float* to, i64 step, const Grid<bf16>& a, const Work& at,
                                               const Queries<D>& queries, bf16* tile) {
  for (int axis = 0; axis < 2; ++axis) {
    const bf16* const rel = axis == 0 ? a.rel_h : a.rel_w;
    const int side = axis == 0 ? a.h : a.w, count = 2 * side - 1;
    for (int first = 0; first < count; first += kKeys) {
      __syncthreads();
      load_tile<D>(tile, [&](int r) { return first + r < count ? rel + (first + r) * D : nullptr; });
      __syncthreads();
      Logits g;
      clear(g);
      add_scores(g, queries, tile);
#pragma unroll
      for (int i = 0; i < Logits::kRows; ++i) {
        const int t = at.warp_first + Logits::row(i), place = axis == 0 ? t / a.w : t % a.w;
#pragma unroll
        for (int j = 0; j < Logits::kCols; ++j) {
          const int key = place + side - 1 - (first + Logits::col(j));
          if (t < a.tokens && key >= 0 && key < side)
            to[(axis * a.h + key) * step + Logits::row(i)] = g.at(i, j) * kLog2E;
        }
      }
    }
  }
  __syncthreads();
}

}  // namespace bp::cuda::relpos
