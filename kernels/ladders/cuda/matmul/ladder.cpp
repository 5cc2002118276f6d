#include <iterator>

#include "kernels/ladders/cuda/matmul/rungs.h"
#include "kernels/ladders/cuda/table.h"

namespace bp::cuda {

k::Ladder<k::Matmul> matmul_ladder() {
  using namespace matmul_rungs;
  static const k::Rung<k::Matmul> rungs[] = {
      {"1_naive", "a thread computes one element of C and reads its row and column from memory", takes_plain,
       naive},
      {"2_shared_tiles", "a block keeps tiles of A and B in shared memory: 32 times fewer reads of memory",
       takes_plain, shared_tiles},
      {"3_register_tiles",
       "a thread computes 8 x 8 elements: eight times fewer bytes of shared memory per product",
       takes_plain_f32, register_tiles},
      {"4_tensor_cores",
       "a warp multiplies 16 x 16 by 16 x 8 in one instruction: 8 to 16 times the rate of f32",
       takes_plain_bf16, tensor_cores},
      {"5_async_pipeline",
       "cp.async brings tiles three steps ahead: nothing waits for memory but the first step",
       takes_plain_bf16, async_pipeline},
      {"6_wgmma",
       "one warp copies whole tiles, two warpgroups multiply them from shared memory: the full rate of "
       "Hopper",
       takes_wgmma, wgmma},
  };
  return {rungs, static_cast<int>(std::size(rungs))};
}

}  // namespace bp::cuda
