#include "kernels/ladders/cuda/table.h"

namespace bp::cuda {

k::Ladder<k::WindowAttention> window_attention_ladder() {
  return {};
}

}  // namespace bp::cuda
