#include "engine/ops/common.h"

namespace bp {

Tensor l2_normalize(const Tensor& x, float eps) {
  require_float("l2_normalize", x);
  require(x.rank() >= 1, "l2_normalize: of a scalar");
  require(eps > 0, "l2_normalize: eps ", eps, ", wanted above 0");
  const bool track = tracks_grad({x});
  Tensor y = empty_like(x), norms = track ? empty({x.rows()}, DType::f32, x.device()) : Tensor{};
  kernels(x).l2_normalize({x.raw(), y.raw(), floats(norms), x.rows(), x.dim(-1), eps, x.dtype()});
  trace("l2_normalize", y, 0, {x});
  if (track)
    record(y, {x}, [norms, eps, y = y.detach()](const Tensor& dy) {
      Tensor dx = empty_like(y);
      kernels(dy).l2_normalize_backward(
          {y.raw(), dy.raw(), floats(norms), dx.raw(), y.rows(), y.dim(-1), eps, y.dtype()});
      return Gradients{dx};
    });
  return y;
}

}  // namespace bp
