#include <iterator>

#include "kernels/ladders/cpu/table.h"

#include "kernels/ladders/cpu/attention_relpos/rungs.h"
#include "kernels/cpu/features.h"
#include "kernels/ladders/cpu/tiles.h"

namespace bp::cpu {
namespace {

// One window that is the whole grid, with SAM's relative positions.
bool whole_grid(const k::WindowAttention& p) {
  return p.win_h == p.h && p.win_w == p.w && p.rel_h && p.rel_w && !p.bias;
}
// The matrix of one head has to fit in 1 GB.
bool fits_in_memory(const k::WindowAttention& p) {
  constexpr i64 kMaxTokens = 16384;
  return whole_grid(p) && p.h * p.w <= kMaxTokens;
}
#if defined(__x86_64__)
template <class Tile>
bool takes(const k::WindowAttention& p) {
  const bool f32 = std::is_same_v<typename Tile::Element, float>;
  return whole_grid(p) && p.d <= ladder::kMaxDepth && Tile::usable() && (f32 || p.dtype == DType::bf16);
}
bool takes_amx(const k::WindowAttention& p) {
  return takes<ladder::AmxTile>(p) && has_avx512();
}
#endif

constexpr k::Rung<k::WindowAttention> kRungs[] = {
    {"1_materialised", "a matrix of logits in memory, as in the paper: moved four times", fits_in_memory,
     ladder::relpos_materialised},
    {"2_online", "softmax while keys go by, in tiles of the first-level cache: no matrix", whole_grid,
     ladder::relpos_online},
    {"3_threads", "blocks of queries on all cores: times the number of cores", whole_grid,
     ladder::relpos_threads},
#if defined(__x86_64__)
    {"4_avx2", "products by register tiles, exponentials eight at a time", takes<ladder::Avx2Tile>,
     ladder::relpos_avx2},
    {"5_in_tile", "relative terms are a product of the tile too, not a third of the time",
     takes<ladder::Avx2Tile>, ladder::relpos_in_tile},
    {"6_avx512", "16 lanes, tiles of 14 x 32: up to twice", takes<ladder::Avx512Tile>, ladder::relpos_avx512},
    {"7_bf16_dot", "both products by pairs of bf16: half their time, softmax as before",
     takes<ladder::Bf16Tile>, ladder::relpos_bf16_dot},
    {"8_amx", "both products by AMX: softmax is what is left", takes_amx, ladder::relpos_amx},
#endif
};

}  // namespace

k::Ladder<k::WindowAttention> attention_relpos_ladder() {
  return {kRungs, static_cast<int>(std::size(kRungs))};
}

}  // namespace bp::cpu
