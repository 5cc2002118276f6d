// softmax(scale q k^T + position) v with an online softmax: one kernel for lists and windows, f32 and bf16.
//
// A block has 64 or 128 queries of a unit, a warp 16 or 32 of them, and goes over the keys in tiles. In bf16
// both products run on tensor cores (mma), the queries stay in registers, and the next tile of keys and
// values arrives (cp.async) during the products of this one. In f32 the products run on CUDA cores, on 4 x 4
// numbers a thread, and blocks beside each other hide the copies. Maxima, sums and outputs are f32 in
// registers; no matrix of queries x keys exists.
// Floor: 4 nq nk d operations a unit; of global attention in bf16, nq nk exponentials (16 a cycle and
// multiprocessor) take about as long.
#pragma once
#include "kernels/cuda/attend_positions.h"

namespace bp::cuda {

constexpr float kLog2E = 1.44269504f, kLn2 = 0.69314718f;

// How attention with heads of up to D numbers goes about a unit: kStrips strips of 16 queries a warp, tiles
// of N keys.
template <class T_, int D_, int kStrips_, int N_, int kBlocks_>
struct AttendPlan {
  using T = T_;
  static constexpr int D = D_, kStrips = kStrips_, N = N_, kBlocks = kBlocks_;  // blocks a multiprocessor
  static constexpr bool kHeld = std::is_same_v<T, bf16>;
  static constexpr int kStages = kHeld ? 2 : 1;
  static constexpr int kWarpRows = 16 * kStrips, kRows = kTileWarps * kWarpRows;
  static constexpr int kTile = N * kTileRow<T, D>;
  // Tiles of keys and values, then queries: where those go to registers, they pass through the second stage.
  static constexpr int kTiles = kStages * 2 * kTile, kQueries = kHeld ? 2 * kTile : kTiles;
  static constexpr int kElements = std::max(kTiles, kQueries + kRows * kTileRow<T, D>);
  static constexpr int kScratchFloats = kHeld ? 0 : kTileWarps * kScratch<kStrips, N>;
  using S = Scores<T, kStrips, N>;
  using O = Sums<T, kStrips, D>;

