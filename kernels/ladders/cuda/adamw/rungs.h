// The rungs of AdamW, one file each.
#pragma once
#include "kernels/ladders/ladders.h"

namespace bp::cuda {

void adamw_1_naive(const k::AdamW&);
void adamw_2_packed(const k::AdamW&);
void adamw_3_multi_tensor(const k::AdamW&);
void adamw_4_fused(const k::AdamW&);
void adamw_5_one_launch(const k::AdamW&);

}  // namespace bp::cuda
