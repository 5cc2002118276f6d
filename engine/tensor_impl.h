// Inside of Tensor, for tensor.cpp and autograd.cpp only.
#pragma once
#include "engine/autograd.h"

namespace bp {

namespace detail {

// The op that made a tensor: its inputs and how a gradient flows back to them.
struct Node {
  std::vector<Tensor> inputs;
  BackwardFn backward;
  std::uint64_t order = 0;  // position on the tape: an op's inputs come before it
  int part = 0;             // of the network (engine/profile.h)
};

// A weight's copy in the order of its device's products (kernels.h, PackWeight).
struct Packed {
  Tensor data;
  i64 rows = 0;
};

struct TensorImpl {
  std::shared_ptr<void> storage;
  std::size_t offset = 0;  // bytes
  Shape shape;
  i64 numel = 0;
  DType dtype = DType::f32;
  Device device;
  bool requires_grad = false;  // a leaf that wants a gradient
  std::shared_ptr<Node> node;  // null for leaves
  Tensor grad;
  std::shared_ptr<const Packed> packed;
};

}  // namespace detail

class TensorAccess {
 public:
  static detail::TensorImpl& impl(const Tensor& x) {
    require(x.defined(), "tensor: undefined");
    return *x.impl_;
  }
  static Tensor make(detail::TensorImpl impl) {
    impl.numel = impl.shape.numel();
    return Tensor(std::make_shared<detail::TensorImpl>(std::move(impl)));
  }
};

}  // namespace bp
