#include "kernels/ladders/cpu/table.h"

namespace bp::cpu {

k::Ladder<k::WindowAttention> window_attention_ladder() {
  return {};
}

}  // namespace bp::cpu
