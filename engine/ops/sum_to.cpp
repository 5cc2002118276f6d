#include <algorithm>

#include "engine/ops/common.h"

namespace bp {
namespace {

// y[i] = x[i] with the axes of size 1 or absent in x repeated.
Tensor repeat_to(const Tensor& x, const Shape& shape) {
  Tensor y = empty(shape, x.dtype(), x.device());
  k::StridedCopy args{x.raw(), y.raw(), y.rank(), {}, {}, {}, static_cast<int>(size_of(x.dtype()))};
  std::copy(shape.begin(), shape.end(), args.dims);
  broadcast_strides(x.shape(), y.rank(), args.xs);
  broadcast_strides(shape, y.rank(), args.ys);
  kernels(x).strided_copy(args);
  return y;
}

Tensor scaled_sum_to(const char* name, const Tensor& x, const Shape& shape, float scale) {
  require_float(name, x);
  bool fits = shape.rank() <= x.rank();
  for (int i = 1; fits && i <= shape.rank(); ++i) fits = shape[-i] == 1 || shape[-i] == x.dim(-i);
  require(fits, name, ": ", x.shape(), " to ", shape);
  Tensor y = empty(shape, x.dtype(), x.device());
  k::SumTo args{x.raw(), y.raw(), x.rank(), {}, {}, y.numel(), scale, x.dtype()};
  std::copy(x.shape().begin(), x.shape().end(), args.dims);
  broadcast_strides(shape, x.rank(), args.ys);
  kernels(x).sum_to(args);
  if (tracks_grad({x}))
    record(y, {x}, [scale, from = x.shape()](const Tensor& dy) {
      return Gradients{repeat_to(scale == 1 ? dy : affine(dy, scale, 0), from)};
    });
  return y;
}

}  // namespace

Tensor sum_to(const Tensor& x, const Shape& shape) {
  require(x.defined(), "sum_to: undefined input");
  return x.shape() == shape ? x : scaled_sum_to("sum_to", x, shape, 1);
}
Tensor sum(const Tensor& x) {
  return scaled_sum_to("sum", x, {}, 1);
}
Tensor mean(const Tensor& x) {
  require(x.defined() && x.numel() > 0, "mean: of no elements");
  return scaled_sum_to("mean", x, {}, 1 / static_cast<float>(x.numel()));
}

}  // namespace bp
