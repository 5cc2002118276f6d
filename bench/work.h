// What a kernel has to do at least, by formula from its arguments: arithmetic operations, and bytes that must
// come from memory or go there once.
//
// Operations: a multiplication, addition, division, comparison, square root or exponential counts one, so a
// multiply-add counts two. They are those of the textbook formula: products of rows and columns that are
// there (padding of images counts none), attention over all pairs of tokens (windows' padding included: its
// tokens are attended to). What an implementation adds to that (recomputing, address arithmetic) is not work.
// Bytes: every input and every output once, as if the caches held all that is used again.
#pragma once
#include "kernels/kernels.h"

namespace bp::bench {

struct Work {
  double ops = 0, bytes = 0;
  friend bool operator==(const Work&, const Work&) = default;
};

Work work_of(const k::Fill&);
Work work_of(const k::Cast&);
Work work_of(const k::StridedCopy&);
Work work_of(const k::Unary&);
Work work_of(const k::UnaryBackward&);
Work work_of(const k::Binary&);
Work work_of(const k::SumTo&);
Work work_of(const k::Matmul&);
Work work_of(const k::Softmax&);
Work work_of(const k::SoftmaxBackward&);
Work work_of(const k::LayerNorm&);
Work work_of(const k::LayerNormBackward&);
Work work_of(const k::BatchNorm&);
Work work_of(const k::BatchNormBackward&);
Work work_of(const k::L2Normalize&);
Work work_of(const k::L2NormalizeBackward&);
Work work_of(const k::BceWithLogits&);
Work work_of(const k::Conv2d&);
Work work_of(const k::Conv2dBackward&);
Work work_of(const k::Depthwise&);
Work work_of(const k::DepthwiseBackward&);
Work work_of(const k::MbConv&);
Work work_of(const k::Mlp&);
Work work_of(const k::Attention&);
Work work_of(const k::AttentionBackward&);
Work work_of(const k::WindowAttention&);
Work work_of(const k::WindowAttentionBackward&);
Work work_of(const k::ResizeBilinear&);
Work work_of(const k::ResizeBilinearBackward&);
Work work_of(const k::ResizePil&);
Work work_of(const k::NormalizePad&);
Work work_of(const k::SquaredNorms&);
Work work_of(const k::AdamW&);

}  // namespace bp::bench
