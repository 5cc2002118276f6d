#include "engine/ops/common.h"

namespace bp {

// Stride equals size, so outputs do not overlap: every input pixel is multiplied by a [4 O, I] matrix, and
// the four groups of O channels are the 2x2 output pixels.
Tensor conv_transpose2x2(const Tensor& x, const Tensor& w, const Tensor& bias, Act act) {
  require_alike("conv_transpose2x2", {x, w, bias});
  require(x.defined() && x.rank() == 4 && w.defined() && w.rank() == 4 && w.dim(0) == 2 && w.dim(1) == 2 &&
              w.dim(3) == x.dim(3),
          "conv_transpose2x2: input ", shape_text(x), ", weight ", shape_text(w));
  const i64 n = x.dim(0), h = x.dim(1), width = x.dim(2), o = w.dim(2);
  require(!bias || bias.shape() == Shape{o}, "conv_transpose2x2: bias ", shape_text(bias), ", wanted ",
          Shape{o});
  const Tensor bias4 = bias ? concat({bias, bias, bias, bias}, 0) : Tensor{};
  const Tensor groups = linear(x, w.reshape({4 * o, x.dim(3)}), bias4, act);
  return permute(groups.reshape({n, h, width, 2, 2, o}), {0, 1, 3, 2, 4, 5})
      .reshape({n, 2 * h, 2 * width, o});
}

}  // namespace bp
