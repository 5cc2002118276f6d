// The table of one level. The order is that of k::Kernels.
#include "kernels/kernels.h"
#define BP_STRING_(x) #x
#define BP_STRING(x) BP_STRING_(x)

#include "kernels/cpu/isa_begin.h"
#include "kernels/cpu/table.h"

const k::Kernels& table() {
  static const k::Kernels kernels{
      .name = "cpu " BP_STRING(BP_ISA),
      .fill = fill,
      .cast = cast,
      .strided_copy = strided_copy,
      .unary = unary,
      .unary_backward = unary_backward,
      .binary = binary,
      .sum_to = sum_to,
      .matmul = matmul,
      .softmax = softmax,
      .softmax_backward = softmax_backward,
      .layer_norm = layer_norm,
      .layer_norm_backward = layer_norm_backward,
      .batch_norm = batch_norm,
      .batch_norm_backward = batch_norm_backward,
      .l2_normalize = l2_normalize,
      .l2_normalize_backward = l2_normalize_backward,
      .bce_with_logits = bce_with_logits,
      .conv2d = conv2d,
      .conv2d_backward = conv2d_backward,
      .depthwise = depthwise,
      .depthwise_backward = depthwise_backward,
      .attention = attention,
      .attention_backward = attention_backward,
      .window_attention = window_attention,
      .window_attention_backward = window_attention_backward,
      .resize_bilinear = resize_bilinear,
      .resize_bilinear_backward = resize_bilinear_backward,
      .resize_pil = resize_pil,
      .normalize_pad = normalize_pad,
      .squared_norms = squared_norms,
      .adamw = adamw,
      .mbconv = mbconv,
      .mlp = mlp,
      .packed_bytes = packed_bytes,
      .pack_weight = pack_weight,
  };
  return kernels;
}
#include "kernels/cpu/isa_end.h"
