// The rungs of LayerNorm, one file each.
#pragma once
#include "kernels/ladders/ladders.h"

namespace bp::cuda {

void layer_norm_1_naive(const k::LayerNorm&);
void layer_norm_2_block_per_row(const k::LayerNorm&);
void layer_norm_3_warp_per_row(const k::LayerNorm&);
void layer_norm_4_registers(const k::LayerNorm&);
void layer_norm_5_persistent(const k::LayerNorm&);

// Rungs 4 and 5: rows of up to 1280 columns in whole packs of 16 bytes, from aligned addresses.
bool layer_norm_holds_row(const k::LayerNorm&);

}  // namespace bp::cuda
