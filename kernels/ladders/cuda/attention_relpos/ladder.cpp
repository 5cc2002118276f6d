#include "kernels/ladders/cuda/table.h"

namespace bp::cuda {

k::Ladder<k::WindowAttention> attention_relpos_ladder() {
  return {};
}

}  // namespace bp::cuda
