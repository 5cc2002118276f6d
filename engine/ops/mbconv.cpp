#include "engine/ops/common.h"

namespace bp {
namespace {

Tensor by_parts(const Tensor& x, const MbConvWeights& w, i64 stride, bool shortcut) {
  const Tensor expanded = conv2d(cast(x, w.spatial.dtype()), w.expand, w.expand_bias, 1, 0, Act::gelu);
  const Tensor seen = depthwise(expanded, w.spatial, w.spatial_bias, stride, Act::gelu);
  const Tensor y = cast(conv2d(seen, w.project, w.project_bias, 1, 0), x.dtype());
  return shortcut ? gelu(add(y, x)) : y;
}

}  // namespace

Tensor mbconv(const Tensor& x, const MbConvWeights& w, i64 stride, bool shortcut) {
  require_alike("mbconv", {w.expand, w.expand_bias, w.spatial, w.spatial_bias, w.project, w.project_bias});
  require_float("mbconv", x);
  require(w.expand && w.spatial && w.project && w.expand_bias && w.spatial_bias && w.project_bias,
          "mbconv: a weight or a bias is missing");
  require(x.rank() == 4 && w.spatial.rank() == 3, "mbconv: input ", shape_text(x), ", depthwise weight ",
          shape_text(w.spatial));
  const i64 c = x.dim(3), hidden = w.spatial.dim(2), o = w.project.dim(0);
  require(!shortcut || (stride == 1 && o == c), "mbconv: a shortcut with stride ", stride, " from ", c,
          " to ", o, " channels");

  const k::Kernels& table = kernels(x);
  const void *const expand = w.expand.packed(hidden), *const project = w.project.packed(o);
  // A trace counts the parts.
  const bool fused =
      table.mbconv && x.dtype() == DType::f32 && expand && project && c <= k::kMbConvDepth &&
      hidden <= k::kMbConvDepth && !tracing() &&
      !tracks_grad({x, w.expand, w.expand_bias, w.spatial, w.spatial_bias, w.project, w.project_bias});
  if (!fused) return by_parts(x, w, stride, shortcut);
  require(w.expand.shape() == Shape{hidden, 1, 1, c} && w.expand_bias.shape() == Shape{hidden} &&
              w.spatial.shape() == Shape{3, 3, hidden} && w.spatial_bias.shape() == Shape{hidden} &&
              w.project.shape() == Shape{o, 1, 1, hidden} && w.project_bias.shape() == Shape{o} &&
              x.dim(1) >= 1 && x.dim(2) >= 1 && (stride == 1 || stride == 2),
          "mbconv: input ", shape_text(x), ", weights ", shape_text(w.expand), ", ", shape_text(w.spatial),
          ", ", shape_text(w.project), ", stride ", stride);
  Tensor y =
      empty({x.dim(0), (x.dim(1) - 1) / stride + 1, (x.dim(2) - 1) / stride + 1, o}, DType::f32, x.device());
  table.mbconv({floats(x), w.expand_bias.raw(), w.spatial.raw(), w.spatial_bias.raw(), w.project_bias.raw(),
                floats(y), x.dim(0), x.dim(1), x.dim(2), c, hidden, o, stride, shortcut, w.spatial.dtype(),
                expand, project});
  return y;
}

}  // namespace bp
