// What the files of ops share: checks of dtype and device, and access to the device's kernels.
#pragma once
#include "engine/ops.h"

namespace bp {

inline const k::Kernels& kernels(const Tensor& x) { return kernels(x.device()); }

inline void require_float(const char* op, const Tensor& x) {
  require(x.defined(), op, ": undefined input");
  require(x.dtype() == DType::f32 || x.dtype() == DType::bf16, op, ": dtype ", name_of(x.dtype()),
          ", wanted f32 or bf16");
}

// All defined inputs are floating, of one dtype and on one device.
inline void require_alike(const char* op, std::initializer_list<Tensor> inputs) {
  const Tensor* first = nullptr;
  for (const Tensor& x : inputs) {
    if (!x) continue;
    require_float(op, x);
    if (!first) first = &x;
    require(x.dtype() == first->dtype(), op, ": dtypes ", name_of(first->dtype()), " and ", name_of(x.dtype()));
    require(x.device() == first->device(), op, ": inputs on ", first->device(), " and ", x.device());
  }
}

inline void* raw_or_null(const Tensor& x) { return x ? x.raw() : nullptr; }

}  // namespace bp
