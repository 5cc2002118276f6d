#include <iterator>

#include "kernels/ladders/cuda/attention_relpos/rungs.h"
#include "kernels/ladders/cuda/table.h"

namespace bp::cuda {

k::Ladder<k::WindowAttention> attention_relpos_ladder() {
  static const k::Rung<k::WindowAttention> rungs[] = {
      {"1_materialised", "Scores, softmax and product as three kernels with a matrix in memory between them.",
       relpos::takes_any_head, relpos::materialised},
      {"2_online_softmax",
       "One pass over the keys with a running softmax: the matrix, 64 MB a head at 4096 tokens, is never "
       "written.",
       relpos::takes_vit_heads, relpos::online_softmax},
      {"3_tensor_cores",
       "Both products on tensor cores in bf16, at 8 times (A100) to 15 times (H100) the rate of f32.",
       relpos::takes_tensor_cores, relpos::tensor_cores},
      {"4_positions_in_tile",
       "Each block makes the position table of its own queries in shared memory; none is in memory.",
       relpos::takes_positions_in_tile, relpos::positions_in_tile},
      {"5_pipelined",
       "The next tile of keys and values arrives during the products of this one, and a barrier a tile goes.",
       relpos::takes_pipelined, relpos::pipelined},
  };
  return {rungs, static_cast<int>(std::size(rungs))};
}

}  // namespace bp::cuda
