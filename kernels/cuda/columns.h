// Kernels over the columns of a matrix: how a block lies over them, sums over its rows, and sums over the
// partial sums of many blocks, all in an order that depends on the shape and the device alone.
#pragma once
#include "kernels/cuda/elementwise.h"

namespace bp::cuda {

// `lanes` threads side by side with n columns each, `deep` rows of them; the threads left have nothing to do.
// `tiles` such blocks cover all columns. Any number of columns leaves few lanes idle, and where one block
// takes them all, its rows are one piece of memory.
struct ColumnTile {
  int lanes, deep;
  i64 tiles;
};
inline ColumnTile column_tile(i64 cols, int n, int most = 64) {
  const i64 packs = std::max<i64>(1, ceil_div(cols, n)), tiles = ceil_div(packs, most);
  const int lanes = static_cast<int>(ceil_div(packs, tiles));
  return {lanes, kThreads / lanes, tiles};
}

// A thread's place in it.
struct InTile {
  int lane, depth;
  i64 column;  // its first; beyond all where the thread has nothing to do
};
template <int N>
__device__ __forceinline__ InTile in_tile(const ColumnTile& tile, i64 index) {
  const int thread = static_cast<int>(threadIdx.x), depth = thread / tile.lanes,
            lane = thread - depth * tile.lanes;
  const i64 column = (index * tile.lanes + lane) * N;
  return {lane, depth, depth < tile.deep ? column : i64{1} << 62};
}

// The number of chunks that rows are cut into: enough blocks to fill the device, but no fewer than 4 rows for
// a thread.
inline i64 row_chunks(i64 rows, const ColumnTile& tile, i64 blocks) {
  return std::clamp<i64>(ceil_div(blocks, tile.tiles), 1,
                         std::max<i64>(1, ceil_div(rows, 4 * i64{tile.deep})));
}

// Adds v over the rows of a tile; the sums are those of the threads of depth 0. `shared` has K * kThreads
// floats, which may be used again after the next barrier.
template <int K>
__device__ __forceinline__ void add_depths(float (&v)[K], float* shared, const ColumnTile& tile, int depth) {
  const int thread = static_cast<int>(threadIdx.x);
#pragma unroll
  for (int k = 0; k < K; ++k) shared[k * kThreads + thread] = v[k];
  for (int live = tile.deep; live > 1;) {
    const int half = (live + 1) / 2;
    __syncthreads();
    if (depth + half < live) {
#pragma unroll
      for (int k = 0; k < K; ++k) {
        v[k] += shared[k * kThreads + thread + half * tile.lanes];
        shared[k * kThreads + thread] = v[k];
      }
    }
    live = half;
  }
}

// f(column, sum over the chunks of partial[chunk, column]).
template <class F>
__global__ void __launch_bounds__(kThreads)
    partial_sums(const float* partial, i64 chunks, i64 cols, ColumnTile tile, F f) {
  BP_SHARED(float, shared, kThreads);
  const InTile at = in_tile<1>(tile, blockIdx.x);
  float sum[1] = {};
  if (at.column < cols) {
#pragma unroll 4
    for (i64 c = at.depth; c < chunks; c += tile.deep) sum[0] += partial[c * cols + at.column];
  }
  add_depths(sum, shared, tile, at.depth);
  if (at.depth == 0 && at.column < cols) f(at.column, sum[0]);
}
template <class F>
void add_partials(const float* partial, i64 chunks, i64 cols, const F& f) {
  const ColumnTile tile = column_tile(cols, 1, 32);
  launch(partial_sums<F>, static_cast<unsigned>(tile.tiles), kThreads, 0, partial, chunks, cols, tile, f);
}

}  // namespace bp::cuda
