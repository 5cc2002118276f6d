// Tensor: a counted handle to {storage, offset, shape, dtype, autograd node}. Always contiguous; copying a
// handle shares the data. Reshape and slices of the leading axis are views, everything else makes a new
// tensor.
#pragma once
#include <algorithm>
#include <functional>
#include <initializer_list>
#include <memory>
#include <span>
#include <vector>

#include "engine/allocator.h"
#include "engine/device.h"
#include "engine/shape.h"

namespace bp {

class Tensor;
namespace detail {
struct TensorImpl;
struct Node;
}  // namespace detail

class Tensor {
 public:
  Tensor() = default;  // undefined: stands for "none"

  bool defined() const { return impl_ != nullptr; }
  explicit operator bool() const { return defined(); }

  const Shape& shape() const;
  i64 dim(int axis) const { return shape()[axis]; }  // negative axes count from the end
  int rank() const { return shape().rank(); }
  i64 numel() const;
  i64 rows() const { return rank() == 0 ? 1 : numel() / std::max<i64>(1, dim(-1)); }  // all axes but the last
  DType dtype() const;
  Device device() const;

  void* raw() const;  // first element, in the device's memory
  template <class T>
  T* data() const;  // the same for the processor: throws unless it is there and T is the element type
  // Host copies of the values as f32, for reading results: waits for the device.
  std::vector<float> values() const;
  float item() const;  // of a tensor with one element

  Tensor reshape(Shape shape) const;       // same numel; one axis may be -1; differentiable
  Tensor slice(i64 begin, i64 end) const;  // [begin, end) of the leading axis; a view; differentiable
  Tensor operator[](i64 i) const;          // one entry of the leading axis, that axis removed
  Tensor detach() const;                   // the same data outside the tape

  // Autograd (engine/autograd.h): leaves that asked for a gradient, and what depends on them, track it.
  Tensor& requires_grad(bool on = true);
  bool tracks_grad() const;
  Tensor grad() const;  // of a leaf after backward(); undefined before
  void zero_grad();

  // A frozen weight of linear() or conv2d(), seen as [rows, numel / rows]: keeps a copy beside itself in the
  // order in which the device's products read it, where there is such an order. The copy goes along with
  // reshape() and detach(); it is gone once the weight asks for gradients or copy_into() writes into it, but
  // not from views made before that. Throws Error for a weight that tracks gradients, or whose size is no
  // multiple of rows.
  void pack(i64 rows);
  const void* packed(i64 rows) const;  // that copy, or null

  bool same_storage(const Tensor& other) const;

 private:
  friend struct detail::TensorImpl;
  friend class TensorAccess;
  explicit Tensor(std::shared_ptr<detail::TensorImpl> impl) : impl_(std::move(impl)) {}
  std::shared_ptr<detail::TensorImpl> impl_;
};

// Tensors that a function looks at and does not keep: a list of handles would count each up and down.
using TensorRefs = std::initializer_list<std::reference_wrapper<const Tensor>>;

Tensor empty(const Shape& shape, DType dtype = DType::f32, Device device = {});
Tensor empty_like(const Tensor& x);
Tensor full(const Shape& shape, float value, DType dtype = DType::f32, Device device = {});
Tensor zeros(const Shape& shape, DType dtype = DType::f32, Device device = {});
Tensor from_values(const Shape& shape, std::span<const float> values, DType dtype = DType::f32,
                   Device device = {});
// A CPU tensor over memory that somebody else owns (a mapped file); `owner` is kept alive with it. The memory
// must be aligned for the element type and is never written by any op.
Tensor from_memory(const Shape& shape, DType dtype, const void* data, std::shared_ptr<const void> owner);

// x on another device (x itself where it is there already), and the gradient back on x's.
Tensor to(const Tensor& x, Device device);
// Copies all values into the memory of `into`, of the same shape and dtype, wherever both are, outside the
// tape: it fills the inputs of what was captured in a graph, or a parameter.
void copy_into(const Tensor& into, const Tensor& from);

template <>
float* Tensor::data<float>() const;
template <>
bf16* Tensor::data<bf16>() const;
template <>
std::int32_t* Tensor::data<std::int32_t>() const;
template <>
u8* Tensor::data<u8>() const;

}  // namespace bp
