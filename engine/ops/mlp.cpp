#include "engine/ops/common.h"

namespace bp {
namespace {

Tensor by_parts(const Tensor& x, const MlpWeights& w, float eps) {
  const DType inner = w.fc1.dtype();
  const Tensor normed = layer_norm(cast(x, w.norm.dtype()), w.norm, w.norm_bias, eps);
  const Tensor hidden = linear(cast(normed, inner), w.fc1, w.bias1, Act::gelu);
  if (x.dtype() == inner) return linear(hidden, w.fc2, w.bias2, Act::none, x);
  return add(x, cast(linear(hidden, w.fc2, w.bias2), x.dtype()));
}

// In bf16 the sum is not rounded before it meets x, so there the choice must not depend on the rows. In f32
// it changes no bit, and pays where the hidden map exceeds the caches.
bool in_one_kernel(const Tensor& x, const MlpWeights& w) {
  constexpr i64 kWorth = i64{1} << 21;
  return kernels(x).mlp && x.dtype() == DType::f32 && w.norm.dtype() == DType::f32 &&
         w.fc1.packed(w.fc1.dim(0)) && w.fc2.packed(w.fc2.dim(0)) && !tracing() &&
         !tracks_grad({x, w.norm, w.norm_bias, w.fc1, w.bias1, w.fc2, w.bias2}) &&
         (w.fc1.dtype() == DType::bf16 || x.rows() * w.fc1.dim(0) >= kWorth);
}

}  // namespace

Tensor mlp(const Tensor& x, const MlpWeights& w, float eps) {
  require_alike("mlp", {w.norm, w.norm_bias});
  require_alike("mlp", {w.fc1, w.bias1, w.fc2, w.bias2});
  require_float("mlp", x);
  require(w.norm && w.norm_bias && w.fc1 && w.bias1 && w.fc2 && w.bias2,
          "mlp: a weight or a bias is missing");
  const i64 c = x.dim(-1), hidden = w.fc1.dim(0);
  require(w.norm.shape() == Shape{c} && w.norm_bias.shape() == Shape{c} &&
              w.fc1.shape() == Shape{hidden, c} && w.bias1.shape() == Shape{hidden} &&
              w.fc2.shape() == Shape{c, hidden} && w.bias2.shape() == Shape{c},
          "mlp: input ", shape_text(x), ", weights ", shape_text(w.fc1), " and ", shape_text(w.fc2));
  if (!in_one_kernel(x, w)) return by_parts(x, w, eps);
  Tensor y = empty_like(x);
  kernels(x).mlp({floats(x), floats(w.norm), floats(w.norm_bias), w.bias1.raw(), w.bias2.raw(), floats(y),
                  x.rows(), c, hidden, eps, w.fc1.dtype(), w.fc1.packed(hidden), w.fc2.packed(c)});
  return y;
}

}  // namespace bp
