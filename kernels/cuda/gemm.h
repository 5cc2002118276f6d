// The matrix product: one block computes one tile of C. Tiles of A and B come through a ring of kStages in
// shared memory, copied in the background; a multiplier (gemm_f32.h, gemm_bf16.h) adds the products of a
// stage to sums in registers; at last the sums go through shared memory, so that the epilogue reads and
// writes whole rows. Where C has too few tiles to fill the device, the depth is split over blocks, whose sums
// in f32 a second kernel adds in order.
//
// Floor of a tile of M x N: 2 M N K operations, and (M + N) K elements from L2.
#pragma once
#include "kernels/cuda/gemm_tile.h"

namespace bp::cuda {

constexpr int kStages = 4;

struct Gemm {
  Matmul p;
  bool packed_a, packed_b;  // rows in chunks of 16 bytes (TileLoader)
  bool packed_c;            // what the tile's rows are written to, and residual and bias: packs of four
  int splits;
  i64 depth;    // of one split
  float* sums;  // [splits, batch, m, n] instead of C, or null
  unsigned tiles_m, tiles_n;
};

// Runs the kernels of one type; ta and tb as in Matmul; `large` tiles have kLargeRows x kLargeColumns<T>, the
// others kSmall x kSmall.
constexpr int kSmall = 64, kLargeRows = 128;
template <class T>
constexpr int kLargeColumns = sizeof(T) == 2 ? 128 : 64;  // f32: more would not fit into the registers
void gemm_f32(const Gemm& g, bool large);
void gemm_bf16(const Gemm& g, bool large);

// C in f32, contiguous, whatever the type of A and B: C = A B, or C += A B. One batch, alpha 1, no epilogue.
void product_f32(const Matmul& p);

// Four columns of one row of C from their sums.
template <class T>
__device__ __forceinline__ void finish(const Matmul& p, bool packed, i64 batch, i64 row, i64 column,
                                       const float (&sum)[4]) {
  const i64 at = batch * p.c_batch + row * p.ldc + column;
  T* c = static_cast<T*>(p.c) + at;
  const T* bias = p.bias ? static_cast<const T*>(p.bias) + column : nullptr;
  const T* added = p.accumulate ? c : p.residual ? static_cast<const T*>(p.residual) + at : nullptr;
  const int inside = packed || p.n - column > 4 ? 4 : static_cast<int>(p.n - column);
  Pack<T, 4> b{}, a{}, y;
  if (packed) {
    if (bias) b = load_pack<4>(bias);
    if (added) a = load_pack<4>(added);
  } else {
#pragma unroll
    for (int e = 0; e < 4; ++e) {
      if (bias && e < inside) b.v[e] = bias[e];
      if (added && e < inside) a.v[e] = added[e];
    }
  }
#pragma unroll
  for (int e = 0; e < 4; ++e)
    y.v[e] = store_as<T>(activated(p.act, p.alpha * sum[e] + load_f32(b.v[e])) + load_f32(a.v[e]));
  if (packed) {
    store_pack<4>(c, y);
  } else {
#pragma unroll
    for (int e = 0; e < 4; ++e)
      if (e < inside) c[e] = y.v[e];
  }
}

// Which tile the block computes. Blocks that run at the same time share rows of A: tiles go down eight rows,
// then right.
__device__ __forceinline__ void tile_of(const Gemm& g, unsigned tile, i64& row, i64& column) {
  constexpr unsigned kTogether = 8;
  const unsigned strip = kTogether * g.tiles_n, first = tile / strip * kTogether, in_strip = tile % strip;
  const unsigned rows = g.tiles_m - first < kTogether ? g.tiles_m - first : kTogether;
  row = first + in_strip % rows;
  column = in_strip / rows;
}

template <class M, bool TA, bool TB>
__global__ void __launch_bounds__(M::kThreads, M::kBlocks) gemm_kernel(const Gemm g) {
  using T = typename M::Type;
  constexpr int kA = M::kRows * M::kDepth, kB = M::kColumns * M::kDepth;
  const Matmul& p = g.p;
  const unsigned tiles = g.tiles_m * g.tiles_n, pair = blockIdx.x / tiles;
  const i64 batch = pair % static_cast<unsigned>(p.batch), split = pair / static_cast<unsigned>(p.batch);
  i64 row, column;
  tile_of(g, blockIdx.x % tiles, row, column);
  row *= M::kRows;
  column *= M::kColumns;
  const i64 begin = split * g.depth, end = p.k - begin < g.depth ? p.k : begin + g.depth;

  T* const stages = dynamic_shared<T>();
  TileLoader<T, M::kRows, M::kDepth, !TA, M::kThreads> a(static_cast<const T*>(p.a) + batch * p.a_batch,
                                                         p.lda, row, p.m, begin, g.packed_a);
  TileLoader<T, M::kColumns, M::kDepth, TB, M::kThreads> b(static_cast<const T*>(p.b) + batch * p.b_batch,
                                                           p.ldb, column, p.n, begin, g.packed_b);
  i64 loaded = begin;
  int to = 0, from = 0;  // stages
  const auto load = [&] {
    if (loaded < end) {
      a.next(stages + to * (kA + kB), end - loaded);
      b.next(stages + to * (kA + kB) + kA, end - loaded);
    }
    commit_copies();  // also when there is nothing left, so that the wait below counts alike
    loaded += M::kDepth;
    to = to + 1 == kStages ? 0 : to + 1;
  };
#pragma unroll
  for (int i = 0; i < kStages - 1; ++i) load();

  M sums;
  const bool needed = sums.begin(p.m - row, p.n - column);
  for (i64 depth = begin; depth < end; depth += M::kDepth) {
    wait_copies<kStages - 2>();
    __syncthreads();  // this stage has arrived, and the one before it has been read
    load();
    if (needed) sums.template add<TA, TB>(stages + from * (kA + kB), stages + from * (kA + kB) + kA);
    from = from + 1 == kStages ? 0 : from + 1;
  }
  wait_copies<0>();
  __syncthreads();

  constexpr int kStride = M::kColumns + 8;  // keeps the eight rows of a fragment in different banks
  float* const block = dynamic_shared<float>();
  sums.template store<TA, TB>(block, kStride);
  __syncthreads();
  constexpr int kPacks = M::kColumns / 4;
  for (int i = static_cast<int>(threadIdx.x); i < M::kRows * kPacks; i += M::kThreads) {
    const i64 r = row + i / kPacks, c = column + i % kPacks * 4;
    if (r >= p.m || c >= p.n) continue;
    const Pack<float, 4> sum = load_pack<4>(block + i / kPacks * kStride + i % kPacks * 4);
    if (!g.sums) {
      finish<T>(p, g.packed_c, batch, r, c, sum.v);
      continue;
    }
    float* out = g.sums + ((split * p.batch + batch) * p.m + r) * p.n + c;
    if (g.packed_c) {
      store_pack<4>(out, sum);
    } else {
#pragma unroll
      for (int e = 0; e < 4; ++e)
        if (c + e < p.n) out[e] = sum.v[e];
    }
  }
}

template <class M>
void run_gemm(const Gemm& g) {
  constexpr std::size_t ring = kStages * (M::kRows + M::kColumns) * M::kDepth * sizeof(typename M::Type);
  constexpr std::size_t block = M::kRows * (M::kColumns + 8) * sizeof(float);
  const unsigned blocks = g.tiles_m * g.tiles_n * static_cast<unsigned>(g.p.batch * g.splits);
  const auto with = [&](auto kernel) { launch(kernel, blocks, M::kThreads, std::max(ring, block), g); };
  if (g.p.ta)
    g.p.tb ? with(gemm_kernel<M, true, true>) : with(gemm_kernel<M, true, false>);
  else
    g.p.tb ? with(gemm_kernel<M, false, true>) : with(gemm_kernel<M, false, false>);
}

}  // namespace bp::cuda
