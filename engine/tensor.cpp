#include "engine/tensor.h"

#include <cstring>

#include "engine/backend.h"
#include "engine/tensor_impl.h"

namespace bp {
namespace {

detail::TensorImpl& impl(const Tensor& x) {
  return TensorAccess::impl(x);
}

Tensor view_of(const Tensor& x, Shape shape, std::size_t offset) {
  const auto& from = impl(x);
  detail::TensorImpl view;
  view.storage = from.storage;
  view.offset = offset;
  view.shape = shape;
  view.dtype = from.dtype;
  view.device = from.device;
  return TensorAccess::make(std::move(view));
}

// The same elements in the same order, so what was packed holds for it too.
Tensor whole_view_of(const Tensor& x, Shape shape) {
  Tensor view = view_of(x, shape, impl(x).offset);
  impl(view).packed = impl(x).packed;
  return view;
}

template <class T>
T* typed(const Tensor& x, DType wanted) {
  require(x.dtype() == wanted, "tensor ", x.shape(), ": read as ", name_of(wanted), ", but it holds ",
          name_of(x.dtype()));
  require(x.device() == Device{}, "tensor ", x.shape(), ": read by the processor, but it is on ", x.device());
  return static_cast<T*>(x.raw());
}

}  // namespace

const Shape& Tensor::shape() const {
  return impl(*this).shape;
}
i64 Tensor::numel() const {
  return impl(*this).numel;
}
DType Tensor::dtype() const {
  return impl(*this).dtype;
}
Device Tensor::device() const {
  return impl(*this).device;
}
void* Tensor::raw() const {
  const auto& t = impl(*this);
  return static_cast<char*>(t.storage.get()) + t.offset;
}

template <>
float* Tensor::data<float>() const {
  return typed<float>(*this, DType::f32);
}
template <>
bf16* Tensor::data<bf16>() const {
  return typed<bf16>(*this, DType::bf16);
}
template <>
std::int32_t* Tensor::data<std::int32_t>() const {
  return typed<std::int32_t>(*this, DType::i32);
}
template <>
u8* Tensor::data<u8>() const {
  return typed<u8>(*this, DType::u8);
}

std::vector<float> Tensor::values() const {
  if (device() != Device{}) return to(detach(), {}).values();
  std::vector<float> out(static_cast<std::size_t>(numel()));
  const auto n = out.size();
  switch (dtype()) {
    case DType::f32:
      if (n) std::memcpy(out.data(), raw(), n * sizeof(float));
      break;
    case DType::bf16:
      for (std::size_t i = 0; i < n; ++i) out[i] = to_f32(data<bf16>()[i]);
      break;
    case DType::i32:
      for (std::size_t i = 0; i < n; ++i) out[i] = static_cast<float>(data<std::int32_t>()[i]);
      break;
    case DType::u8:
      for (std::size_t i = 0; i < n; ++i) out[i] = data<u8>()[i];
      break;
  }
  return out;
}

float Tensor::item() const {
  require(numel() == 1, "item: shape ", shape(), " has ", numel(), " elements, wanted 1");
  return values()[0];
}

Tensor Tensor::reshape(Shape wanted) const {
  i64 known = 1;
  int open = -1;
  for (int i = 0; i < wanted.rank(); ++i) {
    if (wanted[i] == -1) {
      require(open < 0, "reshape: two axes of -1 in ", wanted);
      open = i;
    } else {
      known *= wanted[i];
    }
  }
  if (open >= 0 && known > 0) wanted[open] = numel() / known;
  require(wanted.numel() == numel(), "reshape: ", shape(), " to ", wanted);
  Tensor y = whole_view_of(*this, wanted);
  if (bp::tracks_grad({*this}))
    record(y, {*this}, [from = shape()](const Tensor& dy) { return Gradients{dy.reshape(from)}; });
  return y;
}

Tensor Tensor::slice(i64 begin, i64 end) const {
  require(rank() >= 1 && 0 <= begin && begin <= end && end <= dim(0), "slice: [", begin, ",", end, ") of ",
          shape());
  Shape s = shape();
  s[0] = end - begin;
  const i64 entry = dim(0) ? numel() / dim(0) : 0;
  const auto bytes = static_cast<std::size_t>(begin * entry) * size_of(dtype());
  Tensor y = view_of(*this, s, impl(*this).offset + bytes);
  if (bp::tracks_grad({*this}))
    record(y, {*this}, [from = shape(), bytes](const Tensor& dy) {
      Tensor dx = zeros(from, dy.dtype(), dy.device());
      const auto size = static_cast<std::size_t>(dy.numel()) * size_of(dy.dtype());
      kernels(dy.device())
          .strided_copy(
              {dy.raw(), static_cast<char*>(dx.raw()) + bytes, 1, {static_cast<i64>(size)}, {1}, {1}, 1});
      return Gradients{dx};
    });
  return y;
}

Tensor Tensor::operator[](i64 i) const {
  Shape rest;
  for (int axis = 1; axis < rank(); ++axis) rest.push_back(dim(axis));
  return slice(i, i + 1).reshape(rest);
}

Tensor Tensor::detach() const {
  return whole_view_of(*this, shape());
}

void Tensor::pack(i64 rows) {
  const auto& table = kernels(device());
  require(!tracks_grad(), "pack: ", shape(), " is being trained");
  require(rows > 0 && numel() % rows == 0, "pack: ", shape(), " as ", rows, " rows");
  if (!table.pack_weight) return;
  const i64 depth = numel() / rows;
  const Tensor data = empty({table.packed_bytes(rows, depth, dtype())}, DType::u8, device());
  table.pack_weight({raw(), data.raw(), rows, depth, dtype()});
  impl(*this).packed = std::make_shared<const detail::Packed>(detail::Packed{data, rows});
}

const void* Tensor::packed(i64 rows) const {
  const auto& p = impl(*this).packed;
  return p && p->rows == rows ? p->data.raw() : nullptr;
}

bool Tensor::same_storage(const Tensor& other) const {
  return impl(*this).storage == impl(other).storage;
}

Tensor empty(const Shape& shape, DType dtype, Device device) {
  for (i64 d : shape) require(d >= 0, "tensor: negative size in ", shape);
  detail::TensorImpl t;
  t.storage = allocate(static_cast<std::size_t>(shape.numel()) * size_of(dtype), device);
  t.shape = shape;
  t.dtype = dtype;
  t.device = device;
  return TensorAccess::make(std::move(t));
}

Tensor empty_like(const Tensor& x) {
  return empty(x.shape(), x.dtype(), x.device());
}

Tensor full(const Shape& shape, float value, DType dtype, Device device) {
  Tensor y = empty(shape, dtype, device);
  kernels(device).fill({y.raw(), y.numel(), value, dtype});
  return y;
}

Tensor zeros(const Shape& shape, DType dtype, Device device) {
  return full(shape, 0.0f, dtype, device);
}

Tensor from_values(const Shape& shape, std::span<const float> values, DType dtype, Device device) {
  Tensor y = empty(shape, dtype);
  require(static_cast<i64>(values.size()) == y.numel(), "from_values: ", values.size(), " values for ",
          shape);
  require(dtype == DType::f32 || dtype == DType::bf16, "from_values: dtype ", name_of(dtype));
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (dtype == DType::f32)
      y.data<float>()[i] = values[i];
    else
      y.data<bf16>()[i] = to_bf16(values[i]);
  }
  return to(y, device);
}

