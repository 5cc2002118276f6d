#include "engine/ops/common.h"

namespace bp {

Tensor linear(const Tensor& x, const Tensor& w, const Tensor& bias, Act act, const Tensor& residual) {
  require_alike("linear", {x, w, bias, residual});
  require(x.defined() && x.rank() >= 1 && w.defined() && w.rank() == 2 && x.dim(-1) == w.dim(1),
          "linear: input ", shape_text(x), ", weight ", shape_text(w));
  const i64 out = w.dim(0), in = w.dim(1);
  Shape shape = x.shape();
  shape[-1] = out;
  require(!bias || bias.shape() == Shape{out}, "linear: bias ", shape_text(bias), ", wanted ", Shape{out});
  require(!residual || residual.shape() == shape, "linear: residual ", shape_text(residual), ", wanted ",
          shape);

  const bool track = tracks_grad({x, w, bias, residual});
  if (track && act != Act::none) {  // the tape needs what the fused kernel keeps to itself
    const Tensor y = activate(linear(x, w, bias), act);
    return residual ? add(y, residual) : y;
  }
  Tensor y = empty(shape, x.dtype(), x.device());
  kernels(x).matmul({.a = x.raw(),
                     .b = w.raw(),
                     .c = y.raw(),
                     .m = x.rows(),
                     .n = out,
                     .k = in,
                     .ta = false,
                     .tb = true,
                     .lda = in,
                     .ldb = in,
                     .ldc = out,
                     .batch = 1,
                     .a_batch = 0,
                     .b_batch = 0,
                     .c_batch = 0,
                     .alpha = 1,
                     .bias = raw_or_null(bias),
                     .residual = raw_or_null(residual),
                     .act = act,
                     .accumulate = false,
                     .dtype = x.dtype(),
                     .packed = w.packed(out)});
  trace("linear", y, y.numel() * in, {w, bias});
  if (track)
    record(y, {x, w, bias, residual},
           [from = x.shape(), gb = bias.tracks_grad(), gr = residual.tracks_grad(),
            x = w.tracks_grad() ? x.detach() : Tensor{},
            w = x.tracks_grad() ? w.detach() : Tensor{}](const Tensor& dy) {
             const i64 n = dy.dim(-1);
             const Tensor d = dy.reshape({dy.rows(), n});
             Gradients g(4);
             if (w) g[0] = matmul(d, w).reshape(from);
             if (x) g[1] = matmul(d, x.reshape({d.dim(0), x.dim(-1)}), true);
             if (gb) g[2] = sum_to(d, {n});
             if (gr) g[3] = dy;
             return g;
           });
  return y;
}

}  // namespace bp
