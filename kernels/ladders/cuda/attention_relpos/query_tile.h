// What the rungs on tensor cores have in common: a block is four warps with 16 queries each, and goes over
// the keys in tiles of 64. Tiles are bf16 rows of D numbers and 16 bytes more, which warp_tiles.h multiplies.
#pragma once
#include "kernels/ladders/cuda/attention_relpos/grid.h"
#include "kernels/ladders/cuda/online_softmax.h"

namespace bp::cuda::relpos {

constexpr int kQueries = 64, kKeys = 64, kWarpQueries = kQueries / kTileWarps;
template <int D>
constexpr int kTile = kKeys* kTileRow<bf16, D>;  // elements
using Logits = Scores<bf16, 1, kKeys>;
template <int D>
using Outputs = Sums<bf16, 1, D>;
template <int D>
using Queries = LeftRows<bf16, 1, D, true>;

// Where a block works.
struct Work {
  i64 unit;
  int first;       // query of the block
  int warp_first;  // of the warp

  template <class T>
  __device__ __forceinline__ explicit Work(const Grid<T>& a) {
    const auto blocks = static_cast<unsigned>((a.tokens + kQueries - 1) / kQueries);
    unit = blockIdx.x / blocks;
    first = static_cast<int>(blockIdx.x % blocks) * kQueries;
    warp_first = first + warp_id() * kWarpQueries;
  }
};
template <class T>
dim3 work_blocks(const Grid<T>& a) {
  return dim3(static_cast<unsigned>(a.units * ceil_div(a.tokens, kQueries)));
}

// 64 rows into a tile; row(r) is the address of row r, or null for zeros.
template <int D, class Row>
__device__ __forceinline__ void load_tile(bf16* tile, const Row& row) {
  constexpr int kPacks = D / 8;
  for (int i = static_cast<int>(threadIdx.x); i < kKeys * kPacks; i += kTileThreads) {
    const int r = i / kPacks, c = i % kPacks * 8;
    const bf16* const from = row(r);
    store_pack(tile + r * kTileRow<bf16, D> + c, from ? load_pack<8>(from + c) : Pack<bf16, 8>{});
  }
}

// The rows of 64 queries, keys or values (part 0, 1, 2) from token `first` on.
struct TokenRows {
  const Grid<bf16>& a;
  i64 unit;
  int part, first;
  __device__ __forceinline__ const bf16* operator()(int r) const {
    return first + r < a.tokens ? a.row(unit, part, first + r) : nullptr;
  }
};

// The block's queries to registers, through a tile that may be used again after a barrier.
template <int D>
__device__ __forceinline__ void load_queries(Queries<D>& queries, bf16* tile, const Grid<bf16>& a,
                                             const Work& at) {
  load_tile<D>(tile, TokenRows{a, at.unit, 0, at.first});
  __syncthreads();
  queries.load(tile + warp_id() * kWarpQueries * kTileRow<bf16, D>);
}

// Row and column in the grid of the keys of a tile, in one number each: divisions, so once for all queries.
__device__ __forceinline__ void load_places(int* places, const Grid<bf16>& a, int first) {
  if (threadIdx.x >= kKeys) return;
  const int t = first + static_cast<int>(threadIdx.x), inside = t < a.tokens ? t : a.tokens - 1;
  places[threadIdx.x] = inside / a.w | inside % a.w << 16;
}

// Products become logits: scaled, with positions, -infinity where the tile is beyond the last key. Entry
// [ky * step + q] of `positions` is what query q of the warp adds for row ky, [(h + kx) * step + q] for
// column kx. `last` is the last query there is, counted from the warp's first: rows after it take its
// positions.
__device__ __forceinline__ void set_logits(Logits& s, const Grid<bf16>& a, const float* positions, i64 step,
                                           int last, const int* places, int keys_left) {
#pragma unroll
  for (int j = 0; j < Logits::kCols; ++j) {
    const int key = Logits::col(j), place = places[key];
    const float *const of_row = positions + (place & 0xffff) * step, *const of_col =
                                                                         positions +
                                                                         (a.h + (place >> 16)) * step;
#pragma unroll
    for (int i = 0; i < Logits::kRows; ++i) {
      const int q = Logits::row(i) < last ? Logits::row(i) : last;
      s.at(i, j) = key < keys_left ? s.at(i, j) * a.scale2 + (of_row[q] + of_col[q]) : -__builtin_inff();
    }
  }
}

template <class O>
__device__ __forceinline__ void store_outputs(const Grid<bf16>& a, const Work& at, O& o,
                                              const OnlineSoftmax<Logits>& softmax) {
#pragma unroll
  for (int i = 0; i < Logits::kRows; ++i) {
    const float sum = softmax.total(i);
    const int t = at.warp_first + Logits::row(i);
    if (t >= a.tokens) continue;
    store_row(a.out(at.unit, t), o, i, 1 / sum, a.d, true);
    if (a.lse && Logits::col(0) == 0) a.lse[at.unit * a.tokens + t] = softmax.top[i] / kLog2E + logf(sum);
  }
}

}  // namespace bp::cuda::relpos
