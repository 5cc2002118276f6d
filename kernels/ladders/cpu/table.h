// The ladders of this folder, one sub-folder per kernel and one file per rung.
#pragma once
#include "kernels/ladders/ladders.h"

namespace bp::cpu {

k::Ladder<k::Matmul> matmul_ladder();
k::Ladder<k::WindowAttention> attention_relpos_ladder();
k::Ladder<k::WindowAttention> window_attention_ladder();
k::Ladder<k::LayerNorm> layer_norm_ladder();
k::Ladder<k::Depthwise> depthwise_ladder();
k::Ladder<k::DepthwiseBackward> depthwise_backward_ladder();
k::Ladder<k::AdamW> adamw_ladder();

}  // namespace bp::cpu
