// The rungs of the depthwise convolution and of its gradients, one file each.
#pragma once
#include "kernels/ladders/ladders.h"

namespace bp::cuda {

void depthwise_1_naive(const k::Depthwise&);
void depthwise_2_packed(const k::Depthwise&);
void depthwise_3_sliding_columns(const k::Depthwise&);
void depthwise_4_shared_tile(const k::Depthwise&);

void depthwise_backward_1_naive(const k::DepthwiseBackward&);
void depthwise_backward_2_partial_sums(const k::DepthwiseBackward&);
void depthwise_backward_3_fused(const k::DepthwiseBackward&);

}  // namespace bp::cuda
