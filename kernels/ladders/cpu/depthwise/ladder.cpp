#include <iterator>

#include "kernels/ladders/cpu/table.h"

#include "kernels/ladders/cpu/depthwise/rungs.h"
#include "kernels/cpu/features.h"

namespace bp::cpu {
namespace {

template <class Args>
bool takes_all(const Args&) {
  return true;
}
#if defined(__x86_64__)
template <class Args>
bool takes_avx2(const Args&) {
  return has_avx2();
}
template <class Args>
bool takes_avx512(const Args&) {
  return has_avx512();
}
#endif

constexpr k::Rung<k::Depthwise> kForward[] = {
    {"1_naive", "plane by plane: one number used of every cache line", takes_all, ladder::depthwise_naive},
    {"2_channels", "channels in the inner loop: whole cache lines, vectors of 4", takes_all,
     ladder::depthwise_channels},
#if defined(__x86_64__)
    {"3_avx2", "sums in registers, columns sliding by: 3 loads an output instead of 27", takes_avx2,
     ladder::depthwise_avx2},
    {"4_avx512", "16 lanes, two rows of outputs at once: 2 loads an output", takes_avx512,
     ladder::depthwise_avx512},
    {"5_threads", "pairs of rows on all cores", takes_avx512, ladder::depthwise_threads},
#endif
};

constexpr k::Rung<k::DepthwiseBackward> kBackward[] = {
    {"1_naive", "plane by plane, weights one by one: x and dy are walked over nine times", takes_all,
     ladder::depthwise_backward_naive},
    {"2_channels", "channels in the inner loop: whole cache lines, vectors of 4", takes_all,
     ladder::depthwise_backward_channels},
#if defined(__x86_64__)
    {"3_avx2", "a sliding window of dy in registers: 3 loads of dy an input instead of 9", takes_avx2,
     ladder::depthwise_backward_avx2},
    {"4_fused", "both gradients in one walk: dy comes from memory once", takes_avx512,
     ladder::depthwise_backward_fused},
    {"5_threads", "chunks of rows on all cores, their sums added in order", takes_avx512,
     ladder::depthwise_backward_threads},
#endif
};

}  // namespace

k::Ladder<k::Depthwise> depthwise_ladder() {
  return {kForward, static_cast<int>(std::size(kForward))};
}
k::Ladder<k::DepthwiseBackward> depthwise_backward_ladder() {
  return {kBackward, static_cast<int>(std::size(kBackward))};
}

}  // namespace bp::cpu
