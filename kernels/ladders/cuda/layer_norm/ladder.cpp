#include <iterator>

#include "kernels/ladders/cuda/layer_norm/rungs.h"
#include "kernels/ladders/cuda/table.h"

namespace bp::cuda {
namespace {

bool any(const k::LayerNorm& a) {
  return a.rows > 0 && a.cols > 0;
}
bool held(const k::LayerNorm& a) {
  return any(a) && layer_norm_holds_row(a);
}

constexpr k::Rung<k::LayerNorm> kRungs[] = {
    {"1_naive", "A thread normalises a row: simple, and 32 lanes read 32 places at once.", any,
     layer_norm_1_naive},
    {"2_block_per_row",
     "A block takes a row, so that lanes read neighbours; sums by halves in shared memory.", any,
     layer_norm_2_block_per_row},
    {"3_warp_per_row", "A warp takes a row and adds by shuffles: no barrier, and eight rows in a block.", any,
     layer_norm_3_warp_per_row},
    {"4_registers", "Lanes load 16 bytes at once and keep the row in registers: one read instead of three.",
     held, layer_norm_4_registers},
    {"5_persistent",
     "Warps stay for many rows: w and b are loaded once, and the next row is under way while one is added "
     "up.",
     held, layer_norm_5_persistent},
};

}  // namespace

k::Ladder<k::LayerNorm> layer_norm_ladder() {
  return {kRungs, static_cast<int>(std::size(kRungs))};
}

}  // namespace bp::cuda
