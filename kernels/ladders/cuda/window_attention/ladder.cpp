#include <iterator>

#include "kernels/ladders/cuda/table.h"
#include "kernels/ladders/cuda/window_attention/rungs.h"

namespace bp::cuda {

k::Ladder<k::WindowAttention> window_attention_ladder() {
  static const k::Rung<k::WindowAttention> rungs[] = {
      {"1_gather", "Windows are copied out of the grid with their padding, attended to, and copied back.",
       windowed::takes_query_blocks, windowed::gather},
      {"2_by_index",
       "Windows are read and written where they are in the grid: the copies, 60 of 85 MB for ViT-B, go.",
       windowed::takes_query_blocks, windowed::by_index},
      {"3_window_in_shared_memory",
       "A block has a whole window and head, whose keys and values are read from memory once, not once a "
       "query.",
       windowed::takes_windows_in_shared, windowed::window_in_shared},
      {"4_tensor_cores",
       "Both products on tensor cores; a query's logits of the whole window stay in registers.",
       windowed::takes_tensor_cores, windowed::tensor_cores},
  };
  return {rungs, static_cast<int>(std::size(rungs))};
}

}  // namespace bp::cuda