Tensor from_memory(const Shape& shape, DType dtype, const void* data, std::shared_ptr<const void> owner) {
  require(reinterpret_cast<std::uintptr_t>(data) % size_of(dtype) == 0, "from_memory: ", shape,
          " is not aligned for ", name_of(dtype));
  detail::TensorImpl t;
  // The alias keeps the owner alive; the const is given up because Tensor has one kind of storage.
  t.storage = std::shared_ptr<void>(std::const_pointer_cast<void>(std::move(owner)), const_cast<void*>(data));
  t.shape = shape;
  t.dtype = dtype;
  return TensorAccess::make(std::move(t));
}

Tensor to(const Tensor& x, Device device) {
  if (x.device() == device) return x;
  Tensor y = empty(x.shape(), x.dtype(), device);
  copy_into(y, x);
  if (tracks_grad({x}))
    record(y, {x}, [from = x.device()](const Tensor& dy) { return Gradients{to(dy, from)}; });
  return y;
}

void copy_into(const Tensor& into, const Tensor& from) {
  require(into.shape() == from.shape() && into.dtype() == from.dtype(), "copy_into: ", name_of(from.dtype()),
          " ", from.shape(), " into ", name_of(into.dtype()), " ", into.shape());
  impl(into).packed.reset();
  const auto bytes = static_cast<std::size_t>(from.numel()) * size_of(from.dtype());
  if (bytes == 0) return;
  const Device host, a = from.device(), b = into.device();
  if (a == host && b == host)
    std::memmove(into.raw(), from.raw(), bytes);
  else if (a == host)
    backend(b).upload(into.raw(), from.raw(), bytes);
  else if (b == host)
    backend(a).download(into.raw(), from.raw(), bytes);
  else if (a == b)
    backend(a).copy(into.raw(), from.raw(), bytes);
  else
    copy_into(into, to(from.detach(), host));
}

}  // namespace bp
