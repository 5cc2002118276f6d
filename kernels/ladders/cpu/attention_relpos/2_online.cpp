// 2. No matrix: the softmax is computed while keys go by, in tiles of 32 queries x 64 keys.
//
// Softmax needs a row's largest logit before its first exponential, but a wrong one can be corrected later:
// when a tile raises the maximum, what was summed before shrinks by exp(old - new) (Milakov and Gimelshein,
// 2018). A tile of logits is 8 KB and never leaves the first-level cache, so the 3.2 GB of the rung before
// (SAM-B's 4096 tokens) are not moved at all. With keys and values of a tile turned to where the inner loops
// run over neighbours, the compiler makes vectors of 4 of both products. Expected: 4 to 10 times.
#include <algorithm>
#include <cmath>

#include "kernels/threads.h"

#include "kernels/ladders/cpu/attention_relpos/rungs.h"
#include "kernels/ladders/cpu/windows.h"

namespace bp::cpu::ladder {
namespace {

constexpr i64 kTileKeys = 64;

struct Tile {            // of keys, as f32
  float *keys, *values;  // [d][kTileKeys], [kTileKeys][d]
  i64 first, count;
};

// Logits of one query over the tile.
template <class T>
void logits_of(const k::WindowAttention& p, const T* q, const Tile& tile, const float* terms, float* s) {
  std::fill(s, s + kTileKeys, 0.0f);
  for (i64 e = 0; e < p.d; ++e) {
    const float scaled = p.scale * to_f32(q[e]);
    for (i64 j = 0; j < kTileKeys; ++j) s[j] += scaled * tile.keys[e * kTileKeys + j];
  }
  for (i64 j = 0; j < tile.count; ++j) {
    const i64 key = tile.first + j;
    s[j] += terms[key / p.win_w] + terms[p.win_h + key % p.win_w];
  }
}

// Adds the tile to a query's running maximum, sum and output.
void add_tile(const Tile& tile, i64 d, float* s, float& top, float& sum, float* out) {
  const float now = std::max(top, *std::max_element(s, s + tile.count)), shrink = std::exp(top - now);
  top = now;
  sum *= shrink;
  for (i64 e = 0; e < d; ++e) out[e] *= shrink;
  for (i64 j = 0; j < tile.count; ++j) {
    const float weight = std::exp(s[j] - now);
    const float* const v = tile.values + j * d;
    sum += weight;
    for (i64 e = 0; e < d; ++e) out[e] += weight * v[e];
  }
}

template <class T>
void attend(const k::WindowAttention& p, i64 u, i64 begin, i64 end, const float* terms) {
  const Windows<T> grid(p);
  const Unit unit(grid, u);
  float* const memory = scratch<float>(4, 2 * kTileKeys * p.d + kTileKeys + kOnlineQueries * p.d);
  Tile tile{memory, memory + kTileKeys * p.d, 0, 0};
  float* const s = tile.values + kTileKeys * p.d;
  float* const out = s + kTileKeys;
  float top[kOnlineQueries], sum[kOnlineQueries] = {};
  std::fill(top, top + kOnlineQueries, -INFINITY);
  std::fill(memory, out + kOnlineQueries * p.d, 0.0f);

  for (tile.first = 0; tile.first < grid.tokens; tile.first += kTileKeys) {
    tile.count = std::min(kTileKeys, grid.tokens - tile.first);
    for (i64 j = 0; j < tile.count; ++j) {
      const T *const k = unit.row(tile.first + j, 1), *const v = unit.row(tile.first + j, 2);
      for (i64 e = 0; e < p.d; ++e) tile.keys[e * kTileKeys + j] = to_f32(k[e]);
      for (i64 e = 0; e < p.d; ++e) tile.values[j * p.d + e] = to_f32(v[e]);
    }
    for (i64 q = begin; q < end; ++q) {
      logits_of(p, unit.row(q, 0), tile, terms + q * (p.win_h + p.win_w), s);
      add_tile(tile, p.d, s, top[q - begin], sum[q - begin], out + (q - begin) * p.d);
    }
  }
  for (i64 q = begin; q < end; ++q) {
    T* const to = unit.output(q);
    for (i64 e = 0; e < p.d; ++e) to[e] = from_f32<T>(out[(q - begin) * p.d + e] / sum[q - begin]);
    unit.write_lse(q, top[q - begin] + std::log(sum[q - begin]));
  }
}

}  // namespace

void relpos_online_queries(const k::WindowAttention& p, i64 u, i64 begin, i64 end, const float* terms) {
  p.dtype == DType::bf16 ? attend<bf16>(p, u, begin, end, terms) : attend<float>(p, u, begin, end, terms);
}

void relpos_online(const k::WindowAttention& p) {
  const i64 tokens = p.h * p.w;
  float* const terms = scratch<float>(0, tokens * (p.win_h + p.win_w));
  for (i64 u = 0; u < p.batch * p.heads; ++u) {
    relpos_terms(p, u, 0, tokens, terms);
    for (i64 q = 0; q < tokens; q += kOnlineQueries)
      relpos_online_queries(p, u, q, std::min(tokens, q + kOnlineQueries), terms);
  }
}

}  // namespace bp::cpu::ladder
