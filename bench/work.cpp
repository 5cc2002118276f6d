#include "bench/work.h"

#include <algorithm>
#include <cmath>

namespace bp::bench {
namespace {

using k::Act;

template <class... N>
double product(N... n) {
  return (1.0 * ... * static_cast<double>(n));
}
double size(DType t) {
  return static_cast<double>(size_of(t));
}
double numel(int rank, const i64* dims) {
  double n = 1;
  for (int i = 0; i < rank; ++i) n *= static_cast<double>(dims[i]);
  return n;
}
// Elements of an operand that repeats along axes of stride 0.
double numel(int rank, const i64* dims, const i64* strides) {
  double n = 1;
  for (int i = 0; i < rank; ++i)
    if (strides[i] != 0) n *= static_cast<double>(dims[i]);
  return n;
}
double act_ops(Act act) {  // per element; gelu is x/2 (1 + erf(x/sqrt 2)) with erf as one operation
  return act == Act::gelu ? 5 : act == Act::relu ? 1 : 0;
}
double flag(const void* p) {
  return p ? 1 : 0;
}

// How many pairs (output, tap) of a window along one axis fall inside the input.
double taps_inside(i64 in, i64 out, i64 kernel, i64 stride, i64 pad) {
  double n = 0;
  for (i64 o = 0; o < out; ++o) {
    const i64 first = o * stride - pad;
    n += static_cast<double>(std::max<i64>(0, std::min(in, first + kernel) - std::max<i64>(0, first)));
  }
  return n;
}

template <class Conv>
struct ConvShape {
  double x, weight, y, products;
  explicit ConvShape(const Conv& a) {
    const i64 oh = (a.h + 2 * a.pad - a.kh) / a.stride + 1, ow = (a.w + 2 * a.pad - a.kw) / a.stride + 1;
    x = product(a.n, a.h, a.w, a.c);
    weight = product(a.o, a.kh, a.kw, a.c);
    y = product(a.n, oh, ow, a.o);
    products = product(a.n, a.c, a.o) * taps_inside(a.h, oh, a.kh, a.stride, a.pad) *
               taps_inside(a.w, ow, a.kw, a.stride, a.pad);
  }
};

template <class Conv>
struct DepthwiseShape {
  double x, y, products;
  explicit DepthwiseShape(const Conv& a) {
    const i64 oh = (a.h - 1) / a.stride + 1, ow = (a.w - 1) / a.stride + 1;
    x = product(a.n, a.h, a.w, a.c);
    y = product(a.n, oh, ow, a.c);
    products =
        product(a.n, a.c) * taps_inside(a.h, oh, 3, a.stride, 1) * taps_inside(a.w, ow, 3, a.stride, 1);
  }
};

// Softmax of n logits in rows: maximum, subtraction, exponential, sum; the division is counted apart.
constexpr double kSoftmaxOps = 4;

struct WindowShape {
  double tokens, windows, side, c, logits;  // logits: pairs of tokens, of all windows and heads
  explicit WindowShape(const k::WindowAttention& a) {
    windows = product(a.batch, (a.h + a.win_h - 1) / a.win_h, (a.w + a.win_w - 1) / a.win_w);
    tokens = product(a.batch, a.h, a.w);
    side = product(a.win_h, a.win_w);
    c = product(a.heads, a.d);
    logits = windows * product(a.heads) * side * side;
  }
};

}  // namespace

Work work_of(const k::Fill& a) {
  return {0, product(a.n) * size(a.dtype)};
}
Work work_of(const k::Cast& a) {
  return {0, product(a.n) * (size(a.from) + size(a.to))};
}
Work work_of(const k::StridedCopy& a) {
  return {0, (numel(a.rank, a.dims) + numel(a.rank, a.dims, a.xs)) * static_cast<double>(a.size)};
}
Work work_of(const k::Unary& a) {
  const double each = a.op == k::UnaryOp::gelu      ? act_ops(Act::gelu)
                      : a.op == k::UnaryOp::relu    ? 1
                      : a.op == k::UnaryOp::sigmoid ? 3
                                                    : 2;
  return {each * product(a.n), 2 * product(a.n) * size(a.dtype)};
}
Work work_of(const k::UnaryBackward& a) {
  // gelu' = Phi + x phi: Phi 4, phi 3 (square, scale, exponential), two products, a sum
  const double each = a.op == k::UnaryOp::gelu ? 10 : a.op == k::UnaryOp::sigmoid ? 6 : 1;
  const double streams = a.op == k::UnaryOp::affine ? 2 : 3;
  return {each * product(a.n), streams * product(a.n) * size(a.dtype)};
}
Work work_of(const k::Binary& a) {
  const double n = numel(a.rank, a.dims);
  return {n, (n + numel(a.rank, a.dims, a.as) + numel(a.rank, a.dims, a.bs)) * size(a.dtype)};
}
Work work_of(const k::SumTo& a) {
  const double n = numel(a.rank, a.dims);
  return {n, (n + product(a.y_numel)) * size(a.dtype)};
}

Work work_of(const k::Matmul& a) {
  const double c = product(a.batch, a.m, a.n);
  const double as = product(a.a_batch ? a.batch : 1, a.m, a.k),
               bs = product(a.b_batch ? a.batch : 1, a.k, a.n);
  const double epilogue = flag(a.bias) + act_ops(a.act) + flag(a.residual) + (a.accumulate ? 1 : 0);
  const double read = as + bs + flag(a.bias) * product(a.n) + c * (flag(a.residual) + (a.accumulate ? 1 : 0));
  return {2 * c * product(a.k) + epilogue * c, (read + c) * size(a.dtype)};
}

Work work_of(const k::Softmax& a) {
  const double n = product(a.rows, a.cols);
  return {(kSoftmaxOps + 1) * n, 2 * n * size(a.dtype)};
}
Work work_of(const k::SoftmaxBackward& a) {
  const double n = product(a.rows, a.cols);
  return {4 * n, 3 * n * size(a.dtype)};
}
Work work_of(const k::LayerNorm& a) {
  // Mean 1, variance 3, and (x - mean) rstd w + b 4.
  const double n = product(a.rows, a.cols);
  return {8 * n, (2 * n + 2 * product(a.cols)) * size(a.dtype) + flag(a.stats) * 8 * product(a.rows)};
}
Work work_of(const k::LayerNormBackward& a) {
  // x hat 2; dw 2, db 1; dx = rstd (dy w - mean(dy w) - x hat mean(dy w x hat)) 8
  const double n = product(a.rows, a.cols);
  const double streams = 2 + flag(a.dx);
  return {
      (2 + 8 * flag(a.dx) + 2 * flag(a.dw) + flag(a.db)) * n,
      (streams * n + (1 + flag(a.dw) + flag(a.db)) * product(a.cols)) * size(a.dtype) + 8 * product(a.rows)};
}
Work work_of(const k::BatchNorm& a) {
  const double n = product(a.rows, a.cols);
  return {((a.training ? 8 : 4) + act_ops(a.act)) * n,
          (2 * n + 2 * product(a.cols)) * size(a.dtype) + 8 * product(a.cols)};
}
Work work_of(const k::BatchNormBackward& a) {
  const double n = product(a.rows, a.cols);
  const double slope = a.act == Act::gelu ? 14 : a.act == Act::relu ? 5 : 0;
  return {(2 + slope + (a.training ? 8 : 2) * flag(a.dx) + 2 * flag(a.dw) + flag(a.db)) * n,
          ((2 + flag(a.dx)) * n + (2 + flag(a.dw) + flag(a.db)) * product(a.cols)) * size(a.dtype) +
              8 * product(a.cols)};
}
Work work_of(const k::L2Normalize& a) {
  const double n = product(a.rows, a.cols);
  return {3 * n, 2 * n * size(a.dtype) + flag(a.norms) * 4 * product(a.rows)};
}
Work work_of(const k::L2NormalizeBackward& a) {
  const double n = product(a.rows, a.cols);
  return {5 * n, 3 * n * size(a.dtype) + 4 * product(a.rows)};
}
Work work_of(const k::BceWithLogits& a) {
  // max(x, 0) - t x + log(1 + exp(-|x|)), and sigmoid(x) - t
  const double n = product(a.n);
  return {(8 + 4 * flag(a.dx)) * n, (2 + flag(a.dx)) * n * size(a.dtype)};
}

Work work_of(const k::Conv2d& a) {
  const ConvShape s(a);
  return {2 * s.products + (flag(a.bias) + act_ops(a.act)) * s.y,
          (s.x + s.weight + s.y + flag(a.bias) * product(a.o)) * size(a.dtype)};
}
Work work_of(const k::Conv2dBackward& a) {
  const ConvShape s(a);
  const double dx = flag(a.dx), dw = flag(a.dweight);
  return {2 * (dx + dw) * s.products, (s.y + dx * (s.weight + s.x) + dw * (s.x + s.weight)) * size(a.dtype)};
}
Work work_of(const k::Depthwise& a) {
  const DepthwiseShape s(a);
  return {2 * s.products + (flag(a.bias) + act_ops(a.act)) * s.y,
          (s.x + s.y + (9 + flag(a.bias)) * product(a.c)) * size(a.dtype)};
}
Work work_of(const k::DepthwiseBackward& a) {
  const DepthwiseShape s(a);
  const double dx = flag(a.dx), dw = flag(a.dweight);
  return {2 * (dx + dw) * s.products, (s.y + (dx + dw) * (s.x + 9 * product(a.c))) * size(a.dtype)};
}

Work work_of(const k::MbConv& a) {
  k::Depthwise spatial{};
  spatial.n = a.n, spatial.h = a.h, spatial.w = a.w, spatial.c = a.hidden, spatial.stride = a.stride;
  spatial.bias = a.spatial_bias, spatial.act = Act::gelu;
  const DepthwiseShape s(spatial);
  const double pixels = product(a.n, a.h, a.w), y = s.y / product(a.hidden) * product(a.o);
  const double weights = product(a.hidden, a.c + 9 + a.o + 2) + product(a.o);
  return {2 * (pixels * product(a.c, a.hidden) + y * product(a.hidden)) + (1 + act_ops(Act::gelu)) * s.x +
              work_of(spatial).ops + (a.shortcut ? 2 + act_ops(Act::gelu) : 1) * y,
          (pixels * product(a.c) + y) * size(DType::f32) + weights * size(a.dtype)};
}

Work work_of(const k::Mlp& a) {
  const double rows = product(a.rows, a.c), hidden = product(a.rows, a.hidden);
  // LayerNorm takes 8 operations; bias; bias and residual.
  return {8 * rows + 4 * rows * product(a.hidden) + (1 + act_ops(Act::gelu)) * hidden + 2 * rows,
          2 * rows * size(DType::f32) + product(2 * a.hidden + 3, a.c) * size(a.dtype) +
              product(a.hidden) * size(a.dtype)};
}

Work work_of(const k::Attention& a) {
  const double logits = product(a.batch, a.heads, a.nq, a.nk), c = product(a.heads, a.d);
  const double q = product(a.batch, a.nq) * c, kv = product(a.batch, a.nk) * c;
  // Two products, the scale, the softmax, and the division once per output.
  return {logits * (4 * product(a.d) + 1 + kSoftmaxOps) + q,
          (2 * q + 2 * kv) * size(a.dtype) + flag(a.lse) * 4 * product(a.batch, a.heads, a.nq)};
}
Work work_of(const k::AttentionBackward& b) {
  // P again from lse, then dv, dP, dq, dk: five products; delta = sum(o dout) per query
  const k::Attention& a = b.forward;
  const double logits = product(a.batch, a.heads, a.nq, a.nk), c = product(a.heads, a.d);
  const double q = product(a.batch, a.nq) * c, kv = product(a.batch, a.nk) * c;
  return {logits * (10 * product(a.d) + 6) + 2 * q,
          (4 * q + 4 * kv) * size(a.dtype) + 4 * product(a.batch, a.heads, a.nq)};
}
Work work_of(const k::WindowAttention& a) {
  const WindowShape s(a);
  const double positions = a.rel_h ? 2 : a.bias ? 1 : 0;  // additions per logit
  const double tables = a.rel_h ? product(2 * a.win_h - 1 + 2 * a.win_w - 1, a.d) : 0;
  // q.rel_h and q.rel_w: for every query win_h + win_w products of length d.
  const double relative =
      a.rel_h ? s.windows * product(a.heads) * s.side * 2 * product(a.win_h + a.win_w, a.d) : 0;
  return {s.logits * (4 * product(a.d) + 1 + positions + kSoftmaxOps) + relative + s.tokens * s.c,
          (4 * s.tokens * s.c + flag(a.pad) * 3 * s.c + tables + flag(a.bias) * product(a.heads) * s.side) *
                  size(a.dtype) +
              flag(a.lse) * 4 * s.windows * product(a.heads) * s.side};
}
Work work_of(const k::WindowAttentionBackward& b) {
  const k::WindowAttention& a = b.forward;
  const WindowShape s(a);
  const double bias = flag(a.bias);
  return {s.logits * (10 * product(a.d) + 6 + bias + flag(b.dbias)) + 2 * s.tokens * s.c,
          (8 * s.tokens * s.c + (flag(a.pad) + flag(b.dpad)) * 3 * s.c +
           (bias + flag(b.dbias)) * product(a.heads) * s.side) *
                  size(a.dtype) +
              4 * s.windows * product(a.heads) * s.side};
}

Work work_of(const k::ResizeBilinear& a) {
  // Two weights per axis: ((1 - u) a + u b) thrice.
  const double y = product(a.n, a.oh, a.ow, a.c);
  return {9 * y, (product(a.n, a.h, a.w, a.c) + y) * size(a.dtype)};
}
Work work_of(const k::ResizeBilinearBackward& a) {
  const double y = product(a.n, a.oh, a.ow, a.c);
  return {8 * y, (product(a.n, a.h, a.w, a.c) + y) * size(a.dtype)};
}
Work work_of(const k::ResizePil& a) {
  // Along x into h rows, then along y, with a triangle of 2 max(1, scale) taps.
  const auto taps = [](i64 in, i64 out) { return 2 * std::max(1.0, product(in) / product(out)); };
  const double rows = product(a.h, a.ow, a.c), y = product(a.oh, a.ow, a.c);
  return {2 * (rows * taps(a.w, a.ow) + y * taps(a.h, a.oh)), product(a.h, a.w, a.c) + y};
}
Work work_of(const k::NormalizePad& a) {
  const double x = product(a.h, a.w, 3);
  return {2 * x, x + product(a.oh, a.ow, 3) * size(a.dtype)};
}

Work work_of(const k::SquaredNorms& a) {
  Work w{0, 4 * product(a.count)};
  for (i64 i = 0; i < a.count; ++i) {
    w.ops += 2 * product(a.items[i].n);
    w.bytes += product(a.items[i].n) * size(a.items[i].dtype);
  }
  return w;
}
Work work_of(const k::AdamW& a) {
  // Decay 2, g 1, m 3, v 4, update 7, average 3.
  Work w{0, 4 * product(a.count)};
  for (i64 i = 0; i < a.count; ++i) {
    const k::AdamW::Item& t = a.items[i];
    const double n = product(t.n), trained = flag(t.grad), average = flag(t.average);
    w.ops += n * (17 * trained + 3 * average);
    w.bytes += n * (trained * (24 + size(t.dtype) * (1 + flag(t.copy))) + average * (8 + 4 * (1 - trained)));
  }
  return w;
}

}  // namespace bp::bench
