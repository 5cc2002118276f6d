#include "kernels/ladders/cuda/table.h"

namespace bp::cuda {

const k::Ladders& ladders() {
  static const k::Ladders all{
      .matmul = matmul_ladder(),
      .attention_relpos = attention_relpos_ladder(),
      .window_attention = window_attention_ladder(),
      .layer_norm = layer_norm_ladder(),
      .depthwise = depthwise_ladder(),
      .depthwise_backward = depthwise_backward_ladder(),
      .adamw = adamw_ladder(),
  };
  return all;
}

}  // namespace bp::cuda
