#include "kernels/ladders/cpu/table.h"

namespace bp::cpu {

k::Ladder<k::Matmul> matmul_ladder() {
  return {};
}

}  // namespace bp::cpu
