// Kernels that are not written yet: the strong definition in an op's file takes the place of these.
#include <stdexcept>

#include "kernels/cuda/table.h"

namespace bp::cuda {

#define BP_PENDING(name, Args)                                 \
  __attribute__((weak)) void name(const Args&) {               \
    throw std::runtime_error("no CUDA kernel yet for " #name); \
  }
BP_PENDING(matmul, Matmul)
BP_PENDING(softmax, Softmax)
BP_PENDING(softmax_backward, SoftmaxBackward)
BP_PENDING(layer_norm, LayerNorm)
BP_PENDING(layer_norm_backward, LayerNormBackward)
BP_PENDING(batch_norm, BatchNorm)
BP_PENDING(batch_norm_backward, BatchNormBackward)
BP_PENDING(l2_normalize, L2Normalize)
BP_PENDING(l2_normalize_backward, L2NormalizeBackward)
BP_PENDING(bce_with_logits, BceWithLogits)
BP_PENDING(conv2d, Conv2d)
BP_PENDING(conv2d_backward, Conv2dBackward)
BP_PENDING(depthwise, Depthwise)
BP_PENDING(depthwise_backward, DepthwiseBackward)
BP_PENDING(attention, Attention)
BP_PENDING(attention_backward, AttentionBackward)
BP_PENDING(window_attention, WindowAttention)
BP_PENDING(window_attention_backward, WindowAttentionBackward)
BP_PENDING(resize_bilinear, ResizeBilinear)
BP_PENDING(resize_bilinear_backward, ResizeBilinearBackward)
BP_PENDING(resize_pil, ResizePil)
BP_PENDING(normalize_pad, NormalizePad)
BP_PENDING(squared_norms, SquaredNorms)
BP_PENDING(adamw, AdamW)

}  // namespace bp::cuda
