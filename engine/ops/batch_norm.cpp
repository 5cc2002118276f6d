#include "engine/ops/common.h"

namespace bp {

Tensor batch_norm(const Tensor& x, const Tensor& w, const Tensor& b, const Tensor& running_mean,
                  const Tensor& running_var, bool training, float momentum, float eps, Act act) {
  require_alike("batch_norm", {x, w, b});
  require_alike("batch_norm", {running_mean, running_var});
  require(x.defined() && w.defined() && b.defined() && x.rank() >= 1 && w.shape() == Shape{x.dim(-1)} &&
              b.shape() == w.shape(),
          "batch_norm: input ", shape_text(x), ", weight ", shape_text(w), ", bias ", shape_text(b));
  require(running_mean.defined() && running_var.defined() && running_mean.shape() == w.shape() &&
              running_var.shape() == w.shape() && running_mean.dtype() == DType::f32,
          "batch_norm: running mean ", shape_text(running_mean), ", running variance ",
          shape_text(running_var), ", wanted ", w.shape(), " of f32");
  require(running_mean.device() == x.device(), "batch_norm: input on ", x.device(), ", statistics on ",
          running_mean.device());
  require(!training || x.rows() > 1, "batch_norm: training on ", x.shape(),
          ", wanted at least 2 values per channel");
  const bool track = tracks_grad({x, w, b});
  Tensor y = empty_like(x), stats = empty({2, x.dim(-1)}, DType::f32, x.device());
  kernels(x).batch_norm({x.raw(), w.raw(), b.raw(), y.raw(), floats(running_mean), floats(running_var),
                         floats(stats), x.rows(), x.dim(-1), eps, momentum, training, act, x.dtype()});
  if (track)
    record(y, {x, w, b},
           [stats, training, act, gx = x.tracks_grad(), gw = w.tracks_grad(), gb = b.tracks_grad(),
            x = x.detach(), w = w.detach(), b = b.detach()](const Tensor& dy) {
             Gradients g(3);
             if (gx) g[0] = empty_like(x);
             if (gw) g[1] = empty_like(w);
             if (gb) g[2] = empty_like(w);
             kernels(dy).batch_norm_backward({x.raw(), w.raw(), b.raw(), dy.raw(), floats(stats),
                                              raw_or_null(g[0]), raw_or_null(g[1]), raw_or_null(g[2]),
                                              x.rows(), x.dim(-1), training, act, x.dtype()});
             return g;
           });
  return y;
}

}  // namespace bp
