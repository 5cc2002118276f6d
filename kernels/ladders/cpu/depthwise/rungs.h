// The rungs of the depthwise 3x3 convolution and of its gradients. All take both types, strides 1 and 2, any
// sizes and activations, and either gradient alone.
#pragma once
#include "kernels/kernels.h"

namespace bp::cpu::ladder {

void depthwise_naive(const k::Depthwise& p);
void depthwise_channels(const k::Depthwise& p);
void depthwise_avx2(const k::Depthwise& p);
void depthwise_avx512(const k::Depthwise& p);
void depthwise_threads(const k::Depthwise& p);

void depthwise_backward_naive(const k::DepthwiseBackward& p);
void depthwise_backward_channels(const k::DepthwiseBackward& p);
void depthwise_backward_avx2(const k::DepthwiseBackward& p);
void depthwise_backward_fused(const k::DepthwiseBackward& p);
void depthwise_backward_threads(const k::DepthwiseBackward& p);

inline i64 depthwise_out(i64 in, i64 stride) {
  return (in - 1) / stride + 1;
}

// Pairs of rows of outputs [begin, end), depthwise_pairs() in all: the fourth rung's work, which the fifth
// shares out.
inline i64 depthwise_pairs(const k::Depthwise& p) {
  return p.n * ((depthwise_out(p.h, p.stride) + 1) / 2);
}
void depthwise_pairs_avx512(const k::Depthwise& p, i64 begin, i64 end);

// Rows of inputs [begin, end) of n * h: writes dx and adds to sums [9][c] of dweight; either may be absent.
// The fourth rung's work, which the fifth shares out.
void depthwise_gradients_avx512(const k::DepthwiseBackward& p, i64 begin, i64 end, float* sums);

}  // namespace bp::cpu::ladder
