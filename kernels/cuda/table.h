// The kernels of kernels/cuda, one file per op, with the names and arguments of kernels/kernels.h.
#pragma once
#include "kernels/kernels.h"

namespace bp::cuda {

using namespace bp::k;

void fill(const Fill&);
void cast(const Cast&);
void strided_copy(const StridedCopy&);
void unary(const Unary&);
void unary_backward(const UnaryBackward&);
void binary(const Binary&);
void sum_to(const SumTo&);
void matmul(const Matmul&);
void softmax(const Softmax&);
void softmax_backward(const SoftmaxBackward&);
void layer_norm(const LayerNorm&);
void layer_norm_backward(const LayerNormBackward&);
void batch_norm(const BatchNorm&);
void batch_norm_backward(const BatchNormBackward&);
void l2_normalize(const L2Normalize&);
void l2_normalize_backward(const L2NormalizeBackward&);
void bce_with_logits(const BceWithLogits&);
void conv2d(const Conv2d&);
void conv2d_backward(const Conv2dBackward&);
void depthwise(const Depthwise&);
void depthwise_backward(const DepthwiseBackward&);
void attention(const Attention&);
void attention_backward(const AttentionBackward&);
void window_attention(const WindowAttention&);
void window_attention_backward(const WindowAttentionBackward&);
void resize_bilinear(const ResizeBilinear&);
void resize_bilinear_backward(const ResizeBilinearBackward&);
void resize_pil(const ResizePil&);
void normalize_pad(const NormalizePad&);
void squared_norms(const SquaredNorms&);
void adamw(const AdamW&);

k::Kernels table(const char* name);

}  // namespace bp::cuda