  template <class Source>
  static std::size_t shared_bytes(const Source& source) {
    return kElements * sizeof(T) + (kScratchFloats + kStages * N) * sizeof(float) +
           static_cast<std::size_t>(Positions<Source::kPosition, S>::floats(source, kRows)) * sizeof(float);
  }
};

// Keys in `parts` ranges of `each` (a multiple of the tile): where there is more than one, blocks leave what
// they have, for combine() to put together.
struct KeyParts {
  int parts, each;
  float* o;       // [parts, units, queries, d], not divided
  float2* stats;  // [parts, units, queries]: maximum of the logits times log2(e), and sum
};

// One tile of logits (before the scale) becomes exp(logit - max); sums and outputs so far shrink to the new
// maximum.
template <class S, class O>
__device__ __forceinline__ void soften(S& s, O& o, float (&top)[S::kRows], float (&sum)[S::kRows],
                                       float scale2) {
#pragma unroll
  for (int i = 0; i < S::kRows; ++i) {
    float now = top[i];
#pragma unroll
    for (int j = 0; j < S::kCols; ++j) now = fmaxf(now, s.at(i, j));
    now = row_max<S>(now);
    const float shrink = fast_exp2((top[i] - now) * scale2), base = now * scale2;
    top[i] = now;
    sum[i] *= shrink;
#pragma unroll
    for (int j = 0; j < S::kCols; ++j) sum[i] += s.at(i, j) = fast_exp2(s.at(i, j) * scale2 - base);
#pragma unroll
    for (int j = 0; j < O::kCols; ++j) o.at(i, j) *= shrink;
  }
}

template <class Source, class P>
__global__ void __launch_bounds__(kTileThreads, P::kBlocks) attend(const Source source, KeyParts split) {
  using T = typename P::T;
  using S = typename P::S;
  constexpr int N = P::N, D = P::D;
  T* const tiles = dynamic_shared<T>();
  auto* const scratch = reinterpret_cast<float*>(tiles + P::kElements);
  auto* const places = reinterpret_cast<int*>(scratch + P::kScratchFloats);
  auto* const position_memory = reinterpret_cast<float*>(places + P::kStages * N);

  const int row_blocks = (source.queries + P::kRows - 1) / P::kRows;
  const i64 rest = blockIdx.x / static_cast<unsigned>(row_blocks), u = rest / split.parts;
  const int part = static_cast<int>(rest % split.parts);
  const int first = static_cast<int>(blockIdx.x % static_cast<unsigned>(row_blocks)) * P::kRows;
  const int warp_first = first + warp_id() * P::kWarpRows;
  const int begin = part * split.each,
            end = source.keys - begin < split.each ? source.keys : begin + split.each;
  const auto unit = source.unit(u);
  const T* const some = unit.query(0).at[0];

  const auto fetch = [&](int key, int stage) {
    fetch_rows<2, N, D>(tiles + stage * 2 * P::kTile, source.d, source.packed, some, [&](int r) {
      return key + r < end ? unit.key_value(key + r) : RowsOf<T, 2>{{nullptr, nullptr}};
    });
    commit_copies();
    if (Source::kPosition != Position::none && threadIdx.x < N) {
      const int t = key + static_cast<int>(threadIdx.x);
      places[stage * N + static_cast<int>(threadIdx.x)] = source.place(t < end ? t : end - 1);
    }
  };

  fetch_rows<1, P::kRows, D>(tiles + P::kQueries, source.d, source.packed, some, [&](int r) {
    return first + r < source.queries ? unit.query(first + r) : RowsOf<T, 1>{{nullptr}};
  });
  commit_copies();
  if constexpr (Source::kPosition != Position::relative) fetch(begin, 0);
  Positions<Source::kPosition, S> positions(source, u, position_memory, warp_first, P::kRows);
  wait_copies<0>();
  __syncthreads();
  LeftRows<T, P::kStrips, D, P::kHeld> queries;
  queries.load(tiles + P::kQueries + warp_id() * P::kWarpRows * kTileRow<T, D>);
  if constexpr (Source::kPosition == Position::relative) {
    positions.template fill<N>(source, queries, tiles);
    fetch(begin, 0);
  }

  typename P::O o;
  clear(o);
  float top[S::kRows], sum[S::kRows];
#pragma unroll
  for (int i = 0; i < S::kRows; ++i) {
    top[i] = -__builtin_inff();
    sum[i] = 0.0f;
  }
  const float scale2 = source.scale * kLog2E;
  int stage = 0;
  for (int key = begin; key < end; key += N) {
    wait_copies<0>();
    __syncthreads();  // the tile is there for all, and all have left the one before
    if (P::kStages == 2 && key + N < end) fetch(key + N, 1 - stage);
    const T* const tile = tiles + stage * 2 * P::kTile;
    S s;
    set_logits(s, positions, key, places + stage * N, queries, tile);
    if (key + N > end) {
#pragma unroll
      for (int j = 0; j < S::kCols; ++j)
        if (key + S::col(j) >= end)
#pragma unroll
          for (int i = 0; i < S::kRows; ++i) s.at(i, j) = -__builtin_inff();
    }
    soften(s, o, top, sum, scale2);
    add_product(o, s, tile + P::kTile, scratch + warp_id() * kScratch<P::kStrips, N>);
    if (P::kStages == 2) {
      stage = 1 - stage;
    } else if (key + N < end) {
      __syncthreads();
      fetch(key + N, 0);
    }
  }

#pragma unroll
  for (int i = 0; i < S::kRows; ++i) {
    const int t = warp_first + S::row(i);
    const float total = row_sum<S>(sum[i]);
    if (t >= source.queries) continue;
    const i64 row = u * source.queries + t;
    if (split.parts > 1) {
      const i64 at = part * source.units * source.queries + row;
      store_row(split.o + at * source.d, o, i, 1.0f, source.d, false);
      if (S::col(0) == 0) split.stats[at] = {top[i] * scale2, total};
      continue;
    }
    const i64 at = unit.out(t);
    if (at >= 0) store_row(source.o + at, o, i, 1 / total, source.d, source.pairs);
    if (source.lse && S::col(0) == 0) source.lse[row] = top[i] * source.scale + logf(total);
  }
}

template <class P, class Source>
void launch_attend(const Source& source, KeyParts split) {
  const i64 blocks = source.units * split.parts * ceil_div(source.queries, P::kRows);
  if (blocks == 0) return;
  const std::size_t bytes = P::shared_bytes(source);
  if (bytes > shared_per_block())
    throw std::runtime_error("attention: a window is too large for the shared memory of a block");
  launch(attend<Source, P>, dim3(static_cast<unsigned>(blocks)), dim3(kTileThreads), bytes, source, split);
}

// From here on a unit's queries go in blocks of 128, in bf16: then a warp reads its tiles half as often.
constexpr int kManyQueries = 512;

template <int D, class Source>
void attend_with(const Source& source, KeyParts split) {
  using T = typename Source::Element;
  if constexpr (std::is_same_v<T, float>) {
    launch_attend<AttendPlan<T, D, 1, 32, D <= 80 ? 3 : 2>>(source, split);
  } else {
    // As much as registers hold.
    if constexpr (D <= 80) {
      using Wide = AttendPlan<T, D, 2, D <= 64 ? 64 : 32, 2>;
      if (source.queries >= kManyQueries && Wide::shared_bytes(source) <= shared_per_block())
        return launch_attend<Wide>(source, split);
    }
    launch_attend<AttendPlan<T, D, 1, 64, D <= 80 ? 3 : 2>>(source, split);
  }
}

// Calls f(D) with the first of kSizes that holds heads of d: what they are padded to in shared memory.
template <int kSize, int... kSizes, class F>
void with_head_size(i64 d, const F& f) {
  if constexpr (sizeof...(kSizes) > 0) {
    if (d > kSize) return with_head_size<kSizes...>(d, f);
  }
  f(std::integral_constant<int, kSize>{});
}

}  // namespace bp::cuda
