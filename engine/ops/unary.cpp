#include "engine/ops/common.h"

namespace bp {
namespace {

Tensor unary(const char* name, k::UnaryOp op, const Tensor& x, float alpha = 0, float beta = 0) {
  require_float(name, x);
  Tensor y = empty_like(x);
  kernels(x).unary({op, x.raw(), y.raw(), x.numel(), x.dtype(), alpha, beta});
  if (tracks_grad({x}))
    record(y, {x}, [op, alpha, x = x.detach()](const Tensor& dy) {
      Tensor dx = empty_like(dy);
      kernels(dy).unary_backward({op, x.raw(), dy.raw(), dx.raw(), dy.numel(), dy.dtype(), alpha});
      return Gradients{dx};
    });
  return y;
}

}  // namespace

Tensor gelu(const Tensor& x) {
  return unary("gelu", k::UnaryOp::gelu, x);
}
Tensor relu(const Tensor& x) {
  return unary("relu", k::UnaryOp::relu, x);
}
Tensor sigmoid(const Tensor& x) {
  return unary("sigmoid", k::UnaryOp::sigmoid, x);
}
Tensor affine(const Tensor& x, float alpha, float beta) {
  return unary("affine", k::UnaryOp::affine, x, alpha, beta);
}

}  // namespace bp
