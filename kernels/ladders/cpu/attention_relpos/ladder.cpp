#include "kernels/ladders/cpu/table.h"

namespace bp::cpu {

k::Ladder<k::WindowAttention> attention_relpos_ladder() {
  return {};
}

}  // namespace bp::cpu
