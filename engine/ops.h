// Every op of the engine. Feature maps are channels-last: [N,H,W,C] or [N,tokens,C]. Floating inputs of one
// op share a dtype (f32 or bf16, accumulated in f32) and a device. Wrong shapes throw Error with the op's
// name and both shapes. All ops have gradients but those marked "no gradient", which throw when one is asked
// of them.
#pragma once
#include "engine/autograd.h"
#include "engine/tensor.h"

namespace bp {

using k::Act;

// Elementwise. Binary ops broadcast as NumPy does (axes aligned at the end, size 1 repeats).
Tensor add(const Tensor& a, const Tensor& b);
Tensor sub(const Tensor& a, const Tensor& b);
Tensor mul(const Tensor& a, const Tensor& b);
Tensor div(const Tensor& a, const Tensor& b);
Tensor affine(const Tensor& x, float alpha, float beta);  // alpha x + beta
Tensor gelu(const Tensor& x);                             // exact: x Phi(x)
Tensor relu(const Tensor& x);
Tensor sigmoid(const Tensor& x);
Tensor cast(const Tensor& x, DType dtype);  // f32 <-> bf16

// Reductions. sum_to sums over the axes in which `shape` is 1 or absent (the transpose of broadcasting).
Tensor sum_to(const Tensor& x, const Shape& shape);
Tensor sum(const Tensor& x);      // to a scalar, shape []
Tensor mean(const Tensor& x);     // to a scalar, shape []
Tensor softmax(const Tensor& x);  // over the last axis

// Moving data. permute: axis i of the result is axis order[i] of x. concat: along `axis`, the other axes
// equal.
Tensor permute(const Tensor& x, std::initializer_list<int> order);
Tensor concat(const std::vector<Tensor>& parts, int axis);
Tensor slice(const Tensor& x, int axis, i64 begin, i64 end);  // a copy unless axis is 0

// Products. matmul: [..,m,k] x [..,k,n] over equal leading axes, or a b of rank 2 for all of them; ta and tb
// say that the last two axes are stored transposed. linear: act(x w^T + bias) + residual, with x [..,in], w
// [out,in], bias [out] or none, residual [..,out] or none.
Tensor matmul(const Tensor& a, const Tensor& b, bool ta = false, bool tb = false);
Tensor linear(const Tensor& x, const Tensor& w, const Tensor& bias = {}, Act act = Act::none,
              const Tensor& residual = {});

// Convolutions. conv2d: x [N,H,W,I], w [O,kh,kw,I], bias [O] or none. depthwise: w [3,3,C], padding 1, stride
// 1 or 2.
Tensor conv2d(const Tensor& x, const Tensor& w, const Tensor& bias, i64 stride, i64 pad, Act act = Act::none);
Tensor depthwise(const Tensor& x, const Tensor& w, const Tensor& bias, i64 stride, Act act = Act::none);

// MBConv (MobileNetV2's inverted residual) with BatchNorm folded, as in TinyViT: y = project GELU(depthwise
// GELU(expand x)), with shortcut GELU(x + that). x [N,H,W,C], of any type; expand [hidden,1,1,C], spatial
// [3,3,hidden], project [O,1,1,hidden] and their biases, all there and of the type that the maps between
// have; stride 1 or 2 -> y [N,(H-1)/stride+1,(W-1)/stride+1,O] of x's type. A shortcut needs stride 1 and O =
// C. In inference on the processor the maps between stay in the caches where x is f32, expand and project are
// packed and C and hidden at most 256; in bf16 what is added to x is then not rounded first.
struct MbConvWeights {
  const Tensor &expand, &expand_bias, &spatial, &spatial_bias, &project, &project_bias;
};
Tensor mbconv(const Tensor& x, const MbConvWeights& w, i64 stride, bool shortcut);

// Over the last axis; w, b [C]. On channels-last maps this is also SAM's LayerNorm2d.
Tensor layer_norm(const Tensor& x, const Tensor& w, const Tensor& b, float eps);

// A transformer's MLP: x + fc2 GELU(fc1 LayerNorm(x)). x [..,C]; norm and its bias [C] of one type, fc1
// [hidden,C], fc2 [C,hidden] and their biases of one, which the rows between have -> [..,C] of x's type. In
// inference on the processor the rows between stay in the caches where x and the norm are f32 and fc1 and fc2
// packed, in f32 only from 2^21 hidden numbers on; in bf16 what is added to x is then not rounded first.
struct MlpWeights {
  const Tensor &norm, &norm_bias, &fc1, &bias1, &fc2, &bias2;
};
Tensor mlp(const Tensor& x, const MlpWeights& w, float eps);

// act of BatchNorm over all axes but the last; w, b [C] of x's dtype, running [C] f32. In training it
// normalises with the batch's mean and biased variance and moves the running statistics, in place, to
// momentum of the batch's mean and unbiased variance; that takes two values per channel. Otherwise it uses
// the running statistics.
Tensor batch_norm(const Tensor& x, const Tensor& w, const Tensor& b, const Tensor& running_mean,
                  const Tensor& running_var, bool training, float momentum = 0.1f, float eps = 1e-5f,
                  Act act = Act::none);

// x / max(|x|, eps) over the last axis.
Tensor l2_normalize(const Tensor& x, float eps = 1e-12f);

// Mean binary cross entropy of sigmoid(logits) with targets in [0,1] of the same shape, a scalar; stable for
// logits of any size. No gradient for the targets.
Tensor bce_with_logits(const Tensor& logits, const Tensor& targets);

// softmax(scale q k^T) v with `heads` heads side by side on the last axis: q [B,Nq,C], k [B,Nk,C], v
// [B,Nk,C] -> [B,Nq,C]. A q, or a k and v, of batch 1 is that of every batch: no gradient.
Tensor attention(const Tensor& q, const Tensor& k, const Tensor& v, i64 heads, float scale);

// Self-attention in windows of a [B,H,W] grid; see k::WindowAttention for the layouts, the padding and the
// two kinds of position bias. qkv [B,H,W,3C] -> [B,H,W,C]. With relative positions: no gradient.
struct WindowSpec {
  i64 heads = 1;
  i64 window = 0;         // side of a window; 0: one window over the whole grid
  bool per_head = false;  // TinyViT's [heads][q|k|v] instead of SAM's [q|k|v][heads]
};
Tensor window_attention(const Tensor& qkv, const WindowSpec& spec, const Tensor& pad, const Tensor& rel_h,
                        const Tensor& rel_w, const Tensor& bias_table);

// Half-pixel bilinear without antialiasing (PyTorch's interpolate with align_corners=False): x [N,H,W,C] ->
// [N,oh,ow,C].
Tensor resize_bilinear(const Tensor& x, i64 oh, i64 ow);

// 8-bit images. resize_pil: [H,W,C] u8 -> [oh,ow,C] u8, PIL's antialiased bilinear to the last bit.
// normalize_pad: [H,W,3] u8 -> [1,oh,ow,3] f32, (x - mean)/std, zeros right and below. No gradient.
Tensor resize_pil(const Tensor& x, i64 oh, i64 ow);
Tensor normalize_pad(const Tensor& x, i64 oh, i64 ow, const float mean[3], const float std[3]);

}  // namespace bp
