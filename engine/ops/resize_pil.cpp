#include "engine/ops/common.h"

namespace bp {

Tensor resize_pil(const Tensor& x, i64 oh, i64 ow) {
  require(x.defined() && x.dtype() == DType::u8 && x.rank() == 3 && x.dim(2) >= 1 && x.dim(2) <= 4 &&
              x.numel() > 0,
          "resize_pil: input ", shape_text(x), ", wanted u8 [H,W,1 to 4]");
  require(oh >= 1 && ow >= 1, "resize_pil: to ", oh, "x", ow);
  Tensor y = empty({oh, ow, x.dim(2)}, DType::u8, x.device());
  kernels(x).resize_pil(
      {static_cast<u8*>(x.raw()), static_cast<u8*>(y.raw()), x.dim(0), x.dim(1), x.dim(2), oh, ow});
  return y;
}

}  // namespace bp
