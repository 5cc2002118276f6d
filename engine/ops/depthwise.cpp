#include "engine/ops/common.h"

namespace bp {

Tensor depthwise(const Tensor& x, const Tensor& w, const Tensor& bias, i64 stride, Act act) {
  require_alike("depthwise", {x, w, bias});
  require(x.defined() && x.rank() == 4 && w.defined() && w.shape() == Shape{3, 3, x.dim(3)},
          "depthwise: input ", shape_text(x), ", weight ", shape_text(w));
  require(stride == 1 || stride == 2, "depthwise: stride ", stride, ", wanted 1 or 2");
  require(x.dim(1) >= 1 && x.dim(2) >= 1 && x.dim(3) >= 1, "depthwise: input ", x.shape(), " is empty");
  const i64 c = x.dim(3);
  require(!bias || bias.shape() == Shape{c}, "depthwise: bias ", shape_text(bias), ", wanted ", Shape{c});

  const bool track = tracks_grad({x, w, bias});
  if (track && act != Act::none) return activate(depthwise(x, w, bias, stride), act);
  Tensor y =
      empty({x.dim(0), (x.dim(1) - 1) / stride + 1, (x.dim(2) - 1) / stride + 1, c}, x.dtype(), x.device());
  kernels(x).depthwise({x.raw(), w.raw(), raw_or_null(bias), y.raw(), x.dim(0), x.dim(1), x.dim(2), c, stride,
                        act, x.dtype()});
  trace("depthwise", y, y.numel() * 9, {w, bias});
  if (track)
    record(y, {x, w, bias},
           [stride, gx = x.tracks_grad(), gw = w.tracks_grad(), gb = bias.tracks_grad(), x = x.detach(),
            w = w.detach()](const Tensor& dy) {
             Gradients g(3);
             if (gx) g[0] = empty_like(x);
             if (gw) g[1] = empty_like(w);
             if (gb) g[2] = sum_to(dy, {dy.dim(3)});
             kernels(dy).depthwise_backward({x.raw(), w.raw(), dy.raw(), raw_or_null(g[0]), raw_or_null(g[1]),
                                             x.dim(0), x.dim(1), x.dim(2), x.dim(3), stride, x.dtype()});
             return g;
           });
  return y;
}

}  // namespace bp
