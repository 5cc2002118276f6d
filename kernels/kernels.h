// Every kernel of the system, as one table of function pointers per device over plain argument structs.
//
// Conventions: tensors are contiguous unless strides are given; feature maps are channels-last [N,H,W,C];
// sizes and strides count elements. `dtype` is that of all floating inputs and outputs (f32 or bf16;
// arithmetic accumulates in f32); what is always f32 says so. A pointer marked "or null" is optional. Outputs
// never overlap inputs except where said. Results do not depend on the number of threads.
#pragma once
#include "kernels/dtype.h"

namespace bp::k {

constexpr int kMaxRank = 6;

enum class Act : std::uint8_t { none, gelu, relu };  // gelu is the exact (erf) one
enum class UnaryOp : std::uint8_t { gelu, relu, sigmoid, affine };
enum class BinaryOp : std::uint8_t { add, sub, mul, div };

struct Fill {  // y[i] = value; i32 and u8 too
  void* y;
  i64 n;
  float value;
  DType dtype;
};
struct Cast {  // between f32 and bf16
  const void* x;
  void* y;
  i64 n;
  DType from, to;
};
struct StridedCopy {  // y[i . ys] = x[i . xs] over all indices i of dims; elements of `size` bytes
  const void* x;
  void* y;
  int rank;
  i64 dims[kMaxRank], xs[kMaxRank], ys[kMaxRank];
  int size;
};
struct Unary {  // y = op(x); affine: alpha * x + beta; y may be x
  UnaryOp op;
  const void* x;
  void* y;
  i64 n;
  DType dtype;
  float alpha, beta;
};
struct UnaryBackward {  // dx = dy * op'(x); dx may be dy
  UnaryOp op;
  const void *x, *dy;
  void* dx;
  i64 n;
  DType dtype;
  float alpha;
};
struct Binary {  // y = a op b; y contiguous over dims, a stride of 0 repeats an operand; y may be a or b if
                 // that is not repeated
  BinaryOp op;
  const void *a, *b;
  void* y;
  int rank;
  i64 dims[kMaxRank], as[kMaxRank], bs[kMaxRank];
  DType dtype;
};
struct SumTo {  // y[i . ys] = scale * sum of x over the axes whose ys is 0; x contiguous over dims, y of
                // y_numel elements
  const void* x;
  void* y;
  int rank;
  i64 dims[kMaxRank], ys[kMaxRank];
  i64 y_numel;
  float scale;
  DType dtype;
};

struct Matmul {  // C = act(alpha op(A) op(B) + bias) + residual, or C += alpha op(A) op(B) with accumulate;
                 // per batch
  const void *a, *b;
  void* c;
  i64 m, n, k;
  bool ta, tb;                           // A is [m,k], or [k,m] if ta; B is [k,n], or [n,k] if tb
  i64 lda, ldb, ldc;                     // row strides of A, B, C as stored
  i64 batch, a_batch, b_batch, c_batch;  // count and strides of batched products; a stride of 0 repeats
  float alpha;
  const void* bias;      // [n] or null
  const void* residual;  // addressed like C, or null; may be C
  Act act;
  bool accumulate;  // excludes bias, act and residual
  DType dtype;
  const void* packed = nullptr;  // what PackWeight made of b [n,k] with tb, or null; b is there in any case
};
// A weight [rows,depth] in the order in which matmul (as b with tb) and conv2d read it, so that they need not
// reorder it in every call. The order belongs to the dtype and the table of kernels, packed_bytes is its
// size.
struct PackWeight {
  const void* weight;
  void* packed;
  i64 rows, depth;
  DType dtype;
};

struct Softmax {  // over the last axis
  const void* x;
  void* y;
  i64 rows, cols;
  DType dtype;
};
struct SoftmaxBackward {  // dx = y * (dy - sum(y * dy))
  const void *y, *dy;
  void* dx;
  i64 rows, cols;
  DType dtype;
};
struct LayerNorm {  // y = (x - mean) * rstd * w + b over the last axis; stats [rows,2] f32 = mean, rstd, or
                    // null
  const void *x, *w, *b;
  void* y;
  float* stats;
  i64 rows, cols;
  float eps;
  DType dtype;
};
struct Mlp {  // y = x + fc2 GELU(fc1 LayerNorm(x)); x, y [rows,c] and the norm's w, b are f32, the rest
              // `dtype`
  const float *x, *norm_w, *norm_b;
  const void *bias1, *bias2;
  float* y;
  i64 rows, c, hidden;
  float eps;
  DType dtype;
  const void *packed1, *packed2;  // what PackWeight made of fc1 [hidden,c] and fc2 [c,hidden]
};
struct LayerNormBackward {  // dx, dw, db: each may be null
  const void *x, *w, *dy;
  const float* stats;
  void *dx, *dw, *db;
  i64 rows, cols;
  DType dtype;
};

// Per channel, y = act((x - mean) * rstd * w + b) over all rows; stats [2,cols] f32 = mean, rstd. In training
// those are of these rows (biased variance), at least 2, and running += momentum * (mean, unbiased variance -
// running); else those of the running statistics.
struct BatchNorm {
  const void *x, *w, *b;
  void* y;
  float *running_mean, *running_var, *stats;
  i64 rows, cols;
  float eps, momentum;
  bool training;
  Act act;
  DType dtype;
};
struct BatchNormBackward {  // dx, dw, db: each may be null; training: mean and rstd depend on x
  const void *x, *w, *b, *dy;
  const float* stats;
  void *dx, *dw, *db;
  i64 rows, cols;
  bool training;
  Act act;
  DType dtype;
};
struct L2Normalize {  // y = x / max(|x|, eps) over the last axis; norms [rows] f32 = max(|x|, eps), or null
  const void* x;
  void* y;
  float* norms;
  i64 rows, cols;
  float eps;
  DType dtype;
};
struct L2NormalizeBackward {  // dx = (dy - y * sum(y * dy)) / norm; dy / eps where the norm was below eps
  const void *y, *dy;
  const float* norms;
  void* dx;
  i64 rows, cols;
  float eps;
  DType dtype;
};
struct BceWithLogits {  // loss = mean of -t log sigmoid(x) - (1 - t) log(1 - sigmoid(x)), one element
  const void *x, *targets;
  void *loss, *dx;  // dx = (sigmoid(x) - t) / n, or null
  float* outside;   // how many targets are not in [0, 1], NaN included
  i64 n;
  DType dtype;
};

struct Conv2d {  // x [n,h,w,c], weight [o,kh,kw,c], bias [o] or null -> y [n,oh,ow,o], oh = (h + 2 pad -
                 // kh)/stride + 1
  const void *x, *weight, *bias;
  void* y;
  i64 n, h, w, c, o, kh, kw, stride, pad;
  Act act;
  DType dtype;
  const void* packed = nullptr;  // what PackWeight made of weight [o,kh*kw*c], or null; weight is there in
                                 // any case
};
struct Conv2dBackward {  // dx, dweight: each may be null
  const void *x, *weight, *dy;
  void *dx, *dweight;
  i64 n, h, w, c, o, kh, kw, stride, pad;
  DType dtype;
};
struct Depthwise {  // x [n,h,w,c], weight [3,3,c], bias [c] or null, padding 1 -> y [n,oh,ow,c], oh = (h -
                    // 1)/stride + 1
  const void *x, *weight, *bias;
  void* y;
  i64 n, h, w, c, stride;
  Act act;
  DType dtype;
};
// Two 1x1 convolutions around a depthwise 3x3 one of padding 1, without their maps between: y = project
// GELU(depthwise GELU(expand x)), with shortcut GELU(x + that). x [n,h,w,c] and y [n,oh,ow,o] are f32, oh =
// (h
// - 1)/stride + 1; weights, biases and the maps between are of `dtype`: expand [hidden,c], spatial
// [3,3,hidden], project [o,hidden]. c and hidden are at most kMbConvDepth.
inline constexpr i64 kMbConvDepth = 256;
struct MbConv {
  const float* x;
  const void *expand_bias, *spatial, *spatial_bias, *project_bias;
  float* y;
  i64 n, h, w, c, hidden, o, stride;
  bool shortcut;  // o is c then, and stride 1
  DType dtype;
  const void *packed_expand, *packed_project;  // what PackWeight made of the two
};
struct DepthwiseBackward {  // dx, dweight: each may be null
  const void *x, *weight, *dy;
  void *dx, *dweight;
  i64 n, h, w, c, stride;
  DType dtype;
};

struct Attention {  // o = softmax(scale q k^T) v per batch and head; head h of token t at t * row + h * d
  const void *q, *k, *v;
  void* o;     // [batch,nq,heads*d]
  float* lse;  // [batch,heads,nq] log of the softmax denominators, or null
  i64 batch, heads, nq, nk, d;
  i64 q_row, k_row, v_row, q_batch, k_batch, v_batch;
  float scale;
  DType dtype;
};
struct AttentionBackward {  // dq, dk, dv contiguous [batch,n,heads*d]; q, k, v as in the forward
  Attention forward;
  const void* dout;  // [batch,nq,heads*d]
  void *dq, *dk, *dv;
};

// Self-attention inside windows of win_h x win_w tokens of a [batch,h,w] grid, windows addressed by index.
// Where a window sticks out at the right or bottom, its tokens take their q, k, v from `pad` [3 heads d]
// (they are attended to, and write nothing). Logits are scale q.k, plus
//   SAM's decomposed relative positions q.rel_h[qy - ky + win_h - 1] + q.rel_w[qx - kx + win_w - 1]  (q
//   unscaled), or TinyViT's table bias[head, |qy - ky| * win_w + |qx - kx|].
struct WindowAttention {
  const void* qkv;            // [batch,h,w,3*heads*d]
  const void* pad;            // [3*heads*d]; null if no window sticks out
  const void *rel_h, *rel_w;  // [2 win_h - 1, d], [2 win_w - 1, d], or both null
  const void* bias;           // [heads, win_h * win_w] or null
  void* y;                    // [batch,h,w,heads*d]
  float* lse;                 // [batch,windows,heads,win_h*win_w] or null
  i64 batch, h, w, heads, d, win_h, win_w;
  bool per_head;  // qkv's last axis is [heads][q|k|v][d] (TinyViT) instead of [q|k|v][heads][d] (SAM)
  float scale;
  DType dtype;
};
struct WindowAttentionBackward {  // without relative positions only; dpad and dbias may be null
  WindowAttention forward;
  const void* dout;  // [batch,h,w,heads*d]
  void *dqkv, *dpad, *dbias;
};

struct ResizeBilinear {  // half-pixel centres, edges clamped (align_corners false); x [n,h,w,c] -> y
                         // [n,oh,ow,c]
  const void* x;
  void* y;
  i64 n, h, w, c, oh, ow;
  DType dtype;
};
struct ResizeBilinearBackward {
  const void* dy;
  void* dx;
  i64 n, h, w, c, oh, ow;  // h, w of the forward's input
  DType dtype;
};
struct ResizePil {  // PIL's antialiased bilinear on 8 bits: x [h,w,c] -> y [oh,ow,c], u8, c from 1 to 4
  const u8* x;
  u8* y;
  i64 h, w, c, oh, ow;
};
struct NormalizePad {  // y[0:h,0:w] = (x - mean) / std, zero right and below; x u8 [h,w,3] -> y [oh,ow,3]
  const u8* x;
  void* y;
  i64 h, w, oh, ow;
  float mean[3], std[3];
  DType dtype;
};

// What an optimizer does, for all tensors of a list at once. The list itself is in host memory and may go
// once the call returns; all else is where the tensors are.
struct SquaredNorms {  // y[i] = sum of the squares of tensor i
  struct Item {
    const void* x;
    i64 n;
    DType dtype;
  };
  const Item* items;
  i64 count;
  float* y;
};
// Adam with decoupled weight decay (Loshchilov and Hutter, 2019), with g = grad_scale * grad and r = lr *
// lr_scale:
//   w -= r * decay * w;  m += (1 - beta1) (g - m);  v += (1 - beta2) (g^2 - v)
//   w -= r * m * m_scale / (sqrt(v) * v_scale + eps);  average += average_step (w - average)
// m_scale = 1 / (1 - beta1^t) and v_scale = 1 / sqrt(1 - beta2^t) correct the start from zero. What changes
// from step to step is read from memory, so that a recorded step can be run again. With the norm |g| of all
// gradients, the root of the sum of `squares` in double, grad_scale is clip / |g| where clip > 0 and |g| >
// clip, else 1. Where one of `squares` is not finite, nothing is written.
struct AdamW {
  struct Item {
    float *w, *m, *v;
    float* average;    // or null
    void* copy;        // of w in the gradient's type, or null
    const void* grad;  // null: only the average moves; m and v may be null too
    i64 n;
    float lr_scale, decay;
    DType dtype;  // of grad and copy
  };
  const Item* items;
  i64 count;
  const float* schedule;  // [4]: lr, m_scale, v_scale, average_step
  const float* squares;   // [count], what SquaredNorms says of the gradients
  double clip;            // 0: none
  float beta1, beta2, eps;
};

struct Kernels {
  const char* name;  // of the device and level, as in "cpu avx512"
  void (*fill)(const Fill&);
  void (*cast)(const Cast&);
  void (*strided_copy)(const StridedCopy&);
  void (*unary)(const Unary&);
  void (*unary_backward)(const UnaryBackward&);
  void (*binary)(const Binary&);
  void (*sum_to)(const SumTo&);
  void (*matmul)(const Matmul&);
  void (*softmax)(const Softmax&);
  void (*softmax_backward)(const SoftmaxBackward&);
  void (*layer_norm)(const LayerNorm&);
  void (*layer_norm_backward)(const LayerNormBackward&);
  void (*batch_norm)(const BatchNorm&);
  void (*batch_norm_backward)(const BatchNormBackward&);
  void (*l2_normalize)(const L2Normalize&);
  void (*l2_normalize_backward)(const L2NormalizeBackward&);
  void (*bce_with_logits)(const BceWithLogits&);
  void (*conv2d)(const Conv2d&);
  void (*conv2d_backward)(const Conv2dBackward&);
  void (*depthwise)(const Depthwise&);
  void (*depthwise_backward)(const DepthwiseBackward&);
  void (*attention)(const Attention&);
  void (*attention_backward)(const AttentionBackward&);
  void (*window_attention)(const WindowAttention&);
  void (*window_attention_backward)(const WindowAttentionBackward&);
  void (*resize_bilinear)(const ResizeBilinear&);
  void (*resize_bilinear_backward)(const ResizeBilinearBackward&);
  void (*resize_pil)(const ResizePil&);
  void (*normalize_pad)(const NormalizePad&);
  void (*squared_norms)(const SquaredNorms&);
  void (*adamw)(const AdamW&);
  // Both null where they would be no faster than their parts.
  void (*mbconv)(const MbConv&) = nullptr;
  void (*mlp)(const Mlp&) = nullptr;
  // Both null where weights are read as they are.
  i64 (*packed_bytes)(i64 rows, i64 depth, DType dtype) = nullptr;
  void (*pack_weight)(const PackWeight&) = nullptr;
};

}  // namespace bp::k
