#include <iterator>

#include "kernels/ladders/cpu/table.h"

#include "kernels/ladders/cpu/matmul/rungs.h"
#include "kernels/ladders/cpu/tiles.h"

namespace bp::cpu {
namespace {

bool takes_all(const k::Matmul&) {
  return true;
}
#if defined(__x86_64__)
template <class Tile>
bool takes(const k::Matmul& p) {
  return Tile::usable() && (p.dtype == DType::bf16 || std::is_same_v<typename Tile::Element, float>);
}
#endif

constexpr k::Rung<k::Matmul> kRungs[] = {
    {"1_naive", "the definition, one addition after another: the line to beat", takes_all,
     ladder::matmul_naive},
    {"2_blocked", "blocks of B stay in the cache, columns are vectors: no waiting for additions or memory",
     takes_all, ladder::matmul_blocked},
    {"3_threads", "blocks of rows on all cores: times the number of cores", takes_all,
     ladder::matmul_threads},
#if defined(__x86_64__)
    {"4_avx2", "tiles of 6 x 16 sums in registers: 2/3 of a load per multiply-add of 8 lanes",
     takes<ladder::Avx2Tile>, ladder::matmul_avx2},
    {"5_avx512", "tiles of 14 x 32 sums: 16 lanes, up to twice", takes<ladder::Avx512Tile>,
     ladder::matmul_avx512},
    {"6_bf16_dot", "bf16 stays bf16, two multiply-adds per lane and half the bytes: up to twice",
     takes<ladder::Bf16Tile>, ladder::matmul_bf16_dot},
    {"7_amx", "AMX's matrix unit, 512 multiply-adds a cycle: up to 8 times", takes<ladder::AmxTile>,
     ladder::matmul_amx},
#endif
};

}  // namespace

k::Ladder<k::Matmul> matmul_ladder() {
  return {kRungs, static_cast<int>(std::size(kRungs))};
}

}  // namespace bp::cpu
