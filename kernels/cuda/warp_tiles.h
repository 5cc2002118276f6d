// Products of small tiles on one warp, in f32 on CUDA cores and in bf16 on tensor cores, for attention.
//
// A warp owns 16 kStrips rows of the left operand, which stand in shared memory or in registers; the right
// operand is a tile of shared memory that all warps of a block use. Results stay in registers, as a Fragment.
// Tiles in shared memory have rows of D elements and 16 bytes more, so that the same 16 bytes of eight
// following rows lie in different banks.
#pragma once
#include "kernels/cuda/table.h"
#include "kernels/cuda/tile.h"

#include <type_traits>

namespace bp::cuda {

constexpr int kTileWarps = 4, kTileThreads = kTileWarps * kWarpSize;
template <class T, int D>
constexpr int kTileRow = D + kPackOf<T>;

__device__ __forceinline__ int lane_id() {
  return static_cast<int>(threadIdx.x) % kWarpSize;
}
__device__ __forceinline__ int warp_id() {
  return static_cast<int>(threadIdx.x) / kWarpSize;
}

// A matrix of 16 kStrips x N spread over a warp: every lane has kRows x kCols of it, at(i, j) that of row(i)
// and col(j). kLanesPerRow lanes, next to each other, share a row. With kPairs, columns 2j and 2j + 1 of a
// lane are neighbours.
template <class T, int kStrips, int N, bool kPairs>
struct Fragment;

template <int kStrips, int N>
struct Fragment<bf16, kStrips, N, true> {  // as mma leaves it
  static constexpr int kRows = 2 * kStrips, kCols = N / 4, kLanesPerRow = 4, kWidth = N;
  static constexpr bool kPaired = true;
  float v[kStrips][N / 8][4];

  __device__ __forceinline__ float& at(int i, int j) { return v[i / 2][j / 2][2 * (i % 2) + j % 2]; }
  static __device__ __forceinline__ int row(int i) { return 16 * (i / 2) + 8 * (i % 2) + lane_id() / 4; }
  static __device__ __forceinline__ int col(int j) { return 8 * (j / 2) + j % 2 + 2 * (lane_id() % 4); }
};

template <int kStrips, int N, bool kPairs>
struct Fragment<float, kStrips, N, kPairs> {
  static constexpr int kRows = 4 * kStrips, kCols = N / 8, kLanesPerRow = 8, kWidth = N;
  static constexpr bool kPaired = kPairs;
  float v[kRows][kCols];

