#include "kernels/ladders/cuda/table.h"

namespace bp::cuda {

k::Ladder<k::Matmul> matmul_ladder() {
  return {};
}

}  // namespace bp::cuda
