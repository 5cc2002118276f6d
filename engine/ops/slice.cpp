#include <algorithm>

#include "engine/ops/common.h"

namespace bp {

void copy_range(const Tensor& x, const Tensor& y, int axis, i64 x_begin, i64 y_begin, i64 count) {
  const auto size = static_cast<i64>(size_of(x.dtype()));
  k::StridedCopy args{nullptr, nullptr, x.rank(), {}, {}, {}, static_cast<int>(size)};
  std::copy(x.shape().begin(), x.shape().end(), args.dims);
  args.dims[axis] = count;
  broadcast_strides(x.shape(), x.rank(), args.xs);
  broadcast_strides(y.shape(), y.rank(), args.ys);
  args.x = static_cast<const char*>(x.raw()) + x_begin * args.xs[axis] * size;
  args.y = static_cast<char*>(y.raw()) + y_begin * args.ys[axis] * size;
  kernels(x).strided_copy(args);
}

Tensor slice(const Tensor& x, int axis, i64 begin, i64 end) {
  require(x.defined(), "slice: undefined input");
  const int at = axis < 0 ? axis + x.rank() : axis;
  require(at >= 0 && at < x.rank(), "slice: no axis ", axis, " in ", x.shape());
  if (at == 0) return x.slice(begin, end);
  require(0 <= begin && begin <= end && end <= x.dim(at), "slice: [", begin, ",", end, ") of axis ", axis,
          " of ", x.shape());
  Shape shape = x.shape();
  shape[at] = end - begin;
  Tensor y = empty(shape, x.dtype(), x.device());
  copy_range(x, y, at, begin, 0, end - begin);
  if (tracks_grad({x}))
    record(y, {x}, [at, begin, from = x.shape()](const Tensor& dy) {
      Tensor dx = zeros(from, dy.dtype(), dy.device());
      copy_range(dy, dx, at, 0, begin, dy.dim(at));
      return Gradients{dx};
    });
  return y;
}

}  // namespace bp
