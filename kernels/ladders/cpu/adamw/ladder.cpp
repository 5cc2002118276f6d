#include <iterator>

#include "kernels/ladders/cpu/table.h"

#include "kernels/ladders/cpu/adamw/rungs.h"
#include "kernels/cpu/features.h"

namespace bp::cpu {
namespace {

bool takes_all(const k::AdamW&) {
  return true;
}
#if defined(__x86_64__)
bool takes_avx2(const k::AdamW&) {
  return has_avx2();
}
bool takes_avx512(const k::AdamW&) {
  return has_avx512();
}
#endif

constexpr k::Rung<k::AdamW> kRungs[] = {
    {"1_passes", "a pass over memory for each line of the definition: 60 bytes a parameter", takes_all,
     ladder::adamw_passes},
    {"2_fused", "one pass: 36 bytes a parameter", takes_all, ladder::adamw_fused},
#if defined(__x86_64__)
    {"3_avx2", "eight roots and divisions at once: gains only where memory is not the limit", takes_avx2,
     ladder::adamw_avx2},
    {"4_avx512", "sixteen at once, whole cache lines", takes_avx512, ladder::adamw_avx512},
    {"5_threads", "pieces of 8192 parameters on all cores, however large the tensors", takes_avx512,
     ladder::adamw_threads},
#endif
};

}  // namespace

k::Ladder<k::AdamW> adamw_ladder() {
  return {kRungs, static_cast<int>(std::size(kRungs))};
}

}  // namespace bp::cpu
