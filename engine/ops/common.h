// What the files of ops share: checks of dtype and device, and access to the device's kernels.
#pragma once
#include "engine/ops.h"
#include "engine/trace.h"

namespace bp {

inline const k::Kernels& kernels(const Tensor& x) {
  return kernels(x.device());
}

inline void require_float(const char* op, const Tensor& x) {
  require(x.defined(), op, ": undefined input");
  require(x.dtype() == DType::f32 || x.dtype() == DType::bf16, op, ": dtype ", name_of(x.dtype()),
          ", wanted f32 or bf16");
}

// All defined inputs are floating, of one dtype and on one device.
inline void require_alike(const char* op, TensorRefs inputs) {
  const Tensor* first = nullptr;
  for (const Tensor& x : inputs) {
    if (!x) continue;
    require_float(op, x);
    if (!first) first = &x;
    require(x.dtype() == first->dtype(), op, ": dtypes ", name_of(first->dtype()), " and ",
            name_of(x.dtype()));
    require(x.device() == first->device(), op, ": inputs on ", first->device(), " and ", x.device());
  }
}

// Strides of a contiguous tensor of `shape` as seen from `rank` axes aligned at the end; 0 where its axis is
// 1 or absent.
inline void broadcast_strides(const Shape& shape, int rank, i64* strides) {
  i64 stride = 1;
  for (int i = 1; i <= rank; ++i) {
    const i64 size = i <= shape.rank() ? shape[-i] : 1;
    strides[rank - i] = size == 1 ? 0 : stride;
    stride *= size;
  }
}

// Copies [x_begin, x_begin + count) of x's axis `axis` to [y_begin, ..) of y's; the other axes are equal.
void copy_range(const Tensor& x, const Tensor& y, int axis, i64 x_begin, i64 y_begin, i64 count);

inline void* raw_or_null(const Tensor& x) {
  return x ? x.raw() : nullptr;
}
// Of an f32 tensor, for a kernel of its device; null where there is none.
inline float* floats(const Tensor& x) {
  require(!x || x.dtype() == DType::f32, "floats: dtype ", x ? name_of(x.dtype()) : "none");
  return static_cast<float*>(raw_or_null(x));
}
inline Tensor detached(const Tensor& x) {
  return x ? x.detach() : x;
}
// A shape for a message, put into words only if the message is written.
struct ShapeText {
  const Tensor& x;
};
inline std::ostream& operator<<(std::ostream& out, const ShapeText& shape) {
  return shape.x ? out << shape.x.shape() : out << "none";
}
inline ShapeText shape_text(const Tensor& x) {
  return {x};
}

// act as an op of its own, with its gradient.
inline Tensor activate(const Tensor& x, Act act) {
  return act == Act::gelu ? gelu(x) : act == Act::relu ? relu(x) : x;
}

}  // namespace bp
