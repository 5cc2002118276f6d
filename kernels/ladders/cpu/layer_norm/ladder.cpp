#include <iterator>

#include "kernels/ladders/cpu/table.h"

#include "kernels/cpu/features.h"
#include "kernels/ladders/cpu/layer_norm/rungs.h"

namespace bp::cpu {
namespace {

bool takes_all(const k::LayerNorm&) {
  return true;
}
#if defined(__x86_64__)
bool takes_avx2(const k::LayerNorm&) {
  return has_avx2();
}
bool takes_avx512(const k::LayerNorm&) {
  return has_avx512();
}
#endif

constexpr k::Rung<k::LayerNorm> kRungs[] = {
    {"1_passes", "means, variances and results, each over the whole matrix: three reads and a write",
     takes_all, ladder::layer_norm_passes},
    {"2_rows", "all steps of a row while it is in cache: one read and a write", takes_all,
     ladder::layer_norm_rows},
#if defined(__x86_64__)
    {"3_avx2", "8 lanes and four sums by turns: no addition waits for another", takes_avx2,
     ladder::layer_norm_avx2},
    {"4_avx512", "16 lanes: half the instructions, the same bytes", takes_avx512, ladder::layer_norm_avx512},
    {"5_threads", "rows on all cores: one cannot fill the memory's bandwidth", takes_avx512,
     ladder::layer_norm_threads},
    {"6_streaming", "stores past the caches: 8 bytes a number instead of 12", takes_avx512,
     ladder::layer_norm_streaming},
#endif
};

}  // namespace

k::Ladder<k::LayerNorm> layer_norm_ladder() {
  return {kRungs, static_cast<int>(std::size(kRungs))};
}

}  // namespace bp::cpu
