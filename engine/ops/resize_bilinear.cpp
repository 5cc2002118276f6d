#include "engine/ops/common.h"

namespace bp {

Tensor resize_bilinear(const Tensor& x, i64 oh, i64 ow) {
  require_float("resize_bilinear", x);
  require(x.rank() == 4 && x.dim(1) >= 1 && x.dim(2) >= 1 && x.dim(3) >= 1, "resize_bilinear: input ",
          x.shape(), ", wanted [N,H,W,C]");
  require(oh >= 1 && ow >= 1, "resize_bilinear: to ", oh, "x", ow);
  const i64 n = x.dim(0), h = x.dim(1), w = x.dim(2), c = x.dim(3);
  if (oh == h && ow == w) return x;
  Tensor y = empty({n, oh, ow, c}, x.dtype(), x.device());
  kernels(x).resize_bilinear({x.raw(), y.raw(), n, h, w, c, oh, ow, x.dtype()});
  if (tracks_grad({x}))
    record(y, {x}, [n, h, w, c, oh, ow](const Tensor& dy) {
      const Tensor dx = empty({n, h, w, c}, dy.dtype(), dy.device());
      kernels(dy).resize_bilinear_backward({dy.raw(), dx.raw(), n, h, w, c, oh, ow, dy.dtype()});
      return Gradients{dx};
    });
  return y;
}

}  // namespace bp
