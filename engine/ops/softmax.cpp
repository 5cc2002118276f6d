#include "engine/ops/common.h"

namespace bp {

Tensor softmax(const Tensor& x) {
  require_float("softmax", x);
  require(x.rank() >= 1, "softmax: a scalar has no axis");
  Tensor y = empty_like(x);
  kernels(x).softmax({x.raw(), y.raw(), x.rows(), x.dim(-1), x.dtype()});
  if (tracks_grad({x}))
    record(y, {x}, [y = y.detach()](const Tensor& dy) {
      Tensor dx = empty_like(dy);
      kernels(dy).softmax_backward({y.raw(), dy.raw(), dx.raw(), dy.rows(), dy.dim(-1), dy.dtype()});
      return Gradients{dx};
    });
  return y;
}

}  // namespace bp