  __device__ __forceinline__ float& at(int i, int j) { return v[i][j]; }
  static __device__ __forceinline__ int row(int i) { return 4 * i + lane_id() / 8; }
  static __device__ __forceinline__ int col(int j) {
    return kPairs ? 16 * (j / 2) + j % 2 + 2 * (lane_id() % 8) : 8 * j + lane_id() % 8;
  }
};

// Left rows times right rows: in f32 a lane's columns are eight apart, because it reads eight tile rows.
template <class T, int kStrips, int N>
using Scores = Fragment<T, kStrips, N, std::is_same_v<T, bf16>>;
// Scores times right rows.
template <class T, int kStrips, int N>
using Sums = Fragment<T, kStrips, N, true>;

template <class F>
__device__ __forceinline__ void clear(F& f) {
#pragma unroll
  for (int i = 0; i < F::kRows; ++i)
#pragma unroll
    for (int j = 0; j < F::kCols; ++j) f.at(i, j) = 0.0f;
}

// Over the lanes that share a row.
template <class F>
__device__ __forceinline__ float row_max(float x) {
#pragma unroll
  for (int with = F::kLanesPerRow / 2; with > 0; with /= 2) x = fmaxf(x, __shfl_xor_sync(kFullMask, x, with));
  return x;
}
template <class F>
__device__ __forceinline__ float row_sum(float x) {
#pragma unroll
  for (int with = F::kLanesPerRow / 2; with > 0; with /= 2) x += __shfl_xor_sync(kFullMask, x, with);
  return x;
}

// The rows of a warp as left operand, taken from shared memory once (kHeld) or at every use; f32 has no
// registers to hold them.
template <class T, int kStrips, int D, bool kHeld>
struct LeftRows {
  static constexpr int kSize = D;
  const T* rows;
  __device__ __forceinline__ void load(const T* from) { rows = from; }
};

__device__ __forceinline__ void load_left(unsigned (&a)[4], const bf16* rows, int stride, int strip, int k) {
  const int lane = lane_id();
  load_matrices<4, false>(a, rows + (16 * strip + lane % 16) * stride + 16 * k + lane / 16 * 8);
}

template <int kStrips, int D>
struct LeftRows<bf16, kStrips, D, true> {
  static constexpr int kSize = D;
  unsigned a[D / 16][kStrips][4];
  __device__ __forceinline__ void load(const bf16* from) {
#pragma unroll
    for (int k = 0; k < D / 16; ++k)
#pragma unroll
      for (int strip = 0; strip < kStrips; ++strip) load_left(a[k][strip], from, kTileRow<bf16, D>, strip, k);
  }
};

// s += A B^T with A [16 kStrips, D] and B [N, D].
template <int kStrips, int N, int D, bool kHeld, bool kPairs>
__device__ __forceinline__ void add_scores(Fragment<float, kStrips, N, kPairs>& s,
                                           const LeftRows<float, kStrips, D, kHeld>& left, const float* b) {
  using F = Fragment<float, kStrips, N, kPairs>;
  constexpr int kRow = kTileRow<float, D>;
  const float* const a0 = left.rows + F::row(0) * kRow;
  const float* const b0 = b + F::col(0) * kRow;
#pragma unroll 2
  for (int c = 0; c < D; c += 4) {
    Pack<float, 4> x[F::kRows], y[F::kCols];
#pragma unroll
    for (int i = 0; i < F::kRows; ++i) x[i] = load_pack<4>(a0 + 4 * i * kRow + c);
#pragma unroll
    for (int j = 0; j < F::kCols; ++j) y[j] = load_pack<4>(b0 + 8 * j * kRow + c);
#pragma unroll
    for (int i = 0; i < F::kRows; ++i)
#pragma unroll
      for (int j = 0; j < F::kCols; ++j)
#pragma unroll
        for (int e = 0; e < 4; ++e) s.v[i][j] += x[i].v[e] * y[j].v[e];
  }
}

template <int kStrips, int N, int D, bool kHeld>
__device__ __forceinline__ void add_scores(Fragment<bf16, kStrips, N, true>& s,
                                           const LeftRows<bf16, kStrips, D, kHeld>& left, const bf16* b) {
  constexpr int kRow = kTileRow<bf16, D>;
  const int lane = lane_id();
  // Lane 8 i + r reads row r of matrix i: keys n to n + 7 (i < 2) or n + 8 to n + 15, the first (i even) or
  // the last eight columns of sixteen.
  const bf16* const b0 = b + (lane / 16 * 8 + lane % 8) * kRow + lane / 8 % 2 * 8;
#pragma unroll
  for (int k = 0; k < D / 16; ++k) {
    unsigned a[kStrips][4];
#pragma unroll
    for (int strip = 0; strip < kStrips; ++strip) {
      if constexpr (kHeld) {
#pragma unroll
        for (int i = 0; i < 4; ++i) a[strip][i] = left.a[k][strip][i];
      } else {
        load_left(a[strip], left.rows, kRow, strip, k);
      }
    }
#pragma unroll
    for (int n = 0; n < N / 16; ++n) {
      unsigned r[4];
      load_matrices<4, false>(r, b0 + n * 16 * kRow + k * 16);
      const unsigned first[2] = {r[0], r[1]}, second[2] = {r[2], r[3]};
#pragma unroll
      for (int strip = 0; strip < kStrips; ++strip) {
        mma_bf16(s.v[strip][2 * n], a[strip], first);
        mma_bf16(s.v[strip][2 * n + 1], a[strip], second);
      }
    }
  }
}

// A warp's scores in shared memory, f32: rows of N + 8.
template <int N>
constexpr int kScratchRow = N + 8;
template <int kStrips, int N>
constexpr int kScratch = 16 * kStrips* kScratchRow<N>;

template <int N, class F>
__device__ __forceinline__ void store_scratch(float* scratch, F& p) {
#pragma unroll
  for (int i = 0; i < F::kRows; ++i)
#pragma unroll
    for (int j = 0; j < F::kCols; ++j) scratch[F::row(i) * kScratchRow<N> + F::col(j)] = p.at(i, j);
}

// o += P B with P [16 kStrips, N] and B [N, D]. In f32 P goes through the warp's `scratch`; in bf16 P is
// rounded and stays in registers.
template <int kStrips, int N, int D, bool kPairs>
__device__ __forceinline__ void add_product(Fragment<float, kStrips, D, true>& o,
                                            Fragment<float, kStrips, N, kPairs>& p, const float* b,
                                            float* scratch) {
  using F = Fragment<float, kStrips, D, true>;
  constexpr int kRow = kTileRow<float, D>;
  __syncwarp();  // what was there before has been read
  store_scratch<N>(scratch, p);
  __syncwarp();
  const float* const p0 = scratch + F::row(0) * kScratchRow<N>;
  const float* const b0 = b + F::col(0);
#pragma unroll 2
  for (int n = 0; n < N; n += 4) {
    Pack<float, 4> x[F::kRows];
#pragma unroll
    for (int i = 0; i < F::kRows; ++i) x[i] = load_pack<4>(p0 + 4 * i * kScratchRow<N> + n);
#pragma unroll
    for (int e = 0; e < 4; ++e)
#pragma unroll
      for (int j = 0; j < F::kCols; j += 2) {
        const Pack<float, 2> y = load_pack<2>(b0 + (n + e) * kRow + 8 * j);
#pragma unroll
        for (int i = 0; i < F::kRows; ++i) {
          o.v[i][j] += x[i].v[e] * y.v[0];
          o.v[i][j + 1] += x[i].v[e] * y.v[1];
        }
      }
  }
}

template <int kStrips, int N, int D>
__device__ __forceinline__ void add_product(Fragment<bf16, kStrips, D, true>& o,
                                            Fragment<bf16, kStrips, N, true>& p, const bf16* b, float*) {
  constexpr int kRow = kTileRow<bf16, D>;
  const int lane = lane_id();
  // Lane 8 i + r reads row r of matrix i, which is transposed: the first (i even) or the last eight keys of
  // sixteen, columns n to n + 7 (i < 2) or n + 8 to n + 15.
  const bf16* const b0 = b + (lane / 8 % 2 * 8 + lane % 8) * kRow + lane / 16 * 8;
#pragma unroll
  for (int k = 0; k < N / 16; ++k) {
    unsigned a[kStrips][4];  // what C's elements of columns 16 k to 16 k + 15 are as A
#pragma unroll
    for (int strip = 0; strip < kStrips; ++strip)
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const float* const from = p.v[strip][2 * k + i / 2] + 2 * (i % 2);
        a[strip][i] = pack_bf16(from[0], from[1]);
      }
#pragma unroll
    for (int n = 0; n < D / 16; ++n) {
      unsigned r[4];
      load_matrices<4, true>(r, b0 + k * 16 * kRow + n * 16);
      const unsigned first[2] = {r[0], r[1]}, second[2] = {r[2], r[3]};
#pragma unroll
      for (int strip = 0; strip < kStrips; ++strip) {
        mma_bf16(o.v[strip][2 * n], a[strip], first);
        mma_bf16(o.v[strip][2 * n + 1], a[strip], second);
      }
    }
  }
}

