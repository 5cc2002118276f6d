#include <algorithm>

#include "engine/ops/common.h"

namespace bp {
namespace {

Shape broadcast(const char* name, const Shape& a, const Shape& b) {
  const int rank = std::max(a.rank(), b.rank());
  Shape y;
  for (int i = rank; i > 0; --i) {
    const i64 da = i <= a.rank() ? a[-i] : 1, db = i <= b.rank() ? b[-i] : 1;
    require(da == db || da == 1 || db == 1, name, ": shapes ", a, " and ", b, " do not broadcast");
    y.push_back(da == 1 ? db : da);
  }
  return y;
}

Tensor binary(const char* name, k::BinaryOp op, const Tensor& a, const Tensor& b) {
  require(a.defined() && b.defined(), name, ": undefined input");
  require_alike(name, {a, b});
  Tensor y = empty(broadcast(name, a.shape(), b.shape()), a.dtype(), a.device());
  k::Binary args{op, a.raw(), b.raw(), y.raw(), y.rank(), {}, {}, {}, y.dtype()};
  std::copy(y.shape().begin(), y.shape().end(), args.dims);
  broadcast_strides(a.shape(), y.rank(), args.as);
  broadcast_strides(b.shape(), y.rank(), args.bs);
  kernels(a).binary(args);
  return y;
}

Tensor minus(const Tensor& x) {
  return affine(x, -1, 0);
}

}  // namespace

Tensor add(const Tensor& a, const Tensor& b) {
  Tensor y = binary("add", k::BinaryOp::add, a, b);
  if (tracks_grad({a, b}))
    record(y, {a, b},
           [ga = a.tracks_grad(), gb = b.tracks_grad(), as = a.shape(), bs = b.shape()](const Tensor& dy) {
             return Gradients{ga ? sum_to(dy, as) : Tensor{}, gb ? sum_to(dy, bs) : Tensor{}};
           });
  return y;
}

Tensor sub(const Tensor& a, const Tensor& b) {
  Tensor y = binary("sub", k::BinaryOp::sub, a, b);
  if (tracks_grad({a, b}))
    record(y, {a, b},
           [ga = a.tracks_grad(), gb = b.tracks_grad(), as = a.shape(), bs = b.shape()](const Tensor& dy) {
             return Gradients{ga ? sum_to(dy, as) : Tensor{}, gb ? minus(sum_to(dy, bs)) : Tensor{}};
           });
  return y;
}

Tensor mul(const Tensor& a, const Tensor& b) {
  Tensor y = binary("mul", k::BinaryOp::mul, a, b);
  if (tracks_grad({a, b}))
    record(y, {a, b},
           [as = a.shape(), bs = b.shape(), a = b.tracks_grad() ? a.detach() : Tensor{},
            b = a.tracks_grad() ? b.detach() : Tensor{}](const Tensor& dy) {
             return Gradients{b ? sum_to(mul(dy, b), as) : Tensor{}, a ? sum_to(mul(dy, a), bs) : Tensor{}};
           });
  return y;
}

Tensor div(const Tensor& a, const Tensor& b) {
  Tensor y = binary("div", k::BinaryOp::div, a, b);
  if (tracks_grad({a, b}))
    record(y, {a, b},
           [ga = a.tracks_grad(), as = a.shape(), a = b.tracks_grad() ? a.detach() : Tensor{},
            b = b.detach()](const Tensor& dy) {
             const Tensor da = div(dy, b);
             return Gradients{ga ? sum_to(da, as) : Tensor{},
                              a ? minus(sum_to(mul(da, div(a, b)), b.shape())) : Tensor{}};
           });
  return y;
}

}  // namespace bp
