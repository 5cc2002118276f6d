#include "engine/ops/common.h"

namespace bp {

Tensor conv2d(const Tensor& x, const Tensor& w, const Tensor& bias, i64 stride, i64 pad, Act act) {
  require_alike("conv2d", {x, w, bias});
  require(x.defined() && x.rank() == 4 && w.defined() && w.rank() == 4 && w.dim(3) == x.dim(3),
          "conv2d: input ", shape_text(x), ", weight ", shape_text(w));
  const i64 o = w.dim(0), kh = w.dim(1), kw = w.dim(2);
  require(w.numel() > 0, "conv2d: weight ", w.shape(), " is empty");
  require(stride >= 1 && pad >= 0, "conv2d: stride ", stride, ", padding ", pad);
  require(x.dim(1) + 2 * pad >= kh && x.dim(2) + 2 * pad >= kw, "conv2d: input ", x.shape(), " with padding ",
          pad, " is smaller than weight ", w.shape());
  require(!bias || bias.shape() == Shape{o}, "conv2d: bias ", shape_text(bias), ", wanted ", Shape{o});
  if (kh == 1 && kw == 1 && stride == 1 && pad == 0) return linear(x, w.reshape({o, w.dim(3)}), bias, act);

  const bool track = tracks_grad({x, w, bias});
  if (track && act != Act::none) return activate(conv2d(x, w, bias, stride, pad), act);
  const i64 oh = (x.dim(1) + 2 * pad - kh) / stride + 1, ow = (x.dim(2) + 2 * pad - kw) / stride + 1;
  Tensor y = empty({x.dim(0), oh, ow, o}, x.dtype(), x.device());
  kernels(x).conv2d({x.raw(), w.raw(), raw_or_null(bias), y.raw(), x.dim(0), x.dim(1), x.dim(2), x.dim(3), o,
                     kh, kw, stride, pad, act, x.dtype(), w.packed(o)});
  trace("conv2d", y, y.numel() * kh * kw * x.dim(3), {w, bias});
  if (track)
    record(y, {x, w, bias},
           [stride, pad, gx = x.tracks_grad(), gw = w.tracks_grad(), gb = bias.tracks_grad(), x = x.detach(),
            w = w.detach()](const Tensor& dy) {
             Gradients g(3);
             if (gx) g[0] = empty_like(x);
             if (gw) g[1] = empty_like(w);
             if (gb) g[2] = sum_to(dy, {dy.dim(3)});
             kernels(dy).conv2d_backward({x.raw(), w.raw(), dy.raw(), raw_or_null(g[0]), raw_or_null(g[1]),
                                          x.dim(0), x.dim(1), x.dim(2), x.dim(3), w.dim(0), w.dim(1),
                                          w.dim(2), stride, pad, x.dtype()});
             return g;
           });
  return y;
}

}  // namespace bp
