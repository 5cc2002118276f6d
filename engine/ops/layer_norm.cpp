#include "engine/ops/common.h"

namespace bp {

Tensor layer_norm(const Tensor& x, const Tensor& w, const Tensor& b, float eps) {
  require_alike("layer_norm", {x, w, b});
  require(x.defined() && w.defined() && b.defined() && x.rank() >= 1 && w.shape() == Shape{x.dim(-1)} &&
              b.shape() == w.shape(),
          "layer_norm: input ", shape_text(x), ", weight ", shape_text(w), ", bias ", shape_text(b));
  const bool track = tracks_grad({x, w, b});
  Tensor y = empty_like(x), stats = track ? empty({x.rows(), 2}, DType::f32, x.device()) : Tensor{};
  kernels(x).layer_norm(
      {x.raw(), w.raw(), b.raw(), y.raw(), floats(stats), x.rows(), x.dim(-1), eps, x.dtype()});
  trace("layer_norm", y, 0, {w, b});
  if (track)
    record(y, {x, w, b},
           [stats, gx = x.tracks_grad(), gw = w.tracks_grad(), gb = b.tracks_grad(), x = x.detach(),
            w = w.detach()](const Tensor& dy) {
             Gradients g(3);
             if (gx) g[0] = empty_like(x);
             if (gw) g[1] = empty_like(w);
             if (gb) g[2] = empty_like(w);
             kernels(dy).layer_norm_backward({x.raw(), w.raw(), dy.raw(), floats(stats), raw_or_null(g[0]),
                                              raw_or_null(g[1]), raw_or_null(g[2]), x.rows(), x.dim(-1),
                                              x.dtype()});
             return g;
           });
  return y;
}

}  // namespace bp
