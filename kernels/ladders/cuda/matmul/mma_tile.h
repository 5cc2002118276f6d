// The 128 x 128 tile of C that rungs 4 and 5 compute, with mma on eight warps: how shared memory holds its
// operands, and what a warp does with them.
#pragma once
#include "kernels/cuda/gemm_tile.h"
#include "kernels/ladders/cuda/matmul/product.h"

namespace bp::cuda::matmul_rungs {

constexpr int kMmaSpan = 128, kMmaDepth = 32, kMmaThreads = 256, kMmaTile = kMmaSpan * kMmaDepth;
template <bool DepthInner>
using MmaShape = TileShape<bf16, kMmaSpan, kMmaDepth, DepthInner>;

// A warp's 64 x 32 elements: 4 x 4 fragments of 16 x 8.
class MmaSums {
  static constexpr int kDown = 4, kAcross = 4;

 public:
  __device__ __forceinline__ MmaSums()
      : lane_(static_cast<int>(threadIdx.x) % kWarpSize),
        row_(static_cast<int>(threadIdx.x) / kWarpSize / 4 * 64),
        column_(static_cast<int>(threadIdx.x) / kWarpSize % 4 * 32) {
#pragma unroll
    for (int i = 0; i < kDown; ++i)
#pragma unroll
      for (int j = 0; j < kAcross; ++j)
#pragma unroll
        for (int e = 0; e < 4; ++e) sums_[i][j][e] = 0;
  }

  // Adds the products of a tile of A, and one of B whose rows go along the depth (TB) or along the columns.
  // ldmatrix takes row r of its 8 x 8 matrix i from the address that lane 8 i + r gives. The four matrices of
  // a fragment of A lie as (first rows, second rows) x (first half of the depth, second half); of B two
  // fragments are loaded at once, and matrices whose rows are the depth are turned by the load.
  template <bool TB>
  __device__ __forceinline__ void add(const bf16* a, const bf16* b) {
    const int r = lane_ % 8, odd = lane_ / 8 % 2, high = lane_ / 16;
#pragma unroll
    for (int d = 0; d < kMmaDepth; d += 16) {
      unsigned as[kDown][4], bs[kAcross / 2][4];
#pragma unroll
      for (int i = 0; i < kDown; ++i)
        load_matrices<4, false>(as[i], a + MmaShape<true>::at(row_ + 16 * i + 8 * odd + r, d / 8 + high));
#pragma unroll
      for (int j = 0; j < kAcross / 2; ++j) {
        const int column = column_ + 16 * j;
        load_matrices<4, !TB>(bs[j], b + (TB ? MmaShape<true>::at(column + 8 * high + r, d / 8 + odd)
                                             : MmaShape<false>::at(d + 8 * odd + r, column / 8 + high)));
      }
#pragma unroll
      for (int i = 0; i < kDown; ++i)
#pragma unroll
        for (int j = 0; j < kAcross; ++j) {
          const unsigned pair[2] = {bs[j / 2][j % 2 * 2], bs[j / 2][j % 2 * 2 + 1]};
          mma_bf16(sums_[i][j], as[i], pair);
        }
    }
  }

  // To C, two neighbours at once; `pairs` says that their addresses allow it.
  __device__ __forceinline__ void store(const Product<bf16>& p, Corner corner, bool pairs) const {
#pragma unroll
    for (int i = 0; i < kDown; ++i)
#pragma unroll
      for (int j = 0; j < kAcross; ++j)
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          const int row = corner.row + row_ + 16 * i + 8 * half + lane_ / 4;
          const int column = corner.column + column_ + 8 * j + lane_ % 4 * 2;
          if (row >= p.m || column >= p.n) continue;
          bf16* const to = p.c + row * p.ldc + column;
          const float first = result(p, column, sums_[i][j][2 * half]);
          if (column + 1 == p.n) {
            *to = store_as<bf16>(first);
            continue;
          }
          const unsigned pair = pack_bf16(first, result(p, column + 1, sums_[i][j][2 * half + 1]));
          if (pairs)
            *reinterpret_cast<unsigned*>(to) = pair;
          else
            to[0].bits = static_cast<std::uint16_t>(pair),
            to[1].bits = static_cast<std::uint16_t>(pair >> 16);
        }
  }

 private:
  int lane_, row_, column_;
  float sums_[kDown][kAcross][4];
};

}  // namespace bp::cuda::matmul_rungs
