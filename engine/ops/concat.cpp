#include "engine/ops/common.h"

namespace bp {

Tensor concat(const std::vector<Tensor>& parts, int axis) {
  require(!parts.empty() && parts[0], "concat: no tensors");
  const Tensor& first = parts[0];
  const int rank = first.rank(), at = axis < 0 ? axis + rank : axis;
  require(at >= 0 && at < rank, "concat: no axis ", axis, " in ", first.shape());
  Shape shape = first.shape();
  shape[at] = 0;
  bool track = false;
  for (const Tensor& part : parts) {
    require(part.defined(), "concat: undefined input");
    Shape other = part.shape();
    require(part.rank() == rank, "concat: ", first.shape(), " and ", part.shape());
    other[at] = first.dim(at);
    require(other == first.shape(), "concat: ", first.shape(), " and ", part.shape(), " along axis ", axis);
    require(part.dtype() == first.dtype() && part.device() == first.device(),
            "concat: dtypes or devices differ");
    shape[at] += part.dim(at);
    track = track || tracks_grad({part});
  }

  Tensor y = empty(shape, first.dtype(), first.device());
  std::vector<i64> begins;
  i64 begin = 0;
  for (const Tensor& part : parts) {
    copy_range(part, y, at, 0, begin, part.dim(at));
    begins.push_back(begin);
    begin += part.dim(at);
  }
  begins.push_back(begin);
  if (track)
    record(y, parts, [begins, at](const Tensor& dy) {
      Gradients gradients;
      for (std::size_t i = 0; i + 1 < begins.size(); ++i)
        gradients.push_back(slice(dy, at, begins[i], begins[i + 1]));
      return gradients;
    });
  return y;
}

}  // namespace bp
