#include <algorithm>

#include "engine/ops/common.h"

namespace bp {
namespace {

// Axis i of y is axis order[i] of x, or, if inverse, axis order[i] of y is axis i of x.
Tensor permuted(const Tensor& x, const std::vector<int>& order, bool inverse) {
  std::vector<int> from(order);
  if (inverse)
    for (std::size_t i = 0; i < order.size(); ++i)
      from[static_cast<std::size_t>(order[i])] = static_cast<int>(i);
  Shape shape;
  for (int axis : from) shape.push_back(x.dim(axis));
  Tensor y = empty(shape, x.dtype(), x.device());
  i64 strides[Shape::kMaxRank];
  broadcast_strides(x.shape(), x.rank(), strides);
  k::StridedCopy args{x.raw(), y.raw(), y.rank(), {}, {}, {}, static_cast<int>(size_of(x.dtype()))};
  std::copy(shape.begin(), shape.end(), args.dims);
  for (int i = 0; i < y.rank(); ++i) args.xs[i] = strides[from[static_cast<std::size_t>(i)]];
  broadcast_strides(shape, y.rank(), args.ys);
  kernels(x).strided_copy(args);
  return y;
}

}  // namespace

Tensor permute(const Tensor& x, std::initializer_list<int> axes) {
  require(x.defined(), "permute: undefined input");
  const std::vector<int> order(axes);
  bool seen[Shape::kMaxRank] = {};
  bool valid = static_cast<int>(order.size()) == x.rank();
  for (std::size_t i = 0; valid && i < order.size(); ++i) {
    valid = order[i] >= 0 && order[i] < x.rank() && !seen[order[i]];
    if (valid) seen[order[i]] = true;
  }
  require(valid, "permute: the order given is none of the axes of ", x.shape());
  Tensor y = permuted(x, order, false);
  if (tracks_grad({x}))
    record(y, {x}, [order](const Tensor& dy) { return Gradients{permuted(dy, order, true)}; });
  return y;
}

}  // namespace bp
