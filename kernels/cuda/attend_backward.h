// Gradients of attention by recomputing the probabilities from lse, in two kernels without atomics. With
// logits L = scale Q K^T + position, P = exp(L - lse), dP = dO V^T and delta = rowsum(dO O):
//   dV = P^T dO,  dL = P (dP - delta),  dQ = scale dL K,  dK = scale dL^T Q,  and dL is the position's.
// attend_queries has a block of queries and goes over the keys: delta, dQ and the table's sums; attend_keys
// has a block of keys and goes over the queries: dK, dV and what padding gets. Where a query sticks out of
// the grid, its gradient is none: its lse counts as infinite, so that P is zero.
// Floor: 14 nq nk d operations a unit.
#pragma once
#include "kernels/cuda/attend.h"

namespace bp::cuda {

template <class Units>
struct Gradients : Units {
  using T = typename Units::Element;
  const T* dout;     // where o is
  T* gradients[3];   // of q, k, v, at Unit::gradient
  float2* stats;     // [units, queries]: lse times log2(e), or infinity; delta
  float* table;      // [units, blocks of queries, win_h * win_w] of dL, or null
  float* padding;    // [units, blocks of keys, 3 d] of dk and dv (dq is zero), or null
  bool pack_output;  // dout's rows can be read in packs, too
};

// As AttendPlan: a block has 64 rows of two left operands, and tiles of N rows of two right ones.
template <class T_, int D_, int N_, int kBlocks_>
struct BackwardPlan {
  using T = T_;
  static constexpr int D = D_, N = N_, kBlocks = kBlocks_;
  static constexpr bool kHeld = std::is_same_v<T, bf16> && D <= 64;
  static constexpr int kStages = std::is_same_v<T, bf16> ? 2 : 1;
  static constexpr int kWarpRows = 16, kRows = kTileWarps * kWarpRows;
  static constexpr int kRow = kTileRow<T, D>, kLeft = kRows * kRow, kTile = N * kRow;
  static constexpr int kElements = 2 * kLeft + kStages * 2 * kTile;
  // Of attend_queries and attend_keys: products in f32 need it, and the table's sums.
  template <class Source>
  static constexpr int kQueryScratch =
      std::is_same_v<T, float> || Source::kPosition == Position::table ? kTileWarps* kScratch<1, N> : 0;
  static constexpr int kKeyScratch = std::is_same_v<T, float> ? kTileWarps * kScratch<1, N> : 0;
  using S = Scores<T, 1, N>;
  using O = Sums<T, 1, D>;
  using Left = LeftRows<T, 1, D, kHeld>;

