#include <iterator>

#include "kernels/ladders/cuda/adamw/rungs.h"
#include "kernels/ladders/cuda/table.h"

namespace bp::cuda {
namespace {

bool any(const k::AdamW& a) {
  return a.count > 0;
}

constexpr k::Rung<k::AdamW> kRungs[] = {
    {"1_naive", "A launch per tensor for the update and one for average and copy: 555 for a student.", any,
     adamw_1_naive},
    {"2_packed", "Four elements a thread by 16-byte loads: fewer instructions where tensors are large.", any,
     adamw_2_packed},
    {"3_multi_tensor", "A launch takes a table of 48 tensors in its arguments: 15 launches instead of 555.",
     any, adamw_3_multi_tensor},
    {"4_fused", "Average and copy in the same pass: the weights are read once, 36 bytes an element, not 40.",
     any, adamw_4_fused},
    {"5_one_launch",
     "All tensors in one launch, which makes the gradients' factor itself while its loads are under way.",
     any, adamw_5_one_launch},
};

}  // namespace

k::Ladder<k::AdamW> adamw_ladder() {
  return {kRungs, static_cast<int>(std::size(kRungs))};
}

}  // namespace bp::cuda
