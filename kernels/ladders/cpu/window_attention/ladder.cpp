#include <iterator>

#include "kernels/ladders/cpu/table.h"

#include "kernels/cpu/features.h"
#include "kernels/ladders/cpu/tiles.h"
#include "kernels/ladders/cpu/window_attention/rungs.h"

namespace bp::cpu {
namespace {

bool takes_all(const k::WindowAttention&) {
  return true;
}
#if defined(__x86_64__)
template <class Tile>
bool takes(const k::WindowAttention& p) {
  const bool f32 = std::is_same_v<typename Tile::Element, float>;
  return p.d <= ladder::kMaxDepth && Tile::usable() && (f32 || p.dtype == DType::bf16);
}
bool takes_amx(const k::WindowAttention& p) {
  return takes<ladder::AmxTile>(p) && has_avx512();
}
#endif

constexpr k::Rung<k::WindowAttention> kRungs[] = {
    {"1_gather", "windows copied out, attended to and put back, as frameworks do", takes_all,
     ladder::windows_gathered},
    {"2_by_index", "tokens are read and written where they lie: no copies", takes_all,
     ladder::windows_by_index},
    {"3_threads", "windows and heads on all cores: times the number of cores", takes_all,
     ladder::windows_threads},
#if defined(__x86_64__)
    {"4_avx2", "keys and values packed in cache, register tiles, exponentials in vectors",
     takes<ladder::Avx2Tile>, ladder::windows_avx2},
    {"5_avx512", "16 lanes, tiles of 14 x 32: strips fill exactly", takes<ladder::Avx512Tile>,
     ladder::windows_avx512},
    {"6_bf16_dot", "both products by pairs of bf16: half their instructions", takes<ladder::Bf16Tile>,
     ladder::windows_bf16_dot},
    {"7_amx", "both products by AMX: packing, positions and softmax are left", takes_amx,
     ladder::windows_amx},
#endif
};

}  // namespace

k::Ladder<k::WindowAttention> window_attention_ladder() {
  return {kRungs, static_cast<int>(std::size(kRungs))};
}

}  // namespace bp::cpu