// The same row of kCount matrices; null addresses stand for zeros.
template <class T, int kCount>
struct RowsOf {
  const T* at[kCount];
};

// Copies rows r < kTile, source(r), of d elements into kCount tiles that follow each other, by all threads of
// the block and in the background where the rows are `packed` (aligned to 16 bytes and multiples of that);
// columns from d to D become zero. `some` is any address of T.
template <int kCount, int kTile, int D, class T, class Source>
__device__ __forceinline__ void fetch_rows(T* tiles, int d, bool packed, const T* some,
                                           const Source& source) {
  constexpr int kChunk = kPackOf<T>, kChunks = D / kChunk, kRow = kTileRow<T, D>;
#pragma unroll 1  // addresses ahead would take the registers of fragments
  for (int i = static_cast<int>(threadIdx.x); i < kTile * kChunks; i += kTileThreads) {
    const int r = i / kChunks, c = i % kChunks * kChunk;
    const RowsOf<T, kCount> rows = source(r);
#pragma unroll
    for (int matrix = 0; matrix < kCount; ++matrix) {
      const T* const from = rows.at[matrix];
      T* const to = tiles + (matrix * kTile + r) * kRow + c;
      if (packed) {
        const bool valid = from && c < d;
        copy_async16(to, valid ? from + c : some, valid);
      } else {
#pragma unroll
        for (int e = 0; e < kChunk; ++e) to[e] = from && c + e < d ? from[c + e] : T{};
      }
    }
  }
}

// Writes row i of o, times `factor`, to `to`, d elements; `pairs` says that both neighbours can be stored at
// once.
template <class T, class F>
__device__ __forceinline__ void store_row(T* to, F& o, int i, float factor, int d, bool pairs) {
#pragma unroll
  for (int j = 0; j < F::kCols; j += 2) {
    const int c = F::col(j);
    const T x = store_as<T>(o.at(i, j) * factor), y = store_as<T>(o.at(i, j + 1) * factor);
    if (pairs) {
      if (c < d) store_pack(to + c, Pack<T, 2>{{x, y}});
    } else {
      if (c < d) to[c] = x;
      if (c + 1 < d) to[c + 1] = y;
    }
  }
}

}  // namespace bp::cuda
