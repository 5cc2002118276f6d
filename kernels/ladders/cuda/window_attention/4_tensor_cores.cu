// Both products on tensor cores, in bf16. A window is small enough that a warp keeps all logits of 16 queries
// in registers, 16 x 208 numbers for 14 x 14 tokens: so the softmax needs no running maximum and corrects no
// output. Keys and values stand in shared memory once, as before, in half the bytes (60 KB at d = 64).
// Relative positions are products on tensor cores, too: 16 queries with the 2 x 27 rows of rel_h and rel_w,
// of which each query keeps its 14 + 14 in shared memory. TinyViT's table of a head (196 numbers) stands
// there as it is. Rows are padded to 13 x 16, 94 % of them are tokens; four warps take the 13 strips in turn.
#include "kernels/cuda/warp_tiles.h"
#include "kernels/ladders/cuda/window_attention/windows.h"

namespace bp::cuda::windowed {
namespace {

constexpr int kStrip = 16;                                 // queries of a warp at a time
constexpr int kMostSide = 16, kRelRows = 2 * kMostSide;    // of a window; of the products with rel_h or rel_w
constexpr int kPositionStep = kStrip + 4;                  // lanes of a fragment read 32 different banks
constexpr int kPositions = 2 * kMostSide * kPositionStep;  // floats of a warp

// Rows r < count of `to`, row(r) or zeros where that is null, by `threads` threads of which this is one.
template <int D, class Row>
__device__ __forceinline__ void load_rows(bf16* to, int count, int thread, int threads, const Row& row) {
  constexpr int kPacks = D / 8;
  for (int i = thread; i < count * kPacks; i += threads) {
    const bf16* const from = row(i / kPacks);
    const int c = i % kPacks * 8;
    store_pack(to + i / kPacks * kTileRow<bf16, D> + c, from ? load_pack<8>(from + c) : Pack<bf16, 8>{});
  }
}

// The warp's entries of both axes from the products of its queries with rel_h and rel_w (`rel`, behind each
// other).
template <int D>
__device__ __forceinline__ void make_positions(const Windows<bf16>& a, float* positions, int first,
                                               const LeftRows<bf16, 1, D, true>& queries, const bf16* rel) {
  __syncwarp();  // all lanes have their queries
  for (int axis = 0; axis < 2; ++axis) {
    const int side = axis == 0 ? a.win_h : a.win_w;
    Scores<bf16, 1, kRelRows> g;
    clear(g);
    add_scores(g, queries, rel + axis * kRelRows * kTileRow<bf16, D>);
#pragma unroll
    for (int i = 0; i < g.kRows; ++i) {
      const int t = first + g.row(i), at = axis == 0 ? t / a.win_w : t % a.win_w;
#pragma unroll
      for (int j = 0; j < g.kCols; ++j) {
        const int key = at + side - 1 - g.col(j);
        if (key >= 0 && key < side)
          positions[(axis * a.win_h + key) * kPositionStep + g.row(i)] = g.at(i, j) * kLog2E;
      }
    }
  }
  __syncwarp();
}

// Row and column of token t are in places[t]. Products become logits: scaled, with the warp's entries for its
// queries, or with the table of the head.
template <class S>
__device__ __forceinline__ void add_relative(S& s, const Windows<bf16>& a, const float* positions,
                                             const int* places) {
#pragma unroll
  for (int j = 0; j < S::kCols; ++j) {
    const int place = places[S::col(j)];
    const float* const of_row = positions + (place & 0xffff) * kPositionStep;
    const float* const of_col = positions + (a.win_h + (place >> 16)) * kPositionStep;
#pragma unroll
    for (int i = 0; i < S::kRows; ++i)
      s.at(i, j) = s.at(i, j) * a.scale2 + (of_row[S::row(i)] + of_col[S::row(i)]);
  }
}
template <class S>
__device__ __forceinline__ void add_table(S& s, const Windows<bf16>& a, const float* table, int first,
                                          const int* places) {
#pragma unroll
  for (int i = 0; i < S::kRows; ++i) {
    const int place = places[first + S::row(i)], y = place & 0xffff, x = place >> 16;
#pragma unroll
    for (int j = 0; j < S::kCols; ++j) {
      const int key = places[S::col(j)];
      s.at(i, j) =
          s.at(i, j) * a.scale2 + table[distance(y, key & 0xffff) * a.win_w + distance(x, key >> 16)];
    }
  }
}

// The softmax of a strip's rows, not divided: `total` and lse's maximum are of whole rows.
template <class S>
__device__ __forceinline__ void soften(S& s, int keys, float (&top)[S::kRows], float (&total)[S::kRows]) {
#pragma unroll
  for (int i = 0; i < S::kRows; ++i) {
    top[i] = -__builtin_inff();
#pragma unroll
    for (int j = 0; j < S::kCols; ++j) {
      if (S::col(j) >= keys) s.at(i, j) = -__builtin_inff();
      top[i] = fmaxf(top[i], s.at(i, j));
    }
    top[i] = row_max<S>(top[i]);
    total[i] = 0.0f;
#pragma unroll
    for (int j = 0; j < S::kCols; ++j) total[i] += s.at(i, j) = fast_exp2(s.at(i, j) - top[i]);
    total[i] = row_sum<S>(total[i]);
  }
}

// N is the window's tokens rounded up. A warp's queries pass through the memory of its positions.
template <int D, int N>
struct Plan {
  static constexpr int kTile = N * kTileRow<bf16, D>, kRel = 2 * kRelRows * kTileRow<bf16, D>;
  static constexpr std::size_t kOfWarp =
      std::max(kStrip * kTileRow<bf16, D> * sizeof(bf16), kPositions * sizeof(float));
  static constexpr std::size_t kBytes =
      (2 * kTile + kRel) * sizeof(bf16) + kTileWarps * kOfWarp + N * (sizeof(float) + sizeof(int));
};

template <int D, int N>
__global__ void __launch_bounds__(kTileThreads) attend(const Windows<bf16> a) {
  using P = Plan<D, N>;
  auto* const keys = dynamic_shared<bf16>();
  bf16 *const values = keys + P::kTile, *const rel = values + P::kTile;
  auto* const of_warps = reinterpret_cast<unsigned char*>(rel + P::kRel);
  auto* const own = of_warps + warp_id() * P::kOfWarp;
  auto* const own_queries = reinterpret_cast<bf16*>(own);
  auto* const table = reinterpret_cast<float*>(of_warps + kTileWarps * P::kOfWarp);
  auto* const places = reinterpret_cast<int*>(table + N);
  auto* const own_positions = reinterpret_cast<float*>(own);
  const int thread = static_cast<int>(threadIdx.x);
  const i64 unit = blockIdx.x;

  for (int part = 1; part < 3; ++part)
    load_rows<D>(part == 1 ? keys : values, N, thread, kTileThreads,
                 [&](int t) { return t < a.tokens ? a.row(unit, part, t) : nullptr; });
  for (int i = thread; i < N; i += kTileThreads) {
    const int t = i < a.tokens ? i : a.tokens - 1;
    places[i] = t / a.win_w | t % a.win_w << 16;
  }
  if (a.rel_h)
    load_rows<D>(rel, 2 * kRelRows, thread, kTileThreads, [&](int r) {
      const int at = r % kRelRows, side = r < kRelRows ? a.win_h : a.win_w;
      return at < 2 * side - 1 ? (r < kRelRows ? a.rel_h : a.rel_w) + at * D : nullptr;
    });
  else
    for (int i = thread; i < N; i += kTileThreads)
      table[i] = a.bias && i < a.tokens ? load_f32(a.bias[unit % a.heads * a.tokens + i]) * kLog2E : 0.0f;
  __syncthreads();

  for (int first = warp_id() * kStrip; first < a.tokens; first += kTileWarps * kStrip) {
    __syncwarp();  // the strip before has been read
    load_rows<D>(own_queries, kStrip, lane_id(), kWarpSize,
                 [&](int r) { return first + r < a.tokens ? a.row(unit, 0, first + r) : nullptr; });
    __syncwarp();
    LeftRows<bf16, 1, D, true> queries;
    queries.load(own_queries);
    if (a.rel_h) make_positions<D>(a, own_positions, first, queries, rel);

    Scores<bf16, 1, N> s;
    clear(s);
    add_scores(s, queries, keys);
    if (a.rel_h)
      add_relative(s, a, own_positions, places);
    else
      add_table(s, a, table, first, places);
    float top[s.kRows], total[s.kRows];
    soften(s, a.tokens, top, total);
    Sums<bf16, 1, D> o;
    clear(o);
    add_product(o, s, values, nullptr);
#pragma unroll
    for (int i = 0; i < s.kRows; ++i) {
      const int t = first + s.row(i);
      if (t >= a.tokens) continue;
      if (bf16* const to = a.out(unit, t)) store_row(to, o, i, 1 / total[i], D, true);
      if (a.lse && s.col(0) == 0) a.lse[unit * a.tokens + t] = top[i] / kLog2E + logf(total[i]);
    }
  }
}

constexpr int kFewTokens = 64, kMostTokens = 208;  // 7 x 7 and 14 x 14, rounded up to 16

// Calls f with the plan for these windows.
template <class F>
void with_plan(const Windows<bf16>& a, const F& f) {
  with_usual_head(a.d, [&](auto d) {
    if (a.tokens <= kFewTokens)
      f(d, std::integral_constant<int, kFewTokens>{});
    else
      f(d, std::integral_constant<int, kMostTokens>{});
  });
}

}  // namespace

bool takes_tensor_cores(const WindowAttention& a) {
  if (a.dtype != DType::bf16 || !is_aligned(a) || (a.rel_h && a.bias)) return false;
  if (a.win_h > kMostSide || a.win_w > kMostSide || a.win_h * a.win_w > kMostTokens) return false;
  bool fits = false;  // and stays so for other heads
  with_plan(Windows<bf16>(a), [&](auto d, auto n) { fits = Plan<d(), n()>::kBytes <= shared_per_block(); });
  return fits;
}

void tensor_cores(const WindowAttention& args) {
  const Windows<bf16> a(args);
  if (a.units == 0) return;
  with_plan(a, [&](auto d, auto n) {
    launch(attend<d(), n()>, dim3(static_cast<unsigned>(a.units)), dim3(kTileThreads), Plan<d(), n()>::kBytes,
           a);
  });
}

}  // namespace bp::cuda::windowed