  // With `floats` for scratch, a row's or a column's two numbers, and the sums of a table.
  template <class Source>
  static std::size_t shared_bytes(const Source& source, int floats) {
    floats += kStages * N + Positions<Source::kPosition, S>::floats(source, kRows);
    return kElements * sizeof(T) + static_cast<std::size_t>(floats) * sizeof(float);
  }
};

// delta and lse of a warp's 16 queries: to `rows` for itself, to source.stats for attend_keys.
template <class P, class Source, class Unit>
__device__ __forceinline__ void query_stats(const Source& source, const Unit& unit, i64 u, int warp_first,
                                            const typename P::T* dout, float2* rows) {
#pragma unroll 4
  for (int r = 0; r < P::kWarpRows; ++r) {
    const int t = warp_first + r;
    const i64 at = t < source.queries ? unit.out(t) : -1;
    float delta = 0.0f;
    if (at >= 0)
      for (int c = lane_id(); c < source.d; c += kWarpSize)
        delta += load_f32(dout[r * P::kRow + c]) * load_f32(source.o[at + c]);
    delta = warp_sum(delta);
    if (lane_id() == 0) {
      const i64 row = u * source.queries + t;
      rows[r] = {at >= 0 ? source.lse[row] * kLog2E : __builtin_inff(), delta};
      if (t < source.queries) source.stats[row] = rows[r];
    }
  }
  __syncwarp();
}

// The sums of dL by the difference of places, one table a warp. Keys of one query differ in that, so lanes
// never meet; rows go one after the other.
template <class P, class Source>
__device__ __forceinline__ void add_to_table(const Source& source, typename P::S& dl, float* scratch,
                                             float* table, int warp_first, int keys_left, const int* places) {
  __syncwarp();
  store_scratch<P::N>(scratch, dl);
  __syncwarp();
  const int mine = warp_first + lane_id() % P::kWarpRows,
            place = source.place(mine < source.queries ? mine : source.queries - 1);
  float* const middle = table + Positions<Position::table, typename P::S>::floats(source, 0) / 2;
  for (int r = 0; r < P::kWarpRows; ++r) {
    const int query = __shfl_sync(kFullMask, place, r);
    if (warp_first + r < source.queries)
      for (int c = lane_id(); c < P::N; c += kWarpSize)
        if (c < keys_left) middle[query - places[c]] += scratch[r * kScratchRow<P::N> + c];
    __syncwarp();
  }
}

// Adds up the warps' tables, folded to |dy| and |dx|.
template <class Source>
__device__ __forceinline__ void write_table(const Source& source, const float* tables, float* to) {
  const int across = 2 * source.win_w - 1, size = (2 * source.win_h - 1) * across;
  for (int i = static_cast<int>(threadIdx.x); i < source.keys; i += kTileThreads) {
    const int dy = i / source.win_w, dx = i % source.win_w;
    float sum = 0.0f;
    for (int warp = 0; warp < kTileWarps; ++warp)
      for (int y = -dy; y <= dy; y += dy > 0 ? 2 * dy : 1)
        for (int x = -dx; x <= dx; x += dx > 0 ? 2 * dx : 1)
          sum += tables[warp * size + size / 2 + y * across + x];
    to[i] = sum;
  }
}

template <class Source, class P>
__global__ void __launch_bounds__(kTileThreads, P::kBlocks) attend_queries(const Source source) {
  using T = typename P::T;
  using S = typename P::S;
  constexpr int N = P::N, D = P::D;
  constexpr bool kTable = Source::kPosition == Position::table;
  T* const left = dynamic_shared<T>();
  T* const tiles = left + 2 * P::kLeft;
  auto* const scratches = reinterpret_cast<float*>(left + P::kElements);
  float* const scratch = scratches + warp_id() * kScratch<1, N>;
  auto* const row_stats = reinterpret_cast<float2*>(scratches + P::template kQueryScratch<Source>);
  auto* const places = reinterpret_cast<int*>(row_stats + P::kRows);
  auto* const position_memory = reinterpret_cast<float*>(places + P::kStages * N);

  const int row_blocks = (source.queries + P::kRows - 1) / P::kRows;
  const i64 u = blockIdx.x / static_cast<unsigned>(row_blocks);
  const int first = static_cast<int>(blockIdx.x % static_cast<unsigned>(row_blocks)) * P::kRows;
  const int warp_row = warp_id() * P::kWarpRows, warp_first = first + warp_row;
  const auto unit = source.unit(u);
  const T* const some = unit.query(0).at[0];

  // The warps' tables follow the positions.
  float* const tables = position_memory + Positions<Source::kPosition, S>::floats(source, P::kRows);
  int table_size = 0;
  if constexpr (kTable)
    if (source.table) {
      table_size = Positions<Source::kPosition, S>::floats(source, P::kRows);
      for (int i = static_cast<int>(threadIdx.x); i < kTileWarps * table_size; i += kTileThreads)
        tables[i] = 0.0f;
    }

  const auto fetch = [&](int key, int stage) {
    fetch_rows<2, N, D>(tiles + stage * 2 * P::kTile, source.d, source.packed, some, [&](int r) {
      return key + r < source.keys ? unit.key_value(key + r) : RowsOf<T, 2>{{nullptr, nullptr}};
    });
    commit_copies();
    if (kTable && threadIdx.x < N) {
      const int t = key + static_cast<int>(threadIdx.x);
      places[stage * N + static_cast<int>(threadIdx.x)] = source.place(t < source.keys ? t : 0);
    }
  };
  fetch_rows<2, P::kRows, D>(left, source.d, source.pack_output, some, [&](int r) {
    const int t = first + r;
    const i64 at = t < source.queries ? unit.out(t) : -1;
    return at < 0 ? RowsOf<T, 2>{{nullptr, nullptr}} : RowsOf<T, 2>{{unit.query(t).at[0], source.dout + at}};
  });
  fetch(0, 0);
  const Positions<Source::kPosition, S> positions(source, u, position_memory, warp_first, P::kRows);
  wait_copies<0>();
  __syncthreads();
  query_stats<P>(source, unit, u, warp_first, left + P::kLeft + warp_row * P::kRow, row_stats + warp_row);
  typename P::Left q, dout;
  q.load(left + warp_row * P::kRow);
  dout.load(left + P::kLeft + warp_row * P::kRow);

  typename P::O dq;
  clear(dq);
  const float scale2 = source.scale * kLog2E;
  int stage = 0;
  for (int key = 0; key < source.keys; key += N) {
    wait_copies<0>();
    __syncthreads();
    if (P::kStages == 2 && key + N < source.keys) fetch(key + N, 1 - stage);
    const T* const tile = tiles + stage * 2 * P::kTile;
    S s, dp;
    set_logits(s, positions, key, places + stage * N, q, tile);
    clear(dp);
    add_scores(dp, dout, tile + P::kTile);
#pragma unroll
    for (int i = 0; i < S::kRows; ++i) {
      const float2 stats = row_stats[warp_row + S::row(i)];
#pragma unroll
      for (int j = 0; j < S::kCols; ++j) {
        const float p = fast_exp2(s.at(i, j) * scale2 - stats.x);
        s.at(i, j) = key + S::col(j) < source.keys ? p * (dp.at(i, j) - stats.y) : 0.0f;
      }
    }
    add_product(dq, s, tile, scratch);
    if constexpr (kTable)
      if (source.table)
        add_to_table<P>(source, s, scratch, tables + warp_id() * table_size, warp_first, source.keys - key,
                        places + stage * N);
    if (P::kStages == 2) {
      stage = 1 - stage;
    } else if (key + N < source.keys) {
      __syncthreads();
      fetch(key + N, 0);
    }
  }
#pragma unroll
  for (int i = 0; i < S::kRows; ++i) {
    const int t = warp_first + S::row(i);
    const i64 at = t < source.queries ? unit.gradient(0, t) : -1;
    if (at >= 0) store_row(source.gradients[0] + at, dq, i, source.scale, source.d, source.pairs);
  }
  if constexpr (kTable)
    if (source.table) {
      __syncthreads();
      write_table(source, tables, source.table + static_cast<i64>(blockIdx.x) * source.keys);
    }
}

// Sums of the block's rows that stick out, columns of one gradient; `scratch` holds kTileWarps * D floats.
template <class P, class Source, class Unit>
__device__ __forceinline__ void write_padding(const Source& source, const Unit& unit, int warp_first,
                                              typename P::O& gradient, float factor, float* scratch,
                                              float* to) {
  using O = typename P::O;
  bool out[O::kRows];
#pragma unroll
  for (int i = 0; i < O::kRows; ++i) {
    const int t = warp_first + O::row(i);
    out[i] = t < source.keys && unit.gradient(1, t) < 0;
  }
#pragma unroll
  for (int j = 0; j < O::kCols; ++j) {
    float sum = 0.0f;
#pragma unroll
    for (int i = 0; i < O::kRows; ++i) sum += out[i] ? gradient.at(i, j) : 0.0f;
#pragma unroll
    for (int with = O::kLanesPerRow; with < kWarpSize; with *= 2)
      sum += __shfl_xor_sync(kFullMask, sum, with);
    if (lane_id() < O::kLanesPerRow) scratch[warp_id() * P::D + O::col(j)] = sum;
  }
  __syncthreads();
  for (int c = static_cast<int>(threadIdx.x); c < source.d; c += kTileThreads) {
    float sum = 0.0f;
    for (int warp = 0; warp < kTileWarps; ++warp) sum += scratch[warp * P::D + c];
    to[c] = sum * factor;
  }
  __syncthreads();
}

template <class Source, class P>
__global__ void __launch_bounds__(kTileThreads, P::kBlocks) attend_keys(const Source source) {
  using T = typename P::T;
  using S = typename P::S;
  constexpr int N = P::N, D = P::D;
  constexpr bool kTable = Source::kPosition == Position::table;
  T* const left = dynamic_shared<T>();
  T* const tiles = left + 2 * P::kLeft;
  auto* const scratches = reinterpret_cast<float*>(left + P::kElements);
  float* const scratch = scratches + warp_id() * kScratch<1, N>;
  auto* const tile_stats = reinterpret_cast<float2*>(scratches + P::kKeyScratch);
  auto* const places = reinterpret_cast<int*>(tile_stats + P::kStages * N);
  auto* const position_memory = reinterpret_cast<float*>(places + P::kStages * N);

  const int row_blocks = (source.keys + P::kRows - 1) / P::kRows;
  const i64 u = blockIdx.x / static_cast<unsigned>(row_blocks);
  const int first = static_cast<int>(blockIdx.x % static_cast<unsigned>(row_blocks)) * P::kRows;
  const int warp_row = warp_id() * P::kWarpRows, warp_first = first + warp_row;
  const auto unit = source.unit(u);
  const T* const some = unit.key_value(0).at[0];

  const auto fetch = [&](int query, int stage) {
    fetch_rows<2, N, D>(tiles + stage * 2 * P::kTile, source.d, source.pack_output, some, [&](int r) {
      const int t = query + r;
      const i64 at = t < source.queries ? unit.out(t) : -1;
      return at < 0 ? RowsOf<T, 2>{{nullptr, nullptr}}
                    : RowsOf<T, 2>{{unit.query(t).at[0], source.dout + at}};
    });
    commit_copies();
    if (threadIdx.x < N) {
      const int t = query + static_cast<int>(threadIdx.x), at = stage * N + static_cast<int>(threadIdx.x);
      tile_stats[at] =
          t < source.queries ? source.stats[u * source.queries + t] : float2{__builtin_inff(), 0.0f};
      if (kTable) places[at] = source.place(t < source.queries ? t : 0);
    }
  };
  fetch_rows<2, P::kRows, D>(left, source.d, source.packed, some, [&](int r) {
    return first + r < source.keys ? unit.key_value(first + r) : RowsOf<T, 2>{{nullptr, nullptr}};
  });
  fetch(0, 0);
  const Positions<Source::kPosition, S> positions(source, u, position_memory, warp_first, P::kRows);
  wait_copies<0>();
  __syncthreads();
  typename P::Left k, v;
  k.load(left + warp_row * P::kRow);
  v.load(left + P::kLeft + warp_row * P::kRow);

  typename P::O dk, dv;
  clear(dk);
  clear(dv);
  const float scale2 = source.scale * kLog2E;
  int stage = 0;
  for (int query = 0; query < source.queries; query += N) {
    wait_copies<0>();
    __syncthreads();
    if (P::kStages == 2 && query + N < source.queries) fetch(query + N, 1 - stage);
    const T* const tile = tiles + stage * 2 * P::kTile;
    S p, dl;
    set_logits(p, positions, query, places + stage * N, k, tile);
    clear(dl);
    add_scores(dl, v, tile + P::kTile);
#pragma unroll
    for (int j = 0; j < S::kCols; ++j) {
      const float2 stats = tile_stats[stage * N + S::col(j)];
#pragma unroll
      for (int i = 0; i < S::kRows; ++i) {
        p.at(i, j) = fast_exp2(p.at(i, j) * scale2 - stats.x);
        dl.at(i, j) = p.at(i, j) * (dl.at(i, j) - stats.y);
      }
    }
    add_product(dv, p, tile + P::kTile, scratch);
    add_product(dk, dl, tile, scratch);
    if (P::kStages == 2) {
      stage = 1 - stage;
    } else if (query + N < source.queries) {
      __syncthreads();
      fetch(query + N, 0);
    }
  }
#pragma unroll
  for (int i = 0; i < S::kRows; ++i) {
    const int t = warp_first + S::row(i);
    const i64 to_k = t < source.keys ? unit.gradient(1, t) : -1;
    if (to_k < 0) continue;
    store_row(source.gradients[1] + to_k, dk, i, source.scale, source.d, source.pairs);
    store_row(source.gradients[2] + unit.gradient(2, t), dv, i, 1.0f, source.d, source.pairs);
  }
  if constexpr (kTable)
    if (source.padding) {
      float* const to = source.padding + static_cast<i64>(blockIdx.x) * 3 * source.d;
      for (int c = static_cast<int>(threadIdx.x); c < source.d; c += kTileThreads) to[c] = 0.0f;
      auto* const sums = reinterpret_cast<float*>(tiles);
      __syncthreads();
      write_padding<P>(source, unit, warp_first, dk, source.scale, sums, to + source.d);
      write_padding<P>(source, unit, warp_first, dv, 1.0f, sums, to + 2 * source.d);
    }
}

template <class P, class Source>
void launch_backward(const Source& source) {
  const i64 row_blocks = ceil_div(source.queries, P::kRows), key_blocks = ceil_div(source.keys, P::kRows);
  if (source.units == 0) return;
  const int tables =
      source.table ? kTileWarps * Positions<Source::kPosition, typename P::S>::floats(source, P::kRows) : 0;
  const std::size_t for_queries =
      P::shared_bytes(source, P::template kQueryScratch<Source> + 2 * P::kRows + tables);
  const std::size_t for_keys = P::shared_bytes(source, P::kKeyScratch + 2 * P::kStages * P::N);
  if (std::max(for_queries, for_keys) > shared_per_block())
    throw std::runtime_error("attention: a window is too large for the shared memory of a block");
  if (row_blocks > 0)
    launch(attend_queries<Source, P>, dim3(static_cast<unsigned>(source.units * row_blocks)),
           dim3(kTileThreads), for_queries, source);
  if (key_blocks > 0)
    launch(attend_keys<Source, P>, dim3(static_cast<unsigned>(source.units * key_blocks)), dim3(kTileThreads),
           for_keys, source);
}

template <class Source>
void attend_backward(const Source& source) {
  using T = typename Source::Element;
  constexpr bool f32 = std::is_same_v<T, float>;
  with_head_size<32, 64, kMostHead>(source.d, [&](auto size) {
    constexpr int D = size();
    launch_backward<BackwardPlan<T, D, f32 ? (D <= 64 ? 32 : 16) : (D <= 64 ? 64 : 32), D <= 32 ? 3 : 2>>(
        source);
  });
}

}  // namespace bp::cuda
