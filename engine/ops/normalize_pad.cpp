#include <algorithm>

#include "engine/ops/common.h"

namespace bp {

Tensor normalize_pad(const Tensor& x, i64 oh, i64 ow, const float mean[3], const float std[3]) {
  require(x.defined() && x.dtype() == DType::u8 && x.rank() == 3 && x.dim(2) == 3, "normalize_pad: input ",
          shape_text(x), ", wanted u8 [H,W,3]");
  require(oh >= x.dim(0) && ow >= x.dim(1), "normalize_pad: ", x.shape(), " does not fit into ", oh, "x", ow);
  Tensor y = empty({1, oh, ow, 3}, DType::f32, x.device());
  k::NormalizePad args{static_cast<u8*>(x.raw()), y.raw(), x.dim(0), x.dim(1), oh, ow, {}, {}, DType::f32};
  std::copy(mean, mean + 3, args.mean);
  std::copy(std, std + 3, args.std);
  kernels(x).normalize_pad(args);
  return y;
}

}  // namespace bp
