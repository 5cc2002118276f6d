#include "engine/ops/common.h"

namespace bp {

Tensor cast(const Tensor& x, DType dtype) {
  require_float("cast", x);
  require(dtype == DType::f32 || dtype == DType::bf16, "cast: to ", name_of(dtype), ", wanted f32 or bf16");
  if (x.dtype() == dtype) return x;
  Tensor y = empty(x.shape(), dtype, x.device());
  kernels(x).cast({x.raw(), y.raw(), x.numel(), x.dtype(), dtype});
  if (tracks_grad({x}))
    record(y, {x}, [from = x.dtype()](const Tensor& dy) { return Gradients{cast(dy, from)}; });
  return y;
}

}  // namespace bp
