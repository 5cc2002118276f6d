#include "kernels/ladders/cpu/table.h"

namespace bp::cpu {

k::Ladder<k::Depthwise> depthwise_ladder() {
  return {};
}
k::Ladder<k::DepthwiseBackward> depthwise_backward_ladder() {
  return {};
}

}  // namespace bp::cpu
